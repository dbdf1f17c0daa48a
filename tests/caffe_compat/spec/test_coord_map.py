"""Crop offsets: the published ones of FCN, and the rules that lead to them."""

import numpy as np
import pytest

from caffe_compat.spec.coord_map import (
    AxisMismatchException,
    CropError,
    UnconnectedTopsError,
    UndefinedMapException,
    compose,
    conv_params,
    coord_map,
    coord_map_from_to,
    crop,
    crop_params,
    inverse,
)
from caffe_compat.spec.net_spec import NetSpec
from caffe_compat.spec.net_spec import layers as L
from caffe_compat.spec.net_spec import params as P


def offsets(cropped):
    """The offset list of a Crop top."""
    return cropped.fn.params["crop_param"]["offset"]


def deconv(bottom, kernel_size, stride, **more):
    return L.Deconvolution(bottom, convolution_param=dict(num_output=2, kernel_size=kernel_size, stride=stride, **more))


def conv(bottom, kernel_size, **more):
    return L.ReLU(L.Convolution(bottom, num_output=2, kernel_size=kernel_size, **more), in_place=True)


def pool(bottom, kernel_size=2, stride=2):
    return L.Pooling(bottom, pool=P.Pooling.MAX, kernel_size=kernel_size, stride=stride)


def vgg():
    """data, pool3, pool4 and the 1/32 score of the FCN's VGG trunk."""
    data = L.Input()
    top, pools = data, []
    for stage, convs in enumerate((2, 2, 3, 3, 3)):
        for i in range(convs):
            top = conv(top, 3, pad=100 if stage == i == 0 else 1)
        top = pool(top)
        pools.append(top)
    score = L.Convolution(L.Dropout(conv(L.Dropout(conv(top, 7)), 1)), num_output=2, kernel_size=1)
    return data, pools[2], pools[3], score


def score_of(bottom):
    return L.Convolution(L.Scale(bottom), num_output=2, kernel_size=1, pad=0)


def test_fcn32s_crops_19():
    data, _, _, score = vgg()
    assert offsets(crop(deconv(score, 64, 32), data)) == [19]


def test_fcn16s_crops_5_and_27():
    data, _, pool4, score = vgg()
    up = deconv(score, 4, 2)
    skip = crop(score_of(pool4), up)
    out = crop(deconv(L.Eltwise(up, skip), 32, 16), data)
    assert (offsets(skip), offsets(out)) == ([5], [27])


def test_fcn8s_crops_5_and_9_and_31():
    data, pool3, pool4, score = vgg()
    up2 = deconv(score, 4, 2)
    skip4 = crop(score_of(pool4), up2)
    up4 = deconv(L.Eltwise(up2, skip4), 4, 2)
    skip3 = crop(score_of(pool3), up4)
    out = crop(deconv(L.Eltwise(up4, skip3), 16, 8), data)
    assert (offsets(skip4), offsets(skip3), offsets(out)) == ([5], [9], [31])


def test_alexnet_crops_18():
    data = L.Input()
    top = L.LRN(pool(conv(data, 11, stride=4, pad=100), 3, 2))
    top = L.LRN(pool(conv(top, 5, pad=2, group=2), 3, 2))
    top = pool(conv(conv(conv(top, 3, pad=1), 3, pad=1), 3, pad=1), 3, 2)
    score = L.Convolution(conv(conv(top, 6), 1), num_output=2, kernel_size=1)
    made = crop(deconv(score, 63, 32), data)
    assert made.fn.type_name == "Crop"
    assert made.fn.inputs[1] is data
    assert made.fn.params["crop_param"] == {"axis": 2, "offset": [18]}
    assert type(offsets(made)[0]) is int


def chain(kernel=3, stride=1, pad=0, pool_size=2, up=2, up_pad=0):
    """A conv, a pool and a deconv of twice its stride, one after the other."""
    n = NetSpec()
    n.data = L.Input()
    n.conv = L.Convolution(n.data, num_output=2, kernel_size=kernel, stride=stride, pad=pad)
    n.pool = pool(n.conv, pool_size, pool_size)
    n.up = L.Deconvolution(n.pool, num_output=2, kernel_size=2 * up, stride=up, pad=up_pad)
    return n


@pytest.mark.parametrize(("size", "shift"), [(2, 0), (4, -1)])
def test_pool_and_deconv_of_one_stride_keep_the_scale(size, shift):
    n = chain(pool_size=size, up=size)
    assert coord_map_from_to(n.up, n.data) == (1, 1, shift)


@pytest.mark.parametrize(("pad", "up_pad", "shift"), [(3, 0, -3), (0, 3, 3), (3, 3, 0), (100, 0, -100)])
def test_conv_padding_lowers_and_deconv_padding_raises_the_shift(pad, up_pad, shift):
    n = chain(pad=pad, up_pad=up_pad)
    assert coord_map_from_to(n.up, n.data) == (1, 1, shift)


def test_pointwise_layers_change_nothing():
    n = chain(pad=5)
    n.point = L.Convolution(L.PReLU(L.BatchNorm(n.up)), num_output=3, kernel_size=1)
    assert coord_map_from_to(n.point, n.data) == coord_map_from_to(n.up, n.data)


def test_every_top_and_bottom_of_a_layer_is_mapped_alike():
    n = NetSpec()
    n.x, n.y = L.Input(), L.Input()
    n.fx, n.fy = L.Convolution(n.x, n.y, ntop=2, num_output=2, kernel_size=5, stride=2)
    assert coord_map_from_to(n.fx, n.x) == coord_map_from_to(n.fy, n.y) == (1, 2, 2)


def test_one_entry_per_spatial_axis():
    first, second = chain(kernel=3, stride=1, pad=0), chain(kernel=5, stride=2, pad=10)
    both = chain(kernel=[3, 5], stride=[1, 2], pad=[0, 10])
    axis, scale, shift = coord_map_from_to(both.up, both.data)
    for i, one in enumerate((first, second)):
        assert coord_map_from_to(one.up, one.data) == (axis, scale[i], shift[i])


def test_three_spatial_axes():
    n = chain(kernel=[3, 3, 3], stride=[1, 1, 1], pad=[0, 1, 2])
    axis, scale, shift = coord_map_from_to(n.up, n.data)
    assert axis == 1
    np.testing.assert_array_equal(scale, [1, 1, 1])
    np.testing.assert_array_equal(shift, [0, -1, -2])


def test_a_crop_on_the_way_counts_and_only_its_first_bottom_is_walked():
    n = chain()
    n.cut = L.Crop(n.up, n.data, axis=2, offset=7)
    assert coord_map_from_to(n.cut, n.data) == (1, 1, 7)
    n.other = L.Input()
    n.cut_other = L.Crop(n.up, n.other, offset=7)
    with pytest.raises(UnconnectedTopsError, match="share no ancestor"):
        coord_map_from_to(n.cut_other, n.other)


def test_dilation_widens_the_kernel():
    wide = L.Convolution(L.Input(), num_output=1, kernel_size=3, dilation=4)
    same = L.Convolution(L.Input(), num_output=1, kernel_size=9)
    assert coord_map(wide.fn) == coord_map(same.fn) == (1, 1, -4)


def test_parameters_are_found_in_their_dict_or_beside_it():
    plain = L.Convolution(L.Input(), kernel_size=3, stride=2, pad=1, axis=1).fn
    nested = L.Convolution(L.Input(), convolution_param=dict(kernel_size=3, stride=2, pad=1)).fn
    pooling = L.Pooling(L.Input(), pooling_param=dict(kernel_size=3, stride=2, pad=1)).fn
    assert conv_params(plain) == conv_params(nested) == conv_params(pooling) == (1, 2, 3, 1)
    assert crop_params(L.Crop(crop_param=dict(axis=1, offset=4)).fn) == (1, 4)
    assert crop_params(L.Crop().fn) == (2, 0)


def test_inverse_undoes_a_map():
    there = (1, np.array([2.0]), np.array([3.0]))
    assert compose(there, inverse(there)) == (1, 1, 0)


def test_a_path_of_pass_through_layers_crops_nothing_off():
    data = L.Input()
    made = crop(L.ReLU(data), L.Sigmoid(data))
    assert made.fn.params["crop_param"] == {"axis": 2, "offset": [0]}


def test_scales_that_only_rounding_keeps_from_one_are_one():
    data = L.Input()
    top = data
    for _ in range(3):
        top = pool(top, 7, 7)
    for _ in range(3):
        top = deconv(top, 7, 7)
    assert offsets(crop(top, data)) == [0]


def test_layers_without_a_map_block_the_walk():
    n = chain()
    n.ip = L.InnerProduct(n.up, num_output=2)
    with pytest.raises(UnconnectedTopsError, match="from a top of InnerProduct to a top of Input"):
        coord_map_from_to(n.ip, n.data)
    assert issubclass(UnconnectedTopsError, RuntimeError)
    with pytest.raises(UndefinedMapException, match="layers of type InnerProduct have no coordinate map"):
        coord_map(n.ip.fn)
    with pytest.raises(UndefinedMapException, match="global pooling"):
        coord_map(L.Pooling(n.up, global_pooling=True).fn)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(pool_size=3), r"crop of a top of Deconvolution to a top of Input: scale mismatch on crop"),
        (dict(up_pad=10), r"cannot crop negative width \(b = \[10"),
        (dict(kernel=4, pad=5), r"cannot crop noninteger width \(b = \[-4.5"),
    ],
)
def test_crops_that_no_crop_layer_can_do(settings, message):
    n = chain(**settings)
    with pytest.raises(CropError, match=message):
        crop(n.up, n.data)
    assert issubclass(CropError, AssertionError)


def test_one_sided_parameters_and_a_missing_kernel_are_refused():
    with pytest.raises(CropError, match="Convolution with pad_h, kernel_h"):
        coord_map(L.Convolution(L.Input(), kernel_h=3, kernel_w=3, pad_h=1).fn)
    with pytest.raises(CropError, match="Convolution with stride_w"):
        coord_map(L.Convolution(L.Input(), convolution_param=dict(kernel_size=3, stride_w=3)).fn)
    with pytest.raises(CropError, match="Pooling without kernel_size"):
        coord_map(L.Pooling(L.Input()).fn)


def test_layers_of_different_axes_do_not_compose():
    data = L.Input()
    top = L.Convolution(L.Convolution(data, kernel_size=3, axis=2), kernel_size=3, axis=1)
    with pytest.raises(AxisMismatchException, match="axis 1 and axis 2"):
        coord_map_from_to(top, data)
