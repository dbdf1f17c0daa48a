"""Blob: a named place for an N-D float array and its gradient, as pycaffe shows it.

``data`` and ``diff`` are live C-contiguous NumPy arrays (see synced_memory.py); layers and the net use ``tensor`` and
``set_tensor`` instead, which never copy on their own. Values not written yet read as zeros.

Source: BVLC/caffe src/caffe/blob.cpp, include/caffe/blob.hpp; python/caffe/_caffe.cpp for the public face.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import torch

from caffe_compat.device import device as current_device
from caffe_compat.errors import NetError
from caffe_compat.layer.synced_memory import Origin, ReadRows, SyncedMemory

__all__ = ["MAX_COUNT", "Blob", "Shape", "check_count"]

Shape = tuple[int, ...]
MAX_COUNT = 2**31 - 1  # Caffe counts elements in an int


def check_count(shape: Sequence[int], what: str) -> Shape:
    """The shape as a tuple, if its dimensions are not negative and their product fits Caffe's int.

    Raises:
        NetError: naming ``what``, before anything is allocated.
    """
    dims = tuple(int(d) for d in shape)
    if any(d < 0 for d in dims):
        raise NetError(f"{what}: shape {dims} has a negative dimension; every dimension must be 0 or more")
    if math.prod(dims) > MAX_COUNT:
        raise NetError(
            f"{what}: shape {dims} has {math.prod(dims)} elements, more than INT_MAX ({MAX_COUNT}); "
            "lower the batch or the image size"
        )
    return dims


class Blob:
    """An N-D array of values and one of gradients, both of one shape.

    Args:
        shape: the dimensions, outermost first; images are N x C x H x W.
        dtype: element type of both arrays.
        mirrored: keep host and device copies apart even on the CPU (tests of the GPU path).
    """

    def __init__(self, shape: Sequence[int] = (0,), dtype: torch.dtype = torch.float32, mirrored: bool = False) -> None:
        self._shape = check_count(shape, "blob")
        self._dtype = dtype
        self._mirrored = mirrored
        self._data = SyncedMemory(dtype, mirrored)
        self._diff = SyncedMemory(dtype, mirrored)

    # -- pycaffe's face ------------------------------------------------------------------------------------------------

    @property
    def data(self) -> np.ndarray:
        """Values, a live float array of ``shape``: writes through it are the blob's values."""
        return self._data.array(self._shape)

    @property
    def diff(self) -> np.ndarray:
        """Gradients, a live float array of ``shape``."""
        return self._diff.array(self._shape)

    @property
    def shape(self) -> Shape:
        """Dimensions, outermost first."""
        return self._shape

    @property
    def count(self) -> int:
        """Number of elements."""
        return math.prod(self._shape)

    @property
    def num(self) -> int:
        """First of the legacy four dimensions."""
        return self._legacy(0)

    @property
    def channels(self) -> int:
        """Second of the legacy four dimensions."""
        return self._legacy(1)

    @property
    def height(self) -> int:
        """Third of the legacy four dimensions."""
        return self._legacy(2)

    @property
    def width(self) -> int:
        """Fourth of the legacy four dimensions."""
        return self._legacy(3)

    def _legacy(self, axis: int) -> int:
        if len(self._shape) > 4:
            raise NetError(
                f"num, channels, height and width are for blobs of at most 4 axes; this one is {self._shape}; use shape"
            )
        return self._shape[axis] if axis < len(self._shape) else 1

    def reshape(self, *shape: int) -> None:
        """Change the dimensions; values are kept as far as the memory that is there goes, as in Caffe."""
        self._shape = check_count(shape, "blob")

    # -- the runtime's face --------------------------------------------------------------------------------------------

    def tensor(self) -> torch.Tensor:
        """Values on the present device, detached; do not write unless the blob is yours to write."""
        return self._data.tensor(self._shape, current_device())

    def set_tensor(self, value: torch.Tensor) -> None:
        """Take a layer's result as the new values and shape."""
        self._shape = tuple(value.shape)
        self._data.set(value)

    def write(self, value: torch.Tensor | np.ndarray, origin: Origin | None = None) -> None:
        """Copy values of the same count in, in place: blobs that share this memory see them too.

        Args:
            value: the values.
            origin: where they can be read again, as they are, if anywhere.
        """
        self._data.write(value, self._shape, current_device(), origin)

    def relayout(self, memory_format: torch.memory_format) -> None:
        """Keep the values in another memory layout, as long as no array of them is held; they stay the same."""
        self._data.relayout(memory_format)

    def packed(self, key: Hashable, pack: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor | None:
        """The values in the form that ``pack`` makes of them and ``to_dense`` undoes; they are kept in that form alone.

        Reading the blob in any other way gives the plain values back. None while an array of them is held.
        """
        return self._data.packed(key, pack, self._shape, current_device())

    def replaced(self, key: Hashable, make: Callable[[ReadRows], Any]) -> Any | None:
        """What ``make`` derives of the values, which takes their place: they are read from their origin if wanted.

        Args:
            key: says what is derived.
            make: derives it, reading rows (along axis 0: from the first up to, and without, the last) one by one.

        Returns:
            What ``make`` gave; None where the values have no origin, or an array of them is held.
        """
        return self._data.replaced(key, make, self._shape, current_device())

    def mark_changed(self) -> None:
        """Say that the memory behind ``tensor()`` was changed in place: what was derived from it is stale."""
        self._data.mark_changed()

    def diff_tensor(self) -> torch.Tensor:
        """Gradients on the present device, detached."""
        return self._diff.tensor(self._shape, current_device())

    def diff_room(self, memory_format: torch.memory_format) -> torch.Tensor:
        """Memory of the blob's shape on the CPU, to make new gradients in before they are added."""
        return self._diff.room(self._shape, memory_format)

    def set_diff_tensor(self, value: torch.Tensor) -> None:
        """Take new gradients, replacing the old."""
        self._diff.set(value)

    def add_diff(self, value: torch.Tensor) -> None:
        """Add to the gradients."""
        self._diff.add(value, self._shape)

    def clear_diff(self) -> None:
        """Set the gradients to zero; memory that no array was handed out of is freed."""
        if self._diff.leased:
            self._diff.write(torch.zeros((), dtype=self._dtype).expand(self._shape), self._shape, current_device())
        else:
            self._diff.clear()

    def free_diff(self, why: str) -> None:
        """Drop the gradients; reading them, before they are cleared or new ones come, raises NetError(why)."""
        self._diff.drop(why)

    @property
    def diff_leased(self) -> bool:
        """Whether a ``diff`` array handed out is still alive."""
        return self._diff.leased

    @property
    def has_data(self) -> bool:
        """Whether values were ever written; without, they read as zeros."""
        return self._data.written

    @property
    def has_diff(self) -> bool:
        """Whether gradients were written since they were cleared."""
        return self._diff.written

    @property
    def leased(self) -> bool:
        """Whether a ``data`` array handed out is still alive."""
        return self._data.leased

    def stamp(self) -> int:
        """A number that stays the same only while the values certainly do."""
        return self._data.stamp()

    def free_data(self, why: str) -> None:
        """Drop the values; reading them afterwards, before new ones come, raises NetError(why)."""
        self._data.drop(why)

    def revive_data(self) -> None:
        """Let dropped values be read, as zeros, and written again."""
        self._data.revive()

    def share_data(self, other: "Blob") -> None:
        """Use another blob's values from now on; counts must be equal, shapes need not."""
        self._check_same_count(other)
        self._data = other._data

    def shares_data(self, other: "Blob") -> bool:
        """Whether both have the same values in the same memory."""
        return self._data is other._data

    def share_diff(self, other: "Blob") -> None:
        """Use another blob's gradients from now on: both add into one."""
        self._check_same_count(other)
        self._diff = other._diff

    def _check_same_count(self, other: "Blob") -> None:
        if self.count != other.count:
            raise NetError(f"blobs of shape {self.shape} and {other.shape} cannot share memory: the counts differ")
