"""Database records (Datum) to arrays and back.

Arrays are channels x height x width; pictures have BGR channels, as OpenCV gave them to Caffe. Source: BVLC/caffe
src/caffe/util/io.cpp (DecodeDatum), src/caffe/data_transformer.cpp; OpenCV's imdecode for what a picture file gives.
"""

import io
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from google.protobuf.message import DecodeError

from caffe_compat.errors import DataError
from caffe_compat.proto.blobs import INT_MAX
from caffe_compat.proto.caffe_pb2 import Datum

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["array_to_datum", "datum_to_array", "decode_image", "parse_datum"]

_FLOAT_KEY = 6 << 3 | 5  # float_data, one value
_GRAY_WEIGHTS = np.array([3737, 19234, 9797], np.uint32)  # of B, G, R, in 1 / 32768, as libpng rounds them


def parse_datum(data: bytes, source: str) -> Datum:
    """A Datum from a database's bytes.

    Args:
        data: the value of the record.
        source: database and key, for error messages.

    Raises:
        DataError: the bytes are no Datum.
    """
    try:
        datum = Datum.FromString(data)
    except DecodeError as error:
        raise DataError(f"{source}: {len(data)} bytes that are no Datum ({error}); the database is damaged") from None
    if not datum.ListFields():
        raise DataError(f"{source}: an empty record; a Datum was expected")
    return datum


def datum_to_array(datum: Datum, color: bool | None = None, source: str = "datum") -> np.ndarray:
    """The values of a Datum: C x H x W, uint8 (0 to 255) or float32 if it holds float_data.

    Args:
        datum: raw values, or an encoded picture, which is decoded.
        color: for encoded ones as for ``decode_image``; no effect on raw ones, as in Caffe.
        source: database and key, for error messages.

    Raises:
        DataError: the values do not fill channels x height x width, or the picture cannot be decoded.
    """
    if datum.encoded:
        return decode_image(datum.data, color, source)
    shape = (datum.channels, datum.height, datum.width)
    words = " x ".join(map(str, shape))
    if min(shape) < 1 or prod(shape) > INT_MAX:
        raise DataError(
            f"{source}: channels x height x width = {words}; each must be at least 1, all at most {INT_MAX}"
        )
    name = "data" if datum.data else "float_data"
    found = len(datum.data) or len(datum.float_data)
    if found != prod(shape):
        raise DataError(f"{source}: {found} values in {name} for channels x height x width = {words} = {prod(shape)}")
    if datum.data:
        return np.frombuffer(datum.data, np.uint8).reshape(shape)
    return np.array(datum.float_data, np.float32).reshape(shape)


def array_to_datum(array: np.ndarray, label: int | None = None) -> Datum:
    """A Datum that holds an array.

    Args:
        array: C x H x W (pictures BGR); uint8 goes to ``data``, every other type as float32 to ``float_data``.
        label: the record's label, if it has one.

    Raises:
        DataError: the array has not three axes, or one of size 0.
    """
    if array.ndim != 3 or not array.size:
        raise DataError(
            f"array_to_datum: shape {array.shape}; channels x height x width, each at least 1, was expected"
        )
    datum = Datum()
    if array.dtype == np.uint8:
        datum.data = array.tobytes()
    else:
        values = np.ascontiguousarray(array, "<f4").reshape(-1, 1)
        keys = np.full((len(values), 1), _FLOAT_KEY, np.uint8)
        datum.MergeFromString(np.hstack([keys, values.view(np.uint8)]).tobytes())
    datum.channels, datum.height, datum.width = array.shape
    if label is not None:
        datum.label = label
    return datum


def decode_image(data: bytes, color: bool | None = None, source: str = "image") -> np.ndarray:
    """A picture file's pixels as OpenCV gives them: C x H x W, uint8, BGR.

    Args:
        data: a PNG, JPEG, ... file.
        color: None gives the file's own channels (gray 1, colour and palette 3, with transparency 4 as BGRA); True
            always 3, False always 1, both turned as the picture's EXIF orientation says.
        source: file or record, for error messages.

    Raises:
        DataError: not a picture, cut off or damaged, or more than 8 bits per channel.
    """
    from PIL import Image, ImageOps  # slow to import

    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.mode.startswith(("I", "F")):
                raise DataError(f"{source}: {image.mode} pixels; 8 bits per channel were expected")
            if color is False and image.format == "JPEG":
                image.draft("L", image.size)  # the file's own luminance, as libjpeg gives it
            picture: Image.Image = image if color is None else ImageOps.exif_transpose(image)
            return _channels(picture, color)
    except DataError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise DataError(f"{source}: {len(data)} bytes cannot be decoded as a picture: {error}") from None


def _channels(image: "Image.Image", color: bool | None) -> np.ndarray:
    """C x H x W in BGR or BGRA."""
    if image.mode in ("1", "L"):
        gray = np.asarray(image.convert("L"))[None]
        return np.repeat(gray, 3, axis=0) if color else gray
    transparent = image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info
    pixels = np.asarray(image.convert("RGBA" if transparent and color is None else "RGB"))  # H x W x C
    bgr = np.ascontiguousarray(pixels[..., [2, 1, 0, 3][: pixels.shape[2]]].transpose(2, 0, 1))
    if color is False:
        weighted = np.tensordot(_GRAY_WEIGHTS, bgr.astype(np.uint32), 1)
        return (weighted >> 15).astype(np.uint8)[None]  # libpng cuts off
    return bgr
