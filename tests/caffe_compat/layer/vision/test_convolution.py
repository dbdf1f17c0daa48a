"""Convolution: shapes, values against sums written out, gradients, and what it refuses."""

import pytest
import torch

from caffe_compat.errors import LayerError


def conv(fields: str) -> str:
    return f'type: "Convolution" convolution_param {{ weight_filler {{ type: "gaussian" }} {fields} }}'


@pytest.mark.parametrize(
    ("fields", "bottom", "weight", "top"),
    [
        ("num_output: 5 kernel_size: 3", (2, 4, 7, 9), (5, 4, 3, 3), (2, 5, 5, 7)),
        ("num_output: 5 kernel_size: 3 stride: 2", (1, 4, 8, 9), (5, 4, 3, 3), (1, 5, 3, 4)),  # rounds down
        ("num_output: 2 kernel_size: 3 pad: 100", (1, 1, 5, 6), (2, 1, 3, 3), (1, 2, 203, 204)),
        ("num_output: 6 kernel_size: 1 group: 2", (1, 4, 5, 6), (6, 2, 1, 1), (1, 6, 5, 6)),
        ("num_output: 2 kernel_size: 3 dilation: 3", (1, 1, 9, 8), (2, 1, 3, 3), (1, 2, 3, 2)),
        (
            "num_output: 2 kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 3 pad_h: 1 pad_w: 2",
            (1, 1, 6, 7),
            (2, 1, 3, 2),
            (1, 2, 3, 4),
        ),
        ("num_output: 2 kernel_size: 3 kernel_size: 2 pad: 1 pad: 0", (1, 1, 6, 7), (2, 1, 3, 2), (1, 2, 6, 6)),
        ("num_output: 2 kernel_size: 3", (2, 3, 8), (2, 3, 3), (2, 2, 6)),
        ("num_output: 2 kernel_size: 2 force_nd_im2col: true", (1, 3, 4, 5, 6), (2, 3, 2, 2, 2), (1, 2, 3, 4, 5)),
        ("num_output: 2 kernel_size: 3 axis: 0", (3, 7, 8), (2, 3, 3, 3), (2, 5, 6)),
        ("num_output: 2 kernel_size: 3 axis: -3", (4, 5, 3, 7, 8), (2, 3, 3, 3), (4, 5, 2, 5, 6)),
        ("num_output: 2 kernel_size: 1 axis: 1", (4, 3), (2, 3), (4, 2)),
        ("num_output: 2 kernel_size: 11 stride: 4", (1, 1, 9, 20), (2, 1, 11, 11), (1, 2, 1, 3)),  # towards zero
    ],
)
def test_shapes(make_layer, run_layer, fields, bottom, weight, top):
    layer = make_layer(conv(fields), bottom)
    assert layer.blobs[0].shape == weight
    assert layer.blobs[1].shape == (weight[0],)
    assert tuple(run_layer(layer, torch.randn(bottom))[0].shape) == top


def by_hand(x, weight, bias, stride, pad, dilation, group):
    """N x C x H x W convolved by the definition: one output value at a time."""
    n, c, h, w = x.shape
    out, _, kh, kw = weight.shape
    top_h = (h + 2 * pad - dilation * (kh - 1) - 1) // stride + 1
    top_w = (w + 2 * pad - dilation * (kw - 1) - 1) // stride + 1
    y = torch.zeros(n, out, top_h, top_w)
    for b, o, i, j, dc, di, dj in torch.cartesian_prod(
        *(torch.arange(size) for size in (n, out, top_h, top_w, c // group, kh, kw))
    ).tolist():
        row, col = i * stride - pad + di * dilation, j * stride - pad + dj * dilation
        if 0 <= row < h and 0 <= col < w:
            channel = o // (out // group) * (c // group) + dc
            y[b, o, i, j] += weight[o, dc, di, dj] * x[b, channel, row, col]
    return y + bias[:, None, None]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("stride", "pad", "dilation", "group"), [(1, 0, 1, 1), (2, 1, 1, 2), (1, 2, 2, 1), (3, 4, 1, 2)]
)
def test_values_are_the_definition(make_layer, run_layer, stride, pad, dilation, group, memory_format):
    fields = f"num_output: 4 kernel_size: 3 stride: {stride} pad: {pad} dilation: {dilation} group: {group}"
    layer = make_layer(conv(f'{fields} bias_filler {{ type: "gaussian" }}'), (2, 2, 6, 7))
    x = torch.randn(2, 2, 6, 7)
    y = run_layer(layer, x.contiguous(memory_format=memory_format))[0]
    weight, bias = (b.tensor() for b in layer.blobs)
    torch.testing.assert_close(y, by_hand(x, weight, bias, stride, pad, dilation, group), rtol=1e-5, atol=1e-5)


def test_a_kernel_too_large_by_less_than_its_stride_sees_zeros_behind_the_end(make_layer, run_layer, check_gradients):
    layer = make_layer(conv("num_output: 1 kernel_size: 3 stride: 2"), (1, 1, 2, 5))
    layer.blobs[0].write(torch.arange(1.0, 10).reshape(1, 1, 3, 3))
    x = torch.tensor([[[[1.0, 2, 3, 4, 5], [10, 20, 30, 40, 50]]]])
    first, second = 1 + 4 + 9 + 40 + 100 + 180, 3 + 8 + 15 + 120 + 200 + 300
    assert run_layer(layer, x)[0].tolist() == [[[[first, second]]]]
    check_gradients(layer, x.double().requires_grad_())


def test_a_known_grid(make_layer, run_layer):
    layer = make_layer(conv("num_output: 1 kernel_size: 2"), (1, 1, 3, 3))
    layer.blobs[0].write(torch.tensor([[[[1.0, 10.0], [100.0, 1000.0]]]]))
    layer.blobs[1].write(torch.tensor([0.5]))
    x = torch.arange(1.0, 10).reshape(1, 1, 3, 3)
    assert run_layer(layer, x)[0].tolist() == [[[[5421.5, 6532.5], [8754.5, 9865.5]]]]


def test_axes_before_the_channels_are_so_many_images(make_layer, run_layer):
    layer = make_layer(conv("num_output: 2 kernel_size: 3 axis: 2 bias_filler { value: 2 }"), (4, 5, 3, 7, 8))
    x = torch.randn(4, 5, 3, 7, 8)
    image = torch.nn.functional.conv2d(x[1, 2][None], layer.blobs[0].tensor())
    torch.testing.assert_close(run_layer(layer, x)[0][1, 2], image[0] + 2)


def test_several_bottoms_share_the_weight(make_layer, run_layer):
    layer = make_layer('top: "a" top: "b" ' + conv("num_output: 2 kernel_size: 3"), (1, 2, 5, 5), (1, 2, 5, 5))
    x = torch.randn(1, 2, 5, 5)
    a, b = run_layer(layer, x, 2 * x)
    assert len(layer.blobs) == 2
    torch.testing.assert_close(b, 2 * a)


def test_without_bias_term_there_is_one_blob(make_layer):
    assert len(make_layer(conv("num_output: 2 kernel_size: 3 bias_term: false"), (1, 2, 5, 5)).blobs) == 1


def test_the_default_filler_leaves_the_weight_at_zero(make_layer):
    layer = make_layer('type: "Convolution" convolution_param { num_output: 2 kernel_size: 3 }', (1, 2, 5, 5))
    assert not layer.blobs[0].tensor().any()


def test_a_later_reshape_may_change_batch_and_size(make_layer):
    layer = make_layer(conv("num_output: 2 kernel_size: 3"), (1, 2, 5, 5))
    assert layer.reshape([(3, 2, 9, 4)]) == [(3, 2, 7, 2)]


@pytest.mark.parametrize(
    ("fields", "bottom"),
    [
        ("num_output: 4 kernel_size: 3 stride: 2 pad: 1 group: 2", (2, 2, 4, 5)),
        ("num_output: 2 kernel_size: 2 dilation: 2", (1, 2, 4, 4)),
        ("num_output: 2 kernel_size: 3 pad: 1", (2, 2, 5)),
        ("num_output: 2 kernel_size: 2", (1, 2, 3, 3, 3)),
        ("num_output: 2 kernel_size: 2 axis: 0", (2, 3, 4)),
        ("num_output: 2 kernel_size: 1", (3, 2)),
    ],
)
def test_gradients(make_layer, check_gradients, fields, bottom):
    x = torch.randn(bottom, dtype=torch.float64, requires_grad=True)
    check_gradients(make_layer(conv(fields), bottom), x)


@pytest.mark.parametrize(
    ("fields", "bottom", "message"),
    [
        ("kernel_size: 3", (1, 2, 5, 5), r"layer 'l' \(Convolution\): num_output is 0; give"),
        ("num_output: 2", (1, 2, 5, 5), "kernel_size is given 0 times for 2 spatial axes; give it once"),
        ("num_output: 2 kernel_size: 3 kernel_size: 3 kernel_size: 3", (1, 2, 5, 5), "is given 3 times for 2 spatial"),
        ("num_output: 2 kernel_size: 0", (1, 2, 5, 5), "kernel is 0 x 0; it must be 1 or more"),
        ("num_output: 2 kernel_h: 3", (1, 2, 5, 5), "kernel is 3 x 0; it must be 1 or more .*kernel_w give both"),
        ("num_output: 2 kernel_size: 3 stride: 0", (1, 2, 5, 5), "stride is 0 x 0; it must be 1 or more"),
        ("num_output: 2 kernel_size: 3 stride_h: 2", (1, 2, 5, 5), "stride is 2 x 0; it must be 1 or more"),
        ("num_output: 2 kernel_size: 3 dilation: 0", (1, 2, 5, 5), "dilation is 0 x 0; it must be 1 or more"),
        ("num_output: 2 kernel_size: 3 kernel_h: 3", (1, 2, 5, 5), "kernel_size and kernel_h or kernel_w are both"),
        ("num_output: 2 kernel_size: 3 pad: 1 pad_h: 1", (1, 2, 5, 5), "pad and pad_h or pad_w are both given"),
        ("num_output: 2 kernel_h: 3 kernel_w: 3", (1, 2, 5), "kernel_h and kernel_w are for 2 spatial axes .* has 1"),
        ("num_output: 2 kernel_size: 3 group: 0", (1, 2, 5, 5), "group is 0; give convolution_param.group"),
        ("num_output: 4 kernel_size: 3 group: 2", (1, 3, 5, 5), "bottom.0.: 3 cannot be divided by group 2; change"),
        ("num_output: 3 kernel_size: 3 group: 2", (1, 4, 5, 5), "num_output: 3 cannot be divided by group 2; change"),
        ("num_output: 2 kernel_size: 3 axis: 4", (1, 2, 5, 5), "convolution_param.axis 4 is out of range .* 4 axes"),
        ("num_output: 2 kernel_size: 1", (1, 2, 3, 3, 3, 3), "has 4 spatial axes after axis 1; at most 3"),
        ("num_output: 2 kernel_size: 3 weight_filler { type: 'no' }", (1, 2, 5, 5), "unknown filler type 'no'; known"),
    ],
)
def test_setup_refuses(make_layer, fields, bottom, message):
    with pytest.raises(LayerError, match=message):
        make_layer(f'type: "Convolution" convolution_param {{ {fields} }}', bottom)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(1, 2, 5, 5, 5)], r"has 5 axes \(shape \(1, 2, 5, 5, 5\)\) where it had 4 at setup; keep their number"),
        ([(1, 3, 5, 5)], r"bottom\[0\] has 3 channels .* weight was made for 2; feed 2 channels"),
        ([(1, 2, 2, 5)], "kernel that spans 3 x 3 does not fit into bottom.0. of 2 x 5 with pad 0 x 0; lower"),
        ([(1, 2, 5, 1)], "kernel that spans 3 x 3 does not fit into bottom.0. of 5 x 1 with pad 0 x 0; lower"),
        ([(1, 2, 5, 5), (1, 2, 5, 6)], r"bottom\[1\] has shape \(1, 2, 5, 6\) and bottom\[0\] \(1, 2, 5, 5\); all"),
    ],
)
def test_reshape_refuses(make_layer, shapes, message):
    text = "".join(f'bottom: "b{i}" top: "y{i}" ' for i in range(len(shapes)))
    layer = make_layer(text + conv("num_output: 2 kernel_size: 3"), *[(1, 2, 5, 5)] * len(shapes))
    with pytest.raises(LayerError, match=message):
        layer.reshape(shapes)


def test_layers_in_a_row_stay_in_the_fast_layout(make_layer, run_layer):
    x = torch.randn(1, 3, 8, 8)
    for text in (
        conv("num_output: 4 kernel_size: 3"),
        'type: "Pooling" pooling_param { kernel_size: 2 stride: 2 }',
        'type: "Deconvolution" convolution_param { num_output: 4 kernel_size: 4 stride: 2 }',
    ):
        x = run_layer(make_layer(text, x.shape), x)[0]
        assert x.is_contiguous(memory_format=torch.channels_last), text
