"""InnerProduct: the fully connected layer."""

import math
from collections.abc import Sequence

import torch
from torch.nn import functional as F

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Layer
from caffe_compat.layer.registry import register

__all__ = ["InnerProduct"]


@register
class InnerProduct(Layer):
    """Multiplies everything from ``axis`` on, as one vector of length K, by a learned matrix and adds a bias.

    K is fixed at setup by the first bottom.

    Bottoms:  M1 x ... x (C x H x W), flattened from ``axis`` on in N x C x H x W order; K = C H W.
    Tops:     M1 x ... x num_output.
    Params:   inner_product_param.num_output, axis (may count from the end), transpose, bias_term, weight_filler,
              bias_filler.
    Blobs:    [0] weight: num_output x K, or K x num_output with transpose; [1] bias: num_output.
    Raises:   LayerError: num_output 0; axis out of range; K that changes after setup.
    Source:   BVLC/caffe src/caffe/layers/inner_product_layer.cpp.
    """

    type = "InnerProduct"

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Fix K and make weight and bias."""
        p = self.param.inner_product_param
        if p.num_output == 0:
            raise self.error("num_output is 0; give inner_product_param.num_output, 1 or more")
        shape = bottom_shapes[0]
        self.inner = math.prod(shape[self.axis(p.axis, len(shape), "inner_product_param.axis") :])
        weight = (self.inner, p.num_output) if p.transpose else (p.num_output, self.inner)
        self.add_blob(weight, p.weight_filler)
        if p.bias_term:
            self.add_blob((p.num_output,), p.bias_filler)

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """The axes before ``axis``, then num_output."""
        p = self.param.inner_product_param
        shape = bottom_shapes[0]
        self.first = self.axis(p.axis, len(shape), "inner_product_param.axis")
        inner = math.prod(shape[self.first :])
        if inner != self.inner:
            raise self.error(
                f"bottom[0] of shape {shape} has {inner} values from axis {self.first} on but the weight was made for "
                f"{self.inner}; feed the size it was built with, or make this layer a Convolution to take any size"
            )
        return [(*shape[: self.first], p.num_output)]

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """X W' + b, or x W + b with transpose."""
        p = self.param.inner_product_param
        weight = blobs[0].t() if p.transpose else blobs[0]
        x = bottoms[0]
        y = F.linear(x.reshape(-1, self.inner), weight, blobs[1] if p.bias_term else None)  # M x num_output
        return [y.reshape(*x.shape[: self.first], p.num_output)]
