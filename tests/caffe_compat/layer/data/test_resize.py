"""resize_bilinear against pixels that OpenCV 4.14's cv::resize (INTER_LINEAR) gave; more of them in the recordings."""

import numpy as np
import pytest

from caffe_compat.layer.data.resize import resize_bilinear

IMAGE = np.array(
    [[0, 37, 148, 77, 80], [157, 52, 21, 64, 181], [116, 125, 208, 109, 84], [133, 0, 197, 212, 45]], np.uint8
)


@pytest.mark.parametrize(
    "resized",
    [
        [[115]],
        [[28, 78], [78, 93], [123, 103], [33, 170]],
        [[31, 127, 89], [120, 115, 117], [94, 199, 99]],
        [[79, 67, 48, 62, 85, 77, 77, 110, 131], [125, 104, 69, 125, 203, 179, 150, 96, 65]],
        [
            [4, 79, 103, 80],
            [54, 65, 84, 110],
            [134, 43, 52, 160],
            [130, 98, 97, 127],
            [117, 150, 150, 85],
            [117, 103, 185, 73],
            [116, 74, 206, 66],
        ],
        IMAGE.tolist(),
    ],
)
def test_pixels_are_opencvs(resized):
    resized = np.array(resized)
    np.testing.assert_array_equal(resize_bilinear(IMAGE[None], *resized.shape), resized[None])


def test_exactly_half_the_size_averages_four_pixels():
    np.testing.assert_array_equal(resize_bilinear(IMAGE[None, :, :4], 2, 2), [[[62, 78], [94, 182]]])


def test_channels_are_resized_alike():
    three = np.stack([IMAGE, IMAGE[::-1], 255 - IMAGE])
    together = resize_bilinear(three, 7, 9)
    for one, out in zip(three, together, strict=True):
        np.testing.assert_array_equal(resize_bilinear(one[None], 7, 9)[0], out)
