"""One table of the models: what each is called outside, what builds it, and what its files are named.

model = lookup("voc-fcn8s")
net = model.build(InputData({"data": (1, 3, 500, 500)}))
model.prototxts()["train.prototxt"]
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from caffe_compat.errors import NetError
from caffe_compat.proto.caffe_pb2 import NetParameter
from nets import voc
from nets.sources import InputData, PythonData, Source

__all__ = ["DEPLOY_FILE", "MODELS", "Model", "lookup"]

DEPLOY_FILE = "deploy.prototxt"
DEPLOY_SHAPE = (1, 3, 500, 500)


@dataclass(frozen=True)
class Model:
    """One model of the paper.

    Args:
        name: as in the release, such as ``voc-fcn8s``.
        build: gives the net for a source.
        dataset: family of data_prep that makes its data.
        classes: number of classes it scores.
        stride: of its finest scores before the last upsampling, pixels.
        train_split: what it trains on.
        test_split: what it is scored on.
        train_file: name of the training net's prototxt in the release.
        test_file: name of the scoring net's.
        train_source: the released data layer of the training net.
        test_source: that of the scoring net.
        deploy_shapes: input shapes of the deploy net.
        mean_bgr: what is taken off its images, B, G, R, 0 to 255.
    """

    name: str
    build: voc.Builder
    dataset: str
    classes: int
    stride: int
    train_split: str
    test_split: str
    train_file: str
    test_file: str
    train_source: Source
    test_source: Source
    deploy_shapes: Mapping[str, tuple[int, ...]]
    mean_bgr: tuple[float, float, float]

    def prototxts(
        self,
        *,
        train_source: Source | None = None,
        test_source: Source | None = None,
        classes: int | None = None,
        width: float = 1,
    ) -> dict[str, NetParameter]:
        """Train, test and deploy nets under the release's file names.

        Args:
            train_source: data layers of the training net; the released ones unless given.
            test_source: data layers of the scoring net; likewise.
            classes: another number of classes, for data of one's own.
            width: fraction of the channels.
        """
        sources = {
            self.train_file: train_source or self.train_source,
            self.test_file: test_source or self.test_source,
            DEPLOY_FILE: InputData(self.deploy_shapes),
        }
        return {
            file: self.build(source, classes=classes or self.classes, width=width) for file, source in sources.items()
        }


_VOC_MEAN_BGR = (104.00699, 116.66877, 122.67892)
_VOC_FCN8S = Model(
    name="voc-fcn8s",
    build=voc.fcn8s,
    dataset="voc",
    classes=voc.VOC_CLASSES,
    stride=8,
    train_split="train",
    test_split="seg11valid",
    train_file="train.prototxt",
    test_file="val.prototxt",
    train_source=PythonData(
        "voc_layers",
        "SBDDSegDataLayer",
        {"sbdd_dir": "../data/sbdd/dataset", "seed": 1337, "split": "train", "mean": _VOC_MEAN_BGR},
    ),
    test_source=PythonData(
        "voc_layers",
        "VOCSegDataLayer",
        {"voc_dir": "../data/pascal/VOC2011", "seed": 1337, "split": "seg11valid", "mean": _VOC_MEAN_BGR},
    ),
    deploy_shapes={"data": DEPLOY_SHAPE},
    mean_bgr=_VOC_MEAN_BGR,
)

MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        replace(_VOC_FCN8S, name="voc-fcn32s", build=voc.fcn32s, stride=32),
        replace(_VOC_FCN8S, name="voc-fcn16s", build=voc.fcn16s, stride=16),
        _VOC_FCN8S,
        replace(_VOC_FCN8S, name="voc-fcn8s-atonce", build=voc.fcn8s_atonce),
        replace(_VOC_FCN8S, name="voc-fcn-alexnet", build=voc.fcn_alexnet, stride=32),
    )
}


def lookup(name: str) -> Model:
    """The model of that name.

    Raises:
        NetError: there is none; the message lists the known ones.
    """
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise NetError(f"unknown model '{name}'{hint}; known: {', '.join(MODELS)}")
    return MODELS[name]
