"""SoftmaxWithLoss."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Count, Layer
from caffe_compat.layer.loss.labels import check_batch, class_index, ignored_label, label_shape, without_gradient
from caffe_compat.layer.loss.normalization import normalization_mode, normalizer
from caffe_compat.layer.registry import register
from caffe_compat.layer.utility.softmax import log_softmax

__all__ = ["SoftmaxWithLoss"]

LOG_FLT_MIN = math.log(torch.finfo(torch.float32).tiny)


@register
class SoftmaxWithLoss(Layer):
    """The sum of -log(probability of the true class) over all positions, divided by a normalizer.

    Probabilities are the softmax of the scores, in the logarithm at least FLT_MIN (1.2e-38), so a position costs at
    most 87.3; the gradient is (probability - 1 at the true class) / normalizer even there. Positions whose label is
    ignore_label add nothing and get no gradient. With all of them ignored the loss is 0.

    Bottoms:  scores: N x C x H x W, any float; labels: N x 1 x H x W or any N x ... of that count, whole numbers 0 to
              C - 1 or ignore_label (fractions are cut towards 0). Labels have no gradient: a backward that wants it is
              an error.
    Tops:     loss: one value of shape (); prob (optional): N x C x H x W, without gradient.
    Params:   softmax_param.axis: the class axis; loss_param.ignore_label; loss_param.normalization: what to divide by:
              VALID positions that are not ignored, FULL all positions, BATCH_SIZE N, NONE 1;
              loss_param.normalize: its old form, true is VALID and false BATCH_SIZE.
    Raises:   LayerError: another number of labels than positions, or another first axis; axis out of range.
              DataError: a label that is neither a class nor ignore_label (Caffe reads other memory there in release
              builds).
    Source:   BVLC/caffe src/caffe/layers/softmax_loss_layer.cpp.
    """

    type = "SoftmaxWithLoss"
    bottoms = Count.exactly(2)
    tops = Count(1, 2)
    is_loss = True

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """The loss's shape, (), and the scores' for prob."""
        label_shape(self, bottom_shapes, self._axis(len(bottom_shapes[0])))
        check_batch(self, bottom_shapes)
        shapes: list[Shape] = [(), bottom_shapes[0]]
        return shapes[: self.top_count]

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """The loss, and the probabilities where there is a second top."""
        scores, label = bottoms
        axis = self._axis(scores.ndim)
        shape = label_shape(self, [tuple(scores.shape), tuple(label.shape)], axis)
        index, valid = class_index(self, label, scores.shape[axis], shape, ignored_label(self))
        count = index.numel() if valid is None else int(valid.sum())
        divisor = normalizer(normalization_mode(self), math.prod(shape[:axis]), index.numel(), count)
        loss, log_prob = _SoftmaxLoss.apply(scores, index, valid, axis, divisor)
        tops = [loss, log_prob.exp()] if self.top_count == 2 else [loss]
        return without_gradient(self, tops, bottoms, 1)

    def _axis(self, axes: int) -> int:
        return self.axis(self.param.softmax_param.axis, axes, "softmax_param.axis")


class _SoftmaxLoss(torch.autograd.Function):
    """Loss and log probabilities of scores; one pass each way, and the log probabilities are all that is kept."""

    @staticmethod
    def forward(
        ctx: Any, scores: torch.Tensor, index: torch.Tensor, valid: torch.Tensor | None, axis: int, divisor: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        log_prob = log_softmax(scores, axis)
        cost = log_prob.gather(axis, index).clamp_(min=LOG_FLT_MIN).neg_()
        ctx.broken = valid is not None and bool(cost.isnan().any())  # scores of inf or NaN, perhaps where ignored
        if valid is not None:
            cost.masked_fill_(~valid, 0)
        ctx.save_for_backward(log_prob, index, valid)
        ctx.axis, ctx.divisor = axis, divisor
        ctx.mark_non_differentiable(log_prob)
        return cost.sum() / divisor, log_prob

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor, _: Any) -> tuple[torch.Tensor, None, None, None, None]:
        log_prob, index, valid = ctx.saved_tensors
        out = log_prob.exp()
        out.scatter_add_(ctx.axis, index, out.new_full((1,) * out.ndim, -1).expand(index.shape))
        scale = grad / ctx.divisor
        out.mul_(scale if valid is None else valid * scale)
        if ctx.broken:
            out.masked_fill_(~valid, 0)
        return out, None, None, None, None
