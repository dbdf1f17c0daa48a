"""The released Python data layer of SIFT Flow, over the folder and over LMDBs.

    python_param { module: "siftflow_layers" layer: "SIFTFlowSegDataLayer"
                   param_str: "{'siftflow_dir': '../data/sift-flow', 'split': 'trainval', 'seed': 1337}" }

What differs from the release is what layers.py says.

Source: shelhamer/fcn.berkeleyvision.org siftflow_layers.py.
"""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from data_prep.layers import SegDataLayer
from data_prep.means import SIFTFLOW_MEAN_BGR as MEAN_BGR
from data_prep.siftflow import SIFTFlowFolder
from data_prep.siftflow_records import SIFTFlowRecords

__all__ = ["MEAN_BGR", "SIFTFlowLMDBSegDataLayer", "SIFTFlowSegDataLayer"]


class SIFTFlowSegDataLayer(SegDataLayer):
    """One image with its semantic and its geometric label per forward; order and drawing as SegDataLayer.

    Tops:     data: 1 x 3 x 256 x 256, float (BGR minus mean); sem: 1 x 1 x 256 x 256, float (classes 0 to 32, 255 =
              void); geo: likewise (classes 0 to 2).
    Params:   param_str, a Python dictionary. siftflow_dir: the folder (see siftflow.py). split: list in it, or a list
              file's path. randomize: default True. seed: of the draws.
    Raises:   DataError: param_str, the folder, the list or a file is wrong; LayerError: bottoms or tops are.
    """

    required: ClassVar[dict[str, str]] = {"siftflow_dir": "text", "split": "text"}
    optional: ClassVar[dict[str, str]] = {"randomize": "flag", "seed": "integer"}
    tops: ClassVar[tuple[str, ...]] = ("data", "sem", "geo")
    released_mean = MEAN_BGR

    def open(self, params: dict[str, Any]) -> list[str]:
        """The list's ids."""
        self.folder = SIFTFlowFolder(Path(params["siftflow_dir"]))
        return self.folder.ids(params["split"])

    def load_sample(self, image_id: str) -> tuple[np.ndarray, ...]:
        """The three files, read and checked."""
        pair, geometric, _ = self.folder.read_sample(image_id)
        return pair.image, pair.label, geometric


class SIFTFlowLMDBSegDataLayer(SIFTFlowSegDataLayer):
    """The same from LMDBs that ``python -m data_prep siftflow`` wrote; for the same seed in the same order.

    Tops, Params, Raises: as SIFTFlowSegDataLayer, but lmdb_dir for siftflow_dir: the folder of a list's databases.
    ``split`` is only a name here: it decides on random drawing.
    """

    required: ClassVar[dict[str, str]] = {"lmdb_dir": "text", "split": "text"}

    def open(self, params: dict[str, Any]) -> list[str]:
        """The ids that the keys bear."""
        self.records = SIFTFlowRecords(Path(params["lmdb_dir"]))
        return self.records.ids

    def load_sample(self, image_id: str) -> tuple[np.ndarray, ...]:
        """The three records, decoded and checked."""
        return self.records.read_triple(image_id)
