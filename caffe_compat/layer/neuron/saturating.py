"""Neurons made of exponentials that level off: Sigmoid, and after it TanH, Swish and BNLL."""

from collections.abc import Sequence

import torch

from caffe_compat.layer.neuron.neuron import Neuron
from caffe_compat.layer.registry import register

__all__ = ["Sigmoid"]


@register
class Sigmoid(Neuron):
    """1 / (1 + exp(-x)).

    Bottoms:  x: any shape.
    Tops:     y: the shape of x, 0 to 1.
    Source:   BVLC/caffe src/caffe/layers/sigmoid_layer.cpp.
    """

    type = "Sigmoid"

    def activate(self, x: torch.Tensor, blobs: Sequence[torch.Tensor], in_place: bool) -> torch.Tensor:
        """The top."""
        return torch.sigmoid_(x) if in_place else torch.sigmoid(x)
