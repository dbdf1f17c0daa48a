"""Drawn images in LMDBs; how fast they are read, and how long a solver step takes that is fed by them."""

from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from caffe_compat import TRAIN, Net, NetSpec, allow_python_layers
from data_prep.images import encode_jpeg
from data_prep.labels import encode_label, voc_palette
from data_prep.layers import LMDBSegDataLayer
from data_prep.lists import write_list
from data_prep.prepare import prepare
from data_prep.shapes import draw_pair
from data_prep.voc import VOCFolder
from engines.images import images
from engines.ours import begin, solver, training_solver
from engines.work import Work
from measuring.own_process import peak_bytes
from measuring.timing import time_calls
from nets.catalogue import lookup
from nets.sources import LmdbData, PythonData, Source

__all__ = ["FIXED", "draw", "time_reading", "time_step"]

FIXED = "fixed input"
_CLASSES = (1, 6, 8, 15)
_MEAN_BGR = (104.00699, 116.66877, 122.67892)


def draw(work: dict[str, Any], pairs: int) -> dict[str, Any]:
    """Draw images and labels of one size in VOC's layout into work.folder, and build the LMDBs.

    Args:
        work: the fields of a Work; its size is the images'.
        pairs: how many.
    """
    given = Work(**work)
    root = Path(given.folder) / "VOC2011"
    folders = [root / "JPEGImages", root / "SegmentationClass", root / "ImageSets" / "Segmentation"]
    for folder in folders:
        folder.mkdir(parents=True)
    ids = [f"2011_{number:06d}" for number in range(1, pairs + 1)]
    for number, name in enumerate(ids):
        image, label = draw_pair(np.random.RandomState(number), _CLASSES)
        size = (given.width, given.height)
        large = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
        (folders[0] / f"{name}.jpg").write_bytes(encode_jpeg(large))
        coarse = np.asarray(Image.fromarray(label).resize(size, Image.Resampling.NEAREST))
        (folders[1] / f"{name}.png").write_bytes(encode_label(coarse, voc_palette()))
    write_list(folders[2] / "train.txt", ids)
    prepare(VOCFolder(root), {"train": ids}, Path(given.folder) / "lmdb")
    return _databases(given)


def time_reading(work: dict[str, Any], feed: str, repeats: int) -> dict[str, Any]:
    """Seconds that a net of nothing but the data layers takes for an image with its label.

    Args:
        work: the fields of a Work; its folder has the LMDBs.
        feed: ``python layers`` or ``Data layers``.
        repeats: images.
    """
    given = Work(**work)
    begin(given)
    n = NetSpec()
    _source(given, feed).add(n, ("data", "label"))
    net = Net(n.to_proto(), TRAIN)
    seconds = time_calls(lambda _: net.forward(), [None], repeats)
    return {"seconds": sum(seconds) / len(seconds), "bytes": peak_bytes()}


def time_step(work: dict[str, Any], feed: str, repeats: int) -> dict[str, Any]:
    """Seconds of a solver step of voc-fcn8s.

    Args:
        work: the fields of a Work; its folder has the LMDBs.
        feed: ``fixed input``, ``python layers`` or ``Data layers``.
        repeats: timed steps.
    """
    given = Work(**work)
    begin(given)
    if feed == FIXED:
        made = training_solver(given)
        made.net.blobs["data"].data[...] = images(given.shape, 1)[0]
    else:
        made = solver(given, lookup("voc-fcn8s").build(_source(given, feed), width=given.channels))
    seconds = time_calls(lambda _: made.step(1), [None], repeats)
    return {"seconds": median(seconds), "all_seconds": seconds, "bytes": peak_bytes()}


def _source(work: Work, feed: str) -> Source:
    databases = _databases(work)
    if feed == "Data layers":
        return LmdbData({"data": databases["image_lmdb"], "label": databases["label_lmdb"]}, _MEAN_BGR)
    layer = LMDBSegDataLayer
    allow_python_layers(layer.__module__)
    params = {**databases, "split": "train", "mean": _MEAN_BGR, "seed": 1337}
    return PythonData(layer.__module__, layer.__name__, params)


def _databases(work: Work) -> dict[str, str]:
    """Paths of the two LMDBs."""
    names = ("image_lmdb", "label_lmdb")
    return {name: str(next(Path(work.folder).glob(f"lmdb/*/{name}"))) for name in names}
