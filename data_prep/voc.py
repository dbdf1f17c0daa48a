"""PASCAL VOC segmentation, 2007 to 2012, as its archives unpack.

    VOCdevkit/VOC2012/JPEGImages/ID.jpg             images
                      SegmentationClass/ID.png      labels: palette PNGs of 21 classes, 255 = void
                      ImageSets/Segmentation/*.txt  lists of ids

Merged with SBD, images that VOC does not label get SBD's label: a PNG in SegmentationClassAug, where others distribute
them, or a file of SBD's own folder.

Source: http://host.robots.ox.ac.uk/pascal/VOC/, the development kits' documentation.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from caffe_compat.errors import DataError
from data_prep.lists import merged_train
from data_prep.sbd import SBDFolder, decode_sbd_label
from data_prep.seg_folder import SegFolder, folder_contents
from data_prep.sources import download_hint

__all__ = ["VOCFolder", "find_voc", "train_aug", "voc_years"]

_PARTS = ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation")
_PLACES = ("", "VOC20??", "VOCdevkit/VOC20??", "pascal/VOC20??", "TrainVal/VOCdevkit/VOC20??")


@dataclass(frozen=True)
class VOCFolder(SegFolder):
    """One year of VOC: ``root`` holds JPEGImages, SegmentationClass and ImageSets.

    Args:
        sbd: whose files stand in where VOC has none.
    """

    sbd: SBDFolder | None = field(default=None, kw_only=True)

    title = "PASCAL VOC"

    @property
    def name(self) -> str:
        """``voc2011``, by the folder's name; ``voc`` where that has no year."""
        year = re.fullmatch(r"VOC(20\d\d)", self.root.resolve().name)
        return f"voc{year[1]}" if year else "voc"

    @property
    def list_folder(self) -> Path:
        """ImageSets/Segmentation."""
        return self.root / "ImageSets" / "Segmentation"

    def image_path(self, image_id: str) -> Path:
        """JPEGImages/ID.jpg; SBD's where that is not there."""
        path = self.root / "JPEGImages" / f"{image_id}.jpg"
        return path if self.sbd is None or path.exists() else self.sbd.image_path(image_id)

    def label_path(self, image_id: str) -> Path:
        """SegmentationClass/ID.png; where that is not there, SegmentationClassAug/ID.png, then SBD's."""
        path = self.root / "SegmentationClass" / f"{image_id}.png"
        if path.exists():
            return path
        merged = self.root / "SegmentationClassAug" / f"{image_id}.png"
        if merged.exists():
            return merged
        return path if self.sbd is None else self.sbd.label_path(image_id)

    def decode_label(self, data: bytes, name: str) -> np.ndarray:
        """Class numbers of a palette or grey PNG, or of SBD's .mat."""
        return decode_sbd_label(data, name)


def train_aug(voc: VOCFolder, sbd: SBDFolder) -> list[str]:
    """The merged training list of both datasets, without VOC's val; of VOC2012 and SBD, the usual 10,582 images.

    Raises:
        DataError: a list is missing, or as ``merged_train``.
    """
    return merged_train(voc.ids("train"), voc.ids("val"), sbd.ids("train"), sbd.ids("val"))


def voc_years(source: Path) -> list[VOCFolder]:
    """The VOC folders at or below ``source``, whole or not, by name; ``source`` as for ``find_voc``."""
    found = {
        candidate
        for place in _PLACES
        for candidate in (source.glob(place) if place else [source])
        if any((candidate / part).is_dir() for part in _PARTS)
    }
    return sorted((VOCFolder(root) for root in found), key=lambda one: one.name)


def find_voc(source: Path, year: int | None = None) -> VOCFolder:
    """The VOC folder at or below ``source``.

    Args:
        source: the folder of a year (VOC2012), its VOCdevkit, the folder in which the archive was unpacked, or one
            that holds ``pascal/VOC20xx`` as the FCN release has it.
        year: which, where several are there.

    Raises:
        DataError: there is none, a part of it is missing, or there are several years and none was named.
    """
    found = set(voc_years(source))
    years = sorted(one.name for one in found)
    if year is not None:
        found = {one for one in found if one.name == f"voc{year}"}
    if not found:
        asked = f"VOC{year}" if year is not None else "VOC"
        seen = f"{', '.join(years)}" if years else folder_contents(source)
        raise DataError(
            f"no {asked} dataset at '{source}': looked for a folder with {', '.join(_PARTS)}, there and in "
            f"VOC2007 to VOC2012 or VOCdevkit below it; found {seen}; "
            "give the folder VOC20xx that the VOCtrainval archive unpacks to, or the VOCdevkit above it; "
            f"{download_hint(f'voc{year or 2011}')}"
        )
    if len(found) > 1:
        raise DataError(
            f"several VOC datasets at '{source}': {', '.join(years)}; name one with --year, or give its folder"
        )
    root = found.pop().root
    missing = [part for part in _PARTS if not (root / part).is_dir()]
    if missing:
        raise DataError(
            f"VOC dataset '{root}' lacks {', '.join(missing)}; found {folder_contents(root)}; "
            "unpack the VOCtrainval archive (segmentation included) again"
        )
    return VOCFolder(root)
