"""SigmoidCrossEntropyLoss."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Count, Layer
from caffe_compat.layer.loss.labels import ignored_label, without_gradient
from caffe_compat.layer.loss.normalization import normalization_mode, normalizer
from caffe_compat.layer.registry import register
from caffe_compat.proto import caffe_pb2 as pb

__all__ = ["SigmoidCrossEntropyLoss"]


@register
class SigmoidCrossEntropyLoss(Layer):
    """The sum of -t log(p) - (1 - t) log(1 - p), p = sigmoid(score), over all values, divided by a normalizer.

    Values whose target, cut to a whole number, is ignore_label add nothing and get no gradient.

    Bottoms:  scores: N x ...; targets: as many, 0 to 1. They have no gradient: a backward that wants it is an error.
    Tops:     loss: one value of shape ().
    Params:   loss_param.ignore_label; loss_param.normalization: BATCH_SIZE (N) unless set, or VALID values that are not
              ignored, FULL all values, NONE 1; loss_param.normalize: its old form, true is VALID and false BATCH_SIZE.
    Raises:   LayerError: another batch or count of targets than of scores.
    Source:   BVLC/caffe src/caffe/layers/sigmoid_cross_entropy_loss_layer.cpp.
    """

    type = "SigmoidCrossEntropyLoss"
    bottoms = Count.exactly(2)
    is_loss = True

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """()."""
        scores, targets = bottom_shapes
        if not scores or scores[:1] != targets[:1] or math.prod(scores) != math.prod(targets):
            raise self.error(
                f"bottom[0] has shape {scores} and bottom[1] {targets}; there must be one target for each score"
            )
        return [()]

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """The loss."""
        scores = bottoms[0]
        targets = bottoms[1].detach().reshape(scores.shape)
        cost = F.binary_cross_entropy_with_logits(scores, targets, reduction="none")
        ignore, count = ignored_label(self), scores.numel()
        if ignore is not None:
            valid = targets.to(torch.int64) != ignore
            count = int(valid.sum())
            cost = cost.where(valid, 0)
        mode = normalization_mode(self, pb.LossParameter.BATCH_SIZE)
        loss = cost.sum() / normalizer(mode, scores.shape[0], scores.numel(), count)
        return without_gradient(self, [loss], bottoms, 1)
