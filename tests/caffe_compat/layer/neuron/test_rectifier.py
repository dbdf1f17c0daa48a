"""Neurons that are linear in pieces, by hand and by finite differences."""

import pytest
import torch

X = torch.tensor([[-2.0, -0.5, 0.0, 0.5, 2.0]])


def gradient(run_layer, layer, x, **options):
    leaf = x.clone().requires_grad_()
    (top,) = run_layer(layer, leaf * 1, **options)
    top.sum().backward()
    return top.detach(), leaf.grad


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize(
    ("slope", "values", "slopes"),
    [
        (0, [0, 0, 0, 0.5, 2], [0, 0, 0, 1, 1]),
        (0.25, [-0.5, -0.125, 0, 0.5, 2], [0.25, 0.25, 0.25, 1, 1]),
        (-1, [2, 0.5, 0, 0.5, 2], [-1, -1, -1, 1, 1]),
    ],
)
def test_relu(make_layer, run_layer, slope, values, slopes, in_place):
    layer = make_layer(f'type: "ReLU" relu_param {{ negative_slope: {slope} }}', X.shape)
    top, grad = gradient(run_layer, layer, X, in_place=in_place)
    assert top.tolist() == [values]
    assert grad.tolist() == [slopes]


def test_relu_overwrites_its_bottom_only_in_place(make_layer, run_layer):
    layer = make_layer('type: "ReLU"', X.shape)
    x = X.clone()
    assert run_layer(layer, x)[0].data_ptr() != x.data_ptr()
    assert x.equal(X)
    assert run_layer(layer, x, in_place=True)[0].data_ptr() == x.data_ptr()


def test_relu_keeps_nan(make_layer, run_layer):
    assert run_layer(make_layer('type: "ReLU"', (1,)), torch.tensor([float("nan")]))[0].isnan().all()
