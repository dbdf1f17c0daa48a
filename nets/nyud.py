"""The NYUDv2 nets that are more than FCN-32s on one image: color and depth stacked, or color and HHA fused late.

Tops of their sources: ``color`` (N x 3 x H x W, B, G, R minus mean), ``depth`` (N x 1 x H x W, log of millimetres minus
mean), ``hha`` (N x 3 x H x W minus mean), ``label`` (N x 1 x H x W, 0 to 39, 255 = void). FCN-32s on color or HHA alone
is ``voc.fcn32s`` with 40 classes.

Source: shelhamer/fcn.berkeleyvision.org nyud-fcn32s-*/{trainval,test}.prototxt, equal to these as messages apart from
the data layers. FCN-16s on color and HHA was never released: its layers are named in the manner of the released nets.
"""

from caffe_compat.proto.caffe_pb2 import NetParameter
from caffe_compat.spec.net_spec import NetSpec, Top
from caffe_compat.spec.net_spec import layers as L
from nets import heads, trunks
from nets.sources import Source

__all__ = ["NYUD_CLASSES", "color_d", "color_hha", "color_hha_16s"]

NYUD_CLASSES = 40


def color_d(source: Source, *, classes: int = NYUD_CLASSES, width: float = 1, normalize: bool = False) -> NetParameter:
    """FCN-32s on color and depth, stacked into four channels before the first convolution, ``conv1_1_bgrd``."""
    n = NetSpec()
    source.add(n, ("color", "depth", "label"))
    training = "label" in n
    n.data = L.Concat(n.color, n.depth)
    features = trunks.vgg16(n, n.data, width=width, dropout=training, first="conv1_1_bgrd")
    score = heads.fcn32s(n, features, n.data, classes)
    if training:
        heads.loss(n, score, n.label, normalize=normalize)
    return n.to_proto()


def _two_streams(source: Source, classes: int, width: float) -> tuple[NetSpec, Top]:
    """Trunk and class scores for each of color and HHA, and the mean of the scores."""
    n = NetSpec()
    source.add(n, ("color", "hha", "label"))
    scored = []
    for stream in ("color", "hha"):
        features = trunks.vgg16(n, n[stream], width=width, dropout="label" in n, suffix=stream)
        scored.append(heads.class_scores(n, f"score_fr{stream}", features, classes))
    return n, heads.average(n, "score_fused", *scored)


def color_hha(
    source: Source, *, classes: int = NYUD_CLASSES, width: float = 1, normalize: bool = False
) -> NetParameter:
    """FCN-32s on color and on HHA, each with a trunk of its own; the mean of their scores is upsampled."""
    n, fused = _two_streams(source, classes, width)
    score = heads.from_32s(n, fused, n.color, classes)
    if "label" in n:
        heads.loss(n, score, n.label, normalize=normalize)
    return n.to_proto()


def color_hha_16s(
    source: Source, *, classes: int = NYUD_CLASSES, width: float = 1, normalize: bool = False
) -> NetParameter:
    """As ``color_hha``, with the mean of both streams' pool4 scores added at stride 16."""
    n, fused = _two_streams(source, classes, width)
    upsampled = heads.upsample(n, "upscore2", fused, classes, 2)
    scored = [
        heads.class_scores(n, f"score_pool4{stream}", n[f"pool4{stream}"], classes) for stream in ("color", "hha")
    ]
    finer = heads.average(n, "score_pool4", *scored)
    both = heads.fuse(n, "fuse_pool4", upsampled, finer, "score_pool4c")
    upsampled = heads.upsample(n, "upscore16", both, classes, 16)
    n.score = heads.crop(upsampled, n.color)
    if "label" in n:
        heads.loss(n, n.score, n.label, normalize=normalize)
    return n.to_proto()
