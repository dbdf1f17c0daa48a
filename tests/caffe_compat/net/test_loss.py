"""Loss weights: of loss layers, of others, of several; and outputs."""

import numpy as np
import pytest

import caffe_compat
from caffe_compat.errors import LayerError

DATA = """
force_backward: true
layer { name: "data" type: "Input" top: "a" top: "b" input_param { shape { dim: 2 dim: 3 } } }
"""


def power(name: str, bottom: str, scale: float, more: str = "") -> str:
    return (
        f'layer {{ name: "{name}" type: "Power" bottom: "{bottom}" top: "{name}" {more} '
        f"power_param {{ scale: {scale} }} }} "
    )


def test_a_layer_that_is_no_loss_counts_its_elements_weighted(make_net):
    net = make_net(DATA + power("p", "a", 3, "loss_weight: 0.5") + power("q", "b", 5))
    net.blobs["a"].data[...] = [[1, 2, 3], [4, 5, 6]]
    net.blobs["b"].data[...] = 1
    assert net.forward_loss() == pytest.approx(0.5 * 3 * 21)
    net.backward()
    assert (net.blobs["a"].diff == 1.5).all()
    assert not net.blobs["b"].diff.any()
    assert dict(net.blob_loss_weights) == {"a": 0, "b": 0, "p": 0.5, "q": 0}


def test_several_losses_add(make_net):
    net = make_net(DATA + power("p", "a", 3, "loss_weight: 0.5") + power("q", "b", 5, "loss_weight: -2"))
    net.blobs["a"].data[...] = 1
    net.blobs["b"].data[...] = 1
    assert net.forward_loss() == pytest.approx(6 * (0.5 * 3 - 2 * 5))
    net.backward()
    assert (net.blobs["a"].diff == 1.5).all()
    assert (net.blobs["b"].diff == -10).all()


def test_loss_layers_weigh_one_unless_told(make_net):
    text = 'layer { name: "l" type: "EuclideanLoss" bottom: "a" bottom: "b" top: "l" %s }'
    net = make_net(DATA + text % "")
    net.blobs["a"].data[...] = 2
    assert net.forward_loss() == pytest.approx(6 * 4 / 2 / 2)
    assert net.forward()["l"] == pytest.approx(6)
    assert net.blobs["l"].diff == 1
    weighted = make_net(DATA + text % "loss_weight: 10")
    weighted.blobs["a"].data[...] = 2
    assert weighted.forward_loss() == pytest.approx(60)
    assert weighted.forward()["l"] == pytest.approx(6)  # the weight is in the net's loss, not in the blob
    weighted.backward()
    assert (weighted.blobs["a"].diff == 10 * 2 / 2).all()


def test_partial_forward_gives_the_loss_of_its_range(make_net):
    net = make_net(DATA + power("p", "a", 3, "loss_weight: 1") + power("q", "b", 5, "loss_weight: 1"))
    net.blobs["a"].data[...] = 1
    net.blobs["b"].data[...] = 1
    assert net._forward(0, 1) == pytest.approx(18)
    assert net._forward(2, 2) == pytest.approx(30)


def test_the_users_diff_of_a_loss_is_kept(make_net):
    net = make_net(DATA + power("p", "a", 3, "loss_weight: 1"))
    net.forward()
    net.blobs["p"].diff[...] = 2
    net.forward()
    net.backward()
    assert (net.blobs["a"].diff == 6).all()


def test_the_diff_of_a_loss_follows_its_shape(make_net):
    net = make_net(DATA + power("p", "a", 3, "loss_weight: 0.5"))
    net.blobs["a"].reshape(4, 3)
    net.forward()
    net.backward()
    assert net.blobs["a"].diff.shape == (4, 3)
    assert (net.blobs["a"].diff == 1.5).all()


def test_a_loss_top_that_is_not_named_counts_but_is_no_output(make_net):
    net = make_net(DATA + 'layer { name: "l" type: "EuclideanLoss" bottom: "a" bottom: "b" }', caffe_compat.TRAIN)
    net.blobs["a"].data[...] = 2
    assert net.forward() == {}
    assert net.forward_loss() == pytest.approx(6)
    assert net.outputs == []
    net.backward()
    assert (net.blobs["b"].diff == -1).all()


def test_loss_weights_are_given_for_every_top_or_none(make_net):
    with pytest.raises(
        LayerError, match=r"layer 'p' \(Power\): 2 loss_weight values for 1 tops; give one for each top"
    ):
        make_net(DATA + power("p", "a", 3, "loss_weight: 1 loss_weight: 2"))


def test_outputs_are_what_nobody_takes_in_alphabetical_order(make_net):
    net = make_net(DATA + power("z", "a", 3) + power("c", "b", 5))
    assert net.outputs == ["c", "z"]
    assert list(net.forward()) == ["c", "z"]
    assert [name for name, _, _ in net.output_blobs()] == ["c", "z"]
    assert np.array_equal(net.output_blobs()[0][1].data, net.blobs["c"].data)
