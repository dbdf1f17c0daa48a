"""Interpolations that are cropped right away: only the window is computed, with the layers' numbers."""

import numpy as np
import pytest

from caffe_compat.layer.filler import bilinear_kernel
from caffe_compat.net.plan.interpolation import Interpolation

TEXT = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 5 dim: 7 } } }
layer { name: "like" type: "Input" top: "like" input_param { shape { dim: 2 dim: 1 dim: 11 dim: 9 } } }
layer { name: "up" type: "Deconvolution" bottom: "data" top: "up"
        convolution_param { num_output: 3
        kernel_size: %(kernel)d stride: %(stride)d pad: %(pad)d bias_term: %(bias)s } }
layer { name: "crop" type: "Crop" bottom: "up" bottom: "like" top: "crop"
        crop_param { axis: 2 offset: %(top)d offset: %(left)d } }
"""
CASES = [
    {"kernel": 4, "stride": 2, "pad": 0, "bias": "false", "top": 1, "left": 3},
    {"kernel": 4, "stride": 2, "pad": 0, "bias": "true", "top": 0, "left": 7},
    {"kernel": 16, "stride": 8, "pad": 3, "bias": "true", "top": 9, "left": 5},
    {"kernel": 5, "stride": 3, "pad": 1, "bias": "false", "top": 2, "left": 0},
]


@pytest.fixture
def parts(monkeypatch) -> list[object]:
    calls, plain = [], Interpolation.part

    def counted(self, bottom, rows, columns):
        calls.append((rows, columns))
        return plain(self, bottom, rows, columns)

    monkeypatch.setattr(Interpolation, "part", counted)
    return calls


@pytest.fixture
def pair(make_net, fill_net):
    def make(case, keep=("crop",)):
        nets = [fill_net(make_net(TEXT % case, keep=k)) for k in (list(keep), None)]
        for net in nets:
            weight = net.params["up"][0].data
            weight[...] = 0
            weight[range(3), range(3)] = bilinear_kernel(case["kernel"]).numpy()
        return nets

    return make


def assert_same(nets, names=("crop",)) -> None:
    for net in nets:
        net.forward()
    for name in names:
        ours, theirs = (net.blobs[name].data for net in nets)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_only_the_window(pair, parts, case):
    nets = pair(case)
    assert_same(nets)
    assert parts == [((case["top"], case["top"] + 11), (case["left"], case["left"] + 9))]
    for net in nets:
        net.blobs["like"].reshape(2, 1, 3, 10)
        net.blobs["data"].reshape(2, 3, 6, 8)
        net.blobs["data"].data[...] = np.random.RandomState(1).standard_normal((2, 3, 6, 8))
    assert_same(nets)
    assert len(parts) == 2


def test_off_and_where_the_whole_is_seen(pair, parts):
    nets = pair(CASES[0])
    nets[0]._engine.plan.on.discard("crop")
    assert_same(nets)
    nets = pair(CASES[0], ("up", "crop"))
    assert_same(nets, ("up", "crop"))
    nets = pair(CASES[0])
    assert_same(nets)
    assert len(parts) == 1
    nets[0].keep_also(["up"])
    assert_same(nets, ("up", "crop"))
    assert len(parts) == 1


def test_kernels_that_are_no_product_or_differ(pair, parts):
    for change in (lambda w: w.__setitem__((1, 1, 0, 0), 0.5), lambda w: np.multiply(w[2], 2, out=w[2])):
        nets = pair(CASES[0])
        for net in nets:
            change(net.params["up"][0].data)
        assert_same(nets)
    for net in nets:
        net.params["up"][0].data[:] = 0
    assert_same(nets)
    for net in nets:
        net.params["up"][0].data[...] = 1
    assert_same(nets)
    assert parts == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_reach_the_same_places(pair, parts, value):
    nets = pair(CASES[0])
    for net in nets:
        net.blobs["data"].data[0, 1, 2, 3] = value
    assert_same(nets)
    assert parts == []


def test_weights_are_followed(pair, parts):
    nets = pair(CASES[1])
    assert_same(nets)
    held = [net.params["up"][0].data for net in nets]
    for factor in (2, 3):
        for array in held:
            array *= factor
        assert_same(nets)
    for net in nets:
        net.params["up"][1].data[...] = [1, 2, 3]
    assert_same(nets)
    assert len(parts) == 4
