"""MemoryData: batches of arrays that the program hands over."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from caffe_compat.device import device
from caffe_compat.errors import DataError
from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Count, SourceLayer
from caffe_compat.layer.registry import register

__all__ = ["MemoryData"]


@register
class MemoryData(SourceLayer):
    """The next batch_size rows of the arrays last given to ``set_input_arrays``, and around again.

    Nothing is transformed. The arrays are not copied: what the program writes to them later is seen.

    Bottoms:  none.
    Tops:     data: batch_size x channels x height x width;
              label: batch_size, and from the first forward on batch_size x 1 x 1 x 1.
    Params:   memory_data_param.batch_size, channels, height, width: all needed.
    Raises:   LayerError: one of the four is missing, or forward before any arrays were given.
              DataError: arrays of another form.
    Source:   BVLC/caffe src/caffe/layers/memory_data_layer.cpp; python/caffe/_caffe.cpp for set_input_arrays.
    """

    type = "MemoryData"
    tops = Count.exactly(2)

    _arrays: tuple[np.ndarray, np.ndarray] | None = None
    _next = 0

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Check the sizes."""
        param = self.param.memory_data_param
        self._shape: Shape = (param.batch_size, param.channels, param.height, param.width)
        if 0 in self._shape:
            raise self.error(
                "memory_data_param needs batch_size, channels, height and width, each 1 or more; "
                f"they are {', '.join(map(str, self._shape))}"
            )

    def set_input_arrays(self, data: np.ndarray, labels: np.ndarray) -> None:
        """Take new arrays; the next forward begins with their first rows.

        Args:
            data: n x channels x height x width, float32, C-contiguous; n is a multiple of batch_size.
            labels: n, or n x 1 x 1 x 1, float32, C-contiguous.

        Raises:
            DataError: another form; the message says which array.
        """
        if labels.ndim == 1:
            labels = labels[:, None, None, None]
        self._check(data, "data", self._shape[1:])
        self._check(labels, "labels", (1, 1, 1))
        if len(data) != len(labels):
            raise self._refuse(f"data has {len(data)} rows, labels {len(labels)}; they must have the same number")
        if not len(data) or len(data) % self._shape[0]:
            raise self._refuse(f"{len(data)} rows are not a multiple of batch_size {self._shape[0]}")
        self._arrays, self._next = (data, labels), 0

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """Shapes before the first forward."""
        return [self._shape, self._shape[:1]]

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """The next rows."""
        if self._arrays is None:
            raise self.error("it has no data yet; call net.set_input_arrays(data, labels) before forward")
        if not context.replay:
            rows = slice(self._next, self._next + self._shape[0])
            self._last = [torch.tensor(array[rows], device=device()) for array in self._arrays]
            self._next = rows.stop % len(self._arrays[0])
        return self._last

    def state_dict(self) -> dict[str, Any]:
        """The next row."""
        return {"next": self._next}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to the row where the state was taken; the arrays are the program's to give again, before this."""
        self._next = state["next"]

    def _check(self, array: np.ndarray, name: str, rest: Shape) -> None:
        if array.dtype != np.float32 or not array.flags.c_contiguous:
            raise self._refuse(
                f"{name} is {array.dtype}{'' if array.flags.c_contiguous else ', not C-contiguous'}; "
                "give np.ascontiguousarray(x, np.float32)"
            )
        if array.ndim != 4 or array.shape[1:] != rest:
            raise self._refuse(f"{name} has shape {array.shape}; n x {' x '.join(map(str, rest))} is wanted")

    def _refuse(self, message: str) -> DataError:
        return DataError(f"layer '{self.name}' (MemoryData): set_input_arrays: {message}")
