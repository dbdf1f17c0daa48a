"""Concat joins blobs along an axis; Slice cuts one up again."""

from collections.abc import Sequence

import torch

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Count, Layer
from caffe_compat.layer.registry import register

__all__ = ["Concat", "Slice"]


@register
class Concat(Layer):
    """Its bottoms one after the other along an axis.

    Bottoms:  one or more, of equal shape except along the axis.
    Tops:     y: as the bottoms, its size along the axis is the sum of theirs.
    Params:   concat_param.axis: may count from the end; .concat_dim: its old form.
    Raises:   LayerError: both forms given; axis out of range; shapes that do not fit.
    Source:   BVLC/caffe src/caffe/layers/concat_layer.cpp.
    """

    type = "Concat"
    bottoms = Count.at_least(1)
    top_is_free = True

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Check that axis is given once."""
        param = self.param.concat_param
        if param.HasField("axis") and param.HasField("concat_dim"):
            raise self.error("concat_param has both axis and concat_dim, its old form; keep axis only")

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """The first bottom's shape with the sizes along the axis added up."""
        first = bottom_shapes[0]
        axis = self._axis(len(first))
        for i, shape in enumerate(bottom_shapes):
            if len(shape) != len(first) or any(shape[d] != first[d] for d in range(len(first)) if d != axis):
                raise self.error(
                    f"bottom[{i}] has shape {shape} but bottom[0] has {first}; "
                    f"all axes but concat_param.axis {axis} must be equal"
                )
        return [(*first[:axis], sum(shape[axis] for shape in bottom_shapes), *first[axis + 1 :])]

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """The bottoms, joined."""
        return [torch.cat(list(bottoms), self._axis(bottoms[0].ndim))]

    def _axis(self, axes: int) -> int:
        param = self.param.concat_param
        name = "concat_dim" if param.HasField("concat_dim") else "axis"
        return self.axis(getattr(param, name), axes, f"concat_param.{name}")


@register
class Slice(Layer):
    """Pieces of its bottom along an axis, one for each top.

    Bottoms:  x: N x C x ...
    Tops:     pieces of x, in order: cut at slice_point, or of equal size where none is given.
    Params:   slice_param.axis: may count from the end; .slice_dim: its old form; .slice_point: where the second and
              later tops begin, rising, one fewer than tops.
    Raises:   LayerError: both forms of axis given; axis out of range; points that are too many, too few, not rising or
              past the end; a size that does not divide.
    Source:   BVLC/caffe src/caffe/layers/slice_layer.cpp.
    """

    type = "Slice"
    tops = Count.at_least(1)
    top_is_free = True

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Check axis and the number and order of the points."""
        param = self.param.slice_param
        if param.HasField("axis") and param.HasField("slice_dim"):
            raise self.error("slice_param has both axis and slice_dim, its old form; keep axis only")
        points = list(param.slice_point)
        if points and len(points) != self.top_count - 1:
            raise self.error(
                f"{len(points)} slice_param.slice_point for {self.top_count} tops; "
                f"give {self.top_count - 1}, or none for equal pieces"
            )
        if any(a >= b for a, b in zip([0, *points], points, strict=False)):
            raise self.error(f"slice_param.slice_point {points} must be above 0 and rise")

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """The bottom's shape with each piece's size along the axis."""
        shape = bottom_shapes[0]
        axis = self._axis(len(shape))
        return [(*shape[:axis], size, *shape[axis + 1 :]) for size in self._sizes(shape[axis])]

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """The pieces, each in memory of its own."""
        axis = self._axis(bottoms[0].ndim)
        return [piece.clone() for piece in bottoms[0].split(self._sizes(bottoms[0].shape[axis]), axis)]

    def _axis(self, axes: int) -> int:
        param = self.param.slice_param
        name = "slice_dim" if param.HasField("slice_dim") else "axis"
        return self.axis(getattr(param, name), axes, f"slice_param.{name}")

    def _sizes(self, size: int) -> list[int]:
        """Each top's size along an axis of this size."""
        points = list(self.param.slice_param.slice_point)
        if points:
            if points[-1] > size:
                raise self.error(f"slice_param.slice_point {points[-1]} is past the end of an axis of size {size}")
            if self.top_count > size:
                raise self.error(
                    f"{self.top_count} tops for an axis of size {size}; the last would be empty: remove it"
                )
            return [end - begin for begin, end in zip([0, *points], [*points, size], strict=True)]
        if self.top_count > size or size % self.top_count:
            raise self.error(
                f"an axis of size {size} does not divide into {self.top_count} equal tops; give slice_param.slice_point"
            )
        return [size // self.top_count] * self.top_count
