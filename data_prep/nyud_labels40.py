"""labels40.mat: the labels of all NYU Depth V2's frames, mapped to the 40 classes already; others distribute it.

    labels40   480 x 640 x 1449, uint8: 0 = none, 1 to 40 the classes. MATLAB 5 (14.5 MB, 445 MB unpacked) or 7.3.

Beside the frames' own labels it tells which class each label was mapped to, and so stands in for classMapping40.mat. It
is read frame by frame.

Source: ankurhanda/nyuv2-meta-data; MathWorks, MAT-File Format (version 5).
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from caffe_compat.errors import DataError
from data_prep.hha.camera import FULL_SIZE_PX
from data_prep.nyud_mat import CLASSES, ClassMapping, LabeledMat

__all__ = ["mapping_from_labels40"]

_VARIABLE = "labels40"
_MATRIX, _COMPRESSED, _BYTES = 14, 15, 2  # MATLAB 5's kinds of data elements
_INSTEAD = "give classMapping40.mat instead"
_PIECE = 1 << 16


def mapping_from_labels40(path: Path, mat: LabeledMat) -> ClassMapping:
    """The mapping by which labels40.mat was made of the frames' labels; labels that occur nowhere become 0, none.

    Raises:
        DataError: a file is damaged or another one, or the two give a label different classes.
    """
    classes = np.full(1 << 16, -1, np.int16)
    count = mat.count
    for index, mapped in enumerate(_frames(path, count)):
        labels = mat.read_labels(index)
        if mapped.max(initial=0) > CLASSES:
            raise DataError(f"'{path}': {mapped.max()} in frame {index + 1}; wanted 0 (none) to {CLASSES}; {_INSTEAD}")
        found = classes.copy()
        found[labels] = mapped
        if (found[labels] != mapped).any() or ((classes >= 0) & (found != classes)).any() or found[0] > 0:
            raise DataError(
                f"'{path}' gives a label of '{mat.path}' two classes in frame {index + 1}: they do not belong "
                f"together, or one is damaged; {_INSTEAD}"
            )
        classes = found
    most = int(np.flatnonzero(classes >= 0).max(initial=0))
    return ClassMapping(np.maximum(classes[: most + 1], 0).astype(np.uint8))


def _frames(path: Path, count: int) -> Iterator[np.ndarray]:
    """The frames in turn, 480 x 640 uint8."""
    try:
        with path.open("rb") as file:
            head = file.read(128)
            if head.startswith(b"MATLAB 7.3") or head.startswith(b"\x89HDF"):
                yield from _frames_hdf5(path, count)
                return
            if head[126:] != b"IM":
                raise DataError(f"'{path}' is no MATLAB file; {_INSTEAD}")
            yield from _frames_5(file, str(path), count)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise DataError(f"'{path}' is damaged or cannot be read ({error}); download it again, or {_INSTEAD}") from error


def _frames_hdf5(path: Path, count: int) -> Iterator[np.ndarray]:
    import h5py  # slow to import

    with h5py.File(path, "r") as file:
        values = file.get(_VARIABLE)
        _check_shape(path, None if values is None else values.shape[::-1], count)
        for index in range(count):
            yield values[index].T  # W x H -> H x W


def _frames_5(file: BinaryIO, name: str, count: int) -> Iterator[np.ndarray]:
    while len(tag := file.read(8)) == 8:
        kind, size = struct.unpack("<II", tag)
        end = file.tell() + size
        element = _Element(file, size, kind == _COMPRESSED)
        if kind == _COMPRESSED:
            kind = struct.unpack("<II", element.read(8))[0]
        if kind == _MATRIX:
            element.read(16)  # its class and flags
            shape = struct.unpack(f"<{len(sizes := element.item()[1]) // 4}i", sizes)
            if element.item()[1] == _VARIABLE.encode():
                _check_shape(Path(name), shape, count)
                kind = struct.unpack("<II", element.read(8))[0]
                if kind != _BYTES:
                    raise DataError(f"'{name}': {_VARIABLE} is not stored as uint8; {_INSTEAD}")
                height, width = FULL_SIZE_PX
                for _ in range(count):
                    yield np.frombuffer(element.read(height * width), np.uint8).reshape(width, height).T
                return
        file.seek(end)
    _check_shape(Path(name), None, count)


def _check_shape(path: Path, shape: tuple[int, ...] | None, count: int) -> None:
    wanted = (*FULL_SIZE_PX, count)
    if shape != wanted:
        found = f"no {_VARIABLE}" if shape is None else f"{_VARIABLE} of {' x '.join(map(str, shape))}"
        raise DataError(f"'{path}' holds {found}; wanted {' x '.join(map(str, wanted))}; {_INSTEAD}")


class _Element:
    """The content of a data element, read piece by piece."""

    def __init__(self, file: BinaryIO, size: int, compressed: bool) -> None:
        self._file, self._left = file, size
        self._inflate = zlib.decompressobj()
        self._some = self._inflated if compressed else file.read

    def read(self, size: int) -> bytes:
        """So many bytes.

        Raises:
            EOFError: there are fewer.
        """
        parts, missing = [], size
        while missing:
            if not (part := self._some(missing)):
                raise EOFError("it ends too early")
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _inflated(self, most: int) -> bytes:
        while True:
            data = self._inflate.unconsumed_tail
            if not data:
                data = self._file.read(min(_PIECE, self._left))
                self._left -= len(data)
            part = self._inflate.decompress(data, most)
            if part or not data:
                return part

    def item(self) -> tuple[int, bytes]:
        """The kind and content of the next small item, up to its end on a multiple of 8 bytes."""
        kind, size = struct.unpack("<II", self.read(8))
        if kind >> 16:  # both in four bytes, and up to four of content
            return kind & 0xFFFF, struct.pack("<I", size)[: kind >> 16]
        return kind, self.read(size + -size % 8)[:size]
