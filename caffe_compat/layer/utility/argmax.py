"""ArgMax."""

from collections.abc import Sequence

import torch

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Layer
from caffe_compat.layer.registry import register

__all__ = ["ArgMax"]


@register
class ArgMax(Layer):
    """The indices of the top_k largest values, largest first, as floats; or the values, or both.

    Of equal values the one with the larger index comes first. No gradient.

    Bottoms:  x: N x C x H x W.
    Tops:     y: with axis: x's shape with top_k along the axis: indices, or values with out_max_val.
              Without axis, over all values of an item: N x 1 x top_k (x 1 ...), indices into C * H * W; with
              out_max_val N x 2 x top_k (x 1 ...): indices, then values.
    Params:   argmax_param.top_k, .axis, .out_max_val.
    Raises:   LayerError: top_k below 1 or above what there is; axis out of range.
    Source:   BVLC/caffe src/caffe/layers/argmax_layer.cpp.
    """

    type = "ArgMax"

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Check top_k."""
        if self.param.argmax_param.top_k < 1:
            raise self.error("argmax_param.top_k is 0; give 1 or more")

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """The indices' shape."""
        shape, param = bottom_shapes[0], self.param.argmax_param
        if param.HasField("axis"):
            axis = self.axis(param.axis, len(shape), "argmax_param.axis")
            size = shape[axis]
            top = (*shape[:axis], param.top_k, *shape[axis + 1 :])
        else:
            if not shape:
                raise self.error("bottom[0] has shape (); without argmax_param.axis it needs a first axis of items")
            size = 1
            for dim in shape[1:]:
                size *= dim
            top = (shape[0], 2 if param.out_max_val else 1, param.top_k, *[1] * (len(shape) - 3))
        if param.top_k > size:
            raise self.error(
                f"argmax_param.top_k {param.top_k} is more than the {size} values of bottom[0] of shape {shape} that "
                "are compared; lower top_k"
            )
        return [top]

    @torch.no_grad()
    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """The indices, the values, or both."""
        x, param = bottoms[0], self.param.argmax_param
        if param.HasField("axis"):
            values, indices = _largest(x, param.axis % x.ndim, param.top_k)
            return [values if param.out_max_val else indices.to(x.dtype)]
        values, indices = _largest(x.reshape(x.shape[0], -1), 1, param.top_k)  # N x top_k each
        parts = [indices.to(x.dtype), values] if param.out_max_val else [indices.to(x.dtype)]
        return [torch.stack(parts, 1).reshape(self.reshape([tuple(x.shape)])[0])]


def _largest(x: torch.Tensor, axis: int, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The k largest values along the axis and their indices; ties go to the larger index, so x is read backwards."""
    backwards = x.flip(axis)
    if k == 1:
        place = backwards.argmax(axis, keepdim=True)
    else:
        place = backwards.argsort(stable=True, dim=axis, descending=True).narrow(axis, 0, k)
    return backwards.gather(axis, place), x.shape[axis] - 1 - place
