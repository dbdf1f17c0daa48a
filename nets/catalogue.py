"""One table of the models: what each is called outside, what builds it, and what its files are named.

model = lookup("voc-fcn8s")
net = model.build(InputData({"data": (1, 3, 500, 500)}))
model.prototxts()["train.prototxt"]
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from caffe_compat.errors import NetError
from caffe_compat.proto.caffe_pb2 import NetParameter
from caffe_compat.spelling import did_you_mean
from nets import nyud, siftflow, unreleased, voc
from nets.loss_options import LossOptions, with_options
from nets.sources import InputData, PythonData, Source

__all__ = ["DEPLOY_FILE", "MODELS", "SAMPLED_KEEP", "Image", "Model", "Task", "lookup"]

DEPLOY_FILE = "deploy.prototxt"


@dataclass(frozen=True)
class Image:
    """One input of a net.

    Args:
        kind: ``color``, ``depth`` (log of millimetres) or ``hha``.
        mean: what is taken off its channels; of color in the order B, G, R.
        shape: in the deploy net, N x C x H x W.
    """

    kind: str
    mean: tuple[float, ...]
    shape: tuple[int, int, int, int]


@dataclass(frozen=True)
class Task:
    """One thing that a net says of every pixel.

    Args:
        classes: how many.
        score: blob of scores, N x classes x H x W.
        label: blob of labels, N x 1 x H x W.
        loss: blob of its loss.
        name: in tables; empty where the net has one task only.
    """

    classes: int
    score: str = "score"
    label: str = "label"
    loss: str = "loss"
    name: str = ""


@dataclass(frozen=True)
class Model:
    """One model of the paper.

    Args:
        name: as in the release, such as ``voc-fcn8s``.
        build: gives the net for a source.
        dataset: family of data_prep that makes its data.
        images: its inputs, by top.
        tasks: what it scores; the first is the one that the paper names first.
        stride: of its finest scores before the last upsampling, pixels.
        train_split: what it trains on.
        test_split: what it is scored on.
        train_file: name of the training net's prototxt in the release.
        test_file: name of the scoring net's.
        train_source: the released data layer of the training net.
        test_source: that of the scoring net.
    """

    name: str
    build: voc.Builder
    dataset: str
    images: Mapping[str, Image]
    tasks: tuple[Task, ...]
    stride: int
    train_split: str
    test_split: str
    train_file: str
    test_file: str
    train_source: Source
    test_source: Source

    @property
    def classes(self) -> int:
        """Number of classes of the first task."""
        return self.tasks[0].classes

    @property
    def deploy_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Input shapes of the deploy net."""
        return {top: image.shape for top, image in self.images.items()}

    @property
    def mean_bgr(self) -> tuple[float, float, float]:
        """What is taken off its images, B, G, R, 0 to 255.

        Raises:
            NetError: its input is not one color image.
        """
        kinds = [image.kind for image in self.images.values()]
        if kinds != ["color"]:
            raise NetError(
                f"model '{self.name}' reads {' and '.join(kinds)}, not one color image; "
                "give its inputs by name, each with its own mean (Model.images)"
            )
        blue, green, red = next(iter(self.images.values())).mean
        return blue, green, red

    def with_classes(self, classes: int) -> "Model":
        """The same model for data of one's own in the place of PASCAL VOC.

        Args:
            classes: how many, background included.

        Raises:
            NetError: it is a model of another dataset, whose classes are fixed.
        """
        if self.dataset != "voc":
            raise NetError(
                f"model '{self.name}': {classes} classes were asked for, and its labels are those of {self.dataset}; "
                "take a voc model for classes of your own"
            )
        return replace(self, tasks=tuple(replace(task, classes=classes) for task in self.tasks))

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
            classes: another number of classes of the first task, for data of one's own.
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
    images={"data": Image("color", _VOC_MEAN_BGR, (1, 3, 500, 500))},
    tasks=(Task(voc.VOC_CLASSES),),
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
)


def _nyud_source(split: str, *tops: str) -> PythonData:
    params = {"tops": [*tops, "label"], "seed": 1337, "nyud_dir": "../data/nyud", "split": split}
    return PythonData("nyud_layers", "NYUDSegDataLayer", params)


_NYUD_SIZE = (425, 560)
_NYUD_IMAGES = {
    "color": Image("color", (116.190, 97.203, 92.318), (1, 3, *_NYUD_SIZE)),  # in this order, as the release trained
    "depth": Image("depth", (7.844,), (1, 1, *_NYUD_SIZE)),
    "hha": Image("hha", (132.431, 94.076, 118.477), (1, 3, *_NYUD_SIZE)),
}


def _nyud(name: str, build: voc.Builder, stride: int, *kinds: str) -> Model:
    """An NYUDv2 model; with one input its top is called ``data``."""
    return Model(
        name=name,
        build=build,
        dataset="nyud",
        images={kind if len(kinds) > 1 else "data": _NYUD_IMAGES[kind] for kind in kinds},
        tasks=(Task(nyud.NYUD_CLASSES),),
        stride=stride,
        train_split="trainval",
        test_split="test",
        train_file="trainval.prototxt",
        test_file="test.prototxt",
        train_source=_nyud_source("trainval", *kinds),
        test_source=_nyud_source("test", *kinds),
    )


def _siftflow_source(split: str) -> PythonData:
    params = {"siftflow_dir": "../data/sift-flow", "seed": 1337, "split": split}
    return PythonData("siftflow_layers", "SIFTFlowSegDataLayer", params)


_SIFTFLOW_FCN8S = Model(
    name="siftflow-fcn8s",
    build=siftflow.fcn8s,
    dataset="siftflow",
    images={"data": Image("color", (114.578, 115.294, 108.353), (1, 3, 256, 256))},
    tasks=(
        Task(siftflow.SEMANTIC_CLASSES, "score_sem", "sem", "loss", "semantic"),
        Task(siftflow.GEOMETRIC_CLASSES, "score_geo", "geo", "loss_geo", "geometric"),
    ),
    stride=8,
    train_split="trainval",
    test_split="test",
    train_file="trainval.prototxt",
    test_file="test.prototxt",
    train_source=_siftflow_source("trainval"),
    test_source=_siftflow_source("test"),
)


def _context_source(split: str) -> PythonData:
    params = {"context_dir": "../data/pascal-context", "seed": 1337, "split": split, "voc_dir": "../data/pascal"}
    return PythonData("pascalcontext_layers", "PASCALContextSegDataLayer", params)


_CONTEXT_FCN8S = replace(
    _VOC_FCN8S,
    name="pascalcontext-fcn8s",
    dataset="pascalcontext",
    images={"data": Image("color", (104.007, 116.669, 122.679), (1, 3, 500, 500))},
    tasks=(Task(60),),
    test_split="val",
    train_source=_context_source("train"),
    test_source=_context_source("val"),
)

SAMPLED_KEEP = 0.25
"""Part of the cells that count in voc-fcn32s-sampled."""
_VOC_FCN32S_NORMALIZED = partial(voc.fcn32s, normalize=True)
_BACKGROUND_AS_ALL_ELSE = (2 / 3, *[2.0] * (voc.VOC_CLASSES - 1))
"""Class weights for VOC, where about 3/4 of the pixels are background (CVPR 2015, section 4.3): background and all
other classes together come to equal parts, and a pixel's weight is 1 in the mean."""

MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        replace(_VOC_FCN8S, name="voc-fcn32s", build=voc.fcn32s, stride=32),
        replace(_VOC_FCN8S, name="voc-fcn16s", build=voc.fcn16s, stride=16),
        _VOC_FCN8S,
        replace(_VOC_FCN8S, name="voc-fcn8s-atonce", build=voc.fcn8s_atonce),
        replace(_VOC_FCN8S, name="voc-fcn-alexnet", build=voc.fcn_alexnet, stride=32),
        _nyud("nyud-fcn32s-color", voc.fcn32s, 32, "color"),
        _nyud("nyud-fcn32s-color-d", nyud.color_d, 32, "color", "depth"),
        _nyud("nyud-fcn32s-hha", voc.fcn32s, 32, "hha"),
        _nyud("nyud-fcn32s-color-hha", nyud.color_hha, 32, "color", "hha"),
        replace(_SIFTFLOW_FCN8S, name="siftflow-fcn32s", build=siftflow.fcn32s, stride=32),
        replace(_SIFTFLOW_FCN8S, name="siftflow-fcn16s", build=siftflow.fcn16s, stride=16),
        _SIFTFLOW_FCN8S,
        replace(_CONTEXT_FCN8S, name="pascalcontext-fcn32s", build=voc.fcn32s, stride=32),
        replace(_CONTEXT_FCN8S, name="pascalcontext-fcn16s", build=voc.fcn16s, stride=16),
        _CONTEXT_FCN8S,
        # never released
        replace(_VOC_FCN8S, name="voc-fcn32s-fixed", build=unreleased.fcn32s_fixed, stride=32),
        replace(_VOC_FCN8S, name="voc-fcn32s-accumulated", build=_VOC_FCN32S_NORMALIZED, stride=32),
        replace(_VOC_FCN8S, name="voc-fcn32s-online", build=voc.fcn32s, stride=32),
        replace(_VOC_FCN8S, name="voc-fcn-pool5", build=unreleased.fcn_pool5, stride=32),
        replace(_VOC_FCN8S, name="voc-fcn-pool4", build=unreleased.fcn_pool4, stride=16),
        replace(_VOC_FCN8S, name="voc-fcn-pool3", build=unreleased.fcn_pool3, stride=8),
        replace(_VOC_FCN8S, name="voc-fcn-googlenet", build=unreleased.fcn_googlenet, stride=32),
        _nyud("nyud-fcn16s-color-hha", nyud.color_hha_16s, 16, "color", "hha"),
        replace(_VOC_FCN8S, name="voc-fcn8s-vgg19", build=unreleased.fcn8s_vgg19),
        replace(
            _VOC_FCN8S,
            name="voc-fcn32s-sampled",
            build=with_options(_VOC_FCN32S_NORMALIZED, LossOptions(keep=SAMPLED_KEEP, cell_px=32)),
            stride=32,
        ),
        replace(
            _VOC_FCN8S,
            name="voc-fcn32s-balanced",
            build=with_options(_VOC_FCN32S_NORMALIZED, LossOptions(class_weights=_BACKGROUND_AS_ALL_ELSE)),
            stride=32,
        ),
        replace(_VOC_FCN8S, name="voc-fcn8s-learned", build=with_options(voc.fcn8s, LossOptions(learned="inner"))),
    )
}
"""All models, those of the release first."""


def lookup(name: str) -> Model:
    """The model of that name.

    Raises:
        NetError: there is none; the message lists the known ones.
    """
    if name not in MODELS:
        raise NetError(f"unknown model '{name}'{did_you_mean(name, MODELS)}; known: {', '.join(MODELS)}")
    return MODELS[name]
