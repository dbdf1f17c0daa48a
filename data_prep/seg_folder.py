"""What every dataset of image and label files has in common."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from data_prep.contents import check_sizes
from data_prep.images import decode_image
from data_prep.labels import VOC_CLASSES, VOID, check_label
from data_prep.lists import read_list
from data_prep.png_files import read_file

__all__ = ["Pair", "SegFolder", "folder_contents"]


@dataclass(frozen=True)
class Pair:
    """One checked sample.

    Attributes:
        image: H x W x 3 uint8, RGB.
        label: H x W uint8, class numbers.
        image_bytes: the image file's content.
        label_bytes: the label file's content.
    """

    image: np.ndarray
    label: np.ndarray
    image_bytes: bytes
    label_bytes: bytes


@dataclass(frozen=True)
class SegFolder(ABC):
    """A dataset's folder: where its images, labels and lists are.

    Args:
        root: the folder that holds the dataset's own subfolders.
        classes: number of classes, background included; labels hold 0 to classes - 1.
        void: the label value besides, or None.
    """

    root: Path
    classes: int = len(VOC_CLASSES)
    void: int | None = VOID

    title: ClassVar[str]
    remedy: ClassVar[str] = "unpack {} again"  # for a file that is missing
    usual: ClassVar[tuple[str, ...]] = ("train", "val")  # lists that are prepared unless others are named

    @property
    @abstractmethod
    def name(self) -> str:
        """Short name, such as ``voc2011``."""

    @property
    @abstractmethod
    def list_folder(self) -> Path:
        """Folder of the lists, ``SPLIT.txt``."""

    @abstractmethod
    def image_path(self, image_id: str) -> Path:
        """File of an image."""

    @abstractmethod
    def label_path(self, image_id: str) -> Path:
        """File of a label."""

    @abstractmethod
    def decode_label(self, data: bytes, name: str) -> np.ndarray:
        """Class numbers, H x W uint8, from a label file's content; values not checked.

        Raises:
            DataError: the content is damaged or of another kind.
        """

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the labels' values beside the files, for the databases' manifest; values that JSON can hold."""
        return {}

    def list_path(self, split: str) -> Path:
        """A list's file: ``split`` is a name in the list folder, or a path (with a folder in it, or ending in .txt)."""
        if split.endswith(".txt") or "/" in split or "\\" in split:
            return Path(split)
        return self.list_folder / f"{split}.txt"

    def ids(self, split: str) -> list[str]:
        """The image ids of a list, in its order.

        Raises:
            DataError: as ``read_list``.
        """
        return read_list(self.list_path(split))

    def splits(self) -> list[str]:
        """Names of the lists that are there."""
        return sorted(path.stem for path in self.list_folder.glob("*.txt"))

    def lists(self, names: Sequence[str] = ()) -> dict[str, list[str]]:
        """The ids of the named lists; without names, those of the usual ones that are there.

        Raises:
            DataError: as ``ids``.
        """
        there = self.splits()
        return {name: self.ids(name) for name in names or [one for one in self.usual if one in there]}

    def read_bytes(self, image_id: str) -> tuple[bytes, bytes]:
        """Contents of the image's and the label's file.

        Raises:
            DataError: one is missing or unreadable.
        """
        return self._content("image", self.image_path(image_id)), self._content("label", self.label_path(image_id))

    def _content(self, kind: str, path: Path) -> bytes:
        return read_file(path, kind, self.remedy.format(self.title))

    def read_image(self, image_id: str) -> np.ndarray:
        """An image: H x W x 3 uint8, RGB.

        Raises:
            DataError: the file is missing or damaged.
        """
        path = self.image_path(image_id)
        return decode_image(self._content("image", path), str(path))

    def read_label(self, image_id: str) -> np.ndarray:
        """A label, its values checked: H x W uint8.

        Raises:
            DataError: the file is missing or damaged, or a value is outside the classes.
        """
        path = self.label_path(image_id)
        label = self.decode_label(self._content("label", path), str(path))
        check_label(label, str(path), self.classes, self.void)
        return label

    def read_pair(self, image_id: str) -> Pair:
        """An image and its label, with everything checked.

        Raises:
            DataError: a file is missing or damaged, a value is outside the classes, or the sizes differ.
        """
        image_bytes, label_bytes = self.read_bytes(image_id)
        image_name, label_name = str(self.image_path(image_id)), str(self.label_path(image_id))
        image = decode_image(image_bytes, image_name)
        label = self.decode_label(label_bytes, label_name)
        check_sizes({f"image '{image_name}'": image.shape, f"label '{label_name}'": label.shape})
        check_label(label, label_name, self.classes, self.void)
        return Pair(image, label, image_bytes, label_bytes)


def folder_contents(folder: Path, most: int = 8) -> str:
    """What lies in a folder, for messages: ``'a', 'b' and 3 more``."""
    if not folder.exists():
        return "no such folder"
    if not folder.is_dir():
        return "a file, not a folder"
    names = sorted(path.name for path in folder.iterdir())
    if not names:
        return "an empty folder"
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
