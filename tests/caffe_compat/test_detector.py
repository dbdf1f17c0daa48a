"""Detector: windows of pictures, with and without context."""

import sys
import types

import numpy as np
import pytest
from PIL import Image

import caffe_compat
from caffe_compat import io
from caffe_compat.detector import Detector, SelectiveSearchError
from caffe_compat.errors import DataError, NetError

# The crop itself comes out, so that a prediction shows what was fed.
NET = """
name: "window"
layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } } }
layer { name: "same" type: "Power" bottom: "data" top: "out" }
"""
PIXELS = np.random.RandomState(2).randint(0, 256, (20, 30, 3)).astype(np.uint8)
IMAGE = (PIXELS / 255).astype(np.float32)
MEAN = np.array([51.0, 102.0, 153.0])  # BGR


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    return path


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(PIXELS).save(path)
    return str(path)


def detector(net, **settings):
    return Detector(net, None, mean=MEAN, raw_scale=255, channel_swap=(2, 1, 0), **settings)


def fed(crop):
    """The net's input for a crop, h x w x RGB from 0 to 1."""
    return io.resize_image(crop, (8, 8))[:, :, ::-1].transpose(2, 0, 1) * 255 - MEAN.reshape(3, 1, 1)


def test_windows_are_cut_out_resized_and_run(net, picture):
    windows = [(2, 3, 10, 11), (0, 0, 20, 30), (5, 6, 9, 20)]  # more than one batch
    found = detector(net).detect_windows([(picture, windows[:2]), (picture, []), (picture, windows[2:])])
    assert [one["window"] for one in found] == windows
    assert [one["filename"] for one in found] == [picture] * 3
    for one, (y1, x1, y2, x2) in zip(found, windows, strict=True):
        np.testing.assert_allclose(one["prediction"], fed(IMAGE[y1:y2, x1:x2]), atol=1e-3)


def test_windows_may_be_arrays_and_lists_may_be_one_way(net, picture):
    pairs = iter([(picture, np.array([[2, 3, 10, 11]]))])
    (found,) = detector(net).detect_windows(pairs)
    np.testing.assert_allclose(found["prediction"], fed(IMAGE[2:10, 3:11]), atol=1e-3)
    assert detector(net).detect_windows([]) == []


def test_context_inside_the_picture(net):
    """Of 8 pixels 2 at each side are context: the window of 5 x 5 pixels (its last row counts) doubles to 10 x 10."""
    crop = detector(net, context_pad=2).crop(IMAGE, (7, 10, 11, 14))
    # centre 9.5, 12.5; half 5: from round(4.5) = 4 to round(14.5) = 14, and from 8 to 18
    np.testing.assert_allclose(crop, io.resize_image(IMAGE[4:14, 8:18], (8, 8)), atol=1e-5)


def test_context_beyond_the_picture_is_the_mean(net):
    made = detector(net, context_pad=2)
    crop = made.crop(IMAGE, (0, 1, 4, 5))
    # centre 2.5, 3.5; half 5: rows -2 to 8, columns -2 to 8 (round half to even); 11 pixels become 8
    lost = round(2 * 8 / 11)
    kept = min(round(9 * 8 / 11), 8 - lost)
    assert (lost, kept) == (1, 7)
    mean = MEAN[::-1] / 255  # RGB, 0 to 1
    np.testing.assert_allclose(crop[:1], np.broadcast_to(mean, (1, 8, 3)), atol=1e-6)
    np.testing.assert_allclose(crop[:, :1], np.broadcast_to(mean, (8, 1, 3)), atol=1e-6)
    np.testing.assert_allclose(crop[1:, 1:], io.resize_image(IMAGE[0:8, 0:8], (7, 7)), atol=1e-5)
    np.testing.assert_allclose(made.transformer.preprocess("data", crop)[:, 0], 0, atol=1e-3)


def test_a_mean_picture_and_no_mean_fill_up_too(net):
    planes = np.random.RandomState(0).rand(3, 8, 8) * 255
    made = Detector(net, None, mean=planes, raw_scale=255, channel_swap=(2, 1, 0), context_pad=2)
    np.testing.assert_allclose(made.crop(IMAGE, (0, 1, 4, 5))[0], planes[::-1, 0].T / 255, rtol=1e-6)
    made = Detector(net, None, context_pad=2)
    np.testing.assert_array_equal(made.crop(IMAGE, (0, 1, 4, 5))[0], np.zeros((8, 3)))


def test_configure_crop_turns_context_on_and_off(net):
    made = detector(net, context_pad=2)
    assert tuple(made.crop_dims) == (8, 8, 3)
    made.configure_crop(None)
    np.testing.assert_array_equal(made.crop(IMAGE, (7, 10, 11, 14)), IMAGE[7:11, 10:14])
    with pytest.raises(NetError, match="context_pad 4 for an input of width 8; give 0 to 3"):
        made.configure_crop(4)


@pytest.mark.parametrize(("pad", "window"), [(None, (3, 3, 3, 9)), (None, (30, 3, 40, 9)), (2, (40, 3, 45, 9))])
def test_a_window_outside_the_picture_is_refused(net, pad, window):
    with pytest.raises(DataError, match=r"Detector.crop: window .* holds nothing of a picture of shape \(20, 30, 3\)"):
        detector(net, context_pad=pad).crop(IMAGE, window)


def test_selective_search_says_what_it_needs(net, picture):
    with pytest.raises(SelectiveSearchError, match="install it from https://github.com/sergeyk.*call detect_windows"):
        detector(net).detect_selective_search([picture])
    assert issubclass(SelectiveSearchError, ImportError)
    assert issubclass(SelectiveSearchError, caffe_compat.CaffeError)


def test_selective_search_is_asked_as_pycaffe_asks_it(net, picture, monkeypatch, tmp_path):
    asked = []

    def get_windows(names, cmd):
        asked.append((names, cmd))
        return [np.array([[2, 3, 10, 11]])]

    package = types.ModuleType("selective_search_ijcv_with_python")
    package.get_windows = get_windows
    monkeypatch.setitem(sys.modules, package.__name__, package)
    monkeypatch.chdir(tmp_path)
    (found,) = detector(net).detect_selective_search(["picture.png"])
    assert asked == [([picture], "selective_search_rcnn")]
    assert found["filename"] == picture
    np.testing.assert_allclose(found["prediction"], fed(IMAGE[2:10, 3:11]), atol=1e-3)
