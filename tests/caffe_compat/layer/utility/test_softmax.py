"""Softmax along any axis, in any memory layout."""

import math

import pytest
import torch

from caffe_compat.errors import LayerError


def test_values(make_layer, run_layer):
    x = torch.tensor([[0.0, math.log(3)], [1000, 1000], [-1000, 1000]])
    (top,) = run_layer(make_layer('type: "Softmax"', x.shape), x)
    torch.testing.assert_close(top, torch.tensor([[0.25, 0.75], [0.5, 0.5], [0, 1]]))


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_axes_and_layouts(make_layer, run_layer, axis, layout):
    x = torch.randn(2, 5, 3, 4).contiguous(memory_format=layout)
    (top,) = run_layer(make_layer(f'type: "Softmax" softmax_param {{ axis: {axis} }}', x.shape), x)
    torch.testing.assert_close(top, x.exp() / x.exp().sum(axis, keepdim=True))


def test_gradient(make_layer, check_gradients):
    x = torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    check_gradients(make_layer('type: "Softmax"', x.shape), x)


def test_axis_out_of_range(make_layer):
    layer = make_layer('type: "Softmax" softmax_param { axis: 2 }', (2, 3))
    with pytest.raises(LayerError, match=r"softmax_param\.axis 2 is out of range for a bottom of 2 axes"):
        layer.reshape([(2, 3)])
