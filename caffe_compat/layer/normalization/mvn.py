"""MVN: zero mean and unit variance of each image or channel."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Layer
from caffe_compat.layer.registry import register

__all__ = ["MVN"]


class _Standardize(torch.autograd.Function):
    """(x - mean) / (std + eps) along axis 1, with Caffe's gradient.

    Caffe takes d std/dx as y / n although y is divided by std + eps: finite where all values are equal, where the
    exact derivative of the root is not.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, eps: float) -> torch.Tensor:
        centred = x - x.mean(1, keepdim=True)
        std = centred.square().mean(1, keepdim=True).sqrt() + eps
        y = centred / std
        ctx.save_for_backward(y, std)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        y, std = ctx.saved_tensors
        g = grads[0]
        return (g - g.mean(1, keepdim=True) - y * (g * y).mean(1, keepdim=True)) / std, None


@register
class MVN(Layer):
    """Subtracts the mean of each channel of each image, and divides by its standard deviation.

    eps is added to the standard deviation, not under its root.

    Bottoms:  N x C x H x W (or fewer axes: the missing ones are 1).
    Tops:     N x C x H x W, always 4 axes: (x - mean) / (std + eps), or x - mean.
    Params:   mvn_param.normalize_variance; across_channels: one mean and deviation for the whole image; eps.
    Raises:   LayerError: more than 4 axes.
    Source:   BVLC/caffe src/caffe/layers/mvn_layer.cpp.
    """

    type = "MVN"

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """The bottom's shape, with 4 axes."""
        shape = bottom_shapes[0]
        if len(shape) > 4:
            raise self.error(f"bottom[0] has shape {shape}; it can have at most 4 axes: N x C x H x W")
        return [(*shape, *(1,) * (4 - len(shape)))]

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """Centre and scale rows of N or N C."""
        p = self.param.mvn_param
        shape = (*bottoms[0].shape, *(1,) * (4 - bottoms[0].ndim))
        rows = shape[0] if p.across_channels else shape[0] * shape[1]
        x = bottoms[0].reshape(rows, math.prod(shape) // max(rows, 1))
        y = _Standardize.apply(x, p.eps) if p.normalize_variance else x - x.mean(1, keepdim=True)
        return [y.reshape(shape)]
