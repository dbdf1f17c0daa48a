"""Neurons that are linear in pieces, by hand and by finite differences."""

import pytest
import torch

from caffe_compat.errors import LayerError

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


def test_prelu(make_layer, run_layer):
    layer = make_layer('type: "PReLU"', (1, 2, 2))
    assert layer.blobs[0].data.tolist() == [0.25, 0.25]
    slopes = torch.tensor([0.5, -2.0], requires_grad=True)
    x = torch.tensor([[[-2.0, 3.0], [-1.0, 0.0]]], requires_grad=True)
    (top,) = run_layer(layer, x, blobs=[slopes])
    assert top.tolist() == [[[-1, 3], [2, 0]]]
    top.sum().backward()
    assert x.grad.tolist() == [[[0.5, 1], [-2, -2]]]
    assert slopes.grad.tolist() == [-2, -1]


def test_prelu_with_one_slope_for_all(make_layer, run_layer):
    layer = make_layer('type: "PReLU" prelu_param { channel_shared: true filler { value: 0.5 } }', (1, 2, 1))
    assert layer.blobs[0].shape == ()
    assert run_layer(layer, torch.tensor([[[-2.0], [-4.0]]]))[0].tolist() == [[[-1], [-2]]]


def test_prelu_refuses(make_layer):
    with pytest.raises(LayerError, match=r"layer 'l' \(PReLU\): bottom\[0\] has shape \(3,\); it needs 2 axes or more"):
        make_layer('type: "PReLU"', (3,))
    with pytest.raises(LayerError, match=r"shape \(1, 4\) but there are 3 slopes"):
        make_layer('type: "PReLU"', (1, 3)).reshape([(1, 4)])


def test_elu(make_layer, run_layer):
    layer = make_layer('type: "ELU" elu_param { alpha: 0.5 }', X.shape)
    top, grad = gradient(run_layer, layer, X)
    below = 0.5 * torch.exp(torch.tensor([-2.0, -0.5, 0.0]))
    torch.testing.assert_close(top[0], torch.cat([below - 0.5, X[0, 3:]]))
    torch.testing.assert_close(grad[0], torch.cat([below, torch.ones(2)]))
    in_place = gradient(run_layer, layer, X, in_place=True)
    torch.testing.assert_close(in_place, (top, grad))


def test_clip(make_layer, run_layer):
    layer = make_layer('type: "Clip" clip_param { min: -0.5 max: 1 }', X.shape)
    top, grad = gradient(run_layer, layer, X)
    assert top.tolist() == [[-0.5, -0.5, 0, 0.5, 1]]
    assert grad.tolist() == [[0, 1, 1, 1, 0]]


def test_clip_refuses(make_layer):
    with pytest.raises(LayerError, match="it has no clip_param"):
        make_layer('type: "Clip"', (1,))
    with pytest.raises(LayerError, match=r"clip_param\.min 2 is above max 1"):
        make_layer('type: "Clip" clip_param { min: 2 max: 1 }', (1,))


def test_threshold(make_layer, run_layer):
    layer = make_layer('type: "Threshold" threshold_param { threshold: 0.5 }', X.shape)
    (top,) = run_layer(layer, X.clone().requires_grad_())
    assert top.tolist() == [[0, 0, 0, 0, 1]]
    assert top.dtype == X.dtype
    assert not top.requires_grad


@pytest.mark.parametrize(
    "text", ['"PReLU"', '"ELU" elu_param { alpha: 0.7 }', '"Clip" clip_param { min: -0.5 max: 1 }']
)
def test_gradients(make_layer, check_gradients, text):
    check_gradients(make_layer(f"type: {text}", (2, 3, 4)), torch.randn(2, 3, 4, dtype=torch.float64).requires_grad_())


@pytest.mark.parametrize(
    ("text", "slopes"),
    [
        ('"ReLU" relu_param { negative_slope: 0.25 }', [0.25, 0.25, 0.25, 1, 1]),
        ('"ReLU" relu_param { negative_slope: -1 }', [1, 1, -1, 1, 1]),
        ('"Clip" clip_param { min: -0.5 max: 1 }', [1, 1, 1, 1, 1]),
    ],
)
def test_gradients_given_in_place_are_those_of_caffe(make_layer, run_layer, text, slopes):
    layer = make_layer(f'type: {text} bottom: "x" top: "x"', X.shape)
    assert gradient(run_layer, layer, X)[1].tolist() == [slopes]


def test_elu_with_alpha_below_0_given_in_place(make_layer, run_layer):
    layer = make_layer('type: "ELU" elu_param { alpha: -1 } bottom: "x" top: "x"', X.shape)
    top, grad = gradient(run_layer, layer, X)
    torch.testing.assert_close(top[0, 0], 1 - torch.tensor(-2.0).exp())
    assert grad.tolist() == [[1, 1, -1, 1, 1]]
