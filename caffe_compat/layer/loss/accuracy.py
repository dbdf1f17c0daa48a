"""Accuracy."""

from collections.abc import Sequence

import torch

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Count, Layer
from caffe_compat.layer.loss.labels import class_index, label_shape
from caffe_compat.layer.registry import register

__all__ = ["Accuracy"]


@register
class Accuracy(Layer):
    """The share of positions whose true class is among the top_k highest scores.

    A class that ties with the true one counts as better, so equal scores everywhere count as wrong. Positions whose
    label is ignore_label are left out; with none left the accuracy is 0. No gradient.

    Bottoms:  scores: N x C x H x W; labels: N x 1 x H x W or any shape of that count, 0 to C - 1 or ignore_label.
    Tops:     accuracy: one value of shape (), 0 to 1; per class (optional): C values, 0 for a class without labels.
    Params:   accuracy_param.top_k, .axis (the class axis), .ignore_label.
    Raises:   LayerError: top_k above the number of classes; another number of labels than positions; axis out of range.
              DataError: a label that is neither a class nor ignore_label.
    Source:   BVLC/caffe src/caffe/layers/accuracy_layer.cpp.
    """

    type = "Accuracy"
    bottoms = Count.exactly(2)
    tops = Count(1, 2)

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """(), and the number of classes."""
        scores = bottom_shapes[0]
        axis = self._axis(len(scores))
        label_shape(self, bottom_shapes, axis)
        if self.param.accuracy_param.top_k > scores[axis]:
            raise self.error(
                f"accuracy_param.top_k {self.param.accuracy_param.top_k} is more than the {scores[axis]} classes; "
                "lower top_k"
            )
        shapes: list[Shape] = [(), (scores[axis],)]
        return shapes[: self.top_count]

    @torch.no_grad()
    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """The accuracy, and each class's where there is a second top."""
        scores, label = bottoms
        param = self.param.accuracy_param
        axis = self._axis(scores.ndim)
        classes = scores.shape[axis]
        shape = label_shape(self, [tuple(scores.shape), tuple(label.shape)], axis)
        ignore = param.ignore_label if param.HasField("ignore_label") else None
        index, valid = class_index(self, label, classes, shape, ignore)
        better = (scores >= scores.gather(axis, index)).sum(axis, keepdim=True) - 1
        right = better < param.top_k
        if valid is not None:
            right, index = right[valid], index[valid]
        hits = right.sum().to(scores.dtype) / max(1, right.numel())
        if self.top_count == 1:
            return [hits]
        labels_of = torch.bincount(index.reshape(-1), minlength=classes)
        hits_of = torch.bincount(index[right].reshape(-1), minlength=classes)
        return [hits, hits_of.to(scores.dtype) / labels_of.clamp(min=1)]

    def _axis(self, axes: int) -> int:
        return self.axis(self.param.accuracy_param.axis, axes, "accuracy_param.axis")
