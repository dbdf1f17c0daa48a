"""Im2col: the patches under a convolution's window, as columns."""

import math
from collections.abc import Sequence

import torch
from torch.nn import functional as F

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Layer
from caffe_compat.layer.registry import register
from caffe_compat.layer.vision.convolution import read_window

__all__ = ["Im2col"]


@register
class Im2col(Layer):
    """Lays the pixels under each position of a sliding window along the channel axis.

    A Convolution is this and a matrix product.

    Bottoms:  N x C x H x W (one or more spatial axes; ``axis`` says which axis holds the channels).
    Tops:     N x (C kh kw) x H' x W', channel c kh kw + i kw + j holding pixel (i, j) of the window in channel c;
              H' = (H + 2 pad - dilation (kernel - 1) - 1) / stride, rounded towards zero, + 1.
    Params:   convolution_param: kernel_size, stride, pad, dilation and their _h and _w forms, axis; as Convolution's.
    Raises:   LayerError: kernel, stride or dilation 0 or given wrongly; no spatial axis; a window that is larger than
              the padded bottom by its stride or more; a number of axes that changes.
    Source:   BVLC/caffe src/caffe/layers/im2col_layer.cpp.
    """

    type = "Im2col"

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Read the window."""
        p = self.param.convolution_param
        shape = bottom_shapes[0]
        self.axes = len(shape)
        self.channel_axis = self.axis(p.axis, self.axes, "convolution_param.axis")
        spatial = self.axes - self.channel_axis - 1
        if spatial < 1:
            raise self.error(f"no spatial axis follows axis {self.channel_axis} of bottom[0] of shape {shape}")
        self.window = read_window(self, p, spatial)

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """C times the window's pixels, then the positions along each spatial axis."""
        shape = bottom_shapes[0]
        if len(shape) != self.axes:
            raise self.error(
                f"bottom[0] has {len(shape)} axes (shape {shape}) where it had {self.axes} at setup; keep their number"
            )
        lead, sizes = shape[: self.channel_axis + 1], shape[self.channel_axis + 1 :]
        self.positions = self.window.convolved(sizes)
        if any(n < 1 for n in self.positions):
            raise self.error(
                f"a window of extent {self.window.extent} does not fit into bottom[0] of shape {shape} with pad "
                f"{self.window.pad}; lower kernel_size or dilation, or raise pad or the input size"
            )
        return [(*lead[:-1], lead[-1] * math.prod(self.window.kernel), *self.positions)]

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """Pad, then one sliding view per spatial axis, then the windows' axes beside the channels."""
        first = self.channel_axis + 1
        window, spatial = self.window, len(self.window.kernel)
        lacking = window.lacking(bottoms[0].shape[first:])
        pads = zip(reversed(window.pad), reversed(lacking), strict=True)
        x = F.pad(bottoms[0], [zeros for pad, end in pads for zeros in (pad, pad + end)])
        for i in range(spatial):
            x = x.unfold(first + i, window.extent[i], window.stride[i])[..., :: window.dilation[i]]
        order = [*range(first), *range(first + spatial, first + 2 * spatial), *range(first, first + spatial)]
        x = x.permute(order)  # ... x C x kh x kw x H' x W'
        shape = (*bottoms[0].shape[: first - 1], bottoms[0].shape[first - 1] * math.prod(window.kernel))
        return [x.reshape(*shape, *self.positions).contiguous()]
