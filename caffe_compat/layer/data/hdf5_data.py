"""HDF5Data: batches of rows of the datasets in HDF5 files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from caffe_compat.device import device
from caffe_compat.errors import DataError
from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, SourceLayer
from caffe_compat.layer.data.random_stream import RandomStream
from caffe_compat.layer.registry import register
from caffe_compat.parallel import solver_count, solver_rank
from caffe_compat.proto import caffe_pb2 as pb

if TYPE_CHECKING:
    import h5py

__all__ = ["HDF5Data"]


@register
class HDF5Data(SourceLayer):
    """The next batch_size rows of each dataset, over all files and around again.

    Files are read whole, one at a time, in the order of the list; with shuffle both the files and the rows within each
    come in random order, drawn anew each time round. A batch may span files, and may be larger than a file.
    Where several solvers train together (see parallel.py), each takes every solver_count-th row at TRAIN, beginning
    with its rank.

    Bottoms:  none.
    Tops:     batch_size x ..., each the dataset of its name; integers and doubles become float32.
    Params:   hdf5_data_param.source: a text file with one HDF5 path per line, relative to the working folder;
              batch_size; shuffle.
    Raises:   LayerError: transform_param given (nothing is transformed), or no batch_size.
              DataError: a list or file that cannot be read, a missing dataset, rows that do not match.
    Source:   BVLC/caffe src/caffe/layers/hdf5_data_layer.cpp.
    """

    type = "HDF5Data"

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Read the list and the first file."""
        if self.param.HasField("transform_param"):
            raise self.error("it does not transform data; remove transform_param, and transform when writing the files")
        self._param = self.param.hdf5_data_param
        if self._param.batch_size < 1:
            raise self.error("hdf5_data_param.batch_size is missing; give 1 or more")
        self._rank, self._count = (solver_rank(), solver_count()) if self.phase == pb.TRAIN else (0, 1)
        if self._rank >= self._count:
            raise self.error(
                f"solver_rank is {self._rank} of {self._count} solvers; call set_solver_count with more, first"
            )
        self._turn = 0  # whose the next row is
        self._files = self._read_list()
        self._stream = RandomStream() if self._param.shuffle else None
        self._file_order = self._order(len(self._files))
        self._file = self._row = 0
        self._rows = self._load(self._file_order[0])
        self._row_order = self._order(len(self._rows[0]))

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """Shapes of every batch."""
        return [(self._param.batch_size, *rows.shape[1:]) for rows in self._rows]

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """The next batch."""
        if not context.replay:
            self._last = [torch.from_numpy(array).to(device()) for array in self._next_batch()]
        return self._last

    def state_dict(self) -> dict[str, Any]:
        """The next row, and the orders drawn."""
        return {
            "file": self._file,
            "row": self._row,
            "file_order": self._file_order.copy(),
            "row_order": self._row_order.copy(),
            "stream": self._stream.state() if self._stream else None,
            **({"turn": self._turn} if self._count > 1 else {}),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to where the state was taken.

        Raises:
            DataError: the list has another number of files, or the file another number of rows, than then.
        """
        if len(state["file_order"]) != len(self._files):
            raise DataError(
                f"{self._param.source}: lists {len(self._files)} files, {len(state['file_order'])} when the state was "
                "saved; resume with the same list"
            )
        rows = self._load(state["file_order"][state["file"]])
        if len(state["row_order"]) != len(rows[0]):
            raise DataError(
                f"{self._files[state['file_order'][state['file']]]}: has {len(rows[0])} rows, "
                f"{len(state['row_order'])} when the state was saved; resume with the same files"
            )
        self._rows = rows
        self._file_order, self._row_order = np.array(state["file_order"]), np.array(state["row_order"])
        self._file, self._row = state["file"], state["row"]
        self._turn = state.get("turn", 0)
        if self._stream and state["stream"]:
            self._stream.restore(state["stream"])

    def _next_batch(self) -> list[np.ndarray]:
        batch = [np.empty((self._param.batch_size, *rows.shape[1:]), np.float32) for rows in self._rows]
        filled = 0
        while filled < self._param.batch_size:
            rest = self._row_order[self._row :]
            first = (self._rank - self._turn) % self._count  # of the rest, the first that is ours
            taken = rest[first :: self._count][: self._param.batch_size - filled]
            for out, rows in zip(batch, self._rows, strict=True):
                out[filled : filled + len(taken)] = rows[taken]
            filled += len(taken)
            passed = len(rest)
            if filled == self._param.batch_size:
                passed = first + (len(taken) - 1) * self._count + 1
            self._row += passed
            self._turn = (self._turn + passed) % self._count
            if self._row == len(self._row_order):
                self._next_file()
        return batch

    def _next_file(self) -> None:
        file, order = self._file + 1, self._file_order
        if file == len(self._files):
            file, order = 0, self._order(len(self._files))
        if len(self._files) > 1:
            shapes = [rows.shape[1:] for rows in self._rows]
            rows = self._load(order[file])
            for name, old, new in zip(self.param.top, shapes, rows, strict=True):
                if new.shape[1:] != old:
                    raise DataError(
                        f"{self._files[order[file]]}: dataset '{name}' has rows of shape {new.shape[1:]}, but those of "
                        f"the files before it are {old}; all files of a list must agree"
                    )
            self._rows = rows
        self._file, self._file_order, self._row = file, order, 0
        self._row_order = self._order(len(self._rows[0]))

    def _order(self, n: int) -> np.ndarray:
        return self._stream.permutation(n) if self._stream else np.arange(n)

    def _read_list(self) -> list[str]:
        source = self._param.source
        try:
            files = Path(source).read_text(encoding="utf-8", errors="surrogateescape").split()
        except OSError as error:
            raise DataError(
                f"layer '{self.name}' (HDF5Data): hdf5_data_param.source '{source}' cannot be read: {error.strerror}; "
                "it is a text file that lists HDF5 files"
            ) from error
        if not files:
            raise DataError(f"{source}: lists no files; write one HDF5 path per line")
        return files

    def _load(self, index: int) -> list[np.ndarray]:
        import h5py  # slow to import

        path = self._files[index]
        try:
            with h5py.File(path, "r") as file:
                rows = [self._read(file, path, name) for name in self.param.top]
        except OSError as error:
            raise DataError(
                f"{path}: cannot be read as HDF5: {error} (listed in {self._param.source}, relative to {Path.cwd()})"
            ) from error
        for name, one in zip(self.param.top, rows, strict=True):
            if len(one) != len(rows[0]) or not len(one):
                raise DataError(
                    f"{path}: dataset '{name}' has {len(one)} rows, '{self.param.top[0]}' has {len(rows[0])}; "
                    "all must have the same number, at least 1"
                )
        return rows

    @staticmethod
    def _read(file: "h5py.File", path: str, name: str) -> np.ndarray:
        import h5py

        dataset = file.get(name)
        if not isinstance(dataset, h5py.Dataset):
            raise DataError(f"{path}: has no dataset '{name}', as a top is called; it has {', '.join(file) or 'none'}")
        if dataset.ndim == 0 or dataset.dtype.kind not in "fiu":
            raise DataError(
                f"{path}: dataset '{name}' is {dataset.dtype} of shape {dataset.shape}; "
                "numbers of at least one axis are wanted"
            )
        rows: np.ndarray = dataset[()].astype(np.float32, copy=False)
        return rows
