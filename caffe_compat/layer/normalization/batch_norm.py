"""BatchNorm: zero mean and unit variance per channel."""

import math
from collections.abc import Sequence

import torch

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Layer
from caffe_compat.layer.registry import register
from caffe_compat.proto import caffe_pb2 as pb

__all__ = ["BatchNorm"]


@register
class BatchNorm(Layer):
    """Subtracts each channel's mean and divides by its standard deviation; no factor and no bias (see Scale).

    With use_global_stats (unless told: in TEST) mean and variance are the stored ones. Otherwise they are the batch's
    own, the gradient goes through them, and every forward adds them to the stored sums; a replay does not.
    The blobs are statistics, not weights: their lr_mult is forced to 0.

    Bottoms:  N x C x any further axes (or N alone, as one channel).
    Tops:     the same shape: (x - mean) / sqrt(variance + eps), the variance dividing by the count m.
    Params:   batch_norm_param.use_global_stats, moving_average_fraction f, eps.
    Blobs:    [0] sum of means: C; [1] sum of variances (of m/(m - 1) times the variance): C; [2] sum of weights: 1.
              Each forward multiplies a sum by f before it adds; stored statistics are [0] / [2] and [1] / [2], or 0
              while [2] is 0.
    Raises:   LayerError: a param of this layer with an lr_mult other than 0; channels that change.
    Source:   BVLC/caffe src/caffe/layers/batch_norm_layer.cpp.
    """

    type = "BatchNorm"

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Make the three statistics, all 0, and shield them from the solver."""
        p = self.param.batch_norm_param
        self.use_global_stats = p.use_global_stats if p.HasField("use_global_stats") else self.phase == pb.TEST
        self.channels = self._channels(bottom_shapes[0])
        for shape in ((self.channels,), (self.channels,), (1,)):
            self.add_blob(shape, pb.FillerParameter())
        for i in range(len(self.blobs)):
            if len(self.param.param) == i:
                self.param.param.add().lr_mult = 0
            elif self.param.param[i].lr_mult != 0:
                raise self.error(
                    f"param {i} has lr_mult {self.param.param[i].lr_mult:g}; these blobs are statistics, not weights: "
                    "set lr_mult: 0 or leave the param out"
                )

    def _channels(self, shape: Shape) -> int:
        if not shape:
            raise self.error("bottom[0] has no axes; it needs at least one")
        return shape[1] if len(shape) > 1 else 1

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """The bottom's shape."""
        found = self._channels(bottom_shapes[0])
        if found != self.channels:
            raise self.error(
                f"bottom[0] has {found} channels (shape {bottom_shapes[0]}) but the statistics are of {self.channels}; "
                f"feed {self.channels} channels or build the net anew"
            )
        return [bottom_shapes[0]]

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """Normalise; where the batch's own statistics are used, add them to the stored ones."""
        p = self.param.batch_norm_param
        x = bottoms[0] if bottoms[0].ndim > 1 else bottoms[0][:, None]
        mean = variance = None
        if self.use_global_stats:
            total = blobs[2].detach()
            share = torch.where(total == 0, 0, 1 / total)
            mean, variance = blobs[0].detach() * share, blobs[1].detach() * share
        elif not context.replay:
            self._count_in(x.detach(), p.moving_average_fraction)
        y = torch.batch_norm(
            x, None, None, mean, variance, not self.use_global_stats, 0.0, p.eps, torch.backends.cudnn.enabled
        )
        return [y.reshape(bottoms[0].shape)]

    def _count_in(self, x: torch.Tensor, fraction: float) -> None:
        """Add the batch's statistics to the stored sums, which decay by ``fraction`` first."""
        m = math.prod(x.shape) // self.channels
        variance, mean = torch.var_mean(x, [i for i in range(x.ndim) if i != 1], correction=0)
        added = (mean, variance * (m / (m - 1) if m > 1 else 1), torch.ones(1, device=x.device))
        for blob, value in zip(self.blobs, added, strict=True):
            blob.write(fraction * blob.tensor() + value)
