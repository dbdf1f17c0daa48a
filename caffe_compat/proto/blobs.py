"""BlobProto messages and binaryproto files to numpy arrays and back, without a loop over values.

Arrays that come from a file are read-only float32 views of the mapped file where the file's form allows it (one packed
chunk, as Caffe writes), and copies otherwise. They may be unaligned: copy them (``np.copyto``) rather than compute on
them.
"""

import mmap
import os
import re
from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np
from google.protobuf.message import DecodeError

from caffe_compat.errors import WeightsError
from caffe_compat.proto.caffe_pb2 import BlobProto
from caffe_compat.proto.kept_file import KeptFile
from caffe_compat.proto.whole_file import replacing
from caffe_compat.proto.wire import BYTES, FIXED32, FIXED64, encode_varint, key, read_field

__all__ = [
    "INT_MAX",
    "BlobArrays",
    "array_to_blob",
    "blob_chunks",
    "blob_to_array",
    "check_shape",
    "is_hdf5",
    "map_and_keep",
    "map_file",
    "read_blob",
    "read_blobproto",
    "release",
    "write_blobproto",
]

INT_MAX = 2**31 - 1
"""Caffe's limit on the number of values of a blob, and protobuf's on the bytes of a message."""

_MAX_AXES = 32
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_DATA, _DIFF, _SHAPE, _DOUBLE_DATA, _DOUBLE_DIFF = 5, 6, 7, 8, 9
_VALUE_TYPES = {_DATA: "<f4", _DIFF: "<f4", _DOUBLE_DATA: "<f8", _DOUBLE_DIFF: "<f8"}
_LEGACY = ("num", "channels", "height", "width")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")
_TEXT_FIELD = re.compile(rb"^\s*(#.*\s+)*[A-Za-z_]\w*\s*[:{]")


class BlobArrays(NamedTuple):
    """A blob's values and, if the file has them, its gradients; both of the blob's shape."""

    data: np.ndarray
    diff: np.ndarray | None


def is_hdf5(buffer: np.ndarray) -> bool:
    """Whether a file's bytes are HDF5, by its signature (which may follow a user block)."""
    return any(bytes(buffer[at : at + 8]) == _HDF5_SIGNATURE for at in (0, 512, 1024, 2048, 4096))


def map_file(path: str | os.PathLike[str], wanted: str) -> np.ndarray:
    """The file's bytes, mapped read-only into memory: uint8.

    Args:
        path: the file; it must not be truncated while the array or a view of it lives (replacing it is fine).
        wanted: what it should be, for error messages, such as ``a caffemodel``.

    Raises:
        WeightsError: it is missing, a directory, unreadable, empty, or prototxt text.
    """
    return map_and_keep(path, wanted)[0]


def map_and_keep(path: str | os.PathLike[str], wanted: str) -> tuple[np.ndarray, KeptFile]:
    """As ``map_file``, and the file itself, to read from it again when the array is gone."""
    source = os.fspath(path)
    try:
        with open(source, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise WeightsError(f"{source}: is empty (0 bytes); {wanted} was expected")
            kept = KeptFile(file, source)
            buffer = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    except FileNotFoundError:
        raise WeightsError(f"{source}: no such file; {wanted} was expected") from None
    except IsADirectoryError:
        raise WeightsError(f"{source}: is a directory; {wanted} was expected") from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"{source}: cannot be read: {error}") from error
    head = bytes(buffer[:4096])
    if _TEXT_FIELD.match(head) and not _CONTROL.search(head):
        raise WeightsError(f"{source}: is prototxt text; {wanted} in binary or HDF5 form was expected")
    return buffer, kept


def release(array: np.ndarray) -> None:
    """Let the memory go that holds what was read of a mapped file; the array stays as it is, and can be read again."""
    owner: object = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    owner = owner.obj if isinstance(owner, memoryview) else owner
    if not isinstance(owner, mmap.mmap) or not hasattr(mmap, "MADV_DONTNEED") or not array.flags.c_contiguous:
        return
    start = array.ctypes.data - np.frombuffer(owner, np.uint8).ctypes.data
    first, last = -(-start // mmap.PAGESIZE), (start + array.nbytes) // mmap.PAGESIZE  # whole pages
    if first < last:
        owner.madvise(mmap.MADV_DONTNEED, first * mmap.PAGESIZE, (last - first) * mmap.PAGESIZE)


def check_shape(shape: Sequence[int], where: str) -> int:
    """The number of values of a blob of this shape.

    Raises:
        WeightsError: more than 32 axes, a negative dimension, or more than INT_MAX values.
    """
    if len(shape) > _MAX_AXES:
        raise WeightsError(f"{where}: {len(shape)} axes; Caffe's blobs have at most {_MAX_AXES}")
    if any(dim < 0 for dim in shape):
        raise WeightsError(f"{where}: shape {_words(shape)} has a negative dimension")
    count = prod(shape)
    if count > INT_MAX:
        raise WeightsError(f"{where}: shape {_words(shape)} holds {count} values; the limit is {INT_MAX}")
    return count


def _words(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "()"


def read_blob(buffer: np.ndarray, start: int, end: int, where: str) -> BlobArrays:
    """The blob in the BlobProto message ``buffer[start:end]``; a legacy shape gives 4 axes.

    Raises:
        WeightsError: damaged bytes, an impossible shape, values that do not fill the shape.
    """
    values: dict[int, list[np.ndarray]] = {number: [] for number in _VALUE_TYPES}
    shape_bytes = bytearray()
    at = start
    while at < end:
        field = read_field(buffer, at, end, where)
        at = field.end
        if field.number not in _VALUE_TYPES:
            shape_bytes += buffer[field.key : field.end].tobytes()
            continue
        dtype = np.dtype(_VALUE_TYPES[field.number])
        if field.wire_type == BYTES and (field.end - field.start) % dtype.itemsize == 0:
            values[field.number].append(buffer[field.start : field.end].view(dtype))
        elif field.wire_type == (FIXED32 if dtype.itemsize == 4 else FIXED64) and field.start == field.key + 1:
            run = _unpacked_run(buffer, field.key, end, dtype)
            values[field.number].append(run)
            at = field.key + len(run) * (dtype.itemsize + 1)
        else:
            raise WeightsError(
                f"{where}: field {field.number} at byte {field.key} ({field.end - field.start} bytes, wire type "
                f"{field.wire_type}) holds no {dtype.itemsize}-byte values; the file is damaged"
            )
    shape = _shape(bytes(shape_bytes), where)
    check_shape(shape, where)
    data = _joined(values[_DOUBLE_DATA] or values[_DATA], shape, f"{where}: data")
    chunks = values[_DOUBLE_DIFF] or values[_DIFF]
    return BlobArrays(data, _joined(chunks, shape, f"{where}: diff") if chunks else None)


def _unpacked_run(buffer: np.ndarray, at: int, end: int, dtype: np.dtype) -> np.ndarray:
    """Values written one by one, each with its one-byte key, from ``at`` until the key changes."""
    stride = dtype.itemsize + 1
    most = (end - at) // stride
    count = 64
    while True:
        count = min(count, most)
        rows = buffer[at : at + count * stride].reshape(count, stride)
        others = np.flatnonzero(rows[:, 0] != rows[0, 0])
        if others.size or count == most:
            break
        count *= 4
    rows = rows[: others[0]] if others.size else rows
    return np.ascontiguousarray(rows[:, 1:]).view(dtype)[:, 0]


def _shape(message: bytes, where: str) -> tuple[int, ...]:
    try:
        proto = BlobProto.FromString(message)
    except DecodeError as error:
        raise WeightsError(f"{where}: its shape cannot be read ({error}); the file is damaged") from None
    if any(proto.HasField(name) for name in _LEGACY):
        return proto.num, proto.channels, proto.height, proto.width
    return tuple(proto.shape.dim)


def _joined(chunks: list[np.ndarray], shape: tuple[int, ...], where: str) -> np.ndarray:
    found = sum(len(chunk) for chunk in chunks)
    if found != prod(shape):
        raise WeightsError(f"{where}: found {found} values for shape {_words(shape)}, which holds {prod(shape)}")
    flat = chunks[0] if len(chunks) == 1 else np.concatenate([np.empty(0, np.float32), *chunks])
    flat = flat.astype(np.float32, copy=False)
    flat.flags.writeable = False
    return flat.reshape(shape)


def blob_to_array(blob: BlobProto) -> np.ndarray:
    """The values of a BlobProto: float32, read-only, of the blob's shape (4 axes if it has the legacy one).

    Raises:
        WeightsError: an impossible shape, or values that do not fill the shape.
    """
    message = np.frombuffer(blob.SerializeToString(), np.uint8)
    return read_blob(message, 0, len(message), "BlobProto").data


def array_to_blob(array: np.ndarray, legacy: bool = False) -> BlobProto:
    """A BlobProto with the values of an array, converted to float32.

    Args:
        array: any shape of at most 32 axes.
        legacy: write num, channels, height and width in place of ``shape``; the array has at most 4 axes, and the
            missing ones are put in front.

    Raises:
        WeightsError: the shape is impossible or, with ``legacy``, has more than 4 axes.
    """
    return BlobProto.FromString(b"".join(blob_chunks(array, None, "BlobProto", legacy=legacy)))


def blob_chunks(
    array: np.ndarray, diff: np.ndarray | None, where: str, legacy: bool = False
) -> list[bytes | memoryview]:
    """A BlobProto message in pieces, in Caffe's order; the values are views, so that nothing large is copied.

    Args:
        array: the blob's values, converted to float32.
        diff: the blob's gradients, of the same shape, or None to leave them out.
        where: for error messages.
        legacy: as for ``array_to_blob``.

    Raises:
        WeightsError: an impossible shape, or a diff of another shape.
    """
    check_shape(array.shape, where)
    head = b""
    tail = b""
    if legacy:
        if array.ndim > 4:
            raise WeightsError(f"{where}: {array.ndim} axes; the legacy shape has 4")
        dims = (1,) * (4 - array.ndim) + array.shape
        head = b"".join(key(number, 0) + encode_varint(dim) for number, dim in enumerate(dims, 1))
    elif array.ndim:
        packed = b"".join(map(encode_varint, array.shape))
        dims_field = key(1, BYTES, len(packed)) + packed
        tail = key(_SHAPE, BYTES, len(dims_field)) + dims_field
    chunks: list[bytes | memoryview] = [head]
    for number, values in ((_DATA, array), (_DIFF, diff)):
        if values is None or values.size == 0:
            continue
        if values.shape != array.shape:
            raise WeightsError(f"{where}: diff has shape {_words(values.shape)}, data {_words(array.shape)}")
        if values.size * 4 > INT_MAX:
            raise WeightsError(
                f"{where}: {values.size * 4} bytes; a protobuf file holds at most {INT_MAX}: save as HDF5 (.h5)"
            )
        flat = np.ascontiguousarray(values, "<f4").reshape(-1).view(np.uint8)
        chunks += [key(number, BYTES, flat.nbytes), flat.data]
    return [*chunks, tail]


def read_blobproto(path: str | os.PathLike[str]) -> np.ndarray:
    """The array in a binaryproto file, such as a mean image: float32, a read-only view of the file.

    The shape is the file's: 4 axes (num, channels, height, width) in files of compute_image_mean.

    Raises:
        WeightsError: the file is missing, empty, text, HDF5, cut off or damaged.
    """
    buffer = map_file(path, "a binaryproto (BlobProto)")
    source = os.fspath(path)
    if is_hdf5(buffer):
        raise WeightsError(f"{source}: is HDF5; a binaryproto (BlobProto) was expected")
    return read_blob(buffer, 0, len(buffer), source).data


def write_blobproto(path: str | os.PathLike[str], array: np.ndarray, legacy: bool = False) -> None:
    """Write an array as a binaryproto file; the file appears whole or not at all.

    Args:
        path: the file.
        array: any shape of at most 32 axes; a mean image is 1 x C x H x W, BGR.
        legacy: as for ``array_to_blob``.

    Raises:
        WeightsError: an impossible shape, or the file cannot be written.
    """
    source = os.fspath(path)
    chunks = blob_chunks(array, None, source, legacy)
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            file.writelines(chunks)
    except OSError as error:
        raise WeightsError(f"{source}: cannot be written: {error.strerror or error}") from error
