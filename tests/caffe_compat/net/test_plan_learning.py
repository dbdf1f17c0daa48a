"""A lean training net's own gradients equal the layers', add up, and leave alone what somebody reads."""

import numpy as np
import pytest
import torch

from caffe_compat.layer.blob import Blob
from caffe_compat.net.plan import products, tiles

TEXT = """
layer {{ name: "data" type: "Input" top: "data"
        input_param {{ shape {{ dim: 2 dim: {channels} dim: {size[0]} dim: {size[1]} }} }} }}
layer {{ name: "target" type: "Input" top: "target"
        input_param {{ shape {{ dim: 2 dim: {outputs} dim: {top[0]} dim: {top[1]} }} }} }}
layer {{ name: "first" type: "Convolution" bottom: "data" top: "first"
        convolution_param {{ num_output: {channels} kernel_size: 1 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "relu1" type: "ReLU" bottom: "first" top: "first" }}
layer {{ name: "conv" type: "Convolution" bottom: "first" top: "conv"
        convolution_param {{ num_output: {outputs} kernel_size: {kernel} pad: {pad} bias_term: {bias}
                             weight_filler {{ type: "xavier" }} bias_filler {{ type: "constant" value: 9 }} }} }}
{relu}
layer {{ name: "loss" type: "EuclideanLoss" bottom: "conv" bottom: "target" top: "loss" }}
"""
RELU = 'layer { name: "relu2" type: "ReLU" bottom: "conv" top: "conv" }'


def text(channels, outputs, kernel, pad, size, bias="true", relu="") -> str:
    """A ReLU goes before the loss only where no value can be near 0: there rounding would switch gradients."""
    top = [side + 2 * pad - kernel + 1 for side in size]
    return TEXT.format(**locals())


LARGE = text(64, 2600, 7, 0, (9, 10), relu=RELU)
TILES = text(256, 260, 3, 1, (41, 43), relu=RELU)


@pytest.fixture
def pair(make_net):
    """A lean training net and the same net without a plan, with equal weights and inputs."""

    def make(prototxt: str, keep=("loss",)):
        lean, plain = make_net(prototxt, keep=list(keep), phase=0), make_net(prototxt, keep=None, phase=0)
        assert lean._engine.plan.enabled
        assert not plain._engine.plan.enabled
        rng = np.random.RandomState(0)
        for name in ("data", "target"):
            lean.blobs[name].data[...] = plain.blobs[name].data[...] = rng.randn(*plain.blobs[name].shape)
        for name, blobs in plain.params.items():
            for mine, theirs in zip(lean.params[name], blobs, strict=True):
                mine.write(theirs.tensor().clone())
        return lean, plain

    return make


def assert_same_diffs(lean, plain, limit=3e-5) -> None:
    for name, blobs in plain.params.items():
        for i, (mine, theirs) in enumerate(zip(lean.params[name], blobs, strict=True)):
            wanted = theirs.diff_tensor()
            off = float((mine.diff_tensor() - wanted).abs().max() / wanted.abs().max())
            assert off <= limit, f"{name}[{i}]: {off}"


def step(net) -> None:
    net.forward()
    net.backward()


@pytest.fixture
def calls(monkeypatch) -> list[str]:
    """Which of the own gradients ran."""
    seen: list[str] = []
    for module, name in ((products, "weight_gradient"), (tiles, "kernel_gradient")):
        plain = getattr(module, name)

        def counted(*args, _plain=plain, _name=name):
            seen.append(_name)
            return _plain(*args)

        monkeypatch.setattr(module, name, counted)
    return seen


@pytest.mark.parametrize(
    ("prototxt", "way"),
    [
        (LARGE, "weight_gradient"),
        (text(2900, 2800, 1, 0, (5, 4), "false"), "weight_gradient"),
        (TILES, "kernel_gradient"),
        (text(256, 256, 3, 0, (42, 42)), "kernel_gradient"),
        (text(256, 256, 3, 2, (39, 40), "false"), "kernel_gradient"),
    ],
    ids=["7x7", "1x1", "tiles", "tiles without pad", "tiles with pad 2"],
)
def test_gradients_equal_the_layers(pair, calls, prototxt, way):
    lean, plain = pair(prototxt)
    for _ in range(2):
        step(lean)
        step(plain)
        assert_same_diffs(lean, plain)  # parameter diffs add up
    assert set(calls) == {way}
    assert float(lean.blobs["loss"].data) == pytest.approx(float(plain.blobs["loss"].data), rel=1e-5)


@pytest.mark.parametrize("off", ["products", "winograd", "spend", "repool"])
def test_every_rewrite_has_a_switch(pair, calls, off):
    for prototxt, way in ((LARGE, "products"), (TILES, "winograd")):
        lean, plain = pair(prototxt)
        lean._engine.plan.on.discard(off)
        del calls[:]
        step(lean)
        step(plain)
        assert_same_diffs(lean, plain)
        assert bool(calls) == (way != off)


def test_gradients_are_made_where_the_last_ones_were(pair):
    lean, plain = pair(LARGE)
    places = []
    for net in (lean, plain):
        for _ in range(3):
            net.clear_param_diffs()
            step(net)
            if net is lean:
                places.append(net.params["conv"][0].diff_tensor().data_ptr())
    assert places[1] == places[0]
    assert places[2] == places[0]
    assert_same_diffs(lean, plain)


def test_a_held_diff_keeps_its_numbers_when_cleared(pair):
    lean, _ = pair(LARGE)
    step(lean)
    held = lean.params["conv"][0].diff
    before = held.copy()
    assert before.any()
    lean.clear_param_diffs()
    assert not held.any()  # as in Caffe: the array is the blob's
    step(lean)
    np.testing.assert_array_equal(held, before)


def test_a_kept_top_keeps_its_diff(pair):
    lean, plain = pair(TILES, keep=("loss", "conv"))
    step(lean)
    plain.forward()
    plain.backward(end="loss")  # the diff of conv as the loss gives it
    wanted = plain.blobs["conv"].diff
    np.testing.assert_allclose(lean.blobs["conv"].diff, wanted, rtol=0, atol=3e-5 * abs(wanted).max())


def test_a_relu_gives_no_gradient_where_it_gives_zero(pair):
    lean, plain = pair(text(8, 6, 3, 0, (9, 9), relu=RELU))
    for net in (lean, plain):
        net.params["conv"][1].data[...] = 0
        step(net)
    assert_same_diffs(lean, plain, limit=1e-6)


def test_room_of_another_shape_is_not_used():
    blob = Blob((2, 3, 4, 5))
    first = blob.diff_room(torch.channels_last)
    blob.set_diff_tensor(first)
    blob.clear_diff()
    blob.reshape(2, 3, 4, 4)
    second = blob.diff_room(torch.channels_last)
    assert tuple(second.shape) == (2, 3, 4, 4)
    assert not blob.has_diff


def test_large_weights_learn_in_bfloat16(make_net, calls):
    low, full = (make_net(LARGE, keep=["loss"], phase=0, precision=p) for p in ("bf16", "fp32"))
    rng = np.random.RandomState(0)
    for name in ("data", "target"):
        low.blobs[name].data[...] = full.blobs[name].data[...] = rng.randn(*full.blobs[name].shape)
    for name, blobs in full.params.items():
        for mine, theirs in zip(low.params[name], blobs, strict=True):
            mine.write(theirs.tensor().clone())
    step(low)
    step(full)
    assert calls == ["weight_gradient"] * 2
    assert low.params["conv"][0].diff_tensor().dtype == torch.float32
    for mine, exact in zip(low.params["conv"], full.params["conv"], strict=True):
        off = (mine.diff_tensor() - exact.diff_tensor()).norm() / exact.diff_tensor().norm()
        assert 1e-6 < off < 2e-2


POOLED = """
layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ dim: 2 dim: 3 dim: 11 dim: 12 }} }} }}
layer {{ name: "target" type: "Input" top: "target" input_param {{ shape {{ dim: 2 dim: 4 dim: {} dim: {} }} }} }}
layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param {{ num_output: 4 kernel_size: 1 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "relu" type: "ReLU" bottom: "conv" top: "conv" }}
layer {{ name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param {{ {} }} }}
layer {{ name: "loss" type: "EuclideanLoss" bottom: "pool" bottom: "target" top: "loss" }}
"""


@pytest.mark.parametrize(
    ("rows", "columns", "window"),
    [
        (6, 6, "kernel_size: 2 stride: 2"),  # hangs over below
        (5, 6, "kernel_size: 3 stride: 2"),
        (6, 7, "kernel_size: 3 stride: 2 pad: 1"),
        (5, 6, "kernel_size: 2 stride: 2 round_mode: FLOOR"),
        (6, 6, "kernel_size: 2 stride: 2 pool: AVE"),
    ],
)
def test_maxima_are_found_again(pair, rows, columns, window):
    lean, plain = pair(POOLED.format(rows, columns, window))
    for net in (lean, plain):
        net.blobs["data"].data[0, :, 2:7] = -1  # many equal values: the gradient is the first one's
        step(net)
    assert_same_diffs(lean, plain, limit=1e-6)
    assert float(lean.blobs["loss"].data) == pytest.approx(float(plain.blobs["loss"].data), rel=1e-6)


def test_maxima_beside_NaN_are_left_to_the_layer(pair):
    lean, plain = pair(POOLED.format(6, 6, "kernel_size: 2 stride: 2"))
    for net in (lean, plain):
        net.blobs["data"].data[0, 0, 3, 3] = np.nan
        net.forward()
    assert float(lean.blobs["loss"].data) == float(plain.blobs["loss"].data)
