"""Values that can be read again from the file that they came from."""

import os
import weakref
from typing import BinaryIO

import numpy as np

from caffe_compat.errors import WeightsError

__all__ = ["KeptFile", "ValuesInFile"]

_CHUNK_BYTES = 16 << 20


class KeptFile:
    """A file that stays open, so that replacing or deleting it takes nothing away.

    Args:
        file: opened for reading; may be closed afterwards.
        path: its name for messages.
    """

    def __init__(self, file: BinaryIO, path: str) -> None:
        self.path = path
        self._handle = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._handle)
        self._state = self._present_state()

    def values(self, array: np.ndarray, mapped: np.ndarray) -> "ValuesInFile | None":
        """Where the values of an array are in the file; None if they are not there one after the other as float32.

        Args:
            array: perhaps a view of ``mapped``.
            mapped: the whole file's bytes, uint8.
        """
        offset = array.ctypes.data - mapped.ctypes.data
        inside = 0 <= offset and offset + array.nbytes <= mapped.nbytes
        if not inside or array.dtype != "<f4" or not array.flags.c_contiguous or not hasattr(os, "pread"):
            return None
        return ValuesInFile(self, offset)

    def is_unchanged(self) -> bool:
        """Whether nobody has written to it since it was opened."""
        return self._present_state() == self._state

    def _present_state(self) -> tuple[int, int]:
        state = os.fstat(self._handle)
        return state.st_size, state.st_mtime_ns

    def read(self, offset: int, into: memoryview) -> None:
        """Fill a buffer from these bytes on; other processes that share the file are not disturbed.

        Raises:
            WeightsError: the file was written to since it was opened, or cannot be read.
        """
        if not self.is_unchanged():
            raise WeightsError(
                f"{self.path}: was written to after its weights were loaded, so values that are kept there alone "
                "cannot be read again; load the weights anew, and do not write into a file that a net has read"
            )
        done = 0
        while done < len(into):
            try:
                part = os.pread(self._handle, min(_CHUNK_BYTES, len(into) - done), offset + done)
            except OSError as error:
                raise WeightsError(f"{self.path}: cannot be read again: {error}") from error
            if not part:
                raise WeightsError(f"{self.path}: ends at byte {offset + done}, {len(into) - done} are missing")
            into[done : done + len(part)] = part
            done += len(part)


class ValuesInFile:
    """float32 values, one after the other somewhere in a file."""

    def __init__(self, file: KeptFile, offset: int) -> None:
        self._file = file
        self._offset = offset

    def is_there(self) -> bool:
        """Whether they can still be read."""
        return self._file.is_unchanged()

    def read(self, first: int, last: int) -> np.ndarray:
        """The values from the first up to, and without, the last: a new flat array.

        Raises:
            WeightsError: they are not there any more.
        """
        values = np.empty(last - first, "<f4")
        self._file.read(self._offset + 4 * first, values.data.cast("B"))
        return values
