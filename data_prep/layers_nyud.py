"""The released Python data layer of NYUDv2, over the folder and over LMDBs.

    python_param { module: "nyud_layers" layer: "NYUDSegDataLayer"
                   param_str: "{'nyud_dir': '../data/nyud', 'split': 'trainval', 'tops': ['color', 'hha', 'label'],
                                'seed': 1337}" }

What differs from the release is what layers.py says.

Source: shelhamer/fcn.berkeleyvision.org nyud_layers.py.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from caffe_compat.errors import DataError, LayerError
from caffe_compat.layer.blob import Blob
from data_prep.labels import VOID
from data_prep.means import NYUD_MEAN_BGR as MEAN_BGR
from data_prep.means import NYUD_MEAN_HHA as MEAN_HHA
from data_prep.means import NYUD_MEAN_LOG_DEPTH as MEAN_LOG_DEPTH
from data_prep.nyud import NYUDFolder
from data_prep.nyud_records import NYUDRecords
from data_prep.param_str import parse_params
from data_prep.sample_layer import SampleLayer

__all__ = ["MEAN_BGR", "MEAN_HHA", "MEAN_LOG_DEPTH", "NYUDLMDBSegDataLayer", "NYUDSegDataLayer"]

_TOPS = ("color", "depth", "hha", "label")
_KINDS = {"color": "image", "depth": "depth", "hha": "hha", "label": "label"}


class _Source(Protocol):
    def read_image(self, image_id: str) -> np.ndarray: ...

    def read_depth_mm(self, image_id: str) -> np.ndarray: ...

    def read_hha(self, image_id: str) -> np.ndarray: ...

    def read_label(self, image_id: str) -> np.ndarray: ...


class NYUDSegDataLayer(SampleLayer):
    """One sample per forward, as the tops that param_str names; order and drawing as SegDataLayer.

    Tops:     color: 1 x 3 x H x W (BGR minus mean); depth: 1 x 1 x H x W (logarithm of millimetres minus mean);
              hha: 1 x 3 x H x W (disparity, height, angle minus mean); label: 1 x 1 x H x W (classes 0 to 39, 255 =
              none), all float.
    Params:   param_str, a Python dictionary. nyud_dir: the folder (see nyud.py). split: list in it, or a list file's
              path. tops: names of the tops, in their order. randomize: default True. seed: of the draws.
    Raises:   DataError: param_str, the folder, the list or a file is wrong; LayerError: bottoms or tops are.
    """

    place: ClassVar[str] = "nyud_dir"

    source: _Source

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Read param_str and the list, and choose the first sample."""
        name = self.__class__.__name__
        required = {self.place: "text", "split": "text", "tops": "texts"}
        params = parse_params(self.param_str, name, required, {"randomize": "flag", "seed": "integer"})
        params = {key: value for key, value in params.items() if value is not None}
        self.kinds = list(params["tops"])
        unknown = [kind for kind in self.kinds if kind not in _TOPS]
        if unknown or not self.kinds:
            found = repr(unknown[0]) if unknown else "nothing"
            raise DataError(f"{name}: param_str's 'tops' names {found}; wanted some of {', '.join(_TOPS)}")
        if len(top) != len(self.kinds):
            wanted = f"param_str's 'tops' names {len(self.kinds)}: {', '.join(self.kinds)}"
            raise LayerError(name, "Python", f"{len(top)} tops given, but {wanted}; make them equal")
        if bottom:
            raise LayerError(name, "Python", f"{len(bottom)} bottoms given; a data layer takes none; remove them")
        self.choose_order(self.open(params), params)

    def open(self, params: dict[str, Any]) -> list[str]:
        """Open the folder; gives the list's ids."""
        folder = NYUDFolder(Path(params["nyud_dir"]), void=VOID)
        self.source = folder
        return folder.ids(params["split"])

    def load(self, image_id: str) -> list[np.ndarray]:
        """The tops that param_str names."""
        return [self._load(kind, image_id) for kind in self.kinds]

    def _load(self, kind: str, image_id: str) -> np.ndarray:
        """A top's values, C x H x W."""
        if kind == "label":
            return self.source.read_label(image_id)[np.newaxis]
        if kind == "depth":
            return (np.log(self.source.read_depth_mm(image_id).astype(np.float32)) - np.float32(MEAN_LOG_DEPTH))[None]
        if kind == "hha":
            values = self.source.read_hha(image_id).astype(np.float32) - np.array(MEAN_HHA, np.float32)
        else:
            values = self.source.read_image(image_id)[:, :, ::-1].astype(np.float32) - np.array(MEAN_BGR, np.float32)
        return values.transpose(2, 0, 1)  # H x W x 3 -> 3 x H x W


class NYUDLMDBSegDataLayer(NYUDSegDataLayer):
    """The same from LMDBs that ``python -m data_prep nyud`` wrote; for the same seed in the same order.

    Tops, Params, Raises: as NYUDSegDataLayer, but lmdb_dir for nyud_dir: the folder of a list's databases.
    ``split`` is only a name here: it decides on random drawing.
    """

    place: ClassVar[str] = "lmdb_dir"

    def open(self, params: dict[str, Any]) -> list[str]:
        """Open the databases of the tops; gives the ids that the keys bear."""
        records = NYUDRecords(Path(params["lmdb_dir"]), [_KINDS[kind] for kind in self.kinds])
        self.source = records
        return records.ids
