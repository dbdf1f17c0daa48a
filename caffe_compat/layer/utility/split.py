"""Split hands one blob to several consumers; Silence takes blobs that nobody wants."""

from collections.abc import Sequence

import torch

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Count, Layer
from caffe_compat.layer.registry import register

__all__ = ["Silence", "Split"]


@register
class Split(Layer):
    """Its bottom, once for each top; the tops' gradients are added.

    Nets insert these by themselves where a blob has several consumers.

    Bottoms:  x: any shape.
    Tops:     one or more, the shape of x, all sharing its memory.
    Raises:   LayerError: given in place.
    Source:   BVLC/caffe src/caffe/layers/split_layer.cpp.
    """

    type = "Split"
    tops = Count.at_least(1)

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Check that it is not given in place."""
        if self.param.bottom[0] in self.param.top:
            raise self.error(f"top '{self.param.bottom[0]}' is its bottom; it cannot work in place: rename the top")

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """The bottom's shape, for each top."""
        return [bottom_shapes[0]] * self.top_count

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """Views of the bottom."""
        return [bottoms[0].view_as(bottoms[0]) for _ in range(self.top_count)]


@register
class Silence(Layer):
    """No top: its bottoms count as used, so they are not outputs of the net. They get a gradient of zero.

    Bottoms:  one or more, any shapes.
    Tops:     none.
    Source:   BVLC/caffe src/caffe/layers/silence_layer.cpp.
    """

    type = "Silence"
    bottoms = Count.at_least(1)
    tops = Count.exactly(0)

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """Nothing."""
        return []

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """Nothing."""
        return []
