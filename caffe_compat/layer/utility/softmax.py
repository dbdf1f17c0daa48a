"""Softmax, and the two functions that the losses share with it."""

from collections.abc import Callable, Sequence

import torch

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Layer
from caffe_compat.layer.registry import register

__all__ = ["Softmax", "log_softmax", "softmax"]


def _along(function: Callable[[torch.Tensor, int], torch.Tensor], x: torch.Tensor, axis: int) -> torch.Tensor:
    """``function(x, axis)`` without the copy that torch makes of a channels_last tensor."""
    last = x.ndim - 1  # not -1, of which torch's ONNX exporter makes a wrong permutation
    moved = x.movedim(axis, last)
    if moved.is_contiguous():
        return function(moved, last).movedim(last, axis)
    return function(x, axis)


def softmax(x: torch.Tensor, axis: int) -> torch.Tensor:
    """exp(x) / sum of exp(x) along the axis, of x's shape and memory layout."""
    return _along(torch.softmax, x, axis)


def log_softmax(x: torch.Tensor, axis: int) -> torch.Tensor:
    """The logarithm of ``softmax``, without its overflow and underflow."""
    return _along(torch.log_softmax, x, axis)


@register
class Softmax(Layer):
    """exp(x) / sum of exp(x) along an axis.

    Bottoms:  x: N x C x ..., scores.
    Tops:     y: the shape of x, 0 to 1; sums to 1 along the axis.
    Params:   softmax_param.axis: may count from the end.
    Raises:   LayerError: axis out of range.
    Source:   BVLC/caffe src/caffe/layers/softmax_layer.cpp.
    """

    type = "Softmax"

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """The bottom's shape."""
        self._axis(len(bottom_shapes[0]))
        return [bottom_shapes[0]]

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """The probabilities."""
        return [softmax(bottoms[0], self._axis(bottoms[0].ndim))]

    def _axis(self, axes: int) -> int:
        return self.axis(self.param.softmax_param.axis, axes, "softmax_param.axis")
