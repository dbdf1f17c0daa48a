"""The protobuf wire format, read in place.

Large files are scanned field by field without copying, and what a damaged file claims is compared with what is there
before anything is allocated. Source: the encoding chapter of the Protocol Buffers documentation.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from caffe_compat.errors import WeightsError

__all__ = ["BYTES", "FIXED32", "FIXED64", "VARINT", "Field", "encode_varint", "fields", "key", "read_field"]

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types. 3 and 4 (groups) never occur in Caffe's schema."""

_FIXED_SIZE = {FIXED64: 8, FIXED32: 4}


class Field(NamedTuple):
    """One field in a buffer: its key begins at ``key``, its value (without a length) is ``start:end``."""

    number: int
    wire_type: int
    key: int
    start: int
    end: int


def read_field(buffer: np.ndarray, at: int, end: int, where: str) -> Field:
    """The field whose key begins at byte ``at`` of a message that ends before byte ``end``.

    Args:
        buffer: uint8, the whole file.
        at: position of the key.
        end: end of the message that holds the field.
        where: file and part of it, for error messages.

    Raises:
        WeightsError: the field does not fit into its message, or the bytes are no field.
    """
    tag, start = _read_varint(buffer, at, end, where)
    number, wire_type = tag >> 3, tag & 7
    if not 1 <= number < 1 << 29 or wire_type not in (VARINT, FIXED64, BYTES, FIXED32):
        raise WeightsError(f"{where}: byte {at}: no protobuf field begins here (key {tag}); the file is damaged")
    if wire_type == VARINT:
        return Field(number, wire_type, at, start, _read_varint(buffer, start, end, where)[1])
    if wire_type == BYTES:
        length, start = _read_varint(buffer, start, end, where)
    else:
        length = _FIXED_SIZE[wire_type]
    if length > end - start:
        raise WeightsError(
            f"{where}: field {number} at byte {at} claims {length} bytes, but {end - start} are left; the file is "
            "cut off or damaged"
        )
    return Field(number, wire_type, at, start, start + length)


def fields(buffer: np.ndarray, start: int, end: int, where: str) -> Iterator[Field]:
    """All fields of the message in ``buffer[start:end]``, in file order.

    Raises:
        WeightsError: as for ``read_field``.
    """
    while start < end:
        field = read_field(buffer, start, end, where)
        yield field
        start = field.end


def _read_varint(buffer: np.ndarray, at: int, end: int, where: str) -> tuple[int, int]:
    """A number in base 128, least digit first, and the position after it."""
    value = 0
    for i in range(10):
        if at + i >= end:
            raise WeightsError(f"{where}: ends inside a number at byte {at}; the file is cut off or damaged")
        byte = int(buffer[at + i])
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, at + i + 1
    raise WeightsError(f"{where}: the number at byte {at} has more than 10 bytes; the file is damaged")


def encode_varint(value: int) -> bytes:
    """A non-negative number in base 128, least digit first."""
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)


def key(number: int, wire_type: int, length: int | None = None) -> bytes:
    """What stands before a field's value: its key and, for wire type BYTES, its length."""
    prefix = encode_varint(number << 3 | wire_type)
    return prefix if length is None else prefix + encode_varint(length)
