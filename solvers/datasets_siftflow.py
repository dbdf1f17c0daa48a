"""SIFT Flow for the nets: images with a semantic and a geometric label."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from caffe_compat.errors import DataError
from data_prep.layers_siftflow import SIFTFlowLMDBSegDataLayer, SIFTFlowSegDataLayer
from data_prep.lists import read_list
from data_prep.lmdb_build import Loader
from data_prep.seg_folder import SegFolder
from data_prep.siftflow import SIFTFlowFolder, find_siftflow
from data_prep.siftflow_records import SIFTFlowLoader, SIFTFlowRecords
from data_prep.sources import download_hint
from nets.catalogue import Model
from nets.sources import PythonData
from solvers.splits import Family, Labels, data_layer

__all__ = ["SIFTFlowFamily"]

_BELOW = ("sift-flow", "siftflow")  # in these the archive may have been unpacked


class SIFTFlowFamily(Family):
    """The lists trainval and test are those of the FCN release, which leave out the images without labels."""

    title: ClassVar[str] = "SIFT Flow"
    verb: ClassVar[str] = "siftflow --source {data}"
    downloads: ClassVar[tuple[str, ...]] = ("siftflow",)

    def find(self, data: Path, model: Model, train: bool) -> tuple[SegFolder, str, list[str]]:
        """The lists trainval and test, which lie beside the images, or beside the folder SiftFlowDataset.

        Raises:
            DataError: the dataset, a part of it or the list is missing.
        """
        inside = next((data / below for below in _BELOW if (data / below / "SiftFlowDataset").is_dir()), data)
        folder = find_siftflow(inside)
        name = model.train_split if train else model.test_split
        places = dict.fromkeys([folder.root, inside, *(data / below for below in _BELOW)])
        for place in places:
            if (place / f"{name}.txt").is_file():
                return folder, name, read_list(place / f"{name}.txt")
        others = ", ".join(f"'{place}'" for place in places if place != folder.root)
        raise DataError(
            f"SIFT Flow dataset '{folder.root}' has no list {name}.txt, nor is there one in "
            f"{others}; put there that of the FCN release "
            f"(shelhamer/fcn.berkeleyvision.org, data/sift-flow); {download_hint('siftflow')}"
        )

    def loader(self, folder: Any) -> Loader:
        """Images and both labels."""
        return SIFTFlowLoader(folder)

    def file_layer(self, folder: SegFolder, listed: Path, model: Model, seed: int) -> PythonData:
        """The released layer."""
        params = {"siftflow_dir": str(folder.root.resolve()), "split": str(listed), "seed": seed}
        return data_layer(SIFTFlowSegDataLayer, params)

    def lmdb_layer(self, databases: Path, name: str, model: Model, seed: int) -> PythonData:
        """Image, semantic and geometric LMDBs."""
        return data_layer(SIFTFlowLMDBSegDataLayer, {"lmdb_dir": str(databases), "split": name, "seed": seed})

    def check_files(self, folder: SIFTFlowFolder, image_id: str, model: Model) -> Labels:
        """Both labels."""
        pair, geometric, _ = folder.read_sample(image_id)
        return pair.label, geometric

    def check_records(self, databases: Path, model: Model) -> Callable[[str], Labels]:
        """Likewise."""
        records = SIFTFlowRecords(databases)
        return lambda image_id: records.read_triple(image_id)[1:]
