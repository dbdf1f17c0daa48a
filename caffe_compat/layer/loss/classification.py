"""HingeLoss, MultinomialLogisticLoss and InfogainLoss: losses of scores or probabilities against class labels."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Count, Layer
from caffe_compat.layer.loss.labels import check_batch, class_index, ignored_label, label_shape, without_gradient
from caffe_compat.layer.loss.normalization import normalizer
from caffe_compat.layer.registry import register
from caffe_compat.layer.utility.softmax import softmax
from caffe_compat.proto import caffe_pb2 as pb
from caffe_compat.proto.blobs import read_blobproto

__all__ = ["HingeLoss", "InfogainLoss", "MultinomialLogisticLoss"]

LEAST_PROBABILITY = 1e-20  # what a logarithm is taken of at least


class _LossPerItem(Layer):
    """A loss of N items, each with one label and all its values as classes."""

    bottoms = Count.exactly(2)
    is_loss = True

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """()."""
        scores = bottom_shapes[0]
        if not scores:
            raise self.error("bottom[0] has shape (); it needs N x C")
        label_shape(self, [(scores[0], math.prod(scores[1:])), bottom_shapes[1]], 1)
        check_batch(self, bottom_shapes)
        return [()]

    def items(self, bottoms: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """The scores as N x C and the labels as indices, N x 1."""
        scores = bottoms[0].reshape(bottoms[0].shape[0], -1)
        index, _ = class_index(self, bottoms[1], scores.shape[1], (scores.shape[0], 1), None)
        return scores, index


@register
class HingeLoss(_LossPerItem):
    """The sum of max(0, 1 - score of the true class) and max(0, 1 + score) of the others, or of their squares, over N.

    Bottoms:  scores: N x C (all axes behind the first are classes); labels: N values, 0 to C - 1. A
              backward that wants a gradient of the labels is an error, here and in the losses below.
    Tops:     loss: one value of shape ().
    Params:   hinge_loss_param.norm: L1, or L2 for squares.
    Raises:   LayerError: another number of labels than items. DataError: a label outside the classes.
    Source:   BVLC/caffe src/caffe/layers/hinge_loss_layer.cpp.
    """

    type = "HingeLoss"

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """The loss."""
        scores, index = self.items(bottoms)
        sign = torch.ones_like(scores, requires_grad=False).scatter_(1, index, -1)
        violation = torch.relu(1 + sign * scores)
        if self.param.hinge_loss_param.norm == pb.HingeLossParameter.L2:
            violation = violation.square()
        return without_gradient(self, [violation.sum() / scores.shape[0]], bottoms, 1)


@register
class MultinomialLogisticLoss(_LossPerItem):
    """The sum of -log(probability of the true class) over N.

    A probability below 1e-20 counts as 1e-20, in the gradient too.

    Bottoms:  prob: N x C (all axes behind the first are classes), 0 to 1; labels: N values, 0 to C - 1, without
              gradient.
    Tops:     loss: one value of shape ().
    Raises:   LayerError: another number of labels than items. DataError: a label outside the classes.
    Source:   BVLC/caffe src/caffe/layers/multinomial_logistic_loss_layer.cpp.
    """

    type = "MultinomialLogisticLoss"

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """The loss."""
        prob, index = self.items(bottoms)
        loss = _NegativeLog.apply(prob.gather(1, index)).sum() / prob.shape[0]
        return without_gradient(self, [loss], bottoms, 1)


class _NegativeLog(torch.autograd.Function):
    """-log(max(p, 1e-20)), with the gradient of the logarithm on either side of 1e-20."""

    @staticmethod
    def forward(ctx: Any, prob: torch.Tensor) -> torch.Tensor:
        prob = prob.clamp(min=LEAST_PROBABILITY)
        ctx.save_for_backward(prob)
        return prob.log().neg_()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        return -grad / ctx.saved_tensors[0]


@register
class InfogainLoss(Layer):
    """The sum over positions of -H[label, c] * log(probability of class c), over all c, divided by a normalizer.

    Probabilities are the softmax of the scores, at least 1e-20 in the logarithm. With the identity as H it is
    SoftmaxWithLoss. The normalizer is as there, but the old ``normalize`` is refused.

    Bottoms:  scores: N x C x H x W; labels: N x 1 x H x W or any shape of that count, 0 to C - 1 or ignore_label;
              H (optional): C * C values, row by row. Only scores get a gradient.
    Tops:     loss: one value of shape (); prob (optional): N x C x H x W, without gradient.
    Params:   infogain_loss_param.source: a binaryproto with H, where it is no bottom; .axis: the class axis;
              loss_param.ignore_label, .normalization.
    Raises:   LayerError: no H; H of another count than C * C; another number of labels than positions; normalize given;
              axis out of range. DataError: a label outside the classes. WeightsError: source cannot be read.
    Source:   BVLC/caffe src/caffe/layers/infogain_loss_layer.cpp.
    """

    type = "InfogainLoss"
    bottoms = Count(2, 3)
    tops = Count(1, 2)
    is_loss = True

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Check the normalization and read H."""
        if self.param.loss_param.HasField("normalize"):
            raise self.error("loss_param.normalize is not for this layer; use loss_param.normalization")
        self._matrix: torch.Tensor | None = None
        if len(bottom_shapes) == 2:
            if not self.param.infogain_loss_param.HasField("source"):
                raise self.error("it has no matrix; give infogain_loss_param.source or a third bottom")
            self._matrix = torch.from_numpy(read_blobproto(self.param.infogain_loss_param.source).copy())

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """The loss's shape, (), and the scores' for prob."""
        scores = bottom_shapes[0]
        axis = self._axis(len(scores))
        label_shape(self, bottom_shapes, axis)
        check_batch(self, bottom_shapes)
        matrix = tuple(self._matrix.shape) if self._matrix is not None else bottom_shapes[2]
        if math.prod(matrix) != scores[axis] ** 2:
            raise self.error(
                f"the matrix has shape {matrix}; for {scores[axis]} classes it needs {scores[axis]} x {scores[axis]}"
            )
        shapes: list[Shape] = [(), scores]
        return shapes[: self.top_count]

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """The loss, and the probabilities where there is a second top."""
        scores, label = bottoms[:2]
        axis = self._axis(scores.ndim)
        classes = scores.shape[axis]
        shape = label_shape(self, [tuple(scores.shape), tuple(label.shape)], axis)
        index, valid = class_index(self, label, classes, shape, ignored_label(self))
        matrix = (bottoms[2].detach() if self._matrix is None else self._matrix).to(scores).reshape(classes, classes)
        gain = matrix[index.squeeze(axis)].movedim(-1, axis)  # H's row for each position, along the class axis
        if valid is not None:
            gain = gain * valid
        count = index.numel() if valid is None else int(valid.sum())
        mode = self.param.loss_param.normalization
        divisor = normalizer(mode, math.prod(shape[:axis]), index.numel(), count)
        loss, prob = _InfogainCost.apply(scores, gain, axis)
        return without_gradient(self, [loss / divisor, prob][: self.top_count], bottoms, 1, 2)

    def _axis(self, axes: int) -> int:
        return self.axis(self.param.infogain_loss_param.axis, axes, "infogain_loss_param.axis")


class _InfogainCost(torch.autograd.Function):
    """The summed cost of scores under gains of their shape, and the probabilities."""

    @staticmethod
    def forward(ctx: Any, scores: torch.Tensor, gain: torch.Tensor, axis: int) -> tuple[torch.Tensor, torch.Tensor]:
        prob = softmax(scores, axis)
        ctx.save_for_backward(prob, gain)
        ctx.axis = axis
        ctx.mark_non_differentiable(prob)
        return -(gain * prob.clamp(min=LEAST_PROBABILITY).log()).sum(), prob

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor, _: Any) -> tuple[torch.Tensor, None, None]:
        prob, gain = ctx.saved_tensors
        return grad * (prob * gain.sum(ctx.axis, keepdim=True) - gain), None, None
