"""Bias, and the broadcasting rule that it shares with Scale."""

from collections.abc import Sequence

import torch

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Count, Layer
from caffe_compat.layer.registry import register

__all__ = ["Bias", "check_spread", "covered", "spread"]


def covered(layer: Layer, shape: Shape, axis: int, num_axes: int, field_name: str) -> Shape:
    """The part of the bottom's shape that a factor or bias covers: num_axes axes from axis on, -1 for all.

    Raises:
        LayerError: num_axes below -1, or more axes than the bottom has.
    """
    first = layer.axis(axis, len(shape), f"{field_name}.axis")
    if num_axes < -1:
        raise layer.error(f"{field_name}.num_axes is {num_axes}; it must be 0 or more, or -1 for all axes from axis on")
    if first + num_axes > len(shape):
        raise layer.error(
            f"{field_name}: {num_axes} axes from axis {first} on pass the end of bottom[0] of shape {shape}; "
            "lower num_axes or axis"
        )
    return shape[first:] if num_axes == -1 else shape[first : first + num_axes]


def check_spread(layer: Layer, shape: Shape, part: Shape, axis: int, field_name: str) -> int:
    """Check that a factor or bias of shape ``part`` fits the bottom from ``axis`` on; give that axis, not negative.

    Raises:
        LayerError: it passes the end of the bottom, or a dimension differs.
    """
    first = layer.axis(axis, len(shape), f"{field_name}.axis") if part else 0
    if shape[first : first + len(part)] != part:
        raise layer.error(
            f"a blob of shape {part} does not fit bottom[0] of shape {shape} from axis {first} on, where it has "
            f"{shape[first : first + len(part)]}; change {field_name}.axis or the blob's shape"
        )
    return first


def spread(part: torch.Tensor, first: int, axes: int) -> torch.Tensor:
    """A view of ``part`` that broadcasts over a bottom of this many axes, from axis ``first`` on."""
    return part.reshape(*part.shape, *(1,) * (axes - first - part.ndim))


@register
class Bias(Layer):
    """Adds a blob to a larger one, repeated over the axes before ``axis`` and after its own.

    The bias is learned, or comes as a second bottom (then it gets its gradient as a bottom).

    Bottoms:  data: any shape; optionally bias: equal to data's shape from ``axis`` on, or a single number of no axes.
    Tops:     y: data's shape.
    Params:   bias_param.axis (may count from the end), num_axes of a learned bias (-1: all from axis on), filler.
    Blobs:    [0] bias: data's shape from axis on, num_axes axes; none with two bottoms.
    Raises:   LayerError: axis or num_axes out of range; shapes that do not fit.
    Source:   BVLC/caffe src/caffe/layers/bias_layer.cpp.
    """

    type = "Bias"
    bottoms = Count(1, 2)

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Make the bias, if it is not a bottom."""
        if len(bottom_shapes) == 1:
            p = self.param.bias_param
            self.add_blob(covered(self, bottom_shapes[0], p.axis, p.num_axes, "bias_param"), p.filler)

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """The data's shape."""
        part = bottom_shapes[1] if len(bottom_shapes) > 1 else self.blobs[0].shape
        self.first = check_spread(self, bottom_shapes[0], part, self.param.bias_param.axis, "bias_param")
        return [bottom_shapes[0]]

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """Data + bias."""
        part = bottoms[1] if len(bottoms) > 1 else blobs[0]
        return [bottoms[0] + spread(part, self.first, bottoms[0].ndim)]
