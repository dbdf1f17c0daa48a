"""SIFT Flow for the nets: images with a semantic and a geometric label."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from data_prep.layers_siftflow import SIFTFlowLMDBSegDataLayer, SIFTFlowSegDataLayer
from data_prep.lmdb_build import Loader
from data_prep.seg_folder import SegFolder
from data_prep.siftflow import SIFTFlowFolder, find_siftflow
from data_prep.siftflow_records import SIFTFlowLoader, SIFTFlowRecords
from nets.catalogue import Model
from nets.sources import PythonData
from solvers.splits import Family, Labels, data_layer

__all__ = ["SIFTFlowFamily"]


class SIFTFlowFamily(Family):
    """The lists trainval and test are those of the FCN release, or else made of the dataset's own, as data_prep does.

    Both leave out the images without labels; the made trainval is in another order, so that a seed draws others.
    """

    title: ClassVar[str] = "SIFT Flow"
    verb: ClassVar[str] = "siftflow --source {data}"
    downloads: ClassVar[tuple[str, ...]] = ("siftflow",)

    def find(self, data: Path, model: Model, train: bool) -> tuple[SegFolder, str, list[str]]:
        """The lists trainval and test.

        Raises:
            DataError: the dataset or a part of it is missing, or there is neither the list nor what it is made of.
        """
        folder, name = find_siftflow(data), model.train_split if train else model.test_split
        return folder, name, folder.ids(name)

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
