"""A stage's convolution, by the fastest way that is on and can be used."""

import torch

from caffe_compat.layer.vision.convolution import Convolution
from caffe_compat.net.plan import packed, winograd
from caffe_compat.net.plan.stage import Stage

__all__ = ["run_convolution"]


def run_convolution(stage: Stage, x: torch.Tensor, pad: tuple[int, int]) -> torch.Tensor:
    """The top of a Convolution, and of the ReLU that follows it, for one bottom.

    Args:
        stage: the Convolution's.
        x: N x C x H x W, channels last.
        pad: zero rows and columns on each side, in place of the layer's.
    """
    layer = stage.node.layer
    assert isinstance(layer, Convolution)
    if "winograd" in stage.on and winograd.pays(layer, x, pad):
        return winograd.convolve(layer, x.float(), pad, stage.relu)
    return packed.convolve(layer, x.to(stage.dtype), pad, stage.relu, "fuse" in stage.on)
