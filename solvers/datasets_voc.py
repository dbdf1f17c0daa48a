"""PASCAL VOC for the nets: with SBD the paper's split, train of SBD and seg11valid; without SBD VOC's own lists."""

from pathlib import Path
from typing import ClassVar

from caffe_compat.errors import DataError
from data_prep.labels import VOC_CLASSES
from data_prep.layers import LMDBSegDataLayer, SBDDSegDataLayer, VOCSegDataLayer
from data_prep.prepare import seg11valid
from data_prep.sbd import SBDFolder, find_sbd, sbd_root
from data_prep.seg_folder import SegFolder
from data_prep.voc import VOCFolder, find_voc, voc_years
from nets.catalogue import Model
from nets.sources import PythonData
from solvers.splits import Family, data_layer

__all__ = ["VOCFamily"]

_YEARS = (2011, 2012, 2010, 2009, 2008, 2007)


class VOCFamily(Family):
    """Labels have the classes of the model, which may be fewer or others than VOC's."""

    title: ClassVar[str] = "PASCAL VOC"
    verb: ClassVar[str] = "voc --source {data}"
    downloads: ClassVar[tuple[str, ...]] = ("voc2011", "sbd")

    def find(self, data: Path, model: Model, train: bool) -> tuple[SegFolder, str, list[str]]:
        """SBD's train and seg11valid; without SBD VOC's train, and seg11valid where VOC has that list, else val.

        Raises:
            DataError: there is no VOC there, a part of VOC or SBD is missing, a list is missing, or there are several
                years of VOC without 2011.
        """
        voc, sbd = _voc(data, model.classes), _sbd(data, model.classes)
        if train:
            folder: SegFolder = voc if sbd is None else sbd
            return folder, "train", folder.ids("train")
        if "seg11valid" in voc.splits():
            return voc, "seg11valid", voc.ids("seg11valid")
        if sbd is None:
            return voc, "val", voc.ids("val")
        return voc, "seg11valid", seg11valid(voc, sbd)

    def database_pairs(self, model: Model) -> list[tuple[str, str]]:
        """SBD's train with a seg11valid, else two lists of one year: val of a year shares images with SBD's train.

        Last, and first for other numbers of classes than VOC's, the lists of ``python -m data_prep folder``.
        """
        with_sbd = [("sbd_train", f"voc{year}_seg11valid") for year in (2011, 2012)]
        alone = [(f"voc{year}_train", f"voc{year}_{test}") for year in _YEARS for test in ("seg11valid", "val")]
        own = [("folder_train", f"folder_{test}") for test in ("val", "test")]
        return [*with_sbd, *alone, *own] if model.classes == len(VOC_CLASSES) else [*own, *with_sbd, *alone]

    def file_layer(self, folder: SegFolder, listed: Path, model: Model, seed: int) -> PythonData:
        """The released layer of SBD or of VOC."""
        params = {"split": str(listed), "seed": seed, "mean": model.mean_bgr, "classes": model.classes}
        root = str(folder.root.resolve())
        if isinstance(folder, SBDFolder):
            return data_layer(SBDDSegDataLayer, {"sbdd_dir": root, **params})
        return data_layer(VOCSegDataLayer, {"voc_dir": root, **params})

    def lmdb_layer(self, databases: Path, name: str, model: Model, seed: int) -> PythonData:
        """Image and label LMDBs."""
        paths = {kind: str(databases / kind) for kind in ("image_lmdb", "label_lmdb")}
        params = {"split": name, "seed": seed, "mean": model.mean_bgr, "classes": model.classes}
        return data_layer(LMDBSegDataLayer, {**paths, **params})


def _voc(data: Path, classes: int) -> VOCFolder:
    years = [folder.name for folder in voc_years(data)]
    if len(years) > 1 and "voc2011" not in years:
        raise DataError(
            f"several years of VOC at '{data}': {', '.join(years)}, and not 2011, which the paper uses; "
            "give --data a folder with one of them (and SBD beside it)"
        )
    found = find_voc(data, 2011 if "voc2011" in years else None)
    return VOCFolder(found.root, classes)


def _sbd(data: Path, classes: int) -> SBDFolder | None:
    return None if sbd_root(data) is None else SBDFolder(find_sbd(data).root, classes)
