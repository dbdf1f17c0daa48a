"""Splits: their names, their place, and where a loss weight goes."""

import numpy as np
import pytest
from google.protobuf import text_format

from caffe_compat.errors import LayerError
from caffe_compat.net.insert_splits import insert_splits
from caffe_compat.proto import caffe_pb2 as pb

DATA = 'layer { name: "in" type: "Input" top: "a" top: "b" input_param { shape { dim: 2 dim: 3 } } }'


def split(text: str) -> pb.NetParameter:
    return insert_splits(text_format.Parse(text, pb.NetParameter()))


def test_names_follow_blob_layer_and_top_index():
    net = split(
        DATA + 'layer { name: "x" type: "ReLU" bottom: "b" top: "x" } layer { name: "y" type: "ReLU" bottom: "b" '
        'top: "y" } layer { name: "z" type: "Eltwise" bottom: "a" bottom: "b" top: "z" }'
    )
    assert [layer.name for layer in net.layer] == ["in", "b_in_1_split", "x", "y", "z"]
    assert list(net.layer[1].top) == ["b_in_1_split_0", "b_in_1_split_1", "b_in_1_split_2"]
    assert [list(layer.bottom) for layer in net.layer[2:]] == [
        ["b_in_1_split_0"],
        ["b_in_1_split_1"],
        ["a", "b_in_1_split_2"],
    ]


def test_one_layer_may_take_a_blob_twice():
    net = split(DATA + 'layer { name: "z" type: "Eltwise" bottom: "a" bottom: "a" top: "z" }')
    assert list(net.layer[2].bottom) == ["a_in_0_split_0", "a_in_0_split_1"]


def test_uses_after_an_in_place_layer_are_of_its_top():
    net = split(
        DATA + 'layer { name: "r" type: "ReLU" bottom: "a" top: "a" } layer { name: "x" type: "ReLU" bottom: "a" '
        'top: "x" } layer { name: "y" type: "ReLU" bottom: "a" top: "y" }'
    )
    assert [layer.name for layer in net.layer] == ["in", "r", "a_r_0_split", "x", "y"]


def test_nothing_is_split_without_need():
    text = DATA + 'layer { name: "x" type: "ReLU" bottom: "a" top: "x" }'
    assert split(text) == text_format.Parse(text, pb.NetParameter())


def test_loss_weight_of_a_consumed_top_moves_to_the_splits_first_top():
    net = split(
        DATA + 'layer { name: "e" type: "Eltwise" bottom: "a" bottom: "b" top: "e" loss_weight: 2 } '
        'layer { name: "x" type: "ReLU" bottom: "e" top: "x" }'
    )
    assert list(net.layer[1].loss_weight) == []
    assert list(net.layer[2].top) == ["e_e_0_split_0", "e_e_0_split_1"]
    assert list(net.layer[2].loss_weight) == [2, 0]
    assert list(net.layer[3].bottom) == ["e_e_0_split_1"]


def test_loss_weight_without_another_use_stays():
    net = split(DATA + 'layer { name: "e" type: "Eltwise" bottom: "a" bottom: "b" top: "e" loss_weight: 2 }')
    assert len(net.layer) == 2
    assert list(net.layer[1].loss_weight) == [2]


def test_unknown_bottom_says_what_there_is():
    with pytest.raises(
        LayerError, match=r"layer 'x' \(ReLU\): bottom 0 'c' is not the top of any earlier layer; .* it: a, b"
    ):
        split(DATA + 'layer { name: "x" type: "ReLU" bottom: "c" top: "x" }')
    with pytest.raises(LayerError, match="made before it: none"):
        split('layer { name: "x" type: "ReLU" bottom: "c" top: "x" }')


def test_split_blobs_are_in_the_net_and_their_diffs_add(make_net):
    net = make_net(
        "force_backward: true "
        + DATA
        + 'layer { name: "p" type: "Power" bottom: "a" top: "p" power_param { scale: 3 } }'
        + 'layer { name: "q" type: "Eltwise" bottom: "a" bottom: "b" top: "q" eltwise_param { coeff: 5 coeff: 7 } }'
    )
    assert list(net.blobs) == ["a", "b", "a_in_0_split_0", "a_in_0_split_1", "p", "q"]
    net.blobs["a"].data[...] = np.arange(6).reshape(2, 3)
    net.forward()
    assert net.blobs["a_in_0_split_1"].data.tolist() == [[0, 1, 2], [3, 4, 5]]
    net.blobs["p"].diff[...] = 1
    net.blobs["q"].diff[...] = 10
    net.backward()
    assert (net.blobs["a_in_0_split_0"].diff == 3).all()
    assert (net.blobs["a_in_0_split_1"].diff == 50).all()
    assert (net.blobs["a"].diff == 53).all()
    assert (net.blobs["b"].diff == 70).all()


def test_loss_of_a_consumed_top_counts_once_and_reaches_both_ways(make_net):
    net = make_net(
        "force_backward: true "
        + DATA
        + 'layer { name: "e" type: "Eltwise" bottom: "a" bottom: "b" top: "e" loss_weight: 2 } '
        + 'layer { name: "x" type: "Power" bottom: "e" top: "x" power_param { scale: 3 } loss_weight: 1 }'
    )
    net.blobs["a"].data[...] = 1
    net.blobs["b"].data[...] = 10
    assert net.forward_loss() == pytest.approx(6 * (2 * 11 + 3 * 11))
    net.backward()
    assert (net.blobs["a"].diff == 2 + 3).all()
    assert net.blob_loss_weights["e"] == 0
    assert net.blob_loss_weights["e_e_0_split_0"] == 2
