"""Deconvolution: the transpose of Convolution."""

import torch
from torch.nn import functional as F

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.registry import register
from caffe_compat.layer.vision.convolution import BaseConvolution, Window

__all__ = ["Deconvolution"]


@register
class Deconvolution(BaseConvolution):
    """Adds a copy of the kernel, scaled by the bottom's value, around every bottom pixel, and a bias.

    The transpose of Convolution with the same parameters, so pad takes pixels away on each side. With weight_filler
    "bilinear" and group = num_output = C it is linear interpolation; with fewer groups the channels are mixed.

    Bottoms:  any number, all N x C x H x W (0 to 3 spatial axes; ``axis`` says which axis holds the channels).
    Tops:     one per bottom: N x num_output x H' x W', H' = stride (H - 1) + dilation (kernel - 1) + 1 - 2 pad.
    Params:   convolution_param, as Convolution's.
    Blobs:    [0] weight: C x num_output/group x kh x kw (bottom's channels first); [1] bias: num_output.
    Raises:   LayerError: as Convolution, but where the top would be empty in place of a kernel too large.
    Source:   BVLC/caffe src/caffe/layers/deconv_layer.cpp.
    """

    type = "Deconvolution"

    def weight_shape(self) -> Shape:
        """C x num_output/group x kernel."""
        return (self.channels, self.num_output // self.group, *self.window.kernel)

    def top_sizes(self, sizes: Shape) -> Shape:
        """Spatial sizes of the top; every one must be at least 1."""
        out = self.window.deconvolved(sizes)
        if any(n < 1 for n in (*out, *sizes)):
            raise self.error(
                f"bottom[0] of shape {sizes} gives a top of {out} with kernel {self.window.kernel}, stride "
                f"{self.window.stride} and pad {self.window.pad}; lower pad or raise the input size"
            )
        return out

    def convolve(
        self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, window: Window
    ) -> torch.Tensor:
        """Torch's transposed convolution of 1, 2 or 3 spatial axes."""
        op = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[x.ndim - 3]
        return op(x, weight, bias, window.stride, window.pad, groups=self.group, dilation=window.dilation)
