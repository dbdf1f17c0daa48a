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


@pytest.mark.parametrize("in_place", [False, True])
def test_tanh(make_layer, run_layer, in_place):
    x = torch.tensor([0.0, math.log(2), -200], requires_grad=True)
    (top,) = run_layer(make_layer('type: "TanH"', (3,)), x * 1, in_place=in_place)
    torch.testing.assert_close(top, torch.tensor([0, 0.6, -1]))
    top.sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([1, 0.64, 0]))


def test_swish(make_layer, run_layer):
    layer = make_layer('type: "Swish" swish_param { beta: 2 }', (3,))
    x = torch.tensor([0, math.log(3) / 2, -math.log(3) / 2])
    torch.testing.assert_close(run_layer(layer, x)[0], torch.tensor([0, 0.75, -0.25]) * math.log(3) / 2)


def test_bnll(make_layer, run_layer):
    x = torch.tensor([0, math.log(3), 200, -200])
    (top,) = run_layer(make_layer('type: "BNLL"', (4,)), x)
    torch.testing.assert_close(top, torch.tensor([math.log(2), math.log(4), 200, 0]))


@pytest.mark.parametrize("text", ['"TanH"', '"Swish"', '"Swish" swish_param { beta: 1.5 }', '"BNLL"'])
def test_gradients(make_layer, check_gradients, text):
    check_gradients(make_layer(f"type: {text}", (2, 3)), torch.randn(2, 3, dtype=torch.float64).requires_grad_())


def test_bnll_given_in_place_takes_its_slope_at_the_top(make_layer, run_layer):
    x = torch.tensor([0.0, math.log(2)], requires_grad=True)
    run_layer(make_layer('type: "BNLL" bottom: "x" top: "x"', (2,)), x)[0].backward(torch.tensor([1.0, 5.0]))
    torch.testing.assert_close(x.grad, torch.tensor([2 / 3, 5 * 0.75]))
