"""MVN: statistics by the definition, Caffe's gradient where all values are equal, and what it refuses."""

import pytest
import torch

from caffe_compat.errors import LayerError


def mvn(fields: str = "") -> str:
    return f'type: "MVN" mvn_param {{ {fields} }}'


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("fields", "dims"), [("", (2, 3)), ("across_channels: true", (1, 2, 3))])
def test_mean_and_deviation(make_layer, run_layer, fields, dims, memory_format):
    x = torch.randn(2, 3, 4, 5) * 3 + 1
    layer = make_layer(mvn(f"eps: 0.5 {fields}"), x.shape)
    y = run_layer(layer, x.contiguous(memory_format=memory_format))[0]
    wanted = (x - x.mean(dims, keepdim=True)) / (x.std(dims, correction=0, keepdim=True) + 0.5)
    torch.testing.assert_close(y, wanted)


def test_without_the_variance(make_layer, run_layer):
    x = torch.randn(2, 3, 4, 5)
    y = run_layer(make_layer(mvn("normalize_variance: false"), x.shape), x)[0]
    torch.testing.assert_close(y, x - x.mean((2, 3), keepdim=True))


def test_missing_axes_become_1(make_layer, run_layer):
    x = torch.randn(2, 3)
    y = run_layer(make_layer(mvn("across_channels: true"), x.shape), x)[0]
    torch.testing.assert_close(y[:, :, 0, 0], (x - x.mean(1, keepdim=True)) / x.std(1, correction=0, keepdim=True))


@pytest.mark.parametrize("fields", ["", "across_channels: true", "normalize_variance: false"])
def test_gradients(make_layer, check_gradients, fields):
    x = torch.randn(2, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    check_gradients(make_layer(mvn(fields), x.shape), x)


def test_equal_values_have_a_finite_gradient(make_layer, run_layer):
    x = torch.full((1, 1, 1, 4), 7.0, requires_grad=True)
    run_layer(make_layer(mvn("eps: 0.5"), x.shape), x)[0].backward(torch.tensor([[[[1.0, 2, 3, 6]]]]))
    assert x.grad.tolist() == [[[[-4, -2, 0, 6]]]]  # (g - mean g) / eps


def test_refuses_more_than_4_axes(make_layer):
    with pytest.raises(LayerError, match=r"layer 'l' \(MVN\): bottom.0. has shape .*; it can have at most 4 axes"):
        make_layer(mvn(), (1, 1, 1, 1, 1)).reshape([(1, 1, 1, 1, 1)])
