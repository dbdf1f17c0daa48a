"""SPP: spatial pyramid pooling."""

import math
from collections.abc import Sequence

import torch

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Layer
from caffe_compat.layer.registry import register
from caffe_compat.layer.vision.pooling import Pooling
from caffe_compat.proto import caffe_pb2 as pb

__all__ = ["SPP"]


@register
class SPP(Layer):
    """Pools the map over grids of 1 x 1, 2 x 2, 4 x 4, ... windows and joins the results into one vector.

    Level i has windows of ceil(H / 2^i) x ceil(W / 2^i), side by side over a map padded to a multiple of that; a map
    too small for a level (padding as large as the window) is refused, as in Caffe.

    Bottoms:  N x C x H x W.
    Tops:     N x (C times the windows of all levels), level by level, each in C x rows x columns order; with
              pyramid_height 1: N x C x 1 x 1.
    Params:   spp_param.pyramid_height: number of levels; pool: MAX, AVE or STOCHASTIC, as Pooling's.
    Raises:   LayerError: pyramid_height 0, a bottom of other than 4 axes, an empty or too small one.
    Source:   BVLC/caffe src/caffe/layers/spp_layer.cpp.
    """

    type = "SPP"

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Check the pyramid's height."""
        if self.param.spp_param.pyramid_height < 1:
            raise self.error("pyramid_height is 0; give spp_param.pyramid_height, 1 or more")

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """One pooling per level, made for this size."""
        shape = bottom_shapes[0]
        if len(shape) != 4 or 0 in shape[2:]:
            raise self.error(f"bottom[0] has shape {shape}; it must be N x C x H x W with H and W 1 or more")
        self.levels = [self._level(i, shape) for i in range(self.param.spp_param.pyramid_height)]
        tops = [level.reshape([shape])[0] for level in self.levels]
        if len(tops) == 1:
            return tops
        return [(shape[0], sum(math.prod(top[1:]) for top in tops))]

    def _level(self, i: int, shape: Shape) -> Pooling:
        """The pooling layer of level i, under this layer's name."""
        kernel = [math.ceil(n / 2**i) for n in shape[2:]]
        pad = [(k * 2**i - n + 1) // 2 for k, n in zip(kernel, shape[2:], strict=True)]
        if any(p >= k for p, k in zip(pad, kernel, strict=True) if p):
            raise self.error(
                f"bottom[0] of shape {shape} is too small for level {i} of the pyramid: windows of {kernel} would need "
                f"padding of {pad}; lower spp_param.pyramid_height or raise the input size"
            )
        pooling = pb.PoolingParameter(
            pool=pb.SPPParameter.PoolMethod.Name(self.param.spp_param.pool),
            kernel_h=kernel[0],
            kernel_w=kernel[1],
            stride_h=kernel[0],
            stride_w=kernel[1],
            pad_h=pad[0],
            pad_w=pad[1],
        )
        param = pb.LayerParameter(name=self.name, type="Pooling", bottom=["x"], top=["y"], pooling_param=pooling)
        level = Pooling(param, self.phase)
        level.setup([shape])
        return level

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """Every level's pooling, flattened and joined."""
        tops = []
        for i, level in enumerate(self.levels):
            state = context.state.setdefault(f"level {i}", {})
            own = Context(context.phase, context.generator, state, context.replay)
            tops += level.forward(bottoms, (), own)
        return tops if len(tops) == 1 else [torch.cat([top.flatten(1) for top in tops], 1)]
