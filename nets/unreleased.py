"""VOC nets of the papers that were never released, and one that TensorFlow ports made known.

The papers give their parts and results; what they leave open is said with each. Tops and ``score`` are as in
``nets.voc``.
"""

from functools import partial

from caffe_compat.proto.caffe_pb2 import NetParameter
from caffe_compat.spec.coord_map import crop
from caffe_compat.spec.net_spec import NetSpec, Top
from caffe_compat.spec.net_spec import layers as L
from caffe_compat.spec.net_spec import params as P
from nets import googlenet, heads, trunks
from nets.sources import Source
from nets.voc import VOC_CLASSES, build

__all__ = ["fcn8s_vgg19", "fcn32s_fixed", "fcn_googlenet", "fcn_pool3", "fcn_pool4", "fcn_pool5"]


def fcn32s_fixed(
    source: Source, *, classes: int = VOC_CLASSES, width: float = 1, normalize: bool = False
) -> NetParameter:
    """FCN-32s whose trunk does not learn; the score layer alone does."""

    def head(n: NetSpec, top: Top, data: Top) -> Top:
        return heads.fcn32s(n, top, data, classes)

    return build(source, partial(trunks.vgg16, extra=trunks.frozen), head, width, normalize)


def _convolutions_only(n: NetSpec, data: Top, *, width: float, dropout: bool, last: int) -> Top:
    return trunks.vgg_features(n, data, "D", width=width, first_pad=trunks.FIRST_PAD_PX, stages=last)


def _fcn_pool(
    last: int, source: Source, *, classes: int = VOC_CLASSES, width: float = 1, normalize: bool = False
) -> NetParameter:
    def head(n: NetSpec, top: Top, data: Top) -> Top:
        return heads.from_layer(n, f"pool{last}", data, classes, 2**last)

    return build(source, partial(_convolutions_only, last=last), head, width, normalize)


fcn_pool5 = partial(_fcn_pool, 5)
"""Scores of VGG-16's pool5 alone, stride 32; what lies above is left out."""
fcn_pool4 = partial(_fcn_pool, 4)
"""Scores of pool4 alone, stride 16."""
fcn_pool3 = partial(_fcn_pool, 3)
"""Scores of pool3 alone, stride 8."""


def fcn_googlenet(
    source: Source, *, classes: int = VOC_CLASSES, width: float = 1, normalize: bool = True
) -> NetParameter:
    """FCN-GoogLeNet: the scores of GoogLeNet's pooled features, stride 32, upsampled at once.

    The average pooling slides, as the published receptive field of 907 pixels says. The padding of 100 pixels and the
    Deconvolution's kernel of 63 (an even one would give half a pixel of offset) are those of FCN-AlexNet.
    """

    def head(n: NetSpec, top: Top, data: Top) -> Top:
        coarse = heads.class_scores(n, "score_fr", top, classes)
        heads.upsample(n, "upscore", coarse, classes, 32, 63)
        return heads.crop_to(n, "score", "upscore", "data")

    return build(source, googlenet.trunk, head, width, normalize)


def fcn8s_vgg19(
    source: Source, *, classes: int = VOC_CLASSES, width: float = 1, normalize: bool = True
) -> NetParameter:
    """FCN-8s over VGG-19 as TensorFlow ports have it: 'same' padding throughout, upsampling that learns.

    pool1 to pool4 average; pool5 takes the largest of conv5_3 before its ReLU, and conv5_4 is not used. fc6 is 7 x 7
    with padding 3. Scores are upsampled to pool4's channels and added to it, then to pool3's, then to the classes.
    """
    n = NetSpec()
    source.add(n, ("data", "label"))
    training = "label" in n
    top = trunks.vgg_features(n, n.data, "E", width=width, stages=4, pool=P.Pooling.AVE)
    for i in (1, 2, 3):
        name, settings = f"conv5_{i}", {"num_output": trunks.thin(512, width), "kernel_size": 3, "pad": 1}
        n[name] = L.Convolution(top, stride=1, param=trunks.LEARNED, **settings)
        top = n[name]
        if i < 3:
            top = n[f"relu5_{i}"] = L.ReLU(top, in_place=True)
    n.pool5 = L.Pooling(top, pool=P.Pooling.MAX, kernel_size=2, stride=2)
    top = trunks.fc6_fc7(n, n.pool5, 7, width, training, "", trunks.learned, fc6_pad=3)
    coarse = heads.class_scores(n, "score_fr", top, classes)
    for name, pool, channels in (("upscore2", "pool4", 512), ("upscore_pool4", "pool3", 256)):
        raised = heads.learned_upsampling(n, name, coarse, trunks.thin(channels, width), 2)
        n[f"{name}c"] = crop(raised, n[pool])
        coarse = n[f"fuse_{pool}"] = L.Eltwise(n[f"{name}c"], n[pool], operation=P.Eltwise.SUM)
    n.score = crop(heads.learned_upsampling(n, "upscore8", coarse, classes, 8), n.data)
    if training:
        heads.loss(n, n.score, n.label, normalize=normalize)
    return n.to_proto()
