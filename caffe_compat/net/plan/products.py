"""Convolutions with very large weights as matrix products, forward and backward, on the weights as they lie.

oneDNN's convolution takes a weight in an order of its own and gives its gradient in that order: for fc6 of FCN-8s
(411 MB) the three re-orderings of a training step take longer than the three convolutions, and each needs the weight's
memory once more. As products over the values that each window sees (N H' W' x kh kw C, small, for such layers stand at
the end of a net) weight and gradient are used in place.
"""

import math
from collections.abc import Iterator, Sequence

import torch

from caffe_compat.device import device
from caffe_compat.layer.vision.convolution import Convolution
from caffe_compat.net.plan.matmul import pack, times_transpose, usable

__all__ = ["LARGE", "bottom_gradient", "convolve", "pays", "weight_gradient"]

Tensor = torch.Tensor

LARGE = 8_000_000
"""Values of a weight from which on re-ordering it, or having it twice, costs too much."""

_POSITIONS = 4096  # of the tops together; above, what the windows see is large itself
_ROWS = 256  # of a weight's gradient at a time: 26 MB for fc6


def pays(layer: Convolution, x: Tensor) -> bool:
    """Whether this convolution can be computed so, and is faster so."""
    window, weight = layer.window, layer.blobs[0]
    positions = x.shape[0] * math.prod(window.convolved(x.shape[2:]))
    return (
        layer.axes == 4
        and layer.channel_axis == 1
        and window.stride == window.dilation == (1, 1)
        and window.pad == (0, 0)
        and layer.group == 1
        and weight.count >= LARGE
        and 0 < positions <= _POSITIONS
        and x.dtype in (torch.float32, torch.bfloat16)
        and device().type == "cpu"
        and usable()
    )


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The top: N x O x H' x W', channels last.

    Args:
        x: N x C x H x W, channels last.
        weight: O x C x kh x kw, channels last.
        bias: O values; None: zeros.
    """
    outputs, _, kh, kw = weight.shape
    shape = (x.shape[0], outputs, x.shape[2] - kh + 1, x.shape[3] - kw + 1)
    top = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last)  # no view: a ReLU may follow in place
    top.permute(0, 2, 3, 1).view(-1, outputs).copy_(
        times_transpose(_columns(x, weight.shape[2:]), _matrix(weight), bias)
    )
    return top


def bottom_gradient(top_diff: Tensor, weight: Tensor) -> Tensor:
    """The gradient of the bottom, N x C x H x W, from the top's, N x O x H' x W'; both channels last."""
    outputs, channels, kh, kw = weight.shape
    number, _, rows, columns = top_diff.shape
    diffs = top_diff.permute(0, 2, 3, 1).reshape(-1, outputs)
    seen = times_transpose(diffs, _matrix(weight).T).view(number, rows, columns, kh, kw, channels)
    if (kh, kw) == (1, 1):
        return seen.view(number, rows, columns, channels).permute(0, 3, 1, 2)
    gradient = torch.zeros((number, rows + kh - 1, columns + kw - 1, channels))  # sums of up to kh kw in float32
    for i in range(kh):
        for j in range(kw):
            gradient[:, i : i + rows, j : j + columns] += seen[:, :, :, i, j]
    return gradient.permute(0, 3, 1, 2).to(top_diff.dtype)


def weight_gradient(x: Tensor, top_diff: Tensor, kernel: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
    """The gradient of the weight, a few outputs at a time.

    Args:
        x: the bottom, N x C x H x W, channels last.
        top_diff: N x O x H' x W'.
        kernel: kh and kw.

    Yields:
        The first output, and from it on O' x C x kh x kw, float32, channels last.
    """
    outputs = top_diff.shape[1]
    diffs = top_diff.permute(1, 0, 2, 3).reshape(outputs, -1)
    factor = pack(_columns(x, kernel).T.contiguous(), min(_ROWS, outputs))
    for first in range(0, outputs, _ROWS):
        rows = times_transpose(diffs[first : first + _ROWS], factor).float()
        yield first, rows.view(len(rows), *kernel, x.shape[1]).permute(0, 3, 1, 2)


def _matrix(weight: Tensor) -> Tensor:
    """O x (kh kw C) of an O x C x kh x kw weight that lies channels last; the same memory."""
    return weight.permute(0, 2, 3, 1).flatten(1)


def _columns(x: Tensor, kernel: Sequence[int]) -> Tensor:
    """(N H' W') x (kh kw C): what each window sees."""
    number, channels, height, width = x.shape
    lines = x.permute(0, 2, 3, 1).contiguous()  # N x H x W x C
    kh, kw = kernel
    rows, columns = height - kh + 1, width - kw + 1
    step, line = lines.stride(0), width * channels
    seen = lines.as_strided((number, rows, columns, kh, kw * channels), (step, line, channels, line, 1))
    return seen.reshape(number * rows * columns, kh * kw * channels)
