"""Large messages with their blobs taken out, so that protobuf parses only what is small."""

from typing import TypeVar

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from caffe_compat.errors import WeightsError
from caffe_compat.proto.blobs import BlobArrays, read_blob
from caffe_compat.proto.caffe_pb2 import DESCRIPTOR, BlobProto
from caffe_compat.proto.wire import BYTES, FIXED32, FIXED64, VARINT, Field, fields, key

__all__ = ["BlobScan"]

_M = TypeVar("_M", bound=Message)

# Messages on the way to the blobs: message, field number, message in that field.
_WAY_TO_BLOBS = {
    "NetParameter": {100: "LayerParameter", 2: "V1LayerParameter"},
    "LayerParameter": {7: "BlobProto"},
    "V1LayerParameter": {6: "BlobProto", 1: "V0LayerParameter"},
    "V0LayerParameter": {50: "BlobProto"},
    "SolverState": {3: "BlobProto"},
}
_LAYER_NAME = {"LayerParameter": 1, "V1LayerParameter": 4, "V0LayerParameter": 1}
_FIXED_TYPES = {
    FieldDescriptor.TYPE_FLOAT: FIXED32,
    FieldDescriptor.TYPE_DOUBLE: FIXED64,
    FieldDescriptor.TYPE_STRING: BYTES,
    FieldDescriptor.TYPE_BYTES: BYTES,
    FieldDescriptor.TYPE_MESSAGE: BYTES,
}


class BlobScan:
    """Reads a mapped file as a message; where a blob was, the message holds its position in ``blobs`` (as ``num``).

    Args:
        buffer: uint8, the whole file.
        source: the file's name for error messages.
        wanted: what the file should be, for error messages, such as ``a caffemodel``.
    """

    def __init__(self, buffer: np.ndarray, source: str, wanted: str) -> None:
        self.buffer = buffer
        self.source = source
        self.wanted = wanted
        self.blobs: list[BlobArrays] = []

    def read(self, kind: type[_M]) -> _M:
        """The whole file as a message of this kind (NetParameter or SolverState).

        Raises:
            WeightsError: damaged bytes or another kind of file.
        """
        stripped = self._strip(kind.DESCRIPTOR.name, 0, len(self.buffer), self.source)
        try:
            return kind.FromString(stripped)
        except DecodeError as error:
            raise WeightsError(
                f"{self.source}: cannot be parsed ({error}); {self.wanted} was expected, the file is damaged"
            ) from None

    def _strip(self, kind: str, start: int, end: int, where: str) -> bytes:
        """The message of this kind in ``buffer[start:end]``, its blobs moved to ``self.blobs``."""
        stripped = bytearray()
        counts: dict[int, int] = {}
        for found in fields(self.buffer, start, end, where):
            self._check_type(kind, found, where)
            child = _WAY_TO_BLOBS[kind].get(found.number)
            if child is None:
                stripped += self.buffer[found.key : found.end].tobytes()
                if found.number == _LAYER_NAME.get(kind):
                    name = self.buffer[found.start : found.end].tobytes().decode(errors="replace")
                    where = f"{self.source}: layer '{name}'"
                continue
            index = counts[found.number] = counts.get(found.number, -1) + 1
            if child == "BlobProto":
                name = "history" if kind == "SolverState" else "blobs"
                inner = BlobProto(num=len(self.blobs)).SerializeToString()
                self.blobs.append(read_blob(self.buffer, found.start, found.end, f"{where}: {name}[{index}]"))
            else:
                inside = f"{where}: layer number {index}" if kind == "NetParameter" else where
                inner = self._strip(child, found.start, found.end, inside)
            stripped += key(found.number, BYTES, len(inner)) + inner
        return bytes(stripped)

    def _check_type(self, kind: str, found: Field, where: str) -> None:
        """Refuse a known field in an impossible form: the file is damaged, or another kind of file."""
        descriptor = DESCRIPTOR.message_types_by_name[kind].fields_by_number.get(found.number)
        if descriptor is None:
            return
        expected = _FIXED_TYPES.get(descriptor.type, VARINT)
        packed = found.wire_type == BYTES and descriptor.default_value == []  # a repeated field
        if found.wire_type != expected and not packed:
            raise WeightsError(
                f"{where}: field {descriptor.name} at byte {found.key} has wire type {found.wire_type}, not "
                f"{expected}; {self.wanted} was expected, the file is damaged or something else"
            )
