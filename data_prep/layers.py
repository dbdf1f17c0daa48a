"""The released Python data layers, over the datasets' folders and over LMDBs.

One image and its label at a time, at native size. A prototxt names them as the FCN release does,

    python_param { module: "voc_layers" layer: "SBDDSegDataLayer" param_str: "{'sbdd_dir': ..., ...}" }

once ``register_released_names()`` was called, and by ``module: "data_prep.layers"`` where that was imported or allowed.

What differs from the release: param_str is parsed, never run; each layer has a random stream of its own, so that other
draws cannot shift the order; labels are checked; ``split`` may be a list file's path; and the position can be saved.

Source: shelhamer/fcn.berkeleyvision.org voc_layers.py.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from caffe_compat.errors import LayerError
from caffe_compat.layer.blob import Blob
from data_prep.keyed_databases import PairedLMDB
from data_prep.labels import VOC_CLASSES
from data_prep.param_str import mean_bgr, parse_params
from data_prep.sample_layer import SampleLayer, draws_at_random
from data_prep.sbd import SBDFolder
from data_prep.seg_folder import SegFolder
from data_prep.voc import VOCFolder

__all__ = [
    "FolderSegDataLayer",
    "LMDBSegDataLayer",
    "SBDDSegDataLayer",
    "SegDataLayer",
    "VOCSegDataLayer",
    "draws_at_random",
    "register_released_names",
]

_OTHERS = ("nyud", "siftflow", "pascalcontext")
_NUMBERS = {2: "two", 3: "three"}
_COMMON = {"randomize": "flag", "seed": "integer", "classes": "integer"}


def register_released_names() -> None:
    """Make ``module: "voc_layers"`` in a prototxt mean this module, unless the program imported its own.

    Likewise ``nyud_layers`` and data_prep.layers_nyud, and so for ``siftflow`` and ``pascalcontext``.
    """
    sys.modules.setdefault("voc_layers", sys.modules[__name__])
    for dataset in _OTHERS:
        sys.modules.setdefault(f"{dataset}_layers", import_module(f"data_prep.layers_{dataset}"))


class SegDataLayer(SampleLayer):
    """One image and its label per forward; subclasses say where from.

    In a split whose name contains ``train`` images are drawn at random with replacement, so there are no epochs; in
    others, and with ``randomize: False``, they come in the list's order and then from its start again.

    Tops:     data: 1 x 3 x H x W, float (BGR minus mean); label: 1 x 1 x H x W, float (class numbers, 255 = void).
    Params:   param_str, a Python dictionary. split: which list. mean: BGR, three numbers. randomize: default True.
              seed: of the draws, default None (from the operating system). classes: default 21.
    Raises:   DataError: param_str, the folder, the list, an image or a label is wrong; LayerError: bottoms or tops are.
    """

    required: ClassVar[dict[str, str]]
    optional: ClassVar[dict[str, str]] = _COMMON
    tops: ClassVar[tuple[str, ...]] = ("data", "label")
    released_mean: ClassVar[tuple[float, float, float] | None] = None  # of a layer whose param_str has none

    mean: np.ndarray

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Read param_str and the list, and choose the first sample."""
        name = self.__class__.__name__
        if len(top) != len(self.tops):
            wanted = f"{_NUMBERS[len(self.tops)]}: {', '.join(self.tops[:-1])} and {self.tops[-1]}"
            raise LayerError(name, "Python", f"{len(top)} tops given; it makes {wanted}")
        if bottom:
            raise LayerError(name, "Python", f"{len(bottom)} bottoms given; a data layer takes none; remove them")
        params = parse_params(self.param_str, name, self.required, self.optional)
        params = {key: value for key, value in params.items() if value is not None}
        self.mean = np.array(mean_bgr(params.get("mean", self.released_mean), name))
        self.classes = params.get("classes", len(VOC_CLASSES))
        self.choose_order(self.open(params), params)

    def open(self, params: dict[str, Any]) -> list[str]:
        """Open the source that the parameters name; gives its ids in order."""
        raise NotImplementedError

    def load_sample(self, image_id: str) -> tuple[np.ndarray, ...]:
        """An image (H x W x 3, RGB) and its checked labels (each H x W), in the order of the tops."""
        raise NotImplementedError

    def load(self, image_id: str) -> list[np.ndarray]:
        """The image as BGR minus mean (3 x H x W) and its labels (each 1 x H x W)."""
        image, *labels = self.load_sample(image_id)
        data = image[:, :, ::-1].astype(np.float32)  # RGB -> BGR
        data -= self.mean
        return [data.transpose(2, 0, 1), *(label[np.newaxis] for label in labels)]  # H x W x 3 -> 3 x H x W


class FolderSegDataLayer(SegDataLayer):
    """A data layer over a dataset's folder."""

    folder: SegFolder

    def load_sample(self, image_id: str) -> tuple[np.ndarray, ...]:
        """Both files, read and checked."""
        pair = self.folder.read_pair(image_id)
        return pair.image, pair.label


class VOCSegDataLayer(FolderSegDataLayer):
    """PASCAL VOC: JPEGImages, SegmentationClass and ImageSets/Segmentation below ``voc_dir`` (VOC2011).

    Tops, Params, Raises: as SegDataLayer, and param_str's voc_dir.
    """

    required: ClassVar[dict[str, str]] = {"voc_dir": "text", "split": "text", "mean": "numbers"}

    def open(self, params: dict[str, Any]) -> list[str]:
        """The list's ids."""
        self.folder = VOCFolder(Path(params["voc_dir"]), self.classes)
        return self.folder.ids(params["split"])


class SBDDSegDataLayer(FolderSegDataLayer):
    """SBD: img, cls and the lists below ``sbdd_dir`` (benchmark_RELEASE/dataset).

    Tops, Params, Raises: as SegDataLayer, and param_str's sbdd_dir.
    """

    required: ClassVar[dict[str, str]] = {"sbdd_dir": "text", "split": "text", "mean": "numbers"}

    def open(self, params: dict[str, Any]) -> list[str]:
        """The list's ids."""
        self.folder = SBDFolder(Path(params["sbdd_dir"]), self.classes)
        return self.folder.ids(params["split"])


class LMDBSegDataLayer(SegDataLayer):
    """Image and label LMDBs of Caffe Datums, keyed alike, as ``python -m data_prep`` writes them.

    For the same seed the order is that of the folder's layer, and a saved state of the one continues the other.

    Tops, Params, Raises: as SegDataLayer, and param_str's image_lmdb and label_lmdb. ``split`` is only a name here: it
    decides on random drawing. keys: a list file of keys, or of ids (what follows ``%08d_``), that chooses records and
    their order; all of them in key order unless given.
    """

    required: ClassVar[dict[str, str]] = {
        "image_lmdb": "text",
        "label_lmdb": "text",
        "split": "text",
        "mean": "numbers",
    }
    optional: ClassVar[dict[str, str]] = {"keys": "text", **_COMMON}

    def open(self, params: dict[str, Any]) -> list[str]:
        """The ids that the keys bear."""
        keys = Path(params["keys"]) if "keys" in params else None
        self.records = PairedLMDB(params["image_lmdb"], params["label_lmdb"], keys, self.classes)
        return self.records.ids

    def load_sample(self, image_id: str) -> tuple[np.ndarray, ...]:
        """Both records, decoded and checked."""
        return self.records.read_pair(image_id)
