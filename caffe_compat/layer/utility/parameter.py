"""Parameter."""

from collections.abc import Sequence

import torch

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Count, Layer
from caffe_compat.layer.overwriting import overwriting
from caffe_compat.layer.registry import register
from caffe_compat.proto import caffe_pb2 as pb

__all__ = ["Parameter"]


@register
class Parameter(Layer):
    """A learned blob as a top; it starts at zero.

    Its diff is the top's, so it does not add up over backwards: of the iter_size backwards of an iteration only the
    last counts, as in Caffe.

    Bottoms:  none.
    Tops:     y: parameter_param.shape.
    Params:   parameter_param.shape.
    Blobs:    [0] that shape.
    Source:   BVLC/caffe include/caffe/layers/parameter_layer.hpp.
    """

    type = "Parameter"
    bottoms = Count.exactly(0)
    top_is_free = True

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Make the blob."""
        self.add_blob(self.param.parameter_param.shape.dim, pb.FillerParameter())

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """The blob's shape."""
        return [self.blobs[0].shape]

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """The blob's values."""
        return [overwriting(blobs[0], self.blobs[0]).clone()]
