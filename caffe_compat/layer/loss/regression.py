"""EuclideanLoss and ContrastiveLoss: losses of distances between two bottoms."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Count, Layer
from caffe_compat.layer.registry import register

__all__ = ["ContrastiveLoss", "EuclideanLoss"]


@register
class EuclideanLoss(Layer):
    """The sum of squared differences over 2 N.

    Bottoms:  a, b: N x ..., equal counts; both get gradients.
    Tops:     loss: one value of shape ().
    Raises:   LayerError: another batch or another count for each item.
    Source:   BVLC/caffe src/caffe/layers/euclidean_loss_layer.cpp.
    """

    type = "EuclideanLoss"
    bottoms = Count.exactly(2)
    is_loss = True

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """()."""
        a, b = bottom_shapes
        if not a or a[:1] != b[:1] or math.prod(a[1:]) != math.prod(b[1:]):
            raise self.error(
                f"bottom[0] has shape {a} and bottom[1] {b}; they need the same batch and the same count for each item"
            )
        return [()]

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """The loss."""
        a, b = bottoms
        difference = a - b if a.shape == b.shape else a.reshape(a.shape[0], -1) - b.reshape(a.shape[0], -1)
        return [difference.square().sum() / (2 * a.shape[0])]

    def allows_force_backward(self, bottom: int) -> bool:
        """Both bottoms get gradients."""
        return True


@register
class ContrastiveLoss(Layer):
    """The sum over pairs of d^2 for similar and max(margin - d, 0)^2 for dissimilar ones, over 2 N.

    d is the Euclidean distance of a pair. With legacy_version a dissimilar pair costs max(margin - d^2, 0), else its
    gradient divides by d + 1e-4, so it stays finite where both are equal.

    Bottoms:  a, b: N x C (x 1 x 1); similar: N (x 1 ...), 0 for dissimilar pairs (fractions are cut towards 0). It gets
              no gradient.
    Tops:     loss: one value of shape ().
    Params:   contrastive_loss_param.margin, .legacy_version.
    Raises:   LayerError: shapes other than these.
    Source:   BVLC/caffe src/caffe/layers/contrastive_loss_layer.cpp.
    """

    type = "ContrastiveLoss"
    bottoms = Count.exactly(3)
    is_loss = True

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """()."""
        a, b, similar = bottom_shapes
        if len(a) < 2 or len(b) < 2 or a[:2] != b[:2] or any(d != 1 for d in (*a[2:], *b[2:])):
            raise self.error(f"bottom[0] has shape {a} and bottom[1] {b}; it needs vectors, both N x C")
        if similar[:1] != a[:1] or math.prod(similar) != a[0]:
            raise self.error(f"bottom[2] has shape {similar}; it needs one value for each of the {a[0]} pairs")
        return [()]

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """The loss."""
        a, b, similar = bottoms
        param = self.param.contrastive_loss_param
        difference = (a - b.reshape(a.shape)).reshape(a.shape[0], -1)  # N x C
        alike = similar.detach().reshape(-1).to(torch.int64) != 0
        return [_PairCost.apply(difference, alike, param.margin, param.legacy_version) / (2 * a.shape[0])]

    def allows_force_backward(self, bottom: int) -> bool:
        """The vectors get gradients, the similarity does not."""
        return bottom != 2


class _PairCost(torch.autograd.Function):
    """The summed cost of N differences of C values, with Caffe's gradient."""

    @staticmethod
    def forward(ctx: Any, difference: torch.Tensor, alike: torch.Tensor, margin: float, legacy: bool) -> torch.Tensor:
        squared = difference.square().sum(1)
        distance = squared.sqrt()
        short = margin - (squared if legacy else distance)
        ctx.save_for_backward(difference, distance, alike, short)
        ctx.legacy = legacy
        apart = short.clamp(min=0)
        return torch.where(alike, squared, apart if legacy else apart.square()).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        difference, distance, alike, short = ctx.saved_tensors
        push = torch.ones_like(short) if ctx.legacy else short / (distance + 1e-4)
        factor = torch.where(alike, 1, torch.where(short > 0, -push, 0))
        return 2 * grad * factor[:, None] * difference, None, None, None
