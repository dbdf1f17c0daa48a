"""PASCAL-Context for the nets: the 59 class task and background, on VOC2010's images."""

from pathlib import Path
from typing import ClassVar

from caffe_compat.errors import DataError
from data_prep.layers import LMDBSegDataLayer
from data_prep.layers_pascalcontext import PASCALContextSegDataLayer
from data_prep.pascalcontext import PASCALContextFolder, find_pascalcontext
from data_prep.seg_folder import SegFolder
from nets.catalogue import Model
from nets.sources import PythonData
from solvers.splits import Family, data_layer

__all__ = ["PASCALContextFamily"]


class PASCALContextFamily(Family):
    """The lists are VOC2010's train and val."""

    title: ClassVar[str] = "PASCAL-Context"
    verb: ClassVar[str] = "pascalcontext --source {data}"
    downloads: ClassVar[tuple[str, ...]] = ("pascalcontext",)

    def find(self, data: Path, model: Model, train: bool) -> tuple[SegFolder, str, list[str]]:
        """Train and val.

        Raises:
            DataError: labels, images or the list are missing, or the images' folder has another name than VOC2010, by
                which the released layer finds it.
        """
        folder = find_pascalcontext(data)
        if folder.voc.resolve().name != "VOC2010":
            raise DataError(
                f"PASCAL-Context: the folder of its images is '{folder.voc}'; the data layer looks for VOC2010: "
                "give --data a folder with VOC2010 or pascal/VOC2010 in it"
            )
        name = model.train_split if train else model.test_split
        return folder, name, folder.ids(name)

    def file_layer(self, folder: PASCALContextFolder, listed: Path, model: Model, seed: int) -> PythonData:
        """The released layer."""
        folders = {"voc_dir": str(folder.voc.resolve().parent), "context_dir": str(folder.root.resolve())}
        return data_layer(PASCALContextSegDataLayer, {**folders, "split": str(listed), "seed": seed})

    def lmdb_layer(self, databases: Path, name: str, model: Model, seed: int) -> PythonData:
        """Image and label LMDBs."""
        paths = {kind: str(databases / kind) for kind in ("image_lmdb", "label_lmdb")}
        params = {"split": name, "seed": seed, "mean": model.mean_bgr, "classes": model.classes}
        return data_layer(LMDBSegDataLayer, {**paths, **params})
