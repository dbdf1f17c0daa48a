"""Neurons that are linear in pieces: ReLU, PReLU, ELU (below 0 an exponential), Clip and Threshold."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.neuron.neuron import Gradient, Neuron
from caffe_compat.layer.registry import register
from caffe_compat.proto import caffe_pb2 as pb

__all__ = ["ELU", "Clip", "PReLU", "ReLU", "Threshold"]


@register
class ReLU(Neuron):
    """x where x > 0, negative_slope * x elsewhere.

    The gradient at 0 is negative_slope. Given in place, a negative_slope below 0 has Caffe's wrong gradient (see
    neuron.py).

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

    def overwritten_gradient(self) -> Gradient | None:
        """A slope below 0 makes the top positive on both sides."""
        slope = self.param.relu_param.negative_slope
        return None if slope >= 0 else lambda y, grad: torch.where(y > 0, grad, slope * grad)


@register
class PReLU(Neuron):
    """x where x > 0, a * x elsewhere, with a slope that is learned, one for each channel or one for all.

    Bottoms:  x: N x C x ...
    Tops:     y: the shape of x.
    Params:   prelu_param.filler: not set, the slopes start at 0.25; .channel_shared: one slope for all channels.
    Blobs:    [0] slopes: C, or shape () if shared.
    Raises:   LayerError: a bottom of fewer than 2 axes; C is not the number of slopes.
    Source:   BVLC/caffe src/caffe/layers/prelu_layer.cpp.
    """

    type = "PReLU"

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Make the slopes."""
        param = self.param.prelu_param
        self._check_axes(bottom_shapes[0])
        filler = param.filler if param.HasField("filler") else pb.FillerParameter(type="constant", value=0.25)
        self.add_blob(() if param.channel_shared else (bottom_shapes[0][1],), filler)

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """The bottom's shape."""
        shape = bottom_shapes[0]
        self._check_axes(shape)
        slopes = self.blobs[0].shape
        if slopes and slopes[0] != shape[1]:
            raise self.error(
                f"bottom[0] has shape {shape} but there are {slopes[0]} slopes; its channels must stay as at setup"
            )
        return [shape]

    def activate(self, x: torch.Tensor, blobs: Sequence[torch.Tensor], in_place: bool) -> torch.Tensor:
        """The top."""
        return F.prelu(x, blobs[0].reshape(-1))

    def _check_axes(self, shape: Shape) -> None:
        if len(shape) < 2:
            raise self.error(f"bottom[0] has shape {shape}; it needs 2 axes or more: N x C x ...")


@register
class ELU(Neuron):
    """x where x > 0, alpha * (exp(x) - 1) elsewhere.

    Bottoms:  x: any shape.
    Tops:     y: the shape of x, above -alpha.
    Params:   elu_param.alpha.
    Source:   BVLC/caffe src/caffe/layers/elu_layer.cpp.
    """

    type = "ELU"

    def activate(self, x: torch.Tensor, blobs: Sequence[torch.Tensor], in_place: bool) -> torch.Tensor:
        """The top."""
        alpha = self.param.elu_param.alpha
        return F.elu_(x, alpha) if in_place and alpha >= 0 else F.elu(x, alpha)

    def overwritten_gradient(self) -> Gradient | None:
        """An alpha below 0 makes the top positive on both sides."""
        alpha = self.param.elu_param.alpha
        return None if alpha >= 0 else lambda y, grad: torch.where(y > 0, grad, (alpha + y) * grad)


@register
class Clip(Neuron):
    """x, at least min and at most max.

    The gradient passes where min <= x <= max; given in place, everywhere, as in Caffe (see neuron.py).

    Bottoms:  x: any shape.
    Tops:     y: the shape of x, min to max.
    Params:   clip_param.min, .max: both must be given.
    Raises:   LayerError: clip_param is missing, or min is above max.
    Source:   BVLC/caffe src/caffe/layers/clip_layer.cpp.
    """

    type = "Clip"

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Check the range."""
        param = self.param.clip_param
        if not self.param.HasField("clip_param"):
            raise self.error("it has no clip_param; give clip_param { min: ... max: ... }")
        if not param.min <= param.max:
            raise self.error(f"clip_param.min {param.min:g} is above max {param.max:g}; exchange them")

    def activate(self, x: torch.Tensor, blobs: Sequence[torch.Tensor], in_place: bool) -> torch.Tensor:
        """The top."""
        return x.clamp(self.param.clip_param.min, self.param.clip_param.max)

    def overwritten_gradient(self) -> Gradient:
        """Everything: the top is within the range."""
        return lambda y, grad: grad


@register
class Threshold(Neuron):
    """1 where x > threshold, else 0. No gradient.

    Bottoms:  x: any shape.
    Tops:     y: the shape of x, 0 or 1.
    Params:   threshold_param.threshold.
    Source:   BVLC/caffe src/caffe/layers/threshold_layer.cpp, whose backward is not implemented.
    """

    type = "Threshold"

    def activate(self, x: torch.Tensor, blobs: Sequence[torch.Tensor], in_place: bool) -> torch.Tensor:
        """The top."""
        return (x > self.param.threshold_param.threshold).to(x.dtype)
