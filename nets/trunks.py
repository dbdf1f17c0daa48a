"""Classification nets up to their last features, with their fully-connected layers made convolutions.

Padding the first layer by 100 pixels leaves room for fc6's window at any image size; the heads crop the surplus off
again. Layer names are those of the ILSVRC nets, so that their weights load by name.

``vgg16`` and ``alexnet`` are the released trunks; ``vgg`` has all configurations of the VGG paper; GoogLeNet's is in
``nets.googlenet``. The ``..._features`` functions are the part up to pool5, which ``nets.classifiers`` shares.
"""

from collections.abc import Callable, Mapping
from typing import Any

from caffe_compat.errors import NetError
from caffe_compat.spec.net_spec import NetSpec, Top
from caffe_compat.spec.net_spec import layers as L
from caffe_compat.spec.net_spec import params as P

__all__ = [
    "default_rates",
    "FIRST_PAD_PX",
    "FROZEN",
    "LEARNED",
    "VGG_CONFIGURATIONS",
    "Extra",
    "alexnet",
    "alexnet_features",
    "conv_relu",
    "fc6_fc7",
    "frozen",
    "learned",
    "thin",
    "vgg",
    "vgg16",
    "vgg_features",
]

FIRST_PAD_PX = 100
LEARNED: list[dict[str, float]] = [{"lr_mult": 1, "decay_mult": 1}, {"lr_mult": 2, "decay_mult": 0}]
"""Weights learn at the base rate; biases at twice that, without decay."""
FROZEN: list[dict[str, float]] = [{"lr_mult": 0, "decay_mult": 0}] * 2
"""Neither weights nor biases learn."""

Extra = Callable[[str], Mapping[str, Any]]
"""From a layer's name to what it gets besides its geometry: learning rates and fillers."""

_CONV3 = (3, 1)  # kernel_size, pad
_CONV1 = (1, 0)


def _plain(*stages: int) -> tuple[tuple[tuple[int, int], ...], ...]:
    return tuple((_CONV3,) * convolutions for convolutions in stages)


VGG_CONFIGURATIONS: dict[str, tuple[tuple[tuple[int, int], ...], ...]] = {
    "A": _plain(1, 1, 2, 2, 2),
    "A-LRN": _plain(1, 1, 2, 2, 2),
    "B": _plain(2, 2, 2, 2, 2),
    "C": (*_plain(2, 2), *((_CONV3, _CONV3, _CONV1),) * 3),
    "D": _plain(2, 2, 3, 3, 3),
    "E": _plain(2, 2, 4, 4, 4),
}
"""Kernel size and pad of each convolution, stage by stage; Table 1 of Simonyan and Zisserman. D is VGG-16, E VGG-19."""

_VGG_CHANNELS = (64, 128, 256, 512, 512)
_ALEXNET_CONVOLUTIONS = (  # channels, kernel_size, stride, pad, group
    (96, 11, 4, 0, 1),
    (256, 5, 1, 2, 2),
    (384, 3, 1, 1, 1),
    (384, 3, 1, 1, 2),
    (256, 3, 1, 1, 2),
)


def learned(name: str) -> Mapping[str, Any]:
    """The released VGG nets' learning rates, for any layer."""
    return {"param": LEARNED}


def frozen(name: str) -> Mapping[str, Any]:
    """Rates of 0, for any layer."""
    return {"param": FROZEN}


def default_rates(name: str) -> Mapping[str, Any]:
    """Caffe's defaults: biases learn as weights, with decay."""
    return {}


def thin(channels: int, width: float) -> int:
    """That fraction of the channels, rounded, at least 1.

    Raises:
        NetError: the width is not above 0.
    """
    if not width > 0:
        raise NetError(f"width {width}: must be above 0; 1 is the full net, 1/16 a thin copy")
    return max(1, round(channels * width))


def conv_relu(n: NetSpec, name: str, relu: str, bottom: Top, settings: Mapping[str, Any]) -> Top:
    """A Convolution with a ReLU in place."""
    n[name] = L.Convolution(bottom, **{"stride": 1, "pad": 0, **settings})
    n[relu] = L.ReLU(n[name], in_place=True)
    return n[relu]


def fc6_fc7(
    n: NetSpec, bottom: Top, fc6_kernel_size: int, width: float, dropout: bool, suffix: str, extra: Extra,
    *, fc6_pad: int = 0,
) -> Top:  # fmt: skip
    """The fully-connected layers as convolutions, with ReLU and, when training, dropout."""
    top = bottom
    for number, kernel_size in ((6, fc6_kernel_size), (7, 1)):
        name = f"fc{number}{suffix}"
        as_conv = {"num_output": thin(4096, width), "kernel_size": kernel_size, **extra(name)}
        if number == 6 and fc6_pad:
            as_conv["pad"] = fc6_pad
        top = conv_relu(n, name, f"relu{number}{suffix}", top, as_conv)
        if dropout:
            top = n[f"drop{number}{suffix}"] = L.Dropout(top, dropout_ratio=0.5, in_place=True)
    return top


def vgg_features(
    n: NetSpec,
    data: Top,
    configuration: str,
    *,
    width: float = 1,
    suffix: str = "",
    first: str = "conv1_1",
    first_pad: int = 1,
    stages: int = 5,
    pool: int = P.Pooling.MAX,
    extra: Extra = learned,
) -> Top:
    """The convolutions of a VGG net: conv1_1 ... pool5 with their neurons.

    Arguments are as for ``vgg``, and two more: ``stages``, the number of the last pooling layer that is made, and
    ``pool``, the kind of pooling.
    """
    if configuration not in VGG_CONFIGURATIONS:
        raise NetError(f"VGG configuration '{configuration}' is not known; known: {', '.join(VGG_CONFIGURATIONS)}")
    top = data
    plan = zip(VGG_CONFIGURATIONS[configuration][:stages], _VGG_CHANNELS, strict=False)
    for stage, (convolutions, channels) in enumerate(plan, start=1):
        for i, (kernel_size, pad) in enumerate(convolutions, start=1):
            name = f"{first if stage == i == 1 else f'conv{stage}_{i}'}{suffix}"
            settings = {
                "num_output": thin(channels, width),
                "kernel_size": kernel_size,
                "pad": first_pad if stage == i == 1 else pad,
                **extra(name),
            }
            top = conv_relu(n, name, f"relu{stage}_{i}{suffix}", top, settings)
            if configuration == "A-LRN" and stage == i == 1:
                top = n[f"norm1{suffix}"] = L.LRN(top, local_size=5, alpha=1e-4, beta=0.75, k=2)
        top = n[f"pool{stage}{suffix}"] = L.Pooling(top, pool=pool, kernel_size=2, stride=2)
    return top


def vgg(
    n: NetSpec,
    data: Top,
    configuration: str,
    *,
    width: float = 1,
    dropout: bool = True,
    suffix: str = "",
    first: str = "conv1_1",
    first_pad: int = FIRST_PAD_PX,
    extra: Extra = learned,
) -> Top:
    """A VGG net with fc6 and fc7 as convolutions.

    Args:
        n: the spec; gets conv1_1 ... pool5, fc6, fc7 with their neurons. ``pool3`` and ``pool4`` serve as skips.
        data: N x C x H x W, BGR minus mean.
        configuration: A, A-LRN, B, C, D or E.
        width: fraction of the channels, for thin copies of the same geometry.
        dropout: whether fc6 and fc7 are followed by Dropout.
        suffix: ends every layer's name, for nets with two trunks.
        first: name of the first convolution, for inputs that its ILSVRC weights do not fit.
        first_pad: zeros around the image, pixels.
        extra: learning rates and fillers.

    Returns:
        Features of stride 32, N x 4096*width x h x w.

    Raises:
        NetError: there is no such configuration.
    """
    top = vgg_features(
        n, data, configuration, width=width, suffix=suffix, first=first, first_pad=first_pad, extra=extra
    )
    return fc6_fc7(n, top, 7, width, dropout, suffix, extra)


def vgg16(
    n: NetSpec,
    data: Top,
    *,
    width: float = 1,
    dropout: bool = True,
    suffix: str = "",
    first: str = "conv1_1",
    extra: Extra = learned,
) -> Top:
    """VGG-16 (configuration D) with fc6 and fc7 as convolutions; arguments and result as for ``vgg``."""
    return vgg(n, data, "D", width=width, dropout=dropout, suffix=suffix, first=first, extra=extra)


def alexnet_features(
    n: NetSpec,
    data: Top,
    *,
    width: float = 1,
    first_pad: int = 0,
    norm_first: bool = False,
    extra: Extra = default_rates,
) -> Top:
    """The convolutions of AlexNet or CaffeNet: conv1 ... pool5 with their neurons and LRN.

    Args:
        n: the spec.
        data: N x 3 x H x W, BGR minus mean.
        width: fraction of the channels; those of conv1, conv3 and conv4 must come out even for the two groups.
        first_pad: zeros around the image, pixels.
        norm_first: normalise before pooling, as AlexNet does; CaffeNet pools first.
        extra: learning rates and fillers.
    """
    top = data
    for number, (channels, kernel_size, stride, pad, group) in enumerate(_ALEXNET_CONVOLUTIONS, start=1):
        settings = {
            "num_output": thin(channels, width),
            "kernel_size": kernel_size,
            "stride": stride,
            "pad": first_pad if number == 1 else pad,
            "group": group,
            **extra(f"conv{number}"),
        }
        top = conv_relu(n, f"conv{number}", f"relu{number}", top, settings)
        for kind in ("norm", "pool") if norm_first else ("pool", "norm"):
            if kind == "pool" and number in (1, 2, 5):
                top = n[f"pool{number}"] = L.Pooling(top, pool=P.Pooling.MAX, kernel_size=3, stride=2)
            elif kind == "norm" and number in (1, 2):
                top = n[f"norm{number}"] = L.LRN(top, local_size=5, alpha=1e-4, beta=0.75)
    return top


def alexnet(
    n: NetSpec,
    data: Top,
    *,
    width: float = 1,
    dropout: bool = True,
    first_pad: int = FIRST_PAD_PX,
    norm_first: bool = False,
) -> Top:
    """CaffeNet, the one-GPU form of AlexNet, with fc6 and fc7 as convolutions.

    Its layers learn at Caffe's default rates: biases as weights, with decay.

    Args:
        n: the spec; gets conv1 ... pool5, fc6, fc7 with their neurons and LRN.
        data: N x 3 x H x W, BGR minus mean.
        width: fraction of the channels; those of conv1, conv3 and conv4 must come out even for the two groups.
        dropout: whether fc6 and fc7 are followed by Dropout.
        first_pad: zeros around the image, pixels.
        norm_first: AlexNet's own order of LRN and pooling.

    Returns:
        Features of stride 32, N x 4096*width x h x w.
    """
    top = alexnet_features(n, data, width=width, first_pad=first_pad, norm_first=norm_first)
    return fc6_fc7(n, top, 6, width, dropout, "", lambda name: {"group": 1})
