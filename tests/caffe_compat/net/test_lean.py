"""Lean nets: what is kept, what is gone, and the same numbers."""

import gc
import weakref

import numpy as np
import pytest

import caffe_compat
from caffe_compat.errors import NetError

TEXT = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 2 dim: 6 dim: 6 } } }
layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 2 dim: 1 dim: 4 dim: 4 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 3 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "c" top: "c" }
layer { name: "drop" type: "Dropout" bottom: "c" top: "c" }
layer { name: "skip" type: "Convolution" bottom: "c" top: "skip" convolution_param { num_output: 3 kernel_size: 1 } }
layer { name: "up" type: "Deconvolution" bottom: "c" top: "up" param { lr_mult: 0 }
        convolution_param { num_output: 3 kernel_size: 1 bias_term: false } }
layer { name: "sum" type: "Eltwise" bottom: "skip" bottom: "up" top: "score" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }
"""
HIDDEN = ["c", "c_drop_0_split_0", "c_drop_0_split_1", "skip", "up"]


def prepared(make_net, fill_net, phase, **keywords):
    net = fill_net(make_net(TEXT, phase, **keywords))
    net.blobs["label"].data[...] = np.arange(32).reshape(2, 1, 4, 4) % 3
    caffe_compat.set_random_seed(5)
    return net


@pytest.mark.parametrize("phase", [caffe_compat.TRAIN, caffe_compat.TEST])
def test_what_is_kept_equals_the_whole_nets(make_net, fill_net, phase):
    whole = prepared(make_net, fill_net, phase)
    whole.forward()
    lean = prepared(make_net, fill_net, phase, keep=["score", "c"])
    assert lean.forward() == {}  # the only output, loss, is not kept
    for name in ("score", "c", "data", "label"):
        np.testing.assert_allclose(lean.blobs[name].data, whole.blobs[name].data, rtol=1e-5, atol=1e-6, err_msg=name)


def test_kept_outputs_are_given_by_forward(make_net, fill_net):
    whole = prepared(make_net, fill_net, caffe_compat.TEST)
    lean = prepared(make_net, fill_net, caffe_compat.TEST, keep=["loss", "score"])
    assert list(lean.forward(blobs=["score"])) == ["loss", "score"]
    assert lean.forward()["loss"] == pytest.approx(whole.forward()["loss"])
    assert lean.forward_loss() == pytest.approx(whole.forward_loss())


def test_a_dropped_blob_says_how_to_keep_it(make_net, fill_net):
    net = prepared(make_net, fill_net, caffe_compat.TEST, keep=["score"])
    net.forward()
    for name in [*HIDDEN, "loss"]:
        with pytest.raises(NetError, match=rf"blob '{name}' was dropped by a lean net; .*keep=\['{name}', \.\.\.\]"):
            _ = net.blobs[name].data
    with pytest.raises(NetError, match=r"'up' was dropped by a lean net; build it with Net\(\.\.\., keep=\['up'"):
        net.forward(blobs=["up"])
    assert net.forward(end="skip")["skip"].any()  # a later layer would still read it


def test_keep_nothing(make_net, fill_net):
    net = prepared(make_net, fill_net, caffe_compat.TEST, keep=[])
    assert net.forward() == {}
    assert net.forward_loss() > 0


def test_keep_also_from_the_next_forward_on(make_net, fill_net):
    net = prepared(make_net, fill_net, caffe_compat.TEST, keep=[])
    net.forward()
    net.keep_also(["score"])
    net.forward()
    assert net.blobs["score"].data.any()
    with pytest.raises(NetError, match="the net has no blob 'nope'"):
        net.keep_also(["nope"])


def test_inputs_survive_and_stay_writable(make_net, fill_net):
    net = prepared(make_net, fill_net, caffe_compat.TEST, keep=["score"])
    held = net.blobs["data"].data
    first = net.forward(blobs=["score"])["score"].copy()
    np.testing.assert_array_equal(net.forward(blobs=["score"])["score"], first)
    held[...] += 1
    assert (net.forward(blobs=["score"])["score"] != first).any()
    net.blobs["data"].reshape(1, 2, 6, 6)
    net.blobs["data"].data[...] = 1
    net.blobs["label"].reshape(1, 1, 4, 4)
    assert net.forward(blobs=["score"])["score"].shape == (1, 3, 4, 4)


def test_nothing_hidden_is_left_in_memory(make_net, fill_net):
    net = prepared(make_net, fill_net, caffe_compat.TEST, keep=["score"])
    held: dict[str, weakref.ref] = {}
    engine, take = net._engine, net._engine._free_after_forward

    def note(first: int, last: int) -> None:
        for name in HIDDEN:
            if net.blobs[name].has_data and name not in held:
                held[name] = weakref.ref(net.blobs[name].tensor())
        take(first, last)

    engine._free_after_forward = note
    net.forward()
    gc.collect()
    assert set(held) == set(HIDDEN)
    assert [name for name, value in held.items() if value() is not None] == []
    assert not any(net.blobs[name].has_data for name in HIDDEN)
    assert net.blobs["score"].has_data


@pytest.mark.parametrize("keep", [[], ["score", "c"], ["loss"]])
def test_training_steps_equal_the_whole_nets(make_net, fill_net, keep):
    whole = prepared(make_net, fill_net, caffe_compat.TRAIN)
    expected = []
    for _ in range(2):
        expected.append(whole.forward_backward())
    lean = prepared(make_net, fill_net, caffe_compat.TRAIN, keep=keep)
    for loss in expected:
        assert lean.forward_backward() == pytest.approx(loss, rel=1e-6)
    for name in whole.params:
        for ours, theirs in zip(lean.params[name], whole.params[name], strict=True):
            np.testing.assert_allclose(ours.diff, theirs.diff, rtol=1e-4, atol=1e-6, err_msg=name)
    assert not lean.params["up"][0].diff.any()
    assert lean._engine._records == {}  # the graphs, and what they saved, are gone
    assert not any(lean.blobs[name].has_data or lean.blobs[name].has_diff for name in HIDDEN if name not in keep)


def test_backward_in_a_lean_test_net_says_what_is_missing(make_net, fill_net):
    net = prepared(make_net, fill_net, caffe_compat.TEST, keep=["score"])
    net.forward()
    net.blobs["score"].data[...] = 0
    with pytest.raises(NetError, match=r"blob '\w+' was dropped by a lean net; build it with"):
        net.backward()


def test_partial_forwards_of_a_lean_net(make_net, fill_net):
    whole = prepared(make_net, fill_net, caffe_compat.TEST)
    whole.forward()
    net = prepared(make_net, fill_net, caffe_compat.TEST, keep=["score"])
    net._forward(0, 4)
    assert net.blobs["c"].has_data  # a later layer reads it
    net._forward(5, len(net.layers) - 1)
    np.testing.assert_allclose(net.blobs["score"].data, whole.blobs["score"].data, rtol=1e-5, atol=1e-6)
    with pytest.raises(NetError, match="was dropped"):
        net.forward(start="skip")


def test_callbacks_read_what_is_still_needed(make_net, fill_net):
    net = prepared(make_net, fill_net, caffe_compat.TEST, keep=[])
    seen = []
    net.after_forward(lambda i: seen.append(net.blobs["c"].has_data))
    net.forward()
    names = net._layer_names
    assert seen == [names.index("conv") <= i < names.index("c_drop_0_split") for i in range(len(names))]
