"""LRN: local response normalisation, across channels or within one."""

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Layer
from caffe_compat.layer.registry import register

__all__ = ["LRN"]


@register
class LRN(Layer):
    """Divides each value by a power of the mean square around it.

    ACROSS_CHANNELS: y = x (k + alpha/n s)^-beta, s the sum of squares over n = local_size channels around, those
    outside counting as 0. WITHIN_CHANNEL: y = x (1 + alpha/n^2 s)^-beta, s over the n x n window around in the same
    channel, zeros outside; k is not used.

    Bottoms:  N x C x H x W.
    Tops:     N x C x H x W.
    Params:   lrn_param.local_size (odd), alpha, beta, k, norm_region. engine has no effect.
    Raises:   LayerError: local_size even, bottom not of 4 axes.
    Source:   BVLC/caffe src/caffe/layers/lrn_layer.cpp.
    """

    type = "LRN"

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Check local_size."""
        size = self.param.lrn_param.local_size
        if size % 2 == 0:
            raise self.error(f"local_size is {size}; it must be odd; change lrn_param.local_size")

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """The bottom's shape."""
        if len(bottom_shapes[0]) != 4:
            raise self.error(f"bottom[0] has shape {bottom_shapes[0]}; it must have 4 axes: N x C x H x W")
        return [bottom_shapes[0]]

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """X times (shift + scale * sum of squares) to the power -beta."""
        p = self.param.lrn_param
        x, n = bottoms[0], p.local_size
        if p.norm_region == p.WITHIN_CHANNEL:
            mean = F.avg_pool2d(x.square(), n, 1, (n - 1) // 2)  # padding counts
            return [x * (1 + p.alpha * mean).pow(-p.beta)]
        channels = x.shape[1]
        square = F.pad(x.square(), (0, 0, 0, 0, (n - 1) // 2, (n - 1) // 2))  # N x (C + n - 1) x H x W
        total = square[:, :channels]
        for i in range(1, n):
            total = total + square[:, i : i + channels]
        return [x * (p.k + p.alpha / n * total).pow(-p.beta)]
