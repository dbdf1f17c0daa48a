"""Neurons that are powers and their kin: Power, and after it Exp, Log and AbsVal."""

from collections.abc import Sequence

import torch

from caffe_compat.layer.neuron.neuron import Neuron
from caffe_compat.layer.registry import register

__all__ = ["Power"]


@register
class Power(Neuron):
    """(shift + scale * x) ^ power.

    Where power * scale is 0 the top is a constant, whatever x holds (NaN too), and x gets no gradient.

    Bottoms:  x: any shape.
    Tops:     y: the shape of x; NaN where a base below 0 meets a power that is not whole.
    Params:   power_param.power, .scale, .shift.
    Source:   BVLC/caffe src/caffe/layers/power_layer.cpp. Where shift + scale * x is 0 and the power neither 1 nor 2,
              Caffe's gradient is 0 / 0 = NaN; ours is the derivative.
    """

    type = "Power"
    top_is_free = True

    def activate(self, x: torch.Tensor, blobs: Sequence[torch.Tensor], in_place: bool) -> torch.Tensor:
        """The top."""
        power, scale, shift = (getattr(self.param.power_param, key) for key in ("power", "scale", "shift"))
        if power * scale == 0:
            return torch.full_like(x, shift, requires_grad=False).pow(power)
        base = self._scale_and_shift(x, scale, shift, in_place)
        if power != 1:
            return base.pow(power)
        return base.clone() if base is x and not in_place else base

    @staticmethod
    def _scale_and_shift(x: torch.Tensor, scale: float, shift: float, in_place: bool) -> torch.Tensor:
        y = x
        if scale != 1:
            y = y.mul_(scale) if in_place else y * scale
        if shift != 0:
            y = y + shift if y is x and not in_place else y.add_(shift)
        return y
