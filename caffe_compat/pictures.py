"""Pictures as arrays: read, resized and cropped as pycaffe does it.

Pictures are H x W x C float32 arrays, RGB, 0 to 1. Numbers are those of pycaffe with scikit-image 0.19 and SciPy;
scikit-image itself is not needed.

Source: BVLC/caffe python/caffe/io.py; scikit-image 0.19 skimage/transform/_warps.py (resize), skimage/color and
skimage/io (as_gray).
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from caffe_compat.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["ArrayError", "ImageError", "load_image", "oversample", "resize_image"]

_LUMINANCE = np.array([0.2125, 0.7154, 0.0721])  # of R, G, B


class ArrayError(DataError, ValueError):
    """An array, message or setting of the wrong form; a ValueError too, as scripts for pycaffe expect."""


class ImageError(DataError, OSError):
    """A picture file that cannot be read; an OSError too, as scripts for pycaffe expect."""


def load_image(filename: str | os.PathLike[str], color: bool = True) -> np.ndarray:
    """A picture file as H x W x 3 float32, RGB, 0 to 1; gray ones with three equal channels.

    Args:
        filename: a PNG, JPEG, ... file. Transparency is dropped; an EXIF orientation is not applied.
        color: False gives H x W x 1, luminance, parts that an alpha channel makes transparent over white.

    Raises:
        ImageError: the file is missing, or no picture.
    """
    from PIL import Image  # slow to import

    try:
        with Image.open(filename) as image:
            pixels = _as_float(image)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise ImageError(f"{os.fspath(filename)}: cannot be read as a picture: {error}") from error
    if pixels.ndim == 2:
        return np.repeat(pixels[:, :, np.newaxis], 3 if color else 1, axis=2).astype(np.float32)
    rgb = pixels[:, :, :3]
    if color:
        return rgb.astype(np.float32)
    if pixels.shape[2] == 4:
        alpha = pixels[:, :, 3:]
        rgb = rgb * alpha + (1 - alpha)
    return (rgb @ _LUMINANCE).astype(np.float32)[:, :, np.newaxis]


def _as_float(image: "Image.Image") -> np.ndarray:
    """H x W, or H x W x 3 or 4; 0 to 1, or as it is if the file holds floats."""
    if image.mode == "F":
        return np.asarray(image, np.float64)
    if image.mode.startswith("I"):
        return np.asarray(image).astype(np.uint16) * (1 / 65535)
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L")) * (1 / 255)
    transparent = image.mode in ("LA", "La", "PA", "RGBA", "RGBa")
    return np.asarray(image.convert("RGBA" if transparent else "RGB")) * (1 / 255)


def resize_image(im: np.ndarray, new_dims: Sequence[int], interp_order: int = 1) -> np.ndarray:
    """A picture in another size.

    With 1 or 3 channels as scikit-image resizes with mode constant: blurred first along axes that shrink, and beyond
    the border lies the picture's least value. With any other number as scipy.ndimage.zoom does: corner pixels stay
    corner pixels, nothing is blurred.

    Args:
        im: H x W x C, any number type and range.
        new_dims: height and width, pixels.
        interp_order: of the spline, 0 (nearest) to 5; 1 is linear.

    Returns:
        new height x new width x C, float32, in the range of ``im``.

    Raises:
        ArrayError: not three axes, an empty picture, or a size below 1.
    """
    from scipy import ndimage  # slow to import

    height, width = (int(size) for size in new_dims)
    if im.ndim != 3 or not im.size or min(height, width) < 1:
        raise ArrayError(
            f"resize_image: from shape {im.shape} to {height} x {width}; H x W x C and a size of at least 1 are wanted"
        )
    factors = np.divide((height, width, im.shape[2]), im.shape)
    if im.shape[2] not in (1, 3):
        return ndimage.zoom(im, factors, order=interp_order).astype(np.float32)
    least, most = im.min(), im.max()
    if not most > least:
        return np.full((height, width, im.shape[2]), least, np.float32)
    unit = (im - least) / (most - least)
    blur = np.maximum(0, (1 / factors - 1) / 2)
    if blur.any():
        unit = ndimage.gaussian_filter(unit, blur, mode="grid-constant")
    resized = ndimage.zoom(unit, factors, order=interp_order, mode="grid-constant", grid_mode=True)
    return (np.clip(resized, 0, 1) * (most - least) + least).astype(np.float32)


def oversample(images: Sequence[np.ndarray] | np.ndarray, crop_dims: Sequence[int] | np.ndarray) -> np.ndarray:
    """Ten crops of each picture: upper left, upper right, lower left, lower right, centre, and these five mirrored.

    Args:
        images: N pictures, each H x W x C, all of one size.
        crop_dims: height and width of a crop, pixels.

    Returns:
        10 N x height x width x C, float32.

    Raises:
        ArrayError: no pictures, or smaller ones than a crop.
    """
    height, width = (int(size) for size in crop_dims)
    if not len(images) or min(images[0].shape[0] - height, images[0].shape[1] - width) < 0:
        shape = images[0].shape if len(images) else ()
        raise ArrayError(f"oversample: {len(images)} pictures of shape {shape} for crops of {height} x {width}")
    down, right = images[0].shape[0] - height, images[0].shape[1] - width
    corners = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    crops = np.empty((len(images), 10, height, width, images[0].shape[2]), np.float32)
    for i, image in enumerate(images):
        for j, (y, x) in enumerate(corners):
            crops[i, j] = image[y : y + height, x : x + width]
        crops[i, 5:] = crops[i, :5, :, ::-1]
    return crops.reshape(-1, *crops.shape[2:])  # 10 N x height x width x C
