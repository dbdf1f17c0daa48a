"""DummyData: constants once, random values at every forward."""

import numpy as np
import pytest
from google.protobuf import text_format

from caffe_compat.device import set_random_seed
from caffe_compat.errors import LayerError
from caffe_compat.net.net import Net
from caffe_compat.proto import caffe_pb2 as pb


def net(tops: int, param: str, keep: list[str] | None = None) -> Net:
    top = " ".join(f"top: 't{i}'" for i in range(tops))
    text = f"layer {{ name: 'd' type: 'DummyData' {top} dummy_data_param {{ {param} }} }}"
    return Net(text_format.Parse(text, pb.NetParameter()), pb.TEST, keep=keep)


def test_one_shape_and_no_filler_gives_zeros():
    made = net(2, "shape { dim: 2 dim: 3 }")
    made.forward()
    for blob in made.blobs.values():
        np.testing.assert_array_equal(blob.data, np.zeros((2, 3)))


def test_a_shape_and_a_filler_for_each_top():
    made = net(
        2,
        "shape { dim: 2 } shape { dim: 3 dim: 1 } "
        "data_filler { type: 'constant' value: 7 } data_filler { type: 'constant' value: -1 }",
    )
    assert made.blobs["t0"].data.tolist() == [7, 7]  # before any forward
    made.forward()
    assert made.blobs["t1"].data.tolist() == [[-1], [-1], [-1]]


def test_legacy_shapes():
    made = net(2, "num: 2 num: 5 channels: 3 height: 4 width: 6 width: 1")
    assert [blob.shape for blob in made.blobs.values()] == [(2, 3, 4, 6), (5, 3, 4, 1)]


def test_random_tops_are_drawn_at_each_forward_and_constants_kept():
    set_random_seed(1)
    made = net(
        2,
        "shape { dim: 1000 } data_filler { type: 'gaussian' mean: 3 std: 2 } data_filler { type: 'constant' value: 7 }",
    )
    assert made.blobs["t0"].data.tolist() == [0] * 1000
    made.blobs["t1"].data[0] = 8  # the program's own value stays
    made.forward()
    first = made.blobs["t0"].data.copy()
    made.forward()
    second = made.blobs["t0"].data
    assert (first != second).all()
    assert abs(second.mean() - 3) < 5 * 2 / 1000**0.5
    assert made.blobs["t1"].data[:2].tolist() == [8, 7]


def test_constants_of_a_lean_net_are_there_at_every_forward():
    text = """
        layer { name: 'd' type: 'DummyData' top: 'a'
                dummy_data_param { shape { dim: 2 } data_filler { type: 'constant' value: 7 } } }
        layer { name: 'p' type: 'Power' bottom: 'a' top: 'b' power_param { scale: 2 } }"""
    made = Net(text_format.Parse(text, pb.NetParameter()), pb.TEST, keep=["b"])
    for _ in range(3):
        made.forward()
        assert made.blobs["b"].data.tolist() == [14, 14]


@pytest.mark.parametrize(
    ("param", "message"),
    [
        (
            "shape { dim: 1 } shape { dim: 2 }",
            r"layer 'd' \(DummyData\): dummy_data_param has 2 shape for 3 tops; give",
        ),
        ("", "has 0 shape for 3 tops"),
        (
            "shape { dim: 1 } data_filler { } data_filler { }",
            "has 2 data_filler for 3 tops; give one for all, or one per",
        ),
        ("num: 1 channels: 1 height: 1 width: 1 width: 2", "has 2 width for 3 tops"),
        ("num: 1 channels: 1 height: 1", "has 0 width for 3 tops"),
        ("num: 1 channels: 1 height: 1 width: 1 shape { dim: 1 }", "has shape and the legacy num, channels, height"),
        ("shape { dim: -1 }", "shape for top 't0': .*negative dimension"),
    ],
)
def test_numbers_that_do_not_fit(param, message):
    with pytest.raises(LayerError, match=message):
        net(3, param)


def test_an_unknown_filler():
    made = net(1, "shape { dim: 1 } data_filler { type: 'noise' }")
    with pytest.raises(LayerError, match="data_filler of top 't0': unknown filler type 'noise'; known: bilinear"):
        made.forward()
