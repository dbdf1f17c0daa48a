"""ImageData: batches of picture files named in a list."""

from pathlib import Path
from typing import Any

import numpy as np

from caffe_compat.errors import DataError
from caffe_compat.layer.contract import Count
from caffe_compat.layer.data.prefetch import BatchSource, PrefetchingLayer
from caffe_compat.layer.data.random_stream import RandomStream
from caffe_compat.layer.data.resize import resize_bilinear
from caffe_compat.layer.data.transformer import DataTransformer
from caffe_compat.layer.registry import register
from caffe_compat.proto import caffe_pb2 as pb
from caffe_compat.proto.datum import decode_image

__all__ = ["ImageData", "read_image"]


def read_image(path: str, color: bool, where: str) -> np.ndarray:
    """A picture file as C x H x W, uint8, BGR (C = 3) or gray (C = 1).

    Raises:
        DataError: the file cannot be read or decoded; the message begins with ``where``.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(
            f"{where}: '{path}' cannot be read: {error.strerror}; correct the list or root_folder"
        ) from error
    return decode_image(data, color, f"{where}: '{path}'")


@register
class ImageData(PrefetchingLayer):
    """The next batch_size pictures of a list, resized if asked and transformed; after the last comes the first again.

    With shuffle the order is drawn anew each time round. The batch takes the size of its first picture.

    Bottoms:  none.
    Tops:     data: batch_size x C x H x W, BGR; label: batch_size.
    Params:   image_data_param.source: a text file of "path label" lines; root_folder is put before each path as it
              is; batch_size; new_height, new_width: pixels, both or neither; is_color: 3 channels or 1; shuffle;
              rand_skip: start at a line drawn below it. transform_param: see transformer.py.
    Raises:   LayerError: one of new_height and new_width without the other, no batch_size, or a rand_skip beyond the
              list. DataError: a list or picture that cannot be read or does not fit; the line is named.
    Source:   BVLC/caffe src/caffe/layers/image_data_layer.cpp.
    """

    type = "ImageData"
    tops = Count.exactly(2)

    def open_source(self) -> tuple[BatchSource, int]:
        """Read the list."""
        param = self.param.image_data_param
        if (param.new_height > 0) != (param.new_width > 0):
            raise self.error(
                f"image_data_param.new_height {param.new_height} and new_width {param.new_width}: give both or neither"
            )
        if param.batch_size < 1:
            raise self.error("image_data_param.batch_size is 0; give 1 or more")
        transformer = DataTransformer(self.param.transform_param, self.phase, self.error)
        lines = self._read_list(param.source)
        if param.rand_skip > len(lines):
            raise self.error(
                f"image_data_param.rand_skip {param.rand_skip} is more than the {len(lines)} lines of {param.source}"
            )
        return _Pictures(param, lines, transformer), self.param.data_param.prefetch

    def _read_list(self, source: str) -> list[tuple[str, int]]:
        try:
            text = Path(source).read_text(encoding="utf-8", errors="surrogateescape")
        except OSError as error:
            raise DataError(
                f"layer '{self.name}' (ImageData): image_data_param.source '{source}' cannot be read: "
                f'{error.strerror}; it is a text file of "path label" lines'
            ) from error
        lines = []
        for number, line in enumerate(text.splitlines(), 1):
            path, _, label = line.rstrip().rpartition(" ")
            if not line.strip():
                continue
            if not path or not label.lstrip("-").isdigit():
                raise DataError(f"{source}: line {number}: '{line}' is not \"path label\" with a whole number as label")
            lines.append((path, int(label)))
        if not lines:
            raise DataError(f'{source}: lists no pictures; write one "path label" per line')
        return lines


class _Pictures:
    """Batches of the pictures in a list, from place ``_next`` of ``_order`` on."""

    def __init__(
        self, param: pb.ImageDataParameter, lines: list[tuple[str, int]], transformer: DataTransformer
    ) -> None:
        self._param = param
        self._lines = lines
        self._transformer = transformer
        self._stream = RandomStream() if param.shuffle or param.rand_skip else None
        self._order = self._new_order()
        self._next = self._stream.below(param.rand_skip) if self._stream and param.rand_skip else 0

    def load(self) -> list[np.ndarray]:
        param = self._param
        data: np.ndarray | None = None
        labels = np.empty(param.batch_size, np.float32)
        first = ""
        for item in range(param.batch_size):
            index = self._order[self._next]
            path, label = self._lines[index]
            image = read_image(param.root_folder + path, param.is_color, f"{param.source}: picture {index + 1}")
            if param.new_height:
                image = resize_bilinear(image, param.new_height, param.new_width)
            shape = self._transformer.top_shape(image.shape, path)
            if data is None:
                data, first = np.empty((param.batch_size, *shape), np.float32), path
            elif shape != data.shape[1:]:
                raise DataError(
                    f"{param.source}: '{path}' is {' x '.join(map(str, shape))}, but the batch began with '{first}', "
                    f"{' x '.join(map(str, data.shape[1:]))}; mixed sizes need batch_size 1, crop_size, or new_height "
                    "and new_width"
                )
            self._transformer.transform(image, data[item], path)
            labels[item] = label
            self._next += 1
            if self._next == len(self._lines):
                self._next, self._order = 0, self._new_order()
        assert data is not None
        return [data, labels]

    def state(self) -> dict[str, Any]:
        return {
            "next": self._next,
            "order": self._order,
            "shuffle": self._stream.state() if self._stream else None,
            "stream": self._transformer.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        if len(state["order"]) != len(self._lines):
            raise DataError(
                f"{self._param.source}: lists {len(self._lines)} pictures, {len(state['order'])} when the state was "
                "saved; resume with the same list"
            )
        self._next, self._order = state["next"], np.asarray(state["order"])
        if self._stream and state["shuffle"]:
            self._stream.restore(state["shuffle"])
        self._transformer.restore(state["stream"])

    def close(self) -> None:
        pass

    def _new_order(self) -> np.ndarray:
        if self._stream and self._param.shuffle:
            return self._stream.permutation(len(self._lines))
        return np.arange(len(self._lines))
