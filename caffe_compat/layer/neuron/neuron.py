"""The base of the neurons: one bottom, one top of the same shape."""

from collections.abc import Sequence

import torch

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Layer

__all__ = ["Neuron"]


class Neuron(Layer):
    """A layer whose top has its bottom's shape and whose elements do not see each other.

    Subclasses say what becomes of the values in ``activate``. Given in place (top 0 is bottom 0), gradients are taken
    at the values before the layer, also where Caffe takes them at the overwritten ones and so gets them wrong (AbsVal,
    BNLL, Clip, Log, Power with a power other than 1, ReLU with a negative_slope below 0).
    """

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """The bottom's shape."""
        return [bottom_shapes[0]]

    def activate(self, x: torch.Tensor, blobs: Sequence[torch.Tensor], in_place: bool) -> torch.Tensor:
        """The top for a bottom of any shape; may overwrite x if ``in_place``."""
        raise NotImplementedError

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """Apply ``activate``."""
        return [self.activate(bottoms[0], blobs, context.in_place)]
