"""Data: batches of the Datums in an LMDB."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from caffe_compat.errors import DataError
from caffe_compat.layer.contract import Count
from caffe_compat.layer.data.lmdb_source import LMDBReader
from caffe_compat.layer.data.prefetch import BatchSource, PrefetchingLayer
from caffe_compat.layer.data.transformer import DataTransformer
from caffe_compat.layer.registry import register
from caffe_compat.parallel import solver_count, solver_rank
from caffe_compat.proto import caffe_pb2 as pb
from caffe_compat.proto.datum import parse_datum

__all__ = ["Data"]


@register
class Data(PrefetchingLayer):
    """The next batch_size Datums of an LMDB in key order, transformed; after the last comes the first again.

    The batch takes the size of its first image, so images of different sizes need batch_size 1 or a crop_size.
    Encoded Datums are decoded in the background. rand_skip is ignored, as in Caffe 1.0. Where several solvers train
    together (see parallel.py), each takes every solver_count-th Datum at TRAIN, beginning with its rank.

    Bottoms:  none.
    Tops:     data: batch_size x C x H x W, BGR, H and W the crop_size where there is one;
              label (optional): batch_size, each Datum's label.
    Params:   data_param.source: the LMDB's folder, relative to the working folder; batch_size; backend: LMDB;
              prefetch: batches loaded ahead. transform_param: see transformer.py.
    Raises:   LayerError: backend LEVELDB, no batch_size, or parameters that contradict each other.
              DataError: a database, Datum or image that is damaged, missing or does not fit; the key is named.
    Source:   BVLC/caffe src/caffe/layers/data_layer.cpp, base_data_layer.cpp.
    """

    type = "Data"
    tops = Count(1, 2)

    def open_source(self) -> tuple[BatchSource, int]:
        """Open the LMDB."""
        param = self.param.data_param
        if param.backend != pb.DataParameter.LMDB:
            raise self.error(
                f"data_param.backend is LEVELDB{'' if param.HasField('backend') else ' (the default)'}, which is not "
                f"read here; if '{param.source}' is an LMDB write backend: LMDB, otherwise copy its keys and values "
                "into an LMDB (with plyvel and lmdb), or build it again with convert_imageset --backend=lmdb"
            )
        if param.batch_size < 1:
            raise self.error("data_param.batch_size is missing; give 1 or more")
        transformer = DataTransformer(self.param.transform_param, self.phase, self.error)
        try:
            reader = LMDBReader(param.source)
            if reader.keys_count == 0:
                raise DataError(f"{param.source}: has no records; build it again")
        except DataError as error:
            raise DataError(f"layer '{self.name}' (Data): data_param.source {error}") from error
        dealt = (solver_rank(), solver_count()) if self.phase == pb.TRAIN else (0, 1)
        if dealt[0] >= dealt[1]:
            raise self.error(f"solver_rank is {dealt[0]} of {dealt[1]} solvers; call set_solver_count with more, first")
        return _Datums(reader, param.batch_size, transformer, self.top_count > 1, dealt), param.prefetch


class _Datums:
    """Batches from an LMDB, from record ``_index`` on.

    Of each ``dealt[1]`` records, counted on through the end of the database, only number ``dealt[0]`` is taken.
    """

    def __init__(
        self, reader: LMDBReader, batch_size: int, transformer: DataTransformer, labels: bool, dealt: tuple[int, int]
    ) -> None:
        self._reader = reader
        self._batch_size = batch_size
        self._transformer = transformer
        self._labels = labels
        self._rank, self._count = dealt
        self._turn = 0  # whose the next record is
        self._index = 0
        self._records: Iterator[tuple[bytes, bytes]] | None = None

    def load(self) -> list[np.ndarray]:
        data: np.ndarray | None = None
        labels = np.empty(self._batch_size, np.float32)
        first = ""
        for item in range(self._batch_size):
            key, value = self._next_record()
            where = f"{self._reader.path}: key '{key.decode(errors='backslashreplace')}'"
            datum = parse_datum(value, where)
            image = self._transformer.image(datum, where)
            shape = self._transformer.top_shape(image.shape, where)
            if data is None:
                data, first = np.empty((self._batch_size, *shape), np.float32), where
            elif shape != data.shape[1:]:
                raise DataError(
                    f"{where}: is {' x '.join(map(str, shape))}, but the batch began with {first}, "
                    f"{' x '.join(map(str, data.shape[1:]))}; mixed sizes need batch_size 1 or a crop_size"
                )
            self._transformer.transform(image, data[item], where)
            labels[item] = datum.label
        assert data is not None
        return [data, labels] if self._labels else [data]

    def state(self) -> dict[str, Any]:
        turn = {"turn": self._turn} if self._count > 1 else {}
        return {"record": self._index, "stream": self._transformer.state(), **turn}

    def restore(self, state: dict[str, Any]) -> None:
        if state["record"] >= self._reader.keys_count:
            raise DataError(
                f"{self._reader.path}: has {self._reader.keys_count} records, but the state to resume from is at "
                f"record {state['record']}; resume with the same database"
            )
        self._index, self._records = state["record"], None
        self._turn = state.get("turn", 0)
        self._transformer.restore(state["stream"])

    def close(self) -> None:
        self._records = None
        self._reader.close()

    def _next_record(self) -> tuple[bytes, bytes]:
        while True:
            record, whose = self._read_record(), self._turn
            self._turn = (self._turn + 1) % self._count
            if whose == self._rank:
                return record

    def _read_record(self) -> tuple[bytes, bytes]:
        if self._records is None:
            self._records = self._reader.items(self._index)
        record = next(self._records)
        self._index += 1
        if self._index == self._reader.keys_count:
            self._index, self._records = 0, None
        return record
