"""Neurons that are linear in pieces: ReLU."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from caffe_compat.layer.neuron.neuron import Neuron
from caffe_compat.layer.registry import register

__all__ = ["ReLU"]


@register
class ReLU(Neuron):
    """x where x > 0, negative_slope * x elsewhere.

    The gradient at 0 is negative_slope.

    Bottoms:  x: any shape.
    Tops:     y: the shape of x.
    Params:   relu_param.negative_slope: slope below 0; 0 gives max(x, 0).
    Source:   BVLC/caffe src/caffe/layers/relu_layer.cpp.
    """

    type = "ReLU"

    def activate(self, x: torch.Tensor, blobs: Sequence[torch.Tensor], in_place: bool) -> torch.Tensor:
        """The top."""
        slope = self.param.relu_param.negative_slope
        if slope == 0:
            return F.relu_(x) if in_place else F.relu(x)
        if in_place and slope > 0:  # the sign survives, so autograd can tell the sides apart afterwards
            return F.leaky_relu_(x, slope)
        return F.leaky_relu(x, slope)
