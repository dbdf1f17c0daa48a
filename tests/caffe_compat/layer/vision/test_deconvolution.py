"""Deconvolution: shapes, values as scattered kernels, bilinear upsampling, gradients, and what it refuses."""

import pytest
import torch

from caffe_compat.errors import LayerError


def deconv(fields: str) -> str:
    return f'type: "Deconvolution" convolution_param {{ weight_filler {{ type: "gaussian" }} {fields} }}'


@pytest.mark.parametrize(
    ("fields", "bottom", "weight", "top"),
    [
        ("num_output: 5 kernel_size: 4 stride: 2", (2, 3, 4, 5), (3, 5, 4, 4), (2, 5, 10, 12)),
        ("num_output: 3 kernel_size: 64 stride: 32 group: 3", (1, 3, 2, 3), (3, 1, 64, 64), (1, 3, 96, 128)),
        ("num_output: 2 kernel_size: 5 stride: 3 pad: 2 dilation: 2", (1, 1, 4, 5), (1, 2, 5, 5), (1, 2, 14, 17)),
        ("num_output: 2 kernel_h: 2 kernel_w: 3 stride_h: 1 stride_w: 2", (1, 3, 4, 5), (3, 2, 2, 3), (1, 2, 5, 11)),
        ("num_output: 2 kernel_size: 3", (2, 3, 8), (3, 2, 3), (2, 2, 10)),
        ("num_output: 2 kernel_size: 2 stride: 2", (1, 3, 2, 3, 4), (3, 2, 2, 2, 2), (1, 2, 4, 6, 8)),
        ("num_output: 2 kernel_size: 3 axis: 0", (3, 5, 6), (3, 2, 3, 3), (2, 7, 8)),
    ],
)
def test_shapes(make_layer, run_layer, fields, bottom, weight, top):
    layer = make_layer(deconv(fields), bottom)
    assert [b.shape for b in layer.blobs] == [weight, (weight[1] * (3 if "group: 3" in fields else 1),)]
    assert tuple(run_layer(layer, torch.randn(bottom))[0].shape) == top


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("stride", "pad", "dilation", "group"), [(1, 0, 1, 1), (2, 1, 1, 2), (3, 2, 2, 1)])
def test_values_are_scattered_kernels(make_layer, run_layer, stride, pad, dilation, group, memory_format):
    fields = f"num_output: 4 kernel_size: 3 stride: {stride} pad: {pad} dilation: {dilation} group: {group}"
    layer = make_layer(deconv(f'{fields} bias_filler {{ type: "gaussian" }}'), (2, 2, 3, 4))
    x = torch.randn(2, 2, 3, 4)
    weight, bias = (b.tensor() for b in layer.blobs)
    y = run_layer(layer, x.contiguous(memory_format=memory_format))[0]
    full = torch.zeros(2, 4, y.shape[2] + 2 * pad, y.shape[3] + 2 * pad)
    counts = (2, 2, 4 // group, 3, 4, 3, 3)
    for n, c, o, i, j, di, dj in torch.cartesian_prod(*map(torch.arange, counts)).tolist():
        top = c // (2 // group) * (4 // group) + o
        full[n, top, i * stride + di * dilation, j * stride + dj * dilation] += x[n, c, i, j] * weight[c, o, di, dj]
    expected = full[:, :, pad : pad + y.shape[2], pad : pad + y.shape[3]] + bias[:, None, None]
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)


def test_bilinear_filler_with_group_interpolates_linearly(make_layer, run_layer):
    fields = 'num_output: 2 group: 2 kernel_size: 4 stride: 2 pad: 1 weight_filler { type: "bilinear" }'
    layer = make_layer(f'type: "Deconvolution" convolution_param {{ {fields} }}', (1, 2, 3, 4))
    x = torch.stack([torch.arange(4.0).expand(3, 4), torch.arange(3.0)[:, None].expand(3, 4)])[None]
    y = run_layer(layer, x)[0]
    inner = y[0, :, 1:-1, 1:-1]  # the border rows fade into the zeros outside
    assert torch.equal(inner[0], (torch.arange(6) / 2 + 0.25).expand(4, 6))
    assert torch.equal(inner[1], (torch.arange(4) / 2 + 0.25)[:, None].expand(4, 6))


@pytest.mark.parametrize(
    ("fields", "bottom"),
    [
        ("num_output: 4 kernel_size: 3 stride: 2 pad: 1 group: 2", (2, 2, 2, 3)),
        ("num_output: 2 kernel_size: 2 dilation: 2", (1, 2, 3, 2)),
        ("num_output: 2 kernel_size: 3 stride: 2", (2, 2, 3)),
        ("num_output: 1 kernel_size: 2", (1, 2, 2, 2, 2)),
    ],
)
def test_gradients(make_layer, check_gradients, fields, bottom):
    x = torch.randn(bottom, dtype=torch.float64, requires_grad=True)
    check_gradients(make_layer(deconv(fields), bottom), x)


@pytest.mark.parametrize(
    ("fields", "bottom", "message"),
    [
        ("kernel_size: 3", (1, 2, 5, 5), r"layer 'l' \(Deconvolution\): num_output is 0"),
        ("num_output: 4 kernel_size: 3 group: 2", (1, 3, 5, 5), "bottom.0.: 3 cannot be divided by group 2; change"),
        ("num_output: 4 kernel_size: 3 weight_filler { type: 'bilinear' }", (1, 3, 5), "bilinear filler needs a"),
    ],
)
def test_setup_refuses(make_layer, fields, bottom, message):
    with pytest.raises(LayerError, match=message):
        make_layer(f'type: "Deconvolution" convolution_param {{ {fields} }}', bottom)


def test_reshape_refuses_an_empty_top(make_layer):
    layer = make_layer(deconv("num_output: 1 kernel_size: 3 pad: 2"), (1, 1, 5, 5))
    with pytest.raises(LayerError, match=r"gives a top of \(0, 3\) with kernel .* lower pad or raise the input"):
        layer.reshape([(1, 1, 2, 5)])
