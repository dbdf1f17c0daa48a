"""Scale: multiply by a learned or given blob, and add a bias if asked."""

import math
from collections.abc import Sequence

import torch

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Count, Layer
from caffe_compat.layer.linear.bias import check_spread, covered, spread
from caffe_compat.layer.overwriting import overwriting
from caffe_compat.layer.registry import register
from caffe_compat.proto import caffe_pb2 as pb

__all__ = ["Scale"]


@register
class Scale(Layer):
    """Multiplies the data by a smaller blob, repeated over the axes before ``axis`` and after its own.

    The factor is learned (1 without a filler), or comes as a second bottom (then it gets its gradient as a bottom).
    After BatchNorm, with bias_term, this is batch normalisation's gamma and beta.

    A learned factor's diff does not add up over backwards, as in Caffe (BVLC/caffe issue 6604), where it is as large as
    the data, or where no axis of more than 1 comes before it but one behind it (a batch of 1 with axis 1): of the
    iter_size backwards of an iteration only the last counts.

    Bottoms:  data: any shape; optionally factor: equal to data's shape from ``axis`` on, or a number of no axes.
    Tops:     y: data's shape: data * factor (+ bias).
    Params:   scale_param.axis (may count from the end), num_axes of a learned factor (-1: all from axis on), filler,
              bias_term, bias_filler (0 without).
    Blobs:    the factor: data's shape from axis on, num_axes axes (none with two bottoms); then, with bias_term, the
              bias: the factor's shape.
    Raises:   LayerError: axis or num_axes out of range; shapes that do not fit.
    Source:   BVLC/caffe src/caffe/layers/scale_layer.cpp.
    """

    type = "Scale"
    bottoms = Count(1, 2)

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Make the factor, if it is not a bottom, and the bias."""
        p = self.param.scale_param
        given = len(bottom_shapes) > 1
        axes = len(bottom_shapes[1]) if given else p.num_axes
        axis = 0 if given and axes == 0 else p.axis
        part = covered(self, bottom_shapes[0], axis, axes, "scale_param")
        if not given:
            one = pb.FillerParameter(type="constant", value=1)
            self.add_blob(part, p.filler if p.HasField("filler") else one)
        if p.bias_term:
            self.add_blob(part, p.bias_filler)

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """The data's shape."""
        p = self.param.scale_param
        part = bottom_shapes[1] if len(bottom_shapes) > 1 else self.blobs[0].shape
        self.first = check_spread(self, bottom_shapes[0], part, p.axis, "scale_param")
        if p.bias_term:
            check_spread(self, bottom_shapes[0], self.blobs[-1].shape, p.axis, "scale_param")
        shape, covers = bottom_shapes[0], math.prod(part)
        before, behind = math.prod(shape[: self.first]), math.prod(shape[self.first + len(part) :])
        self.overwrites = covers == math.prod(shape) or (before == 1 and behind != 1 and covers != 1)
        return [shape]

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """Data * factor (+ bias)."""
        x = bottoms[0]
        part = bottoms[1] if len(bottoms) > 1 else blobs[0]
        if len(bottoms) == 1 and self.overwrites:
            part = overwriting(part, self.blobs[0])
        factor = spread(part, self.first, x.ndim)
        if not self.param.scale_param.bias_term:
            return [x * factor]
        return [torch.addcmul(spread(blobs[-1], self.first, x.ndim), x, factor)]
