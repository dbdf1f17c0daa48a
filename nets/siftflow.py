"""The SIFT Flow nets: one trunk, two heads, for 33 semantic and 3 geometric classes.

Tops of their sources: ``data`` (N x 3 x H x W, B, G, R minus mean), ``sem`` and ``geo`` (N x 1 x H x W, classes, 255 =
void). The nets' scores are ``score_sem`` and ``score_geo``, their losses ``loss`` and ``loss_geo``.

Source: shelhamer/fcn.berkeleyvision.org siftflow-fcn*/{trainval,test}.prototxt, equal to these as messages apart from
the data layers.
"""

from typing import Protocol

from caffe_compat.proto.caffe_pb2 import NetParameter
from caffe_compat.spec.net_spec import NetSpec, Top
from nets import heads, trunks
from nets.sources import Source

__all__ = ["GEOMETRIC_CLASSES", "SEMANTIC_CLASSES", "fcn8s", "fcn16s", "fcn32s"]

SEMANTIC_CLASSES = 33
GEOMETRIC_CLASSES = 3


class _Head(Protocol):
    def __call__(self, n: NetSpec, features: Top, data: Top, classes: int, *, suffix: str) -> Top: ...


def _build(source: Source, head: _Head, classes: int, width: float, normalize: bool) -> NetParameter:
    """``classes`` are the semantic ones."""
    n = NetSpec()
    source.add(n, ("data", "sem", "geo"))
    training = "sem" in n and "geo" in n
    features = trunks.vgg16(n, n.data, width=width, dropout=training)
    for task, count, name in (("sem", classes, "loss"), ("geo", GEOMETRIC_CLASSES, "loss_geo")):
        score = head(n, features, n.data, count, suffix=f"_{task}")
        if training:
            heads.loss(n, score, n[task], name=name, normalize=normalize)
    return n.to_proto()


def fcn32s(
    source: Source, *, classes: int = SEMANTIC_CLASSES, width: float = 1, normalize: bool = False
) -> NetParameter:
    """FCN-32s with two heads."""
    return _build(source, heads.fcn32s, classes, width, normalize)


def fcn16s(
    source: Source, *, classes: int = SEMANTIC_CLASSES, width: float = 1, normalize: bool = False
) -> NetParameter:
    """FCN-16s with two heads, each with a skip from pool4."""
    return _build(source, heads.fcn16s, classes, width, normalize)


def fcn8s(
    source: Source, *, classes: int = SEMANTIC_CLASSES, width: float = 1, normalize: bool = False
) -> NetParameter:
    """FCN-8s with two heads, each with skips from pool4 and pool3."""
    return _build(source, heads.fcn8s, classes, width, normalize)
