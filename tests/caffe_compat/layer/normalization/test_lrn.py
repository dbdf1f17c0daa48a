"""LRN: both regions against the definition, gradients, and what it refuses."""

import pytest
import torch

from caffe_compat.errors import LayerError


def lrn(fields: str) -> str:
    return f'type: "LRN" lrn_param {{ {fields} }}'


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("n", "alpha", "beta", "k"), [(5, 1, 0.75, 1), (3, 0.5, 0.5, 2), (1, 2, 1, 1), (7, 1, 0.75, 1)]
)
def test_across_channels(make_layer, run_layer, n, alpha, beta, k, memory_format):
    x = torch.randn(2, 4, 3, 5)
    layer = make_layer(lrn(f"local_size: {n} alpha: {alpha} beta: {beta} k: {k}"), x.shape)
    near = (torch.arange(4)[:, None] - torch.arange(4)).abs() <= n // 2  # which channels count for which
    total = torch.einsum("cd,ndhw->nchw", near.float(), x.square())
    wanted = x / (k + alpha / n * total) ** beta
    torch.testing.assert_close(run_layer(layer, x.contiguous(memory_format=memory_format))[0], wanted)


@pytest.mark.parametrize(("n", "alpha", "beta"), [(3, 0.5, 0.75), (5, 1, 0.5), (1, 2, 1)])
def test_within_channel_divides_by_the_whole_window_and_ignores_k(make_layer, run_layer, n, alpha, beta):
    x = torch.randn(2, 3, 4, 5)
    layer = make_layer(lrn(f"norm_region: WITHIN_CHANNEL local_size: {n} alpha: {alpha} beta: {beta} k: 9"), x.shape)
    rows, columns = ((torch.arange(s)[:, None] - torch.arange(s)).abs() <= n // 2 for s in (4, 5))
    total = torch.einsum("ih,jw,nchw->ncij", rows.float(), columns.float(), x.square())
    torch.testing.assert_close(run_layer(layer, x)[0], x / (1 + alpha / n**2 * total) ** beta)


@pytest.mark.parametrize("region", ["ACROSS_CHANNELS", "WITHIN_CHANNEL"])
def test_gradients(make_layer, check_gradients, region):
    x = torch.randn(2, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    check_gradients(make_layer(lrn(f"norm_region: {region} local_size: 3 alpha: 2"), x.shape), x)


def test_setup_refuses_an_even_size(make_layer):
    with pytest.raises(LayerError, match=r"layer 'l' \(LRN\): local_size is 4; it must be odd; change lrn_param"):
        make_layer(lrn("local_size: 4"), (1, 2, 3, 4))


def test_reshape_refuses_other_than_4_axes(make_layer):
    with pytest.raises(LayerError, match=r"bottom\[0\] has shape \(2, 3\); it must have 4 axes: N x C x H x W"):
        make_layer(lrn(""), (2, 3)).reshape([(2, 3)])
