"""Neurons made of exponentials that level off on one side at least: Sigmoid, TanH, Swish and BNLL."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from caffe_compat.layer.neuron.neuron import Gradient, Neuron
from caffe_compat.layer.registry import register

__all__ = ["BNLL", "Sigmoid", "Swish", "TanH"]


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


@register
class TanH(Neuron):
    """The hyperbolic tangent of x.

    Bottoms:  x: any shape.
    Tops:     y: the shape of x, -1 to 1.
    Source:   BVLC/caffe src/caffe/layers/tanh_layer.cpp.
    """

    type = "TanH"

    def activate(self, x: torch.Tensor, blobs: Sequence[torch.Tensor], in_place: bool) -> torch.Tensor:
        """The top."""
        return torch.tanh_(x) if in_place else torch.tanh(x)


@register
class Swish(Neuron):
    """x * sigmoid(beta * x).

    Bottoms:  x: any shape.
    Tops:     y: the shape of x.
    Params:   swish_param.beta.
    Source:   BVLC/caffe src/caffe/layers/swish_layer.cpp.
    """

    type = "Swish"

    def activate(self, x: torch.Tensor, blobs: Sequence[torch.Tensor], in_place: bool) -> torch.Tensor:
        """The top."""
        return x * torch.sigmoid(self.param.swish_param.beta * x)


@register
class BNLL(Neuron):
    """The binomial normal log likelihood, log(1 + exp(x)).

    Given in place, its gradient is Caffe's wrong one (see neuron.py).

    Bottoms:  x: any shape.
    Tops:     y: the shape of x, above 0.
    Source:   BVLC/caffe src/caffe/layers/bnll_layer.cpp.
    """

    type = "BNLL"

    def activate(self, x: torch.Tensor, blobs: Sequence[torch.Tensor], in_place: bool) -> torch.Tensor:
        """The top; above 50 it is x to the last bit of a double."""
        return F.softplus(x, threshold=50)

    def overwritten_gradient(self) -> Gradient:
        """The slope at the top's value."""
        return lambda y, grad: grad * torch.sigmoid(y)
