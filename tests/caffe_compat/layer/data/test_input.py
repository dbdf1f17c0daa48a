"""Input: shapes from the prototxt, values from the program."""

import numpy as np
import pytest
from google.protobuf import text_format

from caffe_compat.errors import LayerError
from caffe_compat.layer.blob import Blob
from caffe_compat.layer.data.input import Input
from caffe_compat.net.net import Net
from caffe_compat.proto import caffe_pb2 as pb


def set_up(tops: int, shapes: str) -> list[Blob]:
    param = text_format.Parse(f"name: 'in' type: 'Input' input_param {{ {shapes} }}", pb.LayerParameter())
    param.top.extend(f"t{i}" for i in range(tops))
    blobs = [Blob() for _ in range(tops)]
    Input(param, pb.TEST).setup_blobs([], blobs)
    return blobs


@pytest.mark.parametrize(
    ("shapes", "found"),
    [
        ("shape { dim: 2 dim: 3 }", [(2, 3), (2, 3)]),
        ("shape { dim: 2 dim: 3 } shape { dim: 4 }", [(2, 3), (4,)]),
        ("shape { }", [(), ()]),
        ("", [(0,), (0,)]),
    ],
)
def test_shapes(shapes, found):
    assert [blob.shape for blob in set_up(2, shapes)] == found


def test_a_wrong_number_of_shapes():
    with pytest.raises(
        LayerError, match=r"layer 'in' \(Input\): input_param has 2 shapes for 3 tops; give one for all"
    ):
        set_up(3, "shape { dim: 1 } shape { dim: 2 }")


def test_a_shape_that_cannot_be():
    with pytest.raises(LayerError, match="input_param.shape for top 't0': .*negative dimension"):
        set_up(1, "shape { dim: -1 }")


def test_what_the_program_writes_stays_over_forwards():
    text = "layer { name: 'in' type: 'Input' top: 'x' input_param { shape { dim: 2 dim: 3 } } }"
    net = Net(text_format.Parse(text, pb.NetParameter()), pb.TEST)
    net.blobs["x"].data[...] = 5
    net.forward()
    np.testing.assert_array_equal(net.blobs["x"].data, np.full((2, 3), 5))
    net.blobs["x"].reshape(1, 4)
    net.forward()
    net.reshape()
    assert net.blobs["x"].shape == (1, 4)
