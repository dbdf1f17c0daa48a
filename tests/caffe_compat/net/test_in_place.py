"""In-place layers: alone, in chains, apart, and cut in the middle; their blob's diff ends as Caffe's does."""

import numpy as np
import pytest

import caffe_compat
from caffe_compat.errors import LayerError

DATA = """
force_backward: true
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 5 dim: 5 } } }
"""
CONV = """
layer { name: "conv" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 4 kernel_size: 3 } }
"""
RELU = 'layer { name: "relu" type: "ReLU" bottom: "c" top: "c" }'
DROP = 'layer { name: "drop" type: "Dropout" bottom: "c" top: "c" }'
SQUARE = 'layer { name: "y" type: "Power" bottom: "c" top: "y" power_param { power: 2 } }'
APART = """
layer { name: "relu" type: "ReLU" bottom: "c" top: "r" }
layer { name: "drop" type: "Dropout" bottom: "r" top: "d" }
layer { name: "y" type: "Power" bottom: "d" top: "y" power_param { power: 2 } }
"""


def train(make_net, fill_net, text: str, **keywords) -> caffe_compat.Net:
    net = fill_net(make_net(text, caffe_compat.TRAIN, **keywords))
    caffe_compat.set_random_seed(3)
    net.forward()
    net.blobs["y"].diff[...] = np.random.RandomState(9).standard_normal(net.blobs["y"].shape)
    return net


def diffs(net) -> dict[str, np.ndarray]:
    return {"data": net.blobs["data"].diff, **{f"conv/{i}": b.diff for i, b in enumerate(net.params["conv"])}}


def test_chain_equals_the_same_layers_apart(make_net, fill_net):
    chained = train(make_net, fill_net, DATA + CONV + RELU + DROP + SQUARE)
    apart = train(make_net, fill_net, DATA + CONV + APART)
    np.testing.assert_array_equal(chained.blobs["c"].data, apart.blobs["d"].data)
    np.testing.assert_array_equal(chained.blobs["y"].data, apart.blobs["y"].data)
    assert 0 < (apart.blobs["d"].data == 0).mean() < 1
    chained.backward()
    apart.backward()
    for key, values in diffs(apart).items():
        np.testing.assert_allclose(diffs(chained)[key], values, rtol=1e-5, atol=1e-6, err_msg=key)
    # the blob's diff is the gradient before its first in-place layer
    np.testing.assert_allclose(chained.blobs["c"].diff, apart.blobs["c"].diff, rtol=1e-6)


def test_backward_ranges_may_cut_a_chain_anywhere(make_net, fill_net):
    whole = train(make_net, fill_net, DATA + CONV + RELU + DROP + SQUARE)
    apart = train(make_net, fill_net, DATA + CONV + APART)
    cut = train(make_net, fill_net, DATA + CONV + RELU + DROP + SQUARE)
    whole.backward()
    apart.backward()
    for layer, blob_before in [("y", "d"), ("drop", "r"), ("relu", "c")]:
        cut.backward(start=layer, end=layer)
        np.testing.assert_allclose(cut.blobs["c"].diff, apart.blobs[blob_before].diff, rtol=1e-6, err_msg=layer)
    cut.backward(start="conv", end="data")
    for key, values in diffs(whole).items():
        np.testing.assert_allclose(diffs(cut)[key], values, rtol=1e-5, atol=1e-6, err_msg=key)


def test_forward_ranges_may_cut_a_chain_anywhere(make_net, fill_net):
    apart = train(make_net, fill_net, DATA + CONV + APART)
    cut = fill_net(make_net(DATA + CONV + RELU + DROP + SQUARE, caffe_compat.TRAIN))
    cut.blobs["data"].data[...] *= -1
    cut.forward()  # leaves graphs of whole chains, none of which may be used for the layers that run again
    cut.blobs["data"].data[...] *= -1
    caffe_compat.set_random_seed(3)
    for layer, blob_after in [("conv", "c"), ("relu", "r"), ("drop", "d"), ("y", "y")]:
        out = cut.forward(start=layer, end=layer)
        np.testing.assert_allclose(next(iter(out.values())), apart.blobs[blob_after].data, rtol=1e-6, err_msg=layer)
    cut.blobs["y"].diff[...] = apart.blobs["y"].diff
    cut.backward()
    apart.backward()
    for key, values in diffs(apart).items():
        np.testing.assert_allclose(diffs(cut)[key], values, rtol=1e-5, atol=1e-6, err_msg=key)


@pytest.mark.parametrize("phase", [caffe_compat.TRAIN, caffe_compat.TEST])
def test_in_place_layer_on_an_input_keeps_what_it_needs_for_backward(make_net, phase):
    net = make_net(DATA + 'layer { name: "relu" type: "ReLU" bottom: "data" top: "data" }', phase)
    values = np.random.RandomState(0).standard_normal(net.blobs["data"].shape)
    held = net.blobs["data"].data
    held[...] = values
    net.forward()
    np.testing.assert_allclose(held, np.maximum(values, 0), rtol=1e-6)
    net.blobs["data"].diff[...] = 2
    net.backward()
    np.testing.assert_array_equal(net.blobs["data"].diff, 2 * (values > 0))


@pytest.mark.parametrize("phase", [caffe_compat.TRAIN, caffe_compat.TEST])
@pytest.mark.parametrize("held", [True, False])
def test_gradients_are_taken_at_the_overwritten_values(make_net, phase, held):
    """PReLU with slope -1 leaves no sign behind: its backward needs what was there before, also in a held array."""
    net = make_net(DATA + 'layer { name: "p" type: "PReLU" bottom: "data" top: "data" }', phase)
    values = np.random.RandomState(0).standard_normal(net.blobs["data"].shape).astype(np.float32)
    net.params["p"][0].data[...] = -1
    array = net.blobs["data"].data
    array[...] = values
    if not held:
        del array
    net.forward()
    assert (net.blobs["data"].data == np.abs(values)).all()
    net.blobs["data"].diff[...] = 1
    net.backward()
    np.testing.assert_array_equal(net.blobs["data"].diff, np.sign(values))
    np.testing.assert_allclose(net.params["p"][0].diff, np.minimum(values, 0).sum((0, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize("phase", [caffe_compat.TRAIN, caffe_compat.TEST])
def test_in_place_layers_that_are_not_neighbours(make_net, fill_net, phase):
    other = """
    layer { name: "other" type: "Input" top: "o" input_param { shape { dim: 1 } } }
    layer { name: "between" type: "Power" bottom: "o" top: "p" }
    """
    sigmoid = 'layer { name: "sigmoid" type: "Sigmoid" bottom: "c" top: "c" }'
    square = 'layer { name: "y" type: "Power" bottom: "c" top: "y" power_param { scale: 2 } }'
    near = fill_net(make_net(DATA + CONV + sigmoid + RELU + square, phase))
    far = fill_net(
        make_net(
            DATA
            + CONV
            + other
            + sigmoid
            + other.replace('"o', '"q').replace('"p"', '"pp"').replace("between", "between2")
            + RELU
            + square,
            phase,
        )
    )
    for net in (near, far):
        net.blobs["data"].data[...] = np.random.RandomState(4).standard_normal(net.blobs["data"].shape)
        for _ in range(2):
            net.forward()
        net.blobs["y"].diff[...] = 1
        net.backward()
    np.testing.assert_array_equal(far.blobs["y"].data, near.blobs["y"].data)
    np.testing.assert_allclose(far.blobs["c"].diff, near.blobs["c"].diff, rtol=1e-6)
    np.testing.assert_allclose(far.blobs["data"].diff, near.blobs["data"].diff, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(far.params["conv"][0].diff, near.params["conv"][0].diff, rtol=1e-5, atol=1e-6)


def test_a_held_array_of_an_in_place_blob_shows_its_last_writer(make_net, fill_net):
    net = fill_net(make_net(DATA + CONV + RELU + SQUARE, caffe_compat.TRAIN))
    held = net.blobs["c"].data
    for _ in range(2):
        net.forward()
        assert (held >= 0).all()
        assert (held > 0).any()
        np.testing.assert_allclose(net.blobs["y"].data, held**2, rtol=1e-5)
        net.forward(end="conv")
        assert (held < 0).any()


def test_a_top_that_an_earlier_layer_makes_is_refused(make_net):
    twice = 'layer { name: "again" type: "Power" bottom: "c" top: "data" }'
    with pytest.raises(
        LayerError, match=r"layer 'again' \(Power\): top 0 'data' is made by an earlier layer too; rena"
    ):
        make_net(DATA + CONV + twice)


SHARING = {
    "Flatten": "",
    "Reshape": "reshape_param { shape { dim: 0 dim: -1 } }",
    "Concat": "",
    "Slice": "",
}


@pytest.mark.parametrize("kind", SHARING)
def test_what_follows_in_place_shows_in_the_bottom_that_shares_its_memory(make_net, fill_net, kind):
    """Caffe's layers that only rename their bottom share its memory."""
    relu = 'layer { name: "relu" type: "ReLU" bottom: "s" top: "%s" }'
    square = 'layer { name: "y" type: "Power" bottom: "%s" top: "y" power_param { power: 2 } }'
    rename = f'layer {{ name: "same" type: "{kind}" bottom: "c" top: "s" {SHARING[kind]} }}'
    inside = train(make_net, fill_net, DATA + CONV + rename + relu % "s" + square % "s")
    apart = train(make_net, fill_net, DATA + CONV + rename + relu % "r" + square % "r")
    assert apart.blobs["c"].data.min() < 0
    np.testing.assert_array_equal(inside.blobs["c"].data, np.maximum(apart.blobs["c"].data, 0))
    np.testing.assert_array_equal(inside.blobs["y"].data, apart.blobs["y"].data)
    for net in (inside, apart):
        net.backward()
    for key, values in diffs(apart).items():
        np.testing.assert_allclose(diffs(inside)[key], values, rtol=1e-5, atol=1e-6, err_msg=key)
    inside.blobs["c"].data[...] = 7
    assert (inside.blobs["s"].data == 7).all()
