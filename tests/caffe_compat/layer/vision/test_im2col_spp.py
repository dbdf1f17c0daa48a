"""Im2col and SPP: shapes, order of values, gradients, and what they refuse."""

import pytest
import torch
from torch.nn import functional as F

from caffe_compat.errors import LayerError
from caffe_compat.proto import caffe_pb2 as pb


def im2col(fields: str) -> str:
    return f'type: "Im2col" convolution_param {{ {fields} }}'


def spp(fields: str) -> str:
    return f'type: "SPP" spp_param {{ {fields} }}'


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("stride", "pad", "dilation"), [(1, 0, 1), (2, 1, 1), (1, 2, 2)])
def test_im2col_and_a_matrix_product_are_convolution(make_layer, run_layer, stride, pad, dilation, memory_format):
    fields = f"kernel_h: 2 kernel_w: 3 stride: {stride} pad: {pad} dilation: {dilation}"
    x, weight = torch.randn(2, 3, 6, 7), torch.randn(4, 3, 2, 3)
    columns = run_layer(make_layer(im2col(fields), x.shape), x.contiguous(memory_format=memory_format))[0]
    wanted = F.conv2d(x, weight, None, stride, pad, dilation)
    torch.testing.assert_close(torch.einsum("ok,nkhw->nohw", weight.flatten(1), columns), wanted)


def test_im2col_of_one_and_three_axes(make_layer, run_layer):
    x = torch.arange(10.0).reshape(1, 2, 5)
    y = run_layer(make_layer(im2col("kernel_size: 3 stride: 2"), x.shape), x)[0]
    assert y.tolist() == [[[0, 2], [1, 3], [2, 4], [5, 7], [6, 8], [7, 9]]]
    x, weight = torch.randn(1, 2, 4, 5, 6), torch.randn(3, 2, 2, 2, 2)
    y = run_layer(make_layer(im2col("kernel_size: 2 pad: 1"), x.shape), x)[0]
    wanted = F.conv3d(x, weight, padding=1)
    torch.testing.assert_close(torch.einsum("ok,nkdhw->nodhw", weight.flatten(1), y), wanted, rtol=1e-5, atol=1e-5)


def test_im2col_with_the_channels_first(make_layer, run_layer):
    x = torch.randn(3, 4, 5)
    y = run_layer(make_layer(im2col("kernel_size: 2 axis: 0"), x.shape), x)[0]
    torch.testing.assert_close(y, F.unfold(x[None], 2).reshape(12, 3, 4))


def test_im2col_of_a_window_too_large_by_less_than_its_stride(make_layer, run_layer):
    x = torch.tensor([[[[1.0, 2, 3], [4, 5, 6]]]])
    layer = make_layer(im2col("kernel_size: 3 stride: 2"), x.shape)
    assert run_layer(layer, x)[0].tolist() == [[[[1]], [[2]], [[3]], [[4]], [[5]], [[6]], [[0]], [[0]], [[0]]]]


def test_im2col_gradients(make_layer, check_gradients):
    x = torch.randn(2, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    check_gradients(make_layer(im2col("kernel_size: 3 stride: 2 pad: 1"), x.shape), x)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("kernel_size: 2 axis: 3", "no spatial axis follows axis 3 of bottom.0. of shape"),
        ("", r"layer 'l' \(Im2col\): kernel_size is given 0 times for 2 spatial axes"),
        ("kernel_size: 6", r"a window of extent \(6, 6\) does not fit into bottom.0. of shape .* lower kernel_size"),
    ],
)
def test_im2col_refuses(make_layer, fields, message):
    with pytest.raises(LayerError, match=message):
        make_layer(im2col(fields), (1, 2, 5, 5)).reshape([(1, 2, 5, 5)])


def test_im2col_refuses_another_number_of_axes(make_layer):
    with pytest.raises(LayerError, match=r"has 3 axes \(shape \(2, 5, 5\)\) where it had 4 at setup"):
        make_layer(im2col("kernel_size: 2"), (1, 2, 5, 5)).reshape([(2, 5, 5)])


@pytest.mark.parametrize(("method", "reduce"), [("MAX", torch.amax), ("AVE", torch.mean)])
def test_spp_joins_the_grids_level_by_level(make_layer, run_layer, method, reduce):
    x = torch.randn(2, 3, 4, 8)
    y = run_layer(make_layer(spp(f"pyramid_height: 3 pool: {method}"), x.shape), x)[0]
    levels = [
        reduce(x.reshape(2, 3, n, 4 // n, n, 8 // n), (3, 5)).flatten(1)  # n x n windows that divide the map
        for n in (1, 2, 4)
    ]
    torch.testing.assert_close(y, torch.cat(levels, 1))


def test_spp_pads_a_map_that_does_not_divide(make_layer, run_layer):
    x = torch.arange(49.0).reshape(1, 1, 7, 7)
    y = run_layer(make_layer(spp("pyramid_height: 2"), x.shape), x)[0]
    assert y.tolist() == [[48, 16, 20, 44, 48]]  # windows of 4 with 1 row and column of padding before


def test_spp_of_one_level_keeps_4_axes_and_sizes_may_change(make_layer, run_layer):
    layer = make_layer(spp("pyramid_height: 1"), (2, 3, 4, 8))
    for shape in [(2, 3, 4, 8), (1, 3, 5, 2)]:
        x = torch.randn(shape)
        assert torch.equal(run_layer(layer, x)[0], x.amax((2, 3), keepdim=True))


def test_spp_stochastic_replays_each_levels_draw(make_layer, run_layer):
    layer = make_layer(spp("pyramid_height: 2 pool: STOCHASTIC"), (1, 4, 8, 8), phase=pb.TRAIN)
    x = torch.rand(1, 4, 8, 8)
    y = run_layer(layer, x)[0]
    assert torch.equal(run_layer(layer, x, replay=True)[0], y)
    assert not torch.equal(run_layer(layer, x)[0], y)


@pytest.mark.parametrize("method", ["MAX", "AVE"])
def test_spp_gradients(make_layer, check_gradients, method):
    x = torch.randn(2, 2, 6, 7, dtype=torch.float64, requires_grad=True)
    check_gradients(make_layer(spp(f"pyramid_height: 2 pool: {method}"), x.shape), x)


@pytest.mark.parametrize(
    ("fields", "shape", "message"),
    [
        ("", (1, 2, 5, 5), r"layer 'l' \(SPP\): pyramid_height is 0; give spp_param.pyramid_height, 1 or more"),
        ("pyramid_height: 2", (2, 5, 5), r"bottom.0. has shape \(2, 5, 5\); it must be N x C x H x W"),
        ("pyramid_height: 2", (1, 2, 0, 5), r"bottom.0. has shape \(1, 2, 0, 5\); .* with H and W 1 or more"),
        ("pyramid_height: 3", (1, 2, 5, 8), r"too small for level 2 of the pyramid: windows of \[2, 2\] .* \[2, 0\]"),
        ("pyramid_height: 1 pool: STOCHASTIC", (1, 2, 5), "it must be N x C x H x W"),
    ],
)
def test_spp_refuses(make_layer, fields, shape, message):
    with pytest.raises(LayerError, match=message):
        make_layer(spp(fields), shape).reshape([shape])
