"""Photographs: decoded from file bytes, with messages that name the file."""

import io

import numpy as np
from PIL import Image

from caffe_compat.errors import DataError

__all__ = ["decode_image", "encode_jpeg", "is_plain_jpeg", "is_plain_png"]

_ORIENTATION = 0x0112  # Exif: which way up; OpenCV turns the picture by it, Pillow does not


def decode_image(data: bytes, name: str) -> np.ndarray:
    """Pixels of an image file, as they lie in the file (no turning by Exif).

    Args:
        data: the file's content.
        name: path or key, for messages.

    Returns:
        H x W x 3 uint8, RGB; grey images are repeated into the three channels.

    Raises:
        DataError: the file is damaged or not an image.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.array(image if image.mode == "RGB" else image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"image '{name}' is damaged or not an image ({error}); replace the file") from error


def is_plain_jpeg(data: bytes) -> bool:
    """Whether every reader sees the same three channels the same way up, so that the file can be stored as it is."""
    with Image.open(io.BytesIO(data)) as image:
        return image.format == "JPEG" and image.mode == "RGB" and image.getexif().get(_ORIENTATION, 1) == 1


def is_plain_png(data: bytes) -> bool:
    """Likewise for a PNG: three channels of 8 bits, nothing transparent, no turning."""
    with Image.open(io.BytesIO(data)) as image:
        plain = image.format == "PNG" and image.mode == "RGB" and "transparency" not in image.info
        return plain and image.getexif().get(_ORIENTATION, 1) == 1


def encode_jpeg(image: np.ndarray, quality: int = 95) -> bytes:
    """A JPEG file of an H x W x 3 uint8 RGB image."""
    out = io.BytesIO()
    Image.fromarray(image).save(out, format="JPEG", quality=quality, subsampling=0)
    return out.getvalue()
