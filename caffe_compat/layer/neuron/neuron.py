"""The base of the neurons: one bottom, one top of the same shape, in place where the prototxt says so.

In place, Caffe's backward finds the overwritten values where it looks for the bottom's, and some layers overwrite the
diff before they read it. ReLU, Sigmoid, TanH, ELU, PReLU, Exp, Swish and Dropout are right all the same (but for ReLU
with a negative_slope below 0 and ELU with an alpha below 0). Power, Log, BNLL and Clip are not, and Power and Log lose
the top's diff altogether. We give the numbers that Caffe gives: ``overwritten_gradient`` holds them. For the
derivative, give the top a name of its own.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Layer

__all__ = ["Neuron"]

Gradient = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Neuron(Layer):
    """A layer whose top has its bottom's shape and whose elements do not see each other."""

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """The bottom's shape."""
        return [bottom_shapes[0]]

    def activate(self, x: torch.Tensor, blobs: Sequence[torch.Tensor], in_place: bool) -> torch.Tensor:
        """The top for a bottom of any shape; may overwrite x if ``in_place``."""
        raise NotImplementedError

    def overwritten_gradient(self) -> Gradient | None:
        """Caffe's bottom diff as a function of (top, top diff) where top is bottom; None: the derivative."""
        return None

    @property
    def given_in_place(self) -> bool:
        """Whether the prototxt gives the top the bottom's name."""
        return list(self.param.top[:1]) == list(self.param.bottom[:1])

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """Apply ``activate``."""
        x = bottoms[0]
        gradient = self.overwritten_gradient() if self.given_in_place else None
        if gradient is not None and torch.is_grad_enabled() and x.requires_grad:
            return [_Overwritten.apply(x, self, gradient)]
        return [self.activate(x, blobs, context.in_place)]


class _Overwritten(torch.autograd.Function):
    """A neuron without parameters, with a gradient that is a function of its top."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, layer: Neuron, gradient: Gradient) -> torch.Tensor:
        y = layer.activate(x, (), False)
        ctx.save_for_backward(y)
        ctx.gradient = gradient
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (y,) = ctx.saved_tensors
        return ctx.gradient(y, grad), None, None
