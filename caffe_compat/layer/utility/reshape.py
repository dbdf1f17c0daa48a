"""Reshape and Flatten: the same values, in the same order, under another shape."""

import math
from collections.abc import Sequence

import torch

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Layer
from caffe_compat.layer.registry import register

__all__ = ["Flatten", "Reshape"]


class _NewShape(Layer):
    """A layer whose top is a view of its bottom where the memory layout allows one."""

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Check that it is not given in place."""
        if self.param.top[0] == self.param.bottom[0]:
            raise self.error(f"top '{self.param.top[0]}' is its bottom; it cannot work in place: rename the top")

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """The top's shape, of the same count."""
        raise NotImplementedError

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """The bottom's values in C order, under the top's shape."""
        return [bottoms[0].reshape(self.reshape([tuple(bottoms[0].shape)])[0])]


@register
class Flatten(_NewShape):
    """Axes ``axis`` to ``end_axis``, the last one included, as one axis.

    Bottoms:  x: N x C x H x W.
    Tops:     y: N x CHW with the default axes; shares x's memory.
    Params:   flatten_param.axis, .end_axis: may count from the end.
    Raises:   LayerError: an axis out of range; end_axis before axis; given in place.
    Source:   BVLC/caffe src/caffe/layers/flatten_layer.cpp.
    """

    type = "Flatten"

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """The bottom's shape with the axes merged."""
        shape = bottom_shapes[0]
        param = self.param.flatten_param
        first = self.axis(param.axis, len(shape), "flatten_param.axis")
        last = self.axis(param.end_axis, len(shape), "flatten_param.end_axis")
        if last < first:
            raise self.error(f"flatten_param.end_axis {last} comes before axis {first}; for a bottom of shape {shape}")
        return [(*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])]


@register
class Reshape(_NewShape):
    """Axes ``axis`` to ``axis + num_axes`` replaced by the dimensions in ``shape``.

    Bottoms:  x: any shape.
    Tops:     y: as many values; shares x's memory.
    Params:   reshape_param.shape: dimensions; 0 keeps the bottom's at this place, one may be -1: what remains;
              .axis: where they go; from the end, -1 is behind the last axis; .num_axes: how many axes they replace,
              -1 for all from axis on.
    Raises:   LayerError: counts that do not fit; a second -1; an axis out of range; given in place.
    Source:   BVLC/caffe src/caffe/layers/reshape_layer.cpp.
    """

    type = "Reshape"

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Check the dimensions that are given."""
        super().setup(bottom_shapes)
        dims = list(self.param.reshape_param.shape.dim)
        if dims.count(-1) > 1 or any(d < -1 for d in dims):
            raise self.error(
                f"reshape_param.shape {dims} must hold sizes, 0 (keep) and at most one -1 (what remains); correct it"
            )

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """The bottom's shape with the axes replaced."""
        shape = bottom_shapes[0]
        first, end = self._replaced(len(shape))
        dims = list(self.param.reshape_param.shape.dim)
        for i, dim in enumerate(dims):
            if dim == 0:
                if first + i >= len(shape):
                    raise self.error(
                        f"reshape_param.shape {dims} keeps axis {first + i}, but bottom[0] has shape {shape}; "
                        "give a size instead of 0"
                    )
                dims[i] = shape[first + i]
        top = [*shape[:first], *dims, *shape[end:]]
        count = math.prod(shape)
        if -1 in dims:
            known = math.prod(d for d in top if d != -1)
            if known == 0 or count % known:
                raise self.error(
                    f"bottom[0] of shape {shape} has {count} values, not a multiple of the {known} of {tuple(top)}; "
                    "correct reshape_param.shape"
                )
            top[top.index(-1)] = count // known
        if math.prod(top) != count:
            raise self.error(
                f"bottom[0] of shape {shape} has {count} values, but {tuple(top)} has {math.prod(top)}; "
                "correct reshape_param.shape"
            )
        return [tuple(top)]

    def _replaced(self, axes: int) -> tuple[int, int]:
        """First and end of the axes that are replaced."""
        param = self.param.reshape_param
        first = param.axis if param.axis >= 0 else axes + 1 + param.axis
        if not 0 <= first <= axes:
            raise self.error(
                f"reshape_param.axis {param.axis} is out of range for a bottom of {axes} axes; "
                f"use {-axes - 1} to {axes}"
            )
        if param.num_axes < -1:
            raise self.error(f"reshape_param.num_axes is {param.num_axes}; give -1 (all from axis on) or more")
        end = axes if param.num_axes == -1 else first + param.num_axes
        if end > axes:
            raise self.error(
                f"reshape_param.axis {first} + num_axes {param.num_axes} is past the {axes} axes of bottom[0]; "
                "lower num_axes"
            )
        return first, end
