"""Reduction and Tile: fewer values along the last axes, or more along one."""

import math
from collections.abc import Sequence

import torch

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Layer
from caffe_compat.layer.registry import register
from caffe_compat.proto import caffe_pb2 as pb

__all__ = ["Reduction", "Tile"]


@register
class Reduction(Layer):
    """The sum, sum of absolute values, sum of squares or mean over ``axis`` and all axes behind it, times coeff.

    Bottoms:  x: any shape.
    Tops:     y: the axes before ``axis``; one value of shape () for axis 0.
    Params:   reduction_param.operation: SUM, ASUM, SUMSQ or MEAN; .axis: may count from the end; .coeff.
    Raises:   LayerError: axis out of range.
    Source:   BVLC/caffe src/caffe/layers/reduction_layer.cpp.
    """

    type = "Reduction"

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """The axes that stay."""
        shape = bottom_shapes[0]
        return [shape[: self._axis(len(shape))]]

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """The sums."""
        x, param = bottoms[0], self.param.reduction_param
        axes = tuple(range(self._axis(x.ndim), x.ndim))
        if param.operation == pb.ReductionParameter.ASUM:
            x = x.abs()
        elif param.operation == pb.ReductionParameter.SUMSQ:
            x = x.square()
        factor = param.coeff
        if param.operation == pb.ReductionParameter.MEAN:
            factor /= max(1, math.prod(x.shape[axes[0] :]))
        return [x.sum(axes) * factor]

    def _axis(self, axes: int) -> int:
        return self.axis(self.param.reduction_param.axis, axes, "reduction_param.axis")


@register
class Tile(Layer):
    """Its bottom ``tiles`` times, one after the other along an axis.

    Bottoms:  x: N x C x ...
    Tops:     y: the shape of x with ``tiles`` times the size along the axis.
    Params:   tile_param.axis: may count from the end; .tiles: 1 or more, must be given.
    Raises:   LayerError: tiles missing or below 1; axis out of range.
    Source:   BVLC/caffe src/caffe/layers/tile_layer.cpp.
    """

    type = "Tile"
    top_is_free = True

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Check tiles."""
        param = self.param.tile_param
        if not param.HasField("tiles") or param.tiles < 1:
            found = param.tiles if param.HasField("tiles") else "not set"
            raise self.error(f"tile_param.tiles is {found}; give the number of copies, 1 or more")

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """The bottom's shape, longer along the axis."""
        shape = bottom_shapes[0]
        axis = self._axis(len(shape))
        return [(*shape[:axis], shape[axis] * self.param.tile_param.tiles, *shape[axis + 1 :])]

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """The copies."""
        return [torch.cat([bottoms[0]] * self.param.tile_param.tiles, self._axis(bottoms[0].ndim))]

    def _axis(self, axes: int) -> int:
        return self.axis(self.param.tile_param.axis, axes, "tile_param.axis")
