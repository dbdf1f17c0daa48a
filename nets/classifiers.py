"""The classification nets that FCNs start from: VGG A to E, CaffeNet, AlexNet and GoogLeNet, on 224 x 224 pixels.

net = build("vgg-d", InputData({"data": (1, 3, 224, 224)}))
train_val("vgg-d")  # to train and test on LMDBs of ILSVRC, with ``caffe-compat train``

A source of ``data`` (N x 3 x 224 x 224, BGR minus mean) and ``label`` (N x 1, 0 to classes - 1) gives a net to train
and test, with fillers, learning rates, losses and accuracies; a source without labels the deploy form, which ends in
``prob``. Layer names are those of the published caffemodels, so that their weights load by name. CaffeNet and AlexNet
were trained on 227 pixels; at 224 their layers have the same sizes from pool1 on.

Source: Simonyan and Zisserman 2015, Table 1; BVLC/caffe models/bvlc_reference_caffenet, bvlc_alexnet, bvlc_googlenet.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from caffe_compat.errors import NetError
from caffe_compat.proto.caffe_pb2 import TEST, TRAIN, LayerParameter, NetParameter
from caffe_compat.spec.net_spec import NetSpec, Top
from caffe_compat.spec.net_spec import layers as L
from caffe_compat.spec.net_spec import params as P
from caffe_compat.spelling import did_you_mean
from nets import googlenet, trunks
from nets.sources import Source
from nets.trunks import LEARNED, thin

__all__ = ["CLASSIFIERS", "ILSVRC_CLASSES", "INPUT_SHAPE", "build", "train_val"]

ILSVRC_CLASSES = 1000
INPUT_SHAPE = (1, 3, 224, 224)
_MEAN_BGR = (104, 117, 123)


def _filled(weight: Mapping[str, Any], bias: float = 0) -> dict[str, Any]:
    return {"param": LEARNED, "weight_filler": dict(weight), "bias_filler": {"type": "constant", "value": bias}}


def _xavier(name: str) -> Mapping[str, Any]:
    return _filled({"type": "xavier"})


def _inception(name: str) -> Mapping[str, Any]:
    return _filled({"type": "xavier"}, 0.0 if name.endswith("classifier") else 0.2)


def _gaussian(bias: float, name: str) -> Mapping[str, Any]:
    """Krizhevsky's: a positive bias where it opens the ReLUs of grouped and fully-connected layers."""
    std = 0.005 if name in ("fc6", "fc7") else 0.01
    return _filled({"type": "gaussian", "std": std}, 0.0 if name in ("conv1", "conv3", "fc8") else bias)


def _fully_connected(n: NetSpec, features: Top, classes: int, width: float, extra: trunks.Extra) -> Top:
    """fc6, fc7 and fc8. Dropout stays in the deploy form, where it does nothing."""
    top = features
    for number in (6, 7):
        name = f"fc{number}"
        n[name] = L.InnerProduct(top, num_output=thin(4096, width), **extra(name))
        n[f"relu{number}"] = L.ReLU(n[name], in_place=True)
        top = n[f"drop{number}"] = L.Dropout(n[name], dropout_ratio=0.5, in_place=True)
    n.fc8 = L.InnerProduct(top, num_output=classes, **extra("fc8"))
    return n.fc8


def _judge(n: NetSpec, scores: Top, prefix: str = "") -> None:
    """Loss, and accuracies when testing; without labels, probabilities."""
    if "label" not in n:
        n.prob = L.Softmax(scores)
        return
    n[f"{prefix}loss"] = L.SoftmaxWithLoss(scores, n.label)
    for name, top_k in (("accuracy", 1), ("accuracy_top5", 5)):
        n[prefix + name] = L.Accuracy(scores, n.label, accuracy_param={"top_k": top_k}, include=[{"phase": TEST}])


def _vgg(configuration: str, n: NetSpec, classes: int, width: float) -> None:
    top = trunks.vgg_features(n, n.data, configuration, width=width, extra=_xavier)
    _judge(n, _fully_connected(n, top, classes, width, _xavier))


def _alexnet(norm_first: bool, bias: float, n: NetSpec, classes: int, width: float) -> None:
    extra = partial(_gaussian, bias)
    top = trunks.alexnet_features(n, n.data, width=width, norm_first=norm_first, extra=extra)
    _judge(n, _fully_connected(n, top, classes, width, extra))


def _auxiliary(n: NetSpec, classes: int, width: float, prefix: str, features: Top) -> None:
    """A small classifier in the middle of GoogLeNet, which helps to train what lies below."""
    pooled = n[f"{prefix}/ave_pool"] = L.Pooling(features, pool=P.Pooling.AVE, kernel_size=5, stride=3)
    name = f"{prefix}/conv"
    settings = {"num_output": thin(128, width), "kernel_size": 1, **_inception(name)}
    top = trunks.conv_relu(n, name, f"{prefix}/relu_conv", pooled, settings)
    n[f"{prefix}/fc"] = L.InnerProduct(top, num_output=thin(1024, width), **_inception(f"{prefix}/fc"))
    n[f"{prefix}/relu_fc"] = L.ReLU(n[f"{prefix}/fc"], in_place=True)
    top = n[f"{prefix}/drop_fc"] = L.Dropout(n[f"{prefix}/fc"], dropout_ratio=0.7, in_place=True)
    name = f"{prefix}/classifier"
    n[name] = L.InnerProduct(top, num_output=classes, **_inception(name))
    n[f"{prefix}/loss"] = L.SoftmaxWithLoss(n[name], n.label, loss_weight=0.3)


def _googlenet(n: NetSpec, classes: int, width: float) -> None:
    auxiliary = partial(_auxiliary, n, classes, width) if "label" in n else None
    top = googlenet.features(n, n.data, width=width, extra=_inception, auxiliary=auxiliary)
    n["pool5/7x7_s1"] = L.Pooling(top, pool=P.Pooling.AVE, kernel_size=7, stride=1)
    top = n["pool5/drop_7x7_s1"] = L.Dropout(n["pool5/7x7_s1"], dropout_ratio=0.4, in_place=True)
    name = "loss3/classifier"
    n[name] = L.InnerProduct(top, num_output=classes, **_inception(name))
    _judge(n, n[name], "loss3/" if "label" in n else "")


CLASSIFIERS: dict[str, Callable[[NetSpec, int, float], None]] = {
    **{f"vgg-{name.lower()}": partial(_vgg, name) for name in trunks.VGG_CONFIGURATIONS},
    "caffenet": partial(_alexnet, False, 1.0),
    "alexnet": partial(_alexnet, True, 0.1),
    "googlenet": _googlenet,
}
"""By name: what adds the net's layers to a spec. vgg-d is VGG-16, vgg-e VGG-19."""


def build(name: str, source: Source, *, classes: int = ILSVRC_CLASSES, width: float = 1) -> NetParameter:
    """A classification net.

    Args:
        name: a key of CLASSIFIERS.
        source: data layers.
        classes: number of scores.
        width: fraction of the channels.

    Raises:
        NetError: there is no such net; the message lists the known ones.
    """
    if name not in CLASSIFIERS:
        raise NetError(f"unknown classifier '{name}'{did_you_mean(name, CLASSIFIERS)}; known: {', '.join(CLASSIFIERS)}")
    n = NetSpec()
    source.add(n, ("data", "label"))
    CLASSIFIERS[name](n, classes, width)
    net: NetParameter = n.to_proto()
    net.name = name
    return net


@dataclass(frozen=True)
class _Labelled:
    """A Data layer over an LMDB of Datums that hold image and label; crops are of the nets' own size."""

    database: str
    batch_size: int

    def add(self, n: NetSpec, tops: Sequence[str]) -> None:
        """Assign data and label."""
        n[tops[0]], n[tops[1]] = L.Data(
            data_param={"source": self.database, "backend": "LMDB", "batch_size": self.batch_size},
            transform_param={"crop_size": INPUT_SHAPE[-1], "mean_value": list(_MEAN_BGR), "mirror": True},
            include=[{"phase": TRAIN}],
            ntop=2,
        )


def train_val(
    name: str,
    *,
    train_lmdb: str = "../data/ilsvrc12/ilsvrc12_train_lmdb",
    test_lmdb: str = "../data/ilsvrc12/ilsvrc12_val_lmdb",
    batch_size: int = 32,
    classes: int = ILSVRC_CLASSES,
    width: float = 1,
) -> NetParameter:
    """A classification net over LMDBs, for both phases: random crops and mirroring in training, the centre in testing.

    Args:
        name: a key of CLASSIFIERS.
        train_lmdb: Datums of at least 224 x 224, BGR, with labels, as Caffe's convert_imageset writes them.
        test_lmdb: the same for testing.
        batch_size: in both.
        classes: number of scores.
        width: fraction of the channels.

    Raises:
        NetError: there is no such net; the message lists the known ones.
    """
    net = build(name, _Labelled(train_lmdb, batch_size), classes=classes, width=width)
    train, *rest = net.layer
    test = LayerParameter()
    test.CopyFrom(train)
    test.include[0].phase = TEST
    test.transform_param.mirror = False
    test.data_param.source = test_lmdb
    return NetParameter(name=net.name, layer=[train, test, *rest])
