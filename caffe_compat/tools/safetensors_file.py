"""The safetensors format, read in place and written array by array.

A file is the length of its header (8 bytes, little endian), the header in JSON ({key: dtype, shape, data_offsets}),
and the values, little endian, one array after the other. It needs no package.

Source: the format's description at github.com/huggingface/safetensors.
"""

import json
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from caffe_compat.errors import WeightsError
from caffe_compat.proto.blobs import map_file

__all__ = ["read", "save"]

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_MOST_HEADER = 100_000_000


def read(path: str) -> dict[str, np.ndarray]:
    """The arrays by key, views of the file; BF16 is widened to float32.

    Raises:
        WeightsError: missing, damaged, another kind of file, or a type of values other than F64, F32, F16, BF16.
    """
    buffer = map_file(path, "a safetensors file")
    length = int.from_bytes(buffer[:8].tobytes(), "little")
    if len(buffer) < 8 or length > min(len(buffer) - 8, _MOST_HEADER):
        raise WeightsError(
            f"{path}: is no safetensors file or cut off: a header of {length} bytes, {len(buffer)} bytes in all"
        )
    try:
        header = json.loads(buffer[8 : 8 + length].tobytes())
        entries = {str(key): dict(entry) for key, entry in header.items() if key != "__metadata__"}
    except (ValueError, AttributeError, TypeError) as error:
        raise WeightsError(f"{path}: its header cannot be read ({error}); a safetensors file was expected") from None
    values = buffer[8 + length :]
    return {key: _array(values, entry, f"{path}: '{key}'") for key, entry in entries.items()}


def _array(values: np.ndarray, entry: dict[str, Any], where: str) -> np.ndarray:
    try:
        kind, shape, (start, end) = entry["dtype"], tuple(map(int, entry["shape"])), map(int, entry["data_offsets"])
    except (KeyError, TypeError, ValueError):
        raise WeightsError(f"{where}: dtype, shape and two data_offsets were expected, found {entry}") from None
    if kind not in _DTYPES:
        raise WeightsError(f"{where}: holds {kind} values; {', '.join(_DTYPES)} are read")
    dtype = np.dtype(_DTYPES[kind])
    if min(shape, default=0) < 0 or not 0 <= start <= end <= len(values) or end - start != prod(shape) * dtype.itemsize:
        raise WeightsError(
            f"{where}: bytes {start} to {end} of {len(values)} for the shape {shape} of {kind}: the file is cut off or "
            "damaged"
        )
    array = values[start:end].view(dtype).reshape(shape)
    return (array.astype(np.uint32) << 16).view(np.float32) if kind == "BF16" else array


def save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write the arrays as F32, each from where it is."""
    header: dict[str, Any] = {}
    at = 0
    for key, array in arrays.items():
        header[key] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [at, at + 4 * array.size]}
        at += 4 * array.size
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in arrays.values():
            file.write(np.ascontiguousarray(array, "<f4").reshape(-1).view(np.uint8).data)
