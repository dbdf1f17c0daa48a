"""GoogLeNet (Inception v1): its features, for the classifier and for FCN-GoogLeNet.

Layer names are those of BVLC's GoogLeNet, so that its weights load by name.
"""

from collections.abc import Callable

from caffe_compat.spec.net_spec import NetSpec, Top
from caffe_compat.spec.net_spec import layers as L
from caffe_compat.spec.net_spec import params as P
from nets.trunks import FIRST_PAD_PX, Extra, conv_relu, learned, thin

__all__ = ["AUXILIARY_AT", "features", "trunk"]

_INCEPTIONS = {  # 1 x 1; 3 x 3 reduced, 3 x 3; 5 x 5 reduced, 5 x 5; pooling projected
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
AUXILIARY_AT = {"4a": "loss1", "4d": "loss2"}
"""Modules whose outputs the classifier's auxiliary heads read, and the prefix of those heads' layers."""


def _conv(
    n: NetSpec, name: str, relu: str, bottom: Top, outputs: int, kernel_size: int, width: float, extra: Extra,
    *, stride: int = 1, pad: int = 0,
) -> Top:  # fmt: skip
    settings = {
        "num_output": thin(outputs, width),
        "kernel_size": kernel_size,
        "stride": stride,
        "pad": pad,
        **extra(name),
    }
    return conv_relu(n, name, relu, bottom, settings)


def _pool(n: NetSpec, name: str, bottom: Top) -> Top:
    n[name] = L.Pooling(bottom, pool=P.Pooling.MAX, kernel_size=3, stride=2)
    return n[name]


def _norm(n: NetSpec, name: str, bottom: Top) -> Top:
    n[name] = L.LRN(bottom, local_size=5, alpha=1e-4, beta=0.75)
    return n[name]


def _inception(n: NetSpec, module: str, bottom: Top, width: float, extra: Extra) -> Top:
    """Four branches over one input, side by side."""
    one, reduce3, three, reduce5, five, projected = _INCEPTIONS[module]

    def conv(name: str, below: Top, outputs: int, kernel_size: int = 1) -> Top:
        full, relu = f"inception_{module}/{name}", f"inception_{module}/relu_{name}"
        return _conv(n, full, relu, below, outputs, kernel_size, width, extra, pad=kernel_size // 2)

    direct = conv("1x1", bottom, one)
    small = conv("3x3", conv("3x3_reduce", bottom, reduce3), three, 3)
    large = conv("5x5", conv("5x5_reduce", bottom, reduce5), five, 5)
    name = f"inception_{module}/pool"
    n[name] = L.Pooling(bottom, pool=P.Pooling.MAX, kernel_size=3, stride=1, pad=1)
    pooled = conv("pool_proj", n[name], projected)
    n[f"inception_{module}/output"] = L.Concat(direct, small, large, pooled)
    return n[f"inception_{module}/output"]


def features(
    n: NetSpec,
    data: Top,
    *,
    width: float = 1,
    first_pad: int = 3,
    extra: Extra = learned,
    auxiliary: Callable[[str, Top], None] | None = None,
) -> Top:
    """All Inception modules.

    Args:
        n: the spec; gets conv1/7x7_s2 ... inception_5b/output.
        data: N x 3 x H x W, BGR minus mean.
        width: fraction of the channels.
        first_pad: zeros around the image, pixels.
        extra: learning rates and fillers.
        auxiliary: adds an auxiliary head, given the prefix of its layers' names and the features it reads.

    Returns:
        Features of stride 32, N x 1024*width x h x w.
    """
    top = _conv(n, "conv1/7x7_s2", "conv1/relu_7x7", data, 64, 7, width, extra, stride=2, pad=first_pad)
    top = _norm(n, "pool1/norm1", _pool(n, "pool1/3x3_s2", top))
    top = _conv(n, "conv2/3x3_reduce", "conv2/relu_3x3_reduce", top, 64, 1, width, extra)
    top = _conv(n, "conv2/3x3", "conv2/relu_3x3", top, 192, 3, width, extra, pad=1)
    top = _pool(n, "pool2/3x3_s2", _norm(n, "conv2/norm2", top))
    for module in _INCEPTIONS:
        top = _inception(n, module, top, width, extra)
        if auxiliary is not None and module in AUXILIARY_AT:
            auxiliary(AUXILIARY_AT[module], top)
        if module in ("3b", "4e"):
            top = _pool(n, f"pool{int(module[0])}/3x3_s2", top)
    return top


def trunk(n: NetSpec, data: Top, *, width: float = 1, dropout: bool = True, first_pad: int = FIRST_PAD_PX) -> Top:
    """GoogLeNet made fully convolutional: its average pooling slides, its auxiliary heads are dropped.

    The first layer's padding of 100 pixels leaves room for the window of 7 x 7 features at any image size from 64 on;
    ``first_pad`` gives another.

    Returns:
        Features of stride 32, N x 1024*width x h x w, each the mean of a window.
    """
    top = features(n, data, width=width, first_pad=first_pad)
    n["pool5/7x7_s1"] = L.Pooling(top, pool=P.Pooling.AVE, kernel_size=7, stride=1)
    top = n["pool5/7x7_s1"]
    if dropout:
        top = n["pool5/drop_7x7_s1"] = L.Dropout(top, dropout_ratio=0.4, in_place=True)
    return top
