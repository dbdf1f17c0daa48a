"""Winograd's convolution: the plain one's numbers within 5e-5, for any size, padding, group of tiles and weight."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from caffe_compat.net.plan import matmul, tiles, winograd

pytestmark = pytest.mark.skipif(not matmul.usable(), reason="this torch has no packed matrix products")

TEXT = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: %(channels)d dim: 9 dim: 14 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "c"
        convolution_param { num_output: 6 kernel_size: 3 pad: %(pad)d bias_term: %(bias)s %(more)s } }
layer { name: "relu" type: "%(neuron)s" bottom: "c" top: "c" }
"""
PLAIN = {"channels": 5, "pad": 1, "bias": "true", "more": "", "neuron": "ReLU"}


@pytest.fixture(autouse=True)
def small(monkeypatch) -> None:
    monkeypatch.setattr(winograd, "_CHANNELS", 4)
    monkeypatch.setattr(winograd, "_TILES", 1)


@pytest.fixture
def ran(monkeypatch) -> list[str]:
    calls, plain = [], winograd.convolve

    def counted(layer, *given):
        calls.append(layer.name)
        return plain(layer, *given)

    monkeypatch.setattr(winograd, "convolve", counted)
    return calls


@pytest.fixture
def pair(make_net, fill_net):
    def make(**changes):
        return [fill_net(make_net(TEXT % (PLAIN | changes), keep=keep)) for keep in (["c"], None)]

    return make


def assert_same(nets) -> None:
    for net in nets:
        net.forward()
    ours, theirs = (net.blobs["c"].data for net in nets)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=5e-5 * np.abs(theirs).max())


@pytest.mark.parametrize("changes", [{}, {"bias": "false"}, {"neuron": "TanH"}, {"pad": 0}, {"pad": 3}])
@pytest.mark.parametrize("size", [(9, 14), (8, 16), (3, 3), (5, 30), (41, 7)])
@pytest.mark.parametrize("group", [1, 30_000, 8 << 20])
def test_equal_to_the_plain_run(pair, ran, monkeypatch, changes, size, group):
    monkeypatch.setattr(tiles, "_GROUP_BYTES", group)
    nets = pair(**changes)
    for net in nets:
        net.blobs["data"].reshape(2, 5, *size)
        net.blobs["data"].data[...] = np.random.RandomState(0).standard_normal((2, 5, *size))
    assert_same(nets)
    assert set(ran) == {"conv"}


@pytest.mark.parametrize("more", ["stride: 2", "dilation: 2", "group: 1 kernel_size: 3", "group: 2"])
def test_what_it_cannot_compute_runs_otherwise(pair, ran, more):
    if more == "group: 1 kernel_size: 3":
        nets = [net for net in pair(more="engine: CAFFE")]
        nets[0]._engine.plan.on.discard("winograd")
    else:
        nets = pair(more=more, channels=6)
    assert_same(nets)
    assert ran == []


def test_kernels_that_would_be_turned_in_every_call_are_left_to_the_layers(pair, ran, monkeypatch):
    monkeypatch.setattr(winograd, "is_fast", lambda *given: False)
    assert_same(pair())
    assert ran == []


def test_weights_are_followed(pair, ran):
    nets = pair()
    for _ in range(3):
        assert_same(nets)
    held = [net.params["conv"][0].data for net in nets]
    for value in (2, 3):
        for array in held:
            array[1] = value
        assert_same(nets)
    for array in held:
        array[0] = 4
    del held, array
    assert_same(nets)
    for net in nets:
        net.params["conv"][0].write(torch.ones(6, 5, 3, 3))
    assert_same(nets)
    for net in nets:
        net.params["conv"][1].data[...] = 7
    assert_same(nets)
    assert len(ran) >= 5


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e36])
def test_values_that_are_not_finite_are_left_to_the_layers(pair, ran, value):
    nets = pair()
    for net in nets:
        net.blobs["data"].data[0, 0, 3, 3] = value
    assert_same_places(nets)
    assert ran == []


def assert_same_places(nets) -> None:
    for net in nets:
        net.forward()
    ours, theirs = (net.blobs["c"].data for net in nets)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_the_error_over_many_channels(monkeypatch, pair):
    nets = pair()
    layer = nets[0].layer_dict["conv"]
    stream = torch.Generator().manual_seed(0)
    weight = torch.randn((6, 512, 3, 3), generator=stream) * (2 / 4608) ** 0.5
    layer.blobs[0].set_tensor(weight)
    layer.channels = 512
    x = torch.randn((1, 512, 21, 17), generator=stream).relu()
    plain = F.conv2d(x.double(), weight.double(), padding=1) + layer.blobs[1].tensor().double().view(1, -1, 1, 1)
    ours = winograd.convolve(layer, x, (1, 1), relu=False)
    assert float((ours - plain).abs().max() / plain.abs().max()) < 5e-5
