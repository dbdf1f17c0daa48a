"""Embed: a table of vectors, looked up by index."""

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Layer
from caffe_compat.layer.registry import register

__all__ = ["Embed"]


@register
class Embed(Layer):
    """Puts in place of every index the learned vector of that number, plus a bias.

    Indices are numbers in a float blob; their fraction is dropped. The bottom gets no gradient.

    Bottoms:  any shape, indices 0 to input_dim - 1.
    Tops:     the bottom's shape x num_output.
    Params:   embed_param.num_output, input_dim, bias_term, weight_filler, bias_filler.
    Blobs:    [0] weight: input_dim x num_output; [1] bias: num_output.
    Raises:   LayerError: num_output or input_dim 0; an index out of range (Caffe reads beyond the table).
    Source:   BVLC/caffe src/caffe/layers/embed_layer.cpp.
    """

    type = "Embed"

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Make the table and the bias."""
        p = self.param.embed_param
        for field in ("num_output", "input_dim"):
            if getattr(p, field) == 0:
                raise self.error(f"{field} is 0; give embed_param.{field}, 1 or more")
        self.add_blob((p.input_dim, p.num_output), p.weight_filler)
        if p.bias_term:
            self.add_blob((p.num_output,), p.bias_filler)

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """One more axis, of num_output."""
        return [(*bottom_shapes[0], self.param.embed_param.num_output)]

    def allows_force_backward(self, bottom: int) -> bool:
        """Indices have no gradient."""
        return False

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """Rows of the table, by index."""
        p = self.param.embed_param
        given = bottoms[0].detach()
        outside = ~((given > -1) & (given < p.input_dim))  # also where it is NaN
        if bool(outside.any()):
            at = tuple(outside.nonzero()[0].tolist())
            raise self.error(
                f"bottom[0] holds index {given[at].item():g} at {at}; indices must be 0 to {p.input_dim - 1}: "
                "correct the data or raise embed_param.input_dim"
            )
        y = F.embedding(given.long(), blobs[0])
        return [y + blobs[1] if p.bias_term else y]
