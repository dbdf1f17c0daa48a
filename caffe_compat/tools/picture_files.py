"""Pictures as file bytes, encoded as OpenCV encodes them for Caffe.

PNG files are byte for byte OpenCV's where zlib is the same: rows filtered by "Sub", zlib's fastest level with run
lengths alone. JPEG files have OpenCV's settings: quality 95, colour at half resolution.

Source: OpenCV 4 modules/imgcodecs/src/grfmt_png.cpp, grfmt_jpeg.cpp; libpng pngwutil.c (window size, IDAT size).
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from caffe_compat.errors import DataError

__all__ = ["encode_picture"]

_IDAT = 8192  # bytes of data in one chunk


def encode_picture(image: np.ndarray, kind: str, where: str) -> bytes:
    """A picture file.

    Args:
        image: C x H x W, uint8, BGR (C = 3) or gray (C = 1).
        kind: ``png``, ``jpg``, ``bmp``, ...: a file name's extension.
        where: the picture's name, for messages.

    Raises:
        DataError: pictures of this kind cannot be written.
    """
    kind = kind.lower()
    if kind == "png":
        return _png(image)
    Image.init()
    if f".{kind}" not in Image.EXTENSION:
        raise DataError(f"{where}: pictures of kind '{kind}' cannot be written; give encode_type png or jpg")
    pixels = image[0] if len(image) == 1 else np.ascontiguousarray(image[::-1].transpose(1, 2, 0))  # H x W x RGB
    out = io.BytesIO()
    try:
        Image.fromarray(pixels).save(out, format=Image.EXTENSION[f".{kind}"], quality=95)
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{where}: cannot be written as '{kind}': {error}; give encode_type png or jpg") from None
    return out.getvalue()


def _png(image: np.ndarray) -> bytes:
    channels, height, width = image.shape
    pixels = image[::-1].transpose(1, 2, 0).reshape(height, width * channels)  # rows of RGB RGB ...
    rows = np.ones((height, 1 + width * channels), np.uint8)  # each begins with its filter's number
    rows[:, 1:] = pixels
    rows[:, 1 + channels :] -= pixels[:, :-channels]
    bits = next((bits for bits in range(8, 15) if rows.size <= 1 << bits), 15)
    squeezer = zlib.compressobj(1, zlib.DEFLATED, max(bits, 9), 8, zlib.Z_RLE)
    data = squeezer.compress(rows.tobytes()) + squeezer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    chunks = [data[at : at + _IDAT] for at in range(0, len(data), _IDAT)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [_chunk(b"IHDR", header), *(_chunk(b"IDAT", part) for part in chunks), _chunk(b"IEND", b"")]
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
