"""OpenCV's bilinear resize of 8-bit pictures, bit for bit, without OpenCV.

Caffe resizes with cv::resize and INTER_LINEAR, which on 8-bit pixels computes with whole numbers: weights in 1/2048,
rows first, two truncated products summed and rounded. The result differs by up to 1 from exact interpolation, and
recordings of Caffe show these very pixels.

Source: OpenCV 4 modules/imgproc/src/resize.cpp (HResizeLinear, VResizeLinear, FixedPtCast).
"""

import numpy as np

__all__ = ["resize_bilinear"]

_ONE = 2048  # a weight of 1


def resize_bilinear(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The picture at another size, as cv::resize with INTER_LINEAR gives it.

    Args:
        image: C x H x W, uint8.
        height: new height, pixels, at least 1.
        width: new width, pixels, at least 1.
    """
    old_height, old_width = image.shape[1:]
    if (old_height, old_width) == (height, width):
        return image
    left, right_weight = _places(old_width, width)
    right_weight[(left < 0) | (left >= old_width - 1)] = 0
    left = left.clip(0, old_width - 1)
    weights = _fixed(right_weight)  # 2 x W'
    wide = image[:, :, left].astype(np.int32) * weights[0]
    wide += image[:, :, np.minimum(left + 1, old_width - 1)].astype(np.int32) * weights[1]  # C x H x W'
    wide >>= 4
    above, lower_weight = _places(old_height, height)
    rows = _fixed(lower_weight)[:, :, None]  # 2 x H' x 1
    result = (wide[:, above.clip(0, old_height - 1)] * rows[0]) >> 16
    result += (wide[:, (above + 1).clip(0, old_height - 1)] * rows[1]) >> 16
    return ((result + 2) >> 2).clip(0, 255).astype(np.uint8)


def _places(old: int, new: int) -> tuple[np.ndarray, np.ndarray]:
    """For each new pixel the old one before its centre (-1 at the border) and the weight of the one after."""
    scale = 1.0 / (new / old)
    centres = ((np.arange(new) + 0.5) * scale - 0.5).astype(np.float32)
    before = np.floor(centres).astype(np.int64)
    return before, centres - before.astype(np.float32)


def _fixed(after: np.ndarray) -> np.ndarray:
    """Weights of the pixels before and after in 1/2048, 2 x n int32; halves go to the even number."""
    pair = np.stack([np.float32(1) - after, after])
    return np.rint(pair * np.float32(_ONE)).astype(np.int32)
