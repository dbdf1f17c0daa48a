"""Classification nets made fully convolutional, up to their last features.

Padding conv1 by 100 pixels leaves room for fc6's window at any image size; the heads crop the surplus off again.
Layer names are those of the ILSVRC nets, so that their weights load by name.
"""

from typing import Any

from caffe_compat.errors import NetError
from caffe_compat.spec.net_spec import NetSpec, Top
from caffe_compat.spec.net_spec import layers as L
from caffe_compat.spec.net_spec import params as P

__all__ = ["FIRST_PAD_PX", "LEARNED", "alexnet", "thin", "vgg16"]

FIRST_PAD_PX = 100
LEARNED: list[dict[str, float]] = [{"lr_mult": 1, "decay_mult": 1}, {"lr_mult": 2, "decay_mult": 0}]
"""Weights learn at the base rate; biases at twice that, without decay."""

_VGG16_STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))  # convolutions and channels before each pooling
_ALEXNET_CONVOLUTIONS = (  # channels, kernel_size, stride, pad, group
    (96, 11, 4, FIRST_PAD_PX, 1),
    (256, 5, 1, 2, 2),
    (384, 3, 1, 1, 1),
    (384, 3, 1, 1, 2),
    (256, 3, 1, 1, 2),
)


def thin(channels: int, width: float) -> int:
    """That fraction of the channels, rounded, at least 1.

    Raises:
        NetError: the width is not above 0.
    """
    if not width > 0:
        raise NetError(f"width {width}: must be above 0; 1 is the full net, 1/16 a thin copy")
    return max(1, round(channels * width))


def _conv_relu(n: NetSpec, name: str, relu: str, bottom: Top, settings: dict[str, Any]) -> Top:
    n[name] = L.Convolution(bottom, **{"stride": 1, "pad": 0, **settings})
    n[relu] = L.ReLU(n[name], in_place=True)
    return n[relu]


def _fc6_fc7(
    n: NetSpec, bottom: Top, fc6_kernel_size: int, width: float, dropout: bool, suffix: str, settings: dict[str, Any]
) -> Top:
    """The fully-connected layers as convolutions, with ReLU and, when training, dropout."""
    top = bottom
    for number, kernel_size in ((6, fc6_kernel_size), (7, 1)):
        as_conv = {"num_output": thin(4096, width), "kernel_size": kernel_size, **settings}
        top = _conv_relu(n, f"fc{number}{suffix}", f"relu{number}{suffix}", top, as_conv)
        if dropout:
            top = n[f"drop{number}{suffix}"] = L.Dropout(top, dropout_ratio=0.5, in_place=True)
    return top


def vgg16(n: NetSpec, data: Top, *, width: float = 1, dropout: bool = True, suffix: str = "") -> Top:
    """VGG-16 (configuration D) with fc6 and fc7 as convolutions.

    Args:
        n: the spec; gets conv1_1 ... pool5, fc6, fc7 with their neurons. ``pool3`` and ``pool4`` serve as skips.
        data: N x 3 x H x W, BGR minus mean.
        width: fraction of the channels, for thin copies of the same geometry.
        dropout: whether fc6 and fc7 are followed by Dropout.
        suffix: ends every layer's name, for nets with two trunks.

    Returns:
        Features of stride 32, N x 4096*width x h x w.
    """
    top = data
    for stage, (convolutions, channels) in enumerate(_VGG16_STAGES, start=1):
        for i in range(1, convolutions + 1):
            settings = {
                "num_output": thin(channels, width),
                "kernel_size": 3,
                "pad": FIRST_PAD_PX if stage == i == 1 else 1,
                "param": LEARNED,
            }
            top = _conv_relu(n, f"conv{stage}_{i}{suffix}", f"relu{stage}_{i}{suffix}", top, settings)
        top = n[f"pool{stage}{suffix}"] = L.Pooling(top, pool=P.Pooling.MAX, kernel_size=2, stride=2)
    return _fc6_fc7(n, top, 7, width, dropout, suffix, {"param": LEARNED})


def alexnet(n: NetSpec, data: Top, *, width: float = 1, dropout: bool = True) -> Top:
    """CaffeNet, the one-GPU form of AlexNet, with fc6 and fc7 as convolutions.

    Its layers learn at Caffe's default rates: biases as weights, with decay.

    Args:
        n: the spec; gets conv1 ... pool5, fc6, fc7 with their neurons and LRN.
        data: N x 3 x H x W, BGR minus mean.
        width: fraction of the channels; those of conv1, conv3 and conv4 must come out even for the two groups.
        dropout: whether fc6 and fc7 are followed by Dropout.

    Returns:
        Features of stride 32, N x 4096*width x h x w.
    """
    top = data
    for number, (channels, kernel_size, stride, pad, group) in enumerate(_ALEXNET_CONVOLUTIONS, start=1):
        settings = {
            "num_output": thin(channels, width),
            "kernel_size": kernel_size,
            "stride": stride,
            "pad": pad,
            "group": group,
        }
        top = _conv_relu(n, f"conv{number}", f"relu{number}", top, settings)
        if number in (1, 2, 5):
            top = n[f"pool{number}"] = L.Pooling(top, pool=P.Pooling.MAX, kernel_size=3, stride=2)
        if number in (1, 2):
            top = n[f"norm{number}"] = L.LRN(top, local_size=5, alpha=1e-4, beta=0.75)
    return _fc6_fc7(n, top, 6, width, dropout, "", {"group": 1})
