"""Neurons made of exponentials, by hand and by finite differences."""

import math

import pytest
import torch


@pytest.mark.parametrize("in_place", [False, True])
def test_sigmoid(make_layer, run_layer, in_place):
    x = torch.tensor([0.0, math.log(3), -math.log(3), 200, -200], requires_grad=True)
    (top,) = run_layer(make_layer('type: "Sigmoid"', (5,)), x * 1, in_place=in_place)
    torch.testing.assert_close(top, torch.tensor([0.5, 0.75, 0.25, 1, 0]))
    top.sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([0.25, 0.1875, 0.1875, 0, 0]))


def test_sigmoid_gradient(make_layer, check_gradients):
    check_gradients(make_layer('type: "Sigmoid"', (2, 3)), torch.randn(2, 3, dtype=torch.float64, requires_grad=True))
