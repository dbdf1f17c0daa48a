"""From a data folder to the splits that a recipe trains and scores on, read from files or from LMDBs.

The folder is as the FCN release has it, ``pascal/VOC2011`` and ``sbdd/dataset``; the names that the archives unpack to
are found too. With SBD the paper's split is used: train on SBD's train, score on seg11valid. Without SBD: VOC's own
train and val.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caffe_compat.errors import DataError
from data_prep.layers import LMDBSegDataLayer, SBDDSegDataLayer, SegDataLayer, VOCSegDataLayer
from data_prep.lists import PUBLISHED_SIZES, write_list
from data_prep.prepare import prepare, seg11valid
from data_prep.sbd import SBDFolder, find_sbd, sbd_root
from data_prep.seg_folder import SegFolder
from data_prep.voc import VOCFolder, find_voc, voc_years
from nets.sources import PythonData

__all__ = ["Split", "Splits", "find_splits"]


@dataclass(frozen=True)
class Split:
    """One list of one dataset.

    Attributes:
        folder: the dataset.
        name: of the list, such as ``train``.
        ids: the images, in order.
    """

    folder: SegFolder
    name: str
    ids: list[str]

    @property
    def published_size(self) -> int | None:
        """How many images the whole dataset's list has, where known."""
        return PUBLISHED_SIZES.get((self.folder.name, self.name))

    def source(self, read: str, out: Path, mean_bgr: Sequence[float], seed: int) -> PythonData:
        """A data layer over this split.

        Args:
            read: ``files`` or ``lmdb``; LMDBs that are not there yet are built.
            out: folder for the list and the LMDBs.
            mean_bgr: taken off the channels, B, G, R.
            seed: of the draws, in a split that is drawn from at random.

        Raises:
            DataError: the data is faulty.
        """
        params = {"seed": seed, "mean": tuple(mean_bgr), "classes": self.folder.classes}
        if read == "lmdb":
            report = prepare(self.folder, {self.name: self.ids}, out / "lmdb")[0]
            if report.outcome.faults:
                raise DataError(
                    f"{self.folder.title} {self.name}: {len(report.outcome.faults)} faulty samples, the first: "
                    f"{report.outcome.faults[0].message}; repair them or shorten the list"
                )
            databases = {kind: str(report.outcome.folder.resolve() / kind) for kind in ("image_lmdb", "label_lmdb")}
            return _layer(LMDBSegDataLayer, {**databases, "split": self.name, **params})
        listed = out / "lists" / f"{self.name}.txt"
        listed.parent.mkdir(parents=True, exist_ok=True)
        write_list(listed, self.ids)
        root, split = str(self.folder.root.resolve()), str(listed.resolve())
        if isinstance(self.folder, SBDFolder):
            return _layer(SBDDSegDataLayer, {"sbdd_dir": root, "split": split, **params})
        return _layer(VOCSegDataLayer, {"voc_dir": root, "split": split, **params})


def _layer(cls: type[SegDataLayer], params: dict[str, Any]) -> PythonData:
    return PythonData(cls.__module__, cls.__name__, params)


@dataclass(frozen=True)
class Splits:
    """What to train on and what to score on."""

    train: Split
    test: Split


def find_splits(data: Path, classes: int = 21) -> Splits:
    """The splits in a data folder.

    Args:
        data: holds VOC, and SBD beside it for the paper's split.
        classes: number of classes, background included.

    Raises:
        DataError: there is no VOC there, a part of VOC or SBD is missing, a list is missing, or there are several
            years of VOC without 2011; the message says what was looked for.
    """
    voc = _voc(data, classes)
    sbd = _sbd(data, classes)
    if sbd is None:
        return Splits(Split(voc, "train", voc.ids("train")), Split(voc, "val", voc.ids("val")))
    valid = voc.ids("seg11valid") if "seg11valid" in voc.splits() else seg11valid(voc, sbd)
    return Splits(Split(sbd, "train", sbd.ids("train")), Split(voc, "seg11valid", valid))


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
