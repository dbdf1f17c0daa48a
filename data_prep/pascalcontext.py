"""PASCAL-Context as it is published: labels of 459 kinds for the images of PASCAL VOC 2010, and the 59 class task.

    CONTEXT/trainval/ID.mat                  LabelMap: numbers of labels.txt
            labels.txt or classes-400.txt    the kinds, a line each: ``1: accordion``
            59_labels.txt or classes-59.txt  the task's classes: ``1: aeroplane``; may begin with ``0: background``
    VOC2010/JPEGImages/ID.jpg                images
            ImageSets/Main/*.txt             lists of ids: train, val

The first name of each list is the dataset's, the second the FCN release's (data/pascal-context). Labels are given as
nets use them: 0 = background, which is whatever is not one of the 59 classes; there is no void.

Source: Mottaghi et al., The Role of Context for Object Detection and Semantic Segmentation in the Wild (CVPR 2014);
shelhamer/fcn.berkeleyvision.org pascalcontext_layers.py, data/pascal-context.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from caffe_compat.errors import DataError
from data_prep.label_mat import decode_label_mat
from data_prep.lists import list_digest
from data_prep.seg_folder import SegFolder, folder_contents
from data_prep.sources import download_hint

__all__ = ["CLASSES", "ContextMapping", "PASCALContextFolder", "find_pascalcontext", "read_mapping", "read_names"]

CLASSES = 60
"""The 59 classes of the task and the background."""

_RENAMED = {"diningtable": "table", "bedcloth": "bedclothes", "clothes": "cloth"}  # of the task: among the kinds
_KINDS_FILES = ("labels.txt", "classes-400.txt")
_TASK_FILES = ("59_labels.txt", "classes-59.txt")
_CONTEXT_PLACES = ("", "pascal-context", "PASCAL-Context", "pascalcontext")
_VOC_PLACES = ("", "VOC2010", "VOCdevkit/VOC2010", "pascal/VOC2010", "TrainVal/VOCdevkit/VOC2010")
_VOC_PARTS = ("JPEGImages", "ImageSets/Main")


@dataclass(frozen=True)
class ContextMapping:
    """From the kinds of the label files to the classes of the task.

    Attributes:
        classes: class (0 = background) of each kind, by its number; number 0 first.
        names: of the classes, background first, as the task's list has them.
    """

    classes: tuple[int, ...]
    names: tuple[str, ...]

    def map(self, label: np.ndarray) -> np.ndarray:
        """Classes of kinds; integers in, uint8 of the same shape out."""
        mapped: np.ndarray = np.array(self.classes, np.uint8)[label]
        return mapped


@dataclass(frozen=True)
class PASCALContextFolder(SegFolder):
    """PASCAL-Context: ``root`` holds trainval with the labels.

    Args:
        voc: the folder VOC2010, with the images and lists.
        mapping: of the label files' numbers.
    """

    classes: int = CLASSES
    void: int | None = None
    voc: Path = field(kw_only=True)
    mapping: ContextMapping = field(kw_only=True)

    title = "PASCAL-Context (images: VOC2010)"

    @property
    def name(self) -> str:
        """``pascalcontext``."""
        return "pascalcontext"

    @property
    def list_folder(self) -> Path:
        """ImageSets/Main of VOC2010."""
        return self.voc / "ImageSets" / "Main"

    @property
    def settings(self) -> dict[str, Any]:
        """The classes' names and a checksum of the mapping."""
        return {"names": list(self.mapping.names), "mapping": list_digest(map(str, self.mapping.classes))[:16]}

    def image_path(self, image_id: str) -> Path:
        """JPEGImages/ID.jpg of VOC2010."""
        return self.voc / "JPEGImages" / f"{image_id}.jpg"

    def label_path(self, image_id: str) -> Path:
        """trainval/ID.mat."""
        return self.root / "trainval" / f"{image_id}.mat"

    def decode_label(self, data: bytes, name: str) -> np.ndarray:
        """Classes 0 to 59 of a file's LabelMap."""
        return self.mapping.map(decode_label_mat(data, name, "LabelMap", 0, len(self.mapping.classes) - 1))


def read_names(path: Path) -> tuple[str, ...]:
    """The names in a list of classes, ``NUMBER: NAME`` to a line, spaces in names taken out; number 0 is passed over.

    Raises:
        DataError: the file cannot be read, a line is of another form, or the numbers are not 1, 2, 3, ...
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"list of classes '{path}' cannot be read ({error})") from error
    names: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        index, colon, name = (part.strip() for part in line.partition(":"))
        if not colon or not name or not index.isdecimal():
            raise DataError(f"list of classes '{path}' line {number}: {line[:60]!r}; wanted 'NUMBER: NAME'")
        if int(index) == 0 and not names:
            continue
        if int(index) != len(names) + 1:
            raise DataError(
                f"list of classes '{path}' line {number}: number {int(index)} where {len(names) + 1} was wanted; "
                "give the list as it is published"
            )
        names.append(name.replace(" ", ""))
    return tuple(names)


def read_mapping(context: Path) -> ContextMapping:
    """The mapping by the names in a folder's two lists, as released.

    Three classes of the task have another name among the kinds: diningtable is table, bedcloth is bedclothes, clothes
    is cloth.

    Raises:
        DataError: a list is missing or wrong, or a class of the task is not among the kinds.
    """
    kinds_file, task_file = _first_of(context, _KINDS_FILES), _first_of(context, _TASK_FILES)
    kinds, task = read_names(kinds_file), read_names(task_file)
    if len(task) != CLASSES - 1:
        raise DataError(f"list of classes '{task_file}' names {len(task)} classes; the task has {CLASSES - 1}")
    classes = [0] * (len(kinds) + 1)
    for number, name in enumerate(task, start=1):
        kind = _RENAMED.get(name, name)
        if kind not in kinds:
            raise DataError(
                f"class '{kind}' of '{task_file}' is not among the {len(kinds)} names of '{kinds_file}'; "
                "give both lists as they are published"
            )
        classes[kinds.index(kind) + 1] = number
    return ContextMapping(tuple(classes), ("background", *task))


def _first_of(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DataError(
        f"'{folder}' has no {' or '.join(names)}; found {folder_contents(folder)}; put there the list from the "
        "dataset's site, or that of the FCN release (shelhamer/fcn.berkeleyvision.org, data/pascal-context); "
        f"{download_hint('pascalcontext')}"
    )


def find_pascalcontext(source: Path, voc: Path | None = None) -> PASCALContextFolder:
    """PASCAL-Context at or below ``source``, with VOC2010's images.

    Args:
        source: the folder that holds trainval (the .mat files) and both lists of classes.
        voc: VOC2010, its VOCdevkit, or where that was unpacked; looked for in ``source`` unless given.

    Raises:
        DataError: one is not there or lacks a part.
    """
    root = next((source / place for place in _CONTEXT_PLACES if (source / place / "trainval").is_dir()), None)
    if root is None:
        raise DataError(
            f"no PASCAL-Context dataset at '{source}': looked for a folder with trainval and the lists of classes; "
            f"found {folder_contents(source)}; unpack the dataset's trainval.tar.gz there; "
            f"{download_hint('pascalcontext')}"
        )
    mapping = read_mapping(root)
    base = source if voc is None else voc
    places = (base / place for place in _VOC_PLACES)
    images = next((one for one in places if all((one / part).is_dir() for part in _VOC_PARTS)), None)
    if images is None:
        raise DataError(
            f"no VOC2010 at '{base}': looked for a folder with {' and '.join(_VOC_PARTS)}, there and in VOC2010 or "
            f"VOCdevkit/VOC2010 below it; found {folder_contents(base)}; PASCAL-Context labels VOC2010's images: "
            f"name its folder with --voc; {download_hint('voc2010')}"
        )
    return PASCALContextFolder(root, voc=images, mapping=mapping)
