"""Dropout."""

from collections.abc import Sequence

import torch

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context
from caffe_compat.layer.neuron.neuron import Neuron
from caffe_compat.layer.registry import register
from caffe_compat.proto import caffe_pb2 as pb

__all__ = ["Dropout"]


@register
class Dropout(Neuron):
    """In TRAIN each value is 0 with probability dropout_ratio and x / (1 - dropout_ratio) otherwise; in TEST it is x.

    Values are drawn one by one in C order, so the memory layout of x does not change which are dropped. The draw of the
    last forward is kept in ``context.state["mask"]`` and used again in a replay; a replay before any draw of this shape
    drops everything.

    Bottoms:  x: any shape.
    Tops:     y: the shape of x.
    Params:   dropout_param.dropout_ratio: 0 to below 1.
    Raises:   LayerError: dropout_ratio outside [0, 1).
    Source:   BVLC/caffe src/caffe/layers/dropout_layer.cpp, which accepts any ratio in release builds.
    """

    type = "Dropout"
    top_is_free = True

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Check dropout_ratio."""
        ratio = self.param.dropout_param.dropout_ratio
        if not 0 <= ratio < 1:
            raise self.error(
                f"dropout_param.dropout_ratio is {ratio:g}, outside [0, 1); give the share of values to drop"
            )

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """The values that stay, scaled up."""
        x = bottoms[0]
        if context.phase == pb.TEST:
            return [x if context.in_place else x.clone()]
        mask = self._mask(x, context)
        return [x.mul_(mask) if context.in_place else x * mask]

    def _mask(self, x: torch.Tensor, context: Context) -> torch.Tensor:
        """What each value is multiplied by: 0 or 1 / (1 - dropout_ratio)."""
        if context.replay:
            stored = context.state.get("mask")
            if stored is None or stored.shape != x.shape:
                return torch.zeros_like(x)
            return stored.to(x)
        kept = 1 - self.param.dropout_param.dropout_ratio
        mask = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        context.state["mask"] = mask.bernoulli_(kept, generator=context.generator).div_(kept)
        return mask
