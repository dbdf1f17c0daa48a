"""Convolution with weights in oneDNN's own order and the ReLU fused into it.

oneDNN computes with weights in blocks and, given plain ones, re-orders them in every call: for fc6 of FCN-8s (411 MB)
that takes longer than the convolution. Here they are re-ordered once and take the plain values' place in the blob
(``Blob.packed``), so there is no second copy. The operators have private names in torch: where they are missing or
do not give the plain convolution's numbers, ``usable`` is False and the plain one runs.

For bfloat16 the rounded weights are kept in that order beside the plain ones.

The fused ReLU gives 0 for NaN where Caffe's gives NaN: callers use it only where no NaN can be.
"""

import functools
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F

from caffe_compat.device import device
from caffe_compat.layer.blob import Blob, Shape
from caffe_compat.layer.vision.convolution import BaseConvolution

__all__ = ["convolve", "pack", "usable"]

Tensor = torch.Tensor
Pair = tuple[int, int]

_rounded: WeakKeyDictionary[Blob, tuple[int, Tensor]] = WeakKeyDictionary()


def _pack(layer: BaseConvolution, weight: Tensor, size: Shape) -> Tensor:
    window = layer.window
    room = (*size[:2], *map(max, size[2:], window.extent))  # packing knows no padding, which may make a small map fit
    return torch.ops.mkldnn._reorder_convolution_weight(
        weight, [0, 0], window.stride, window.dilation, layer.group, room
    )


def _run(x: Tensor, packed: Tensor, bias: Tensor | None, pad: Pair, layer: BaseConvolution, relu: bool) -> Tensor:
    stride, dilation = layer.window.stride, layer.window.dilation
    return torch.ops.mkldnn._convolution_pointwise(
        x, packed, bias, pad, stride, dilation, layer.group, "relu" if relu else "none", [], ""
    )


@functools.cache
def usable() -> bool:
    """Whether torch has the operators, and they compute what they should and give the weights back bit by bit."""
    stream = torch.Generator().manual_seed(0)
    x = torch.randn((1, 8, 9, 7), generator=stream).contiguous(memory_format=torch.channels_last)
    weight, bias = torch.randn((16, 8, 3, 3), generator=stream), torch.randn(16, generator=stream)
    try:
        packed = torch.ops.mkldnn._reorder_convolution_weight(weight, [0, 0], [1, 1], [1, 1], 1, x.shape)
        y = torch.ops.mkldnn._convolution_pointwise(x, packed, bias, [2, 1], [1, 1], [1, 1], 1, "relu", [], "")
        same = torch.equal(packed.to_dense(), weight)
    except (AttributeError, RuntimeError, TypeError):
        return False
    plain = F.relu(F.conv2d(x, weight, bias, 1, (2, 1)))
    return same and y.shape == plain.shape and bool((y - plain).abs().max() <= 1e-5 * plain.abs().max())


def pack(layer: BaseConvolution, size: Shape) -> Tensor | None:
    """A 2-D convolution's weight, packed in its blob; None where it must stay plain.

    Args:
        layer: whose.
        size: the usual shape of the bottom.
    """
    if device().type != "cpu" or not usable():
        return None
    weight, window = layer.blobs[0], layer.window
    weight.relayout(torch.channels_last)  # packing anything else takes a copy more in between
    key = ("onednn", weight.shape, window.stride, window.dilation, layer.group)
    return weight.packed(key, lambda values: _pack(layer, values, size))


def _pack_rounded(layer: BaseConvolution, size: Shape) -> Tensor:
    """A 2-D convolution's weight in bfloat16, packed if possible; made anew when its values may have changed."""
    weight = layer.blobs[0]
    stamp = weight.stamp()
    held = _rounded.get(weight)
    if held is None or held[0] != stamp:
        _rounded.pop(weight, None)
        values = weight.tensor().to(torch.bfloat16, memory_format=torch.channels_last)
        held = stamp, _pack(layer, values, size)
        _rounded[weight] = held
    return held[1]


def convolve(layer: BaseConvolution, x: Tensor, pad: Pair, relu: bool, packed: bool = True) -> Tensor:
    """A 2-D Convolution layer's top for one bottom, with zero padding of its own, and a ReLU if wanted.

    Args:
        layer: a Convolution with 2 spatial axes.
        x: N x C x H x W, channels last.
        pad: zero rows and columns on each side, in place of the layer's.
        relu: whether negative values become 0.
        packed: use packed weights where possible; False computes plainly.
    """
    weight, *rest = layer.blobs
    bias = rest[0].tensor() if rest else None
    packed = packed and device().type == "cpu" and usable()
    if packed and x.dtype == torch.bfloat16:
        return _run(x, _pack_rounded(layer, tuple(x.shape)), bias, pad, layer, relu)
    values = pack(layer, tuple(x.shape)) if packed else None
    if values is not None:
        return _run(x, values, bias, pad, layer, relu)
    bias = None if bias is None else bias.to(x.dtype)
    y = F.conv2d(x, weight.tensor().to(x.dtype), bias, layer.window.stride, pad, layer.window.dilation, layer.group)
    return F.relu_(y) if relu else y
