"""Split and Silence."""

import pytest
import torch
from google.protobuf import text_format

from caffe_compat.errors import LayerError
from caffe_compat.layer.registry import create_layer
from caffe_compat.proto import caffe_pb2 as pb


def test_split_shares_values_and_adds_gradients(make_layer, run_layer):
    x = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last).requires_grad_()
    tops = run_layer(make_layer('type: "Split" top: "a" top: "b" top: "c"', x.shape), x)
    assert [t.data_ptr() for t in tops] == [x.data_ptr()] * 3
    (tops[0] + 2 * tops[1] + 4 * tops[2]).sum().backward()
    assert (x.grad == 7).all()


def test_split_refuses_in_place(make_layer):
    with pytest.raises(LayerError, match="top 'b0' is its bottom; it cannot work in place"):
        make_layer('type: "Split" top: "a" top: "b0"', (1,))


def test_silence_has_no_top(run_layer):
    param = text_format.Parse('name: "s" type: "Silence" bottom: "a" bottom: "b"', pb.LayerParameter())
    layer = create_layer(param, pb.TEST)
    layer.setup([(2,), (3, 4)])
    assert run_layer(layer, torch.zeros(2), torch.zeros(3, 4)) == []
    param.top.append("t")
    with pytest.raises(LayerError, match="1 tops given; it makes 0"):
        create_layer(param, pb.TEST)
