"""The PASCAL VOC nets: 20 classes and background, or any other number of classes with labels of the same kind.

Each builder takes a source of ``data`` (N x 3 x H x W, BGR minus mean) and ``label`` (N x 1 x H x W) and gives the
net; ``score`` is N x classes x H x W. A source without labels gives the deploy form: no dropout, no loss.

Source: shelhamer/fcn.berkeleyvision.org voc-fcn*/{train,val,deploy}.prototxt: equal to these as messages, apart from
the data layers.
"""

from collections.abc import Callable
from typing import Protocol

from caffe_compat.proto.caffe_pb2 import NetParameter
from caffe_compat.spec.net_spec import NetSpec, Top
from nets import heads, trunks
from nets.sources import Source

__all__ = ["VOC_CLASSES", "Builder", "build", "fcn8s", "fcn8s_atonce", "fcn16s", "fcn32s", "fcn_alexnet"]

VOC_CLASSES = 21
_ATONCE_SCALES = {"pool4": 0.01, "pool3": 0.0001}  # bring the skips' magnitudes near that of fc7's scores


class Builder(Protocol):
    """From a source to a net."""

    def __call__(
        self, source: Source, *, classes: int = VOC_CLASSES, width: float = 1, normalize: bool = False
    ) -> NetParameter:
        """Build the net.

        Args:
            source: data layers.
            classes: channels of the scores.
            width: fraction of the trunk's channels.
            normalize: divide the loss by the pixels that count; if not, by the batch size.
        """


def build(
    source: Source,
    trunk: Callable[..., Top],
    head: Callable[[NetSpec, Top, Top], Top],
    width: float,
    normalize: bool,
) -> NetParameter:
    """A net of one trunk and one head.

    Args:
        source: gives ``data``, and ``label`` where the net is to be trained or scored.
        trunk: from spec and image to features; takes ``width`` and ``dropout`` too.
        head: from spec, features and image to ``score``.
        width: fraction of the trunk's channels.
        normalize: divide the loss by the pixels that count.
    """
    n = NetSpec()
    source.add(n, ("data", "label"))
    training = "label" in n
    features = trunk(n, n.data, width=width, dropout=training)
    score = head(n, features, n.data)
    if training:
        heads.loss(n, score, n.label, normalize=normalize)
    return n.to_proto()


def fcn32s(source: Source, *, classes: int = VOC_CLASSES, width: float = 1, normalize: bool = False) -> NetParameter:
    """FCN-32s: VGG-16's scores at stride 32, upsampled at once."""
    return build(source, trunks.vgg16, lambda n, top, data: heads.fcn32s(n, top, data, classes), width, normalize)


def fcn16s(source: Source, *, classes: int = VOC_CLASSES, width: float = 1, normalize: bool = False) -> NetParameter:
    """FCN-16s: as 32s, with pool4's scores added at stride 16."""
    return build(source, trunks.vgg16, lambda n, top, data: heads.fcn16s(n, top, data, classes), width, normalize)


def fcn8s(source: Source, *, classes: int = VOC_CLASSES, width: float = 1, normalize: bool = False) -> NetParameter:
    """FCN-8s: as 16s, with pool3's scores added at stride 8."""
    return build(source, trunks.vgg16, lambda n, top, data: heads.fcn8s(n, top, data, classes), width, normalize)


def fcn8s_atonce(
    source: Source, *, classes: int = VOC_CLASSES, width: float = 1, normalize: bool = False
) -> NetParameter:
    """FCN-8s trained in one stage: pool4 and pool3 are scaled down before they are scored."""

    def head(n: NetSpec, top: Top, data: Top) -> Top:
        return heads.fcn8s(n, top, data, classes, scales=_ATONCE_SCALES)

    return build(source, trunks.vgg16, head, width, normalize)


def fcn_alexnet(
    source: Source, *, classes: int = VOC_CLASSES, width: float = 1, normalize: bool = True
) -> NetParameter:
    """FCN-AlexNet: CaffeNet's scores at stride 32, upsampled at once; its loss is normalised."""

    def head(n: NetSpec, top: Top, data: Top) -> Top:
        return heads.fcn32s(n, top, data, classes, kernel_size=63)

    return build(source, trunks.alexnet, head, width, normalize)
