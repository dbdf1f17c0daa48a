"""Neurons that are powers and their kin: Power, Exp, Log and AbsVal."""

import math
from collections.abc import Sequence

import torch

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.neuron.neuron import Gradient, Neuron
from caffe_compat.layer.registry import register

__all__ = ["AbsVal", "Exp", "Log", "Power"]

NATURAL = -1  # the schema's way to say that the base is e


@register
class Power(Neuron):
    """(shift + scale * x) ^ power.

    Where power * scale is 0 the top is a constant, whatever x holds (NaN too), and x gets no gradient. Given in place,
    its gradient is Caffe's wrong one (see neuron.py), with the default power (power * scale)^2 whatever the top's diff.

    Bottoms:  x: any shape.
    Tops:     y: the shape of x; NaN where a base below 0 meets a power that is not whole.
    Params:   power_param.power, .scale, .shift.
    Source:   BVLC/caffe src/caffe/layers/power_layer.cpp. Where shift + scale * x is 0 and the power neither 1 nor 2,
              Caffe's gradient is 0 / 0 = NaN; ours is the derivative.
    """

    type = "Power"

    def activate(self, x: torch.Tensor, blobs: Sequence[torch.Tensor], in_place: bool) -> torch.Tensor:
        """The top."""
        power, scale, shift = (getattr(self.param.power_param, key) for key in ("power", "scale", "shift"))
        if power * scale == 0:
            return torch.full_like(x, shift, requires_grad=False).pow(power)
        base = self._scale_and_shift(x, scale, shift, in_place)
        if power != 1:
            return base.pow(power)
        return base.clone() if base is x and not in_place else base

    def overwritten_gradient(self) -> Gradient:
        """The square of what Caffe takes for the slope: it is written over the top's diff, then multiplied by it."""
        return lambda y, grad: self._slope_by_caffe(y).square()

    def _slope_by_caffe(self, y: torch.Tensor) -> torch.Tensor:
        power, scale, shift = (getattr(self.param.power_param, key) for key in ("power", "scale", "shift"))
        if power * scale == 0 or power == 1:
            return torch.full_like(y, power * scale)
        if power == 2:
            return power * scale * (scale * y + shift)
        if shift == 0:
            return power * (y / y)
        return power * scale * (y / (scale * y + shift))

    @staticmethod
    def _scale_and_shift(x: torch.Tensor, scale: float, shift: float, in_place: bool) -> torch.Tensor:
        y = x
        if scale != 1:
            y = y.mul_(scale) if in_place else y * scale
        if shift != 0:
            y = y + shift if y is x and not in_place else y.add_(shift)
        return y


@register
class Exp(Neuron):
    """base ^ (shift + scale * x).

    Bottoms:  x: any shape.
    Tops:     y: the shape of x, above 0.
    Params:   exp_param.base: above 0, or -1 for e; .scale, .shift.
    Raises:   LayerError: base is neither above 0 nor -1.
    Source:   BVLC/caffe src/caffe/layers/exp_layer.cpp.
    """

    type = "Exp"

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Check the base."""
        base = self.param.exp_param.base
        if base != NATURAL and not base > 0:
            raise self.error(f"exp_param.base is {base:g}; give a base above 0, or -1 for e")

    def activate(self, x: torch.Tensor, blobs: Sequence[torch.Tensor], in_place: bool) -> torch.Tensor:
        """The top."""
        param = self.param.exp_param
        log_base = 1.0 if param.base == NATURAL else math.log(param.base)
        y = (x * (param.scale * log_base)).exp_()
        return y if param.shift == 0 else y * math.exp(param.shift * log_base)


@register
class Log(Neuron):
    """The logarithm of shift + scale * x to a base.

    Given in place, its gradient is Caffe's wrong one (see neuron.py).

    Bottoms:  x: any shape, shift + scale * x above 0 (else the top is NaN or -inf).
    Tops:     y: the shape of x.
    Params:   log_param.base: above 0 and not 1, or -1 for e; .scale, .shift.
    Raises:   LayerError: a base that has no logarithms.
    Source:   BVLC/caffe src/caffe/layers/log_layer.cpp.
    """

    type = "Log"

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Check the base."""
        base = self.param.log_param.base
        if base != NATURAL and (not base > 0 or base == 1):
            raise self.error(f"log_param.base is {base:g}; give a base above 0 other than 1, or -1 for e")

    def activate(self, x: torch.Tensor, blobs: Sequence[torch.Tensor], in_place: bool) -> torch.Tensor:
        """The top."""
        param = self.param.log_param
        y = (x * param.scale + param.shift).log()
        return y if param.base == NATURAL else y / math.log(param.base)

    def overwritten_gradient(self) -> Gradient:
        """The square of the slope at the top's value: it is written over the top's diff, then multiplied by it."""
        param = self.param.log_param
        slope = param.scale if param.base == NATURAL else param.scale / math.log(param.base)
        return lambda y, grad: (slope / (param.scale * y + param.shift)).square()


@register
class AbsVal(Neuron):
    """The absolute value of x. The gradient at 0 is 0.

    Bottoms:  x: any shape.
    Tops:     y: the shape of x, 0 or more.
    Raises:   LayerError: given in place.
    Source:   BVLC/caffe src/caffe/layers/absval_layer.cpp.
    """

    type = "AbsVal"

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Check that it is not given in place."""
        if self.given_in_place:
            raise self.error(f"top '{self.param.top[0]}' is its bottom; it cannot work in place: rename the top")

    def activate(self, x: torch.Tensor, blobs: Sequence[torch.Tensor], in_place: bool) -> torch.Tensor:
        """The top."""
        return x.abs()
