"""Convolutions, ReLUs and Poolings of a lean training net, with gradients of their own making.

Same numbers as the layers' (Winograd's differ by about 1e-5 of the largest), in less time and memory: large weights
are used as they lie (products.py), 3 x 3 kernels of many channels are learned by Winograd's tiles (winograd.py), the
gradient of a ReLU takes the place of its top's, which a lean net drops anyway, and a MAX Pooling finds its maxima once
more in the backward instead of remembering in 8 bytes each where they were.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from caffe_compat.layer.blob import Blob
from caffe_compat.layer.contract import Context
from caffe_compat.layer.neuron.rectifier import ReLU
from caffe_compat.layer.vision.convolution import Convolution
from caffe_compat.layer.vision.layout import fast_layout
from caffe_compat.layer.vision.pooling import Pooling
from caffe_compat.net.graph import Node
from caffe_compat.net.plan import products, tiles, winograd
from caffe_compat.net.plan.precision import lowered

__all__ = ["TakeRows", "learn"]

Tensor = torch.Tensor
Gradients = tuple[Tensor | None, ...]
TakeRows = Callable[[int, Tensor], object]


def learn(
    node: Node,
    bottoms: Sequence[Tensor],
    params: Sequence[Tensor],
    context: Context,
    spend: bool,
    on: Collection[str],
    low: bool = False,
    take: TakeRows | None = None,
) -> list[Tensor] | None:
    """The tops of a node, ready for autograd; None: the layer has to make them.

    Args:
        node: whose.
        bottoms: its bottoms' values.
        params: its parameters' values; those that learn require a gradient.
        context: of this forward.
        spend: whether the top's gradient may be overwritten in the backward, since nobody reads it afterwards.
        on: names of the rewrites that are on.
        low: whether to compute in bfloat16 where precision.py says so.
        take: is given the gradient of a very large weight, the first output and some rows at a time, once the weight
            is not needed any more; its diff then gets none.
    """
    layer = node.layer
    if isinstance(layer, ReLU):
        if "spend" in on and spend and context.in_place and layer.param.relu_param.negative_slope == 0:
            return [_SpendingReLU.apply(bottoms[0])]
        return None
    if isinstance(layer, Pooling):
        return _pool(layer, fast_layout(bottoms[0])) if "repool" in on else None
    if not isinstance(layer, Convolution) or len(bottoms) != 1 or bottoms[0].dim() != 4:
        return None
    x, (weight, bias) = bottoms[0], (*params, None)[:2]
    if low:
        (x,), _ = lowered(layer, [x], [])
    if "products" in on and products.pays(layer, x):
        return [_Products.apply(fast_layout(x), weight, bias, layer.blobs[0], take)]
    if "winograd" in on and winograd.learns(layer, x):
        return [_Winograd.apply(fast_layout(x), weight, bias, layer.window.pad)]
    return None


def _pool(layer: Pooling, x: Tensor) -> list[Tensor] | None:
    p = layer.param.pooling_param
    ceil = layer.torch_ceil_mode(x) if p.pool == p.MAX and layer.top_count == 1 and x.numel() else None
    if ceil is None or not x.requires_grad:
        return None
    top = _Repooled.apply(x, [layer.kernel, layer.stride, layer.pad, (1, 1), ceil])
    # torch takes NaN and -inf, Caffe neither; amin is NaN if any value is
    return [top] if bool(top.detach().amin() > torch.finfo(x.dtype).min) else None


class _Repooled(torch.autograd.Function):
    """The largest value of each window; where it was is found again for the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, window: list[Any]) -> Tensor:
        ctx.save_for_backward(x)
        ctx.window = window
        return torch.ops.aten.max_pool2d_with_indices(x, *window)[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, diff: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        index = torch.ops.aten.max_pool2d_with_indices(x, *ctx.window)[1]
        return torch.ops.aten.max_pool2d_with_indices_backward(diff, x, *ctx.window, index), None


class _SpendingReLU(torch.autograd.Function):
    """max(x, 0) in place of x; its gradient is made in place of the top's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.mark_dirty(x)
        y = x.relu_()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, diff: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        if diff.stride() != y.stride():
            return torch.ops.aten.threshold_backward(diff, y, 0)
        return torch.ops.aten.threshold_backward.grad_input(diff, y, 0, grad_input=diff)


class _Products(torch.autograd.Function):
    """A convolution as a matrix product; its weight's gradient is taken as it comes, or is in the memory of the last.

    A weight in float32 may meet a bottom in bfloat16: it is rounded, and its gradient comes in float32.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, blob: Blob, take: TakeRows | None) -> Tensor:
        weight = weight.to(x.dtype, memory_format=torch.channels_last)
        bias = None if bias is None else bias.to(x.dtype)
        ctx.save_for_backward(x, weight)
        ctx.blob, ctx.take = blob, take
        return products.convolve(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, top_diff: Tensor) -> Gradients:
        x, weight = ctx.saved_tensors
        diff = fast_layout(top_diff)
        bottom = products.bottom_gradient(diff, weight) if ctx.needs_input_grad[0] else None
        gradient = None
        if ctx.needs_input_grad[1]:
            rows = products.weight_gradient(x, diff, weight.shape[2:])
            if ctx.take is None:
                gradient = _gathered(rows, ctx.blob)
            else:
                for first, some in rows:
                    ctx.take(first, some)
        return bottom, gradient, _bias_gradient(diff) if ctx.needs_input_grad[2] else None, None, None


def _gathered(rows: Iterable[tuple[int, Tensor]], blob: Blob) -> Tensor:
    """A blob's whole gradient, in the memory of the one before."""
    gradient = blob.diff_room(torch.channels_last)
    for first, some in rows:
        gradient[first : first + len(some)] = some
    return gradient


def _bias_gradient(diff: Tensor) -> Tensor:
    return diff.sum((0, 2, 3), dtype=torch.float32)


class _Winograd(torch.autograd.Function):
    """A 3 x 3 convolution of stride 1 by Winograd's tiles, forward and backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, pad: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.pad = pad
        return _tiled(x, weight, bias, pad)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, top_diff: Tensor) -> Gradients:
        x, weight = ctx.saved_tensors
        diff, pad = fast_layout(top_diff), ctx.pad
        bottom = None
        if ctx.needs_input_grad[0]:  # correlation with the kernels turned round, from outputs to channels
            bottom = _tiled(diff, weight.flip(2, 3).transpose(0, 1), None, (2 - pad[0], 2 - pad[1]))
        gradient = tiles.kernel_gradient(x, diff, pad) if ctx.needs_input_grad[1] else None
        return bottom, gradient, _bias_gradient(diff) if ctx.needs_input_grad[2] else None, None


def _tiled(x: Tensor, kernels: Tensor, bias: Tensor | None, pad: tuple[int, int]) -> Tensor:
    prepared = tiles.prepare(lambda first, last: kernels[first:last], kernels.shape, tiles.FOR_3)
    return tiles.correlate(x, prepared, bias, pad, relu=False)
