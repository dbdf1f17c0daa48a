"""bfloat16 on request: near float32's numbers, in the layers that are meant to, and nothing else changes."""

import numpy as np
import pytest
import torch

from caffe_compat.errors import NetError
from caffe_compat.net.plan import packed, winograd
from caffe_compat.net.plan.precision import multiplies_low

TEXT = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 40 dim: 44 } } }
layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 1 dim: 1 dim: 40 dim: 44 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
        convolution_param { num_output: 64 kernel_size: 3 pad: 30 weight_filler { type: "msra" }
                            bias_filler { type: "gaussian" std: 0.1 } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "conv2" type: "Convolution" bottom: "pool1" top: "conv2"
        convolution_param { num_output: 96 kernel_size: 3 pad: 1 weight_filler { type: "msra" } } }
layer { name: "relu2" type: "ReLU" bottom: "conv2" top: "conv2" }
layer { name: "side" type: "Convolution" bottom: "pool1" top: "side"
        convolution_param { num_output: 5 kernel_size: 1 weight_filler { type: "xavier" } } }
layer { name: "fr" type: "Convolution" bottom: "conv2" top: "fr"
        convolution_param { num_output: 5 kernel_size: 1 weight_filler { type: "xavier" } } }
layer { name: "sum" type: "Eltwise" bottom: "fr" bottom: "side" top: "sum" }
layer { name: "up" type: "Deconvolution" bottom: "sum" top: "up" param { lr_mult: 0 }
        convolution_param { num_output: 5 group: 5 kernel_size: 4 stride: 2 bias_term: false
                            weight_filler { type: "bilinear" } } }
layer { name: "score" type: "Crop" bottom: "up" bottom: "data" top: "score" crop_param { axis: 2 offset: 29 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }
"""
KEEP = ["score", "loss", "pool1"]


@pytest.fixture
def pair(make_net):
    """The lean net in float32 and in bfloat16, with equal weights and inputs."""

    def make(phase: int, text: str = TEXT):
        nets = [make_net(text, keep=KEEP, phase=phase, precision=precision) for precision in ("fp32", "bf16")]
        rng = np.random.RandomState(0)
        nets[0].blobs["data"].data[...] = rng.uniform(-1, 1, (1, 3, 40, 44))
        nets[0].blobs["label"].data[...] = rng.randint(0, 5, (1, 1, 40, 44))
        for name in ("data", "label"):
            nets[1].blobs[name].data[...] = nets[0].blobs[name].data
        for name, blobs in nets[0].params.items():
            for theirs, mine in zip(blobs, nets[1].params[name], strict=True):
                mine.write(theirs.tensor().clone())
        return nets

    return make


def assert_near(mine, exact, least=1e-5, most=2e-2) -> None:
    """Off by more than float32 rounds, and by no more than bfloat16 does."""
    off = np.abs(mine - exact).max() / np.abs(exact).max()
    assert least < off < most, off


def test_scores_are_those_of_rounded_factors(pair):
    full, low = pair(1)
    for _ in range(2):  # the second time with what the first prepared
        full.forward()
        low.forward()
        assert low.blobs["score"].data.dtype == np.float32
        assert_near(low.blobs["score"].data, full.blobs["score"].data)
    same = low.blobs["score"].data.argmax(1) == full.blobs["score"].data.argmax(1)
    assert same.mean() > 0.98


def test_weights_are_float32_and_changes_count(pair):
    full, low = pair(1)
    low.forward()
    for net in (full, low):
        net.params["conv2"][0].data[...] *= -1
        net.forward()
    assert low.params["conv2"][0].data.dtype == np.float32
    np.testing.assert_array_equal(low.params["conv2"][0].data, full.params["conv2"][0].data)
    assert_near(low.blobs["score"].data, full.blobs["score"].data)


@pytest.mark.parametrize("off", ["fuse", "windows", "strips", "diagonal", "crop"])
def test_with_every_rewrite_off(pair, off):
    full, low = pair(1)
    low._engine.plan.on.discard(off)
    full.forward()
    low.forward()
    assert_near(low.blobs["score"].data, full.blobs["score"].data)


def test_without_oneDNNs_operators(pair, monkeypatch):
    full, low = pair(1)
    monkeypatch.setattr(packed, "usable", lambda: False)
    full.forward()
    low.forward()
    assert_near(low.blobs["score"].data, full.blobs["score"].data)


def test_gradients_are_near_and_float32(pair):
    full, low = pair(0)
    for net in (full, low):
        net.forward()
        net.backward()
    assert float(low.blobs["loss"].data) == pytest.approx(float(full.blobs["loss"].data), rel=1e-2)
    for name in ("conv1", "conv2", "side", "fr"):
        for mine, exact in zip(low.params[name], full.params[name], strict=True):
            assert mine.diff_tensor().dtype == torch.float32
            off = (mine.diff_tensor() - exact.diff_tensor()).norm() / exact.diff_tensor().norm()
            assert 1e-6 < off < 5e-2, (name, off)
    assert low.blobs["conv2"].diff.dtype == np.float32  # dropped by the lean net: zeros
    assert low.blobs["pool1"].diff.dtype == np.float32


def test_scores_are_not_multiplied_low(make_net):
    net = make_net(TEXT, keep=KEEP)
    low = {layer.name for layer in net.layers if multiplies_low(layer)}
    assert low == {"conv1", "conv2"}


@pytest.fixture
def seen(make_net):
    """Both nets, with what the first layers make to be seen."""
    nets = [make_net(TEXT, keep=["conv1", "conv2"], precision=precision) for precision in ("fp32", "bf16")]
    for net in nets:
        net.blobs["data"].data[...] = np.random.RandomState(0).uniform(-124, 151, (1, 3, 40, 44))
        for name in ("conv1", "conv2"):
            for mine, theirs in zip(net.params[name], nets[0].params[name], strict=True):
                mine.write(theirs.tensor().clone())
        net.forward()
    return nets


def test_an_image_is_not_rounded(seen):
    full, low = seen
    np.testing.assert_array_equal(low.blobs["conv1"].data, full.blobs["conv1"].data)
    assert_near(low.blobs["conv2"].data, full.blobs["conv2"].data)


def test_what_tiles_compute_is_not_rounded(seen, monkeypatch):
    monkeypatch.setattr(winograd, "_CHANNELS", 64)
    full, low = seen
    for net in seen:
        net.forward()
    assert_near(low.blobs["conv2"].data, full.blobs["conv2"].data, least=-1, most=1e-5)


def test_what_is_asked_must_be_known_and_lean(make_net):
    with pytest.raises(NetError, match="precision 'half' is not known; give one of fp32, bf16"):
        make_net(TEXT, keep=KEEP, precision="half")
    with pytest.raises(NetError, match=r"'bf16' is for lean nets: name the blobs to keep with keep=\[...\]"):
        make_net(TEXT, precision="bf16")


def test_a_kernel_that_fits_thanks_to_its_padding(make_net):
    text = """
    layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 16 dim: 5 dim: 6 } } }
    layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
            convolution_param { num_output: 64 kernel_size: 11 pad: 5 weight_filler { type: "xavier" } } }
    """
    full, low = (make_net(text, keep=["conv"], precision=precision) for precision in ("fp32", "bf16"))
    low.params["conv"][0].write(full.params["conv"][0].tensor().clone())
    full.blobs["data"].data[...] = low.blobs["data"].data[...] = np.random.RandomState(0).randn(1, 16, 5, 6)
    assert_near(low.forward()["conv"], full.forward()["conv"])
