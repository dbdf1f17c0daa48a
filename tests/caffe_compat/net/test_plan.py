"""The plan's rewrites give the plain run's numbers, and follow every change of the weights."""

import numpy as np
import pytest
import torch

import caffe_compat
from caffe_compat.layer.filler import bilinear_kernel
from caffe_compat.net.plan.interpolation import Interpolation

TEXT = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 5 dim: 9 dim: 7 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "c"
        convolution_param { num_output: 4 kernel_size: 3 pad: 2 stride: 2 } }
layer { name: "relu" type: "ReLU" bottom: "c" top: "c" }
layer { name: "up" type: "Deconvolution" bottom: "c" top: "up"
        convolution_param { num_output: 4 kernel_size: 4 stride: 2 pad: 1 bias_term: %s } }
"""


def diagonal(net) -> None:
    net.params["up"][0].data[...] = 0
    for k in range(4):
        net.params["up"][0].data[k, k] = bilinear_kernel(4).numpy() * (k + 1)


@pytest.fixture
def pair(make_net, fill_net):
    """A lean net, whose plan is on, and the same net without one, with the weights of both to write."""

    def make(bias: str = "true"):
        lean, plain = (fill_net(make_net(TEXT % bias, keep=keep)) for keep in (["up", "c"], None))
        for net in (lean, plain):
            diagonal(net)
        assert lean._engine.plan.enabled
        assert not plain._engine.plan.enabled
        return lean, plain

    return make


def assert_equal(lean, plain) -> None:
    lean.forward()
    plain.forward()
    for name in ("c", "up"):
        np.testing.assert_allclose(lean.blobs[name].data, plain.blobs[name].data, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.fixture
def depthwise_calls(monkeypatch) -> list[str]:
    calls, plain = [], Interpolation.whole

    def counted(self, bottom):
        calls.append(self.layer.name)
        return plain(self, bottom)

    monkeypatch.setattr(Interpolation, "whole", counted)
    return calls


@pytest.mark.parametrize("bias", ["true", "false"])
def test_equal_to_the_plain_run(pair, depthwise_calls, bias):
    lean, plain = pair(bias)
    for _ in range(2):
        assert_equal(lean, plain)
    assert depthwise_calls == ["up", "up"]


def test_prepared_once_while_nothing_changes(pair):
    lean, plain = pair()
    for _ in range(3):  # the leases that filling the weights left behind end with the first forwards
        lean.forward()
    plan, nodes = lean._engine.plan, lean._engine.nodes
    found = plan._interpolations.find(nodes[-1])
    weight = lean.params["conv"][0]
    packed = weight._data._packed
    assert found is not None
    assert packed is not None  # in place of the plain values, not beside them
    assert weight._data._tensor is None
    lean.forward()
    assert plan._interpolations.find(nodes[-1]) is found
    assert weight._data._packed is packed
    np.testing.assert_array_equal(weight.data, plain.params["conv"][0].data)
    assert weight._data._packed is None


@pytest.mark.parametrize("layer", ["conv", "up"])
@pytest.mark.parametrize("i", [0, 1])
def test_writes_through_arrays_count_while_held_and_after(pair, layer, i):
    lean, plain = pair()
    assert_equal(lean, plain)
    held = lean.params[layer][i].data
    for value in (3, 4):
        held[1] = value
        plain.params[layer][i].data[1] = value
        assert_equal(lean, plain)
    held[0] = 5
    del held
    plain.params[layer][i].data[0] = 5
    assert_equal(lean, plain)
    lean.params[layer][i].data[2] = 6
    plain.params[layer][i].data[2] = 6
    assert_equal(lean, plain)
    assert_equal(lean, plain)


def test_a_deconvolution_that_stops_being_diagonal(pair, depthwise_calls):
    lean, plain = pair()
    assert_equal(lean, plain)
    del depthwise_calls[:]
    for net in (lean, plain):
        net.params["up"][0].data[0, 1, 2, 2] = 1e-3
    assert_equal(lean, plain)
    assert depthwise_calls == []
    for net in (lean, plain):
        net.params["up"][0].data[0, 1, 2, 2] = 0
    assert_equal(lean, plain)
    assert depthwise_calls == ["up"]


def test_weights_written_by_the_runtime_count(pair):
    lean, plain = pair()
    for _ in range(3):
        assert_equal(lean, plain)
    for net in (lean, plain):
        net.params["conv"][0].write(torch.ones(4, 5, 3, 3))
    assert_equal(lean, plain)
    for net in (lean, plain):
        weight = net.params["conv"][0]
        weight.tensor().mul_(2)
        weight.mark_changed()
    assert_equal(lean, plain)


def test_weights_shared_from_another_net_count(pair, make_net, fill_net):
    lean, plain = pair()
    for _ in range(3):
        assert_equal(lean, plain)
    other = fill_net(make_net(TEXT % "true"), seed=7)
    for net in (lean, plain):
        net.share_with(other)
    assert_equal(lean, plain)
    assert not np.allclose(lean.params["conv"][0].data, fill_net(make_net(TEXT % "true")).params["conv"][0].data)


def test_weights_copied_from_a_file_count(pair, make_net, fill_net, tmp_path):
    lean, plain = pair()
    for _ in range(3):
        assert_equal(lean, plain)
    fill_net(make_net(TEXT % "true"), seed=7).save(tmp_path / "w.caffemodel")
    for net in (lean, plain):
        net.copy_from(tmp_path / "w.caffemodel")
    assert_equal(lean, plain)


@pytest.mark.parametrize("sizes", [(1, 5, 3, 3), (3, 5, 16, 11)])
def test_other_input_sizes(pair, sizes):
    lean, plain = pair()
    assert_equal(lean, plain)
    for net in (lean, plain):
        net.blobs["data"].reshape(*sizes)
        net.blobs["data"].data[...] = np.random.RandomState(3).standard_normal(sizes)
    assert_equal(lean, plain)


@pytest.mark.parametrize(
    "parameters",
    [
        "num_output: 4 group: 4 kernel_size: 3",
        "num_output: 4 group: 2 kernel_size: 3",
        "num_output: 4 kernel_size: 2 dilation: 2 stride: 3",
        "num_output: 6 kernel_size: 3",
        "num_output: 4 kernel_h: 3 kernel_w: 5 pad_h: 1 pad_w: 0",
    ],
)
def test_other_deconvolutions(make_net, fill_net, parameters):
    text = """
    layer { name: "data" type: "Input" top: "c" input_param { shape { dim: 2 dim: 4 dim: 5 dim: 6 } } }
    layer { name: "up" type: "Deconvolution" bottom: "c" top: "up" convolution_param { %s } }
    """
    lean, plain = (fill_net(make_net(text % parameters, keep=keep)) for keep in (["up"], None))
    assert_equal(lean, plain)


def test_a_diagonal_in_groups_is_no_diagonal(make_net, fill_net):
    text = """
    layer { name: "data" type: "Input" top: "c" input_param { shape { dim: 2 dim: 4 dim: 5 dim: 6 } } }
    layer { name: "up" type: "Deconvolution" bottom: "c" top: "up"
            convolution_param { num_output: 8 group: 2 kernel_size: 3 } }
    """
    nets = [fill_net(make_net(text, keep=keep)) for keep in (["up"], None)]
    for net in nets:
        net.params["up"][0].data[...] *= np.eye(4)[:, :, None, None]
    for net in nets:
        net.forward()
    np.testing.assert_allclose(nets[0].blobs["up"].data, nets[1].blobs["up"].data, rtol=1e-5, atol=1e-5)


def test_a_deconvolution_over_a_later_axis(make_net, fill_net):
    text = """
    layer { name: "data" type: "Input" top: "c" input_param { shape { dim: 2 dim: 3 dim: 4 dim: 5 dim: 6 } } }
    layer { name: "up" type: "Deconvolution" bottom: "c" top: "up"
            convolution_param { num_output: 4 kernel_size: 3 axis: 2 } }
    """
    nets = [fill_net(make_net(text, keep=keep)) for keep in (["up"], None)]
    for net in nets:
        weight = net.params["up"][0].data
        weight[...] = np.eye(4)[:, :, None, None] * weight
    assert_equal(*nets)


def test_values_that_are_not_finite_reach_the_same_places(pair):
    lean, plain = pair()
    for net in (lean, plain):
        net.params["conv"][1].data[...] = 100
        net.blobs["data"].data[0, 0, 4, 4] = np.nan
        net.params["up"][0].data[0, 0, 0, 0] = np.inf
    assert_equal(lean, plain)


def test_training_follows_the_changes_of_its_weights(make_net, fill_net):
    text = TEXT % "true" + 'layer { name: "l" type: "Reduction" bottom: "up" top: "l" loss_weight: 1 }'
    nets = [fill_net(make_net(text, caffe_compat.TRAIN, keep=keep)) for keep in (["up", "c"], None)]
    for net in nets:
        diagonal(net)
        for _ in range(2):
            net.clear_param_diffs()
            net.forward_backward()
            for blob in net.learnable_params:
                blob.tensor().sub_(1e-3 * blob.diff_tensor())
                blob.mark_changed()
    assert_equal(*nets)
    for ours, theirs in zip(*(net.learnable_params for net in nets), strict=True):
        np.testing.assert_allclose(ours.data, theirs.data, rtol=1e-4, atol=1e-5)
