"""The user's own images and labels.

    SOURCE/images/ID.jpg   or .jpeg, .png, .bmp, .tif, .tiff; folders may be nested, the ID is then FOLDER/NAME
           labels/ID.png   class numbers: palette or grey PNG
           classes.txt     names of the classes, one to a line, that of number 0 first
           train.txt, ...  lists of ids

The lists are not needed where the images are divided by fractions.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from caffe_compat.errors import DataError
from data_prep.labels import VOID, check_label, decode_label
from data_prep.seg_folder import SegFolder, folder_contents

__all__ = ["IMAGE_SUFFIXES", "UserFolder", "absent_classes", "class_names", "divide", "user_folder"]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class UserFolder(SegFolder):
    """A folder in that layout.

    Labels are given with 255 as void, whatever value it has in the files.

    Args:
        classes: number of classes, that of number 0 included.
        void: 255, or None where every pixel has a class.
        names: of the classes; empty where unknown.
        void_in_files: the value of void pixels in the files; None where every pixel has a class.
        images: name of the images' folder.
        labels: name of the labels' folder.
        dataset: what the lists and LMDBs are called after.
    """

    names: tuple[str, ...] = ()
    void_in_files: int | None = VOID
    images: str = "images"
    labels: str = "labels"
    dataset: str = "folder"

    title = "the folder"
    remedy: ClassVar[str] = "add it"
    usual: ClassVar[tuple[str, ...]] = ("train", "val", "test")

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.dataset

    @property
    def list_folder(self) -> Path:
        """The folder itself."""
        return self.root

    @property
    def settings(self) -> dict[str, Any]:
        """The classes' names and the files' void value."""
        return {"names": list(self.names), "void_in_files": self.void_in_files}

    def image_path(self, image_id: str) -> Path:
        """images/ID with the suffix that is there, or .jpg.

        Raises:
            DataError: there are several.
        """
        folder = self.root / self.images
        suffixes = [one for suffix in IMAGE_SUFFIXES for one in (suffix, suffix.upper())]
        there = [path for path in (folder / f"{image_id}{one}" for one in suffixes) if path.is_file()]
        others = [path for path in there[1:] if not path.samefile(there[0])]  # the same where case does not count
        if others:
            raise DataError(f"images '{there[0]}' and '{others[0]}' have one name; rename or remove one of them")
        return there[0] if there else folder / f"{image_id}.jpg"

    def label_path(self, image_id: str) -> Path:
        """labels/ID.png."""
        return self.root / self.labels / f"{image_id}.png"

    def decode_label(self, data: bytes, name: str) -> np.ndarray:
        """Class numbers of a palette or grey PNG, 255 = void, checked."""
        label = decode_label(data, name)
        check_label(label, name, self.classes, self.void_in_files)
        if self.void_in_files not in (None, VOID):
            label[label == self.void_in_files] = VOID
        return label

    def all_ids(self) -> list[str]:
        """The ids of all images, sorted.

        Raises:
            DataError: there are none; a name holds spaces, which a list cannot; a label has no image.
        """
        images, labels = self.root / self.images, self.root / self.labels
        ids = sorted({_id(path, images) for path in images.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES})
        if not ids:
            raise DataError(
                f"'{images}' holds no images ({', '.join(IMAGE_SUFFIXES)}); found {folder_contents(images)}"
            )
        spaced = [one for one in ids if len(one.split()) != 1]
        if spaced:
            raise DataError(f"image '{spaced[0]}' in '{images}' has a space in its name; rename it and its label")
        alone = sorted({_id(path, labels) for path in labels.rglob("*.png")} - set(ids))
        if alone:
            raise DataError(
                f"{len(alone)} labels in '{labels}' have no image in '{images}', the first '{alone[0]}.png'; "
                "add the images or remove the labels"
            )
        return ids


def _id(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def user_folder(
    source: Path,
    names_file: Path | None = None,
    classes: int | None = None,
    void: int | None = VOID,
    images: str = "images",
    labels: str = "labels",
    dataset: str = "folder",
) -> UserFolder:
    """The user's folder at ``source``.

    Args:
        source: the folder.
        names_file: the classes' names, one to a line; ``classes.txt`` in the folder unless given.
        classes: number of classes; that of the names unless given.
        void: value of void pixels in the files, or None.
        images: name of the images' folder in it.
        labels: name of the labels' folder in it.
        dataset: what the lists and LMDBs are called after.

    Raises:
        DataError: a folder is missing; the classes are not known, or their names are of another number.
    """
    missing = [one for one in (images, labels) if not (source / one).is_dir()]
    if missing:
        raise DataError(
            f"'{source}' lacks the folder {' and '.join(missing)}; found {folder_contents(source)}; give the folder "
            "that holds both, and their names with --image-dir and --label-dir"
        )
    if names_file is None and (source / "classes.txt").is_file():
        names_file = source / "classes.txt"
    names = class_names(names_file) if names_file is not None else ()
    if not names and classes is None:
        raise DataError(
            f"the classes of '{source}' are not known; name them with --names, or count them with --classes"
        )
    if names and classes is not None and len(names) != classes:
        raise DataError(f"'{names_file}' names {len(names)} classes, but --classes is {classes}; correct one of them")
    count = len(names) or classes or 0
    if void is not None and count > VOID:
        raise DataError(f"{count} classes leave no number for void; there may be {VOID} at most")
    return UserFolder(source, count, None if void is None else VOID, names, void, images, labels, dataset)


def class_names(path: Path) -> tuple[str, ...]:
    """Names of classes, one to a line, that of number 0 first; blank lines are passed over.

    Raises:
        DataError: the file cannot be read, a name comes twice, or there are fewer than 2 or more than 255.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"names of classes '{path}' cannot be read ({error}); wanted one name to a line") from error
    names = tuple(line.strip() for line in lines if line.strip())
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise DataError(f"names of classes '{path}': '{twice[0]}' comes twice; give each class a name of its own")
    if not 2 <= len(names) <= VOID:
        raise DataError(f"names of classes '{path}': {len(names)} names; wanted 2 to {VOID}, one to a line")
    return names


def divide(ids: Sequence[str], fractions: Mapping[str, float], seed: int) -> dict[str, list[str]]:
    """Divide samples at random; what the fractions leave is ``train``.

    A sample's place hangs on its id and the seed, so that the same samples are divided alike everywhere, and few
    change lists when others are added.

    Args:
        ids: the samples.
        fractions: share of each list, above 0 and together below 1.
        seed: another gives another division.

    Returns:
        The ids of each list in their order; train first.

    Raises:
        DataError: a share is outside; a list would be empty.
    """
    if "train" in fractions or not all(share > 0 for share in fractions.values()) or sum(fractions.values()) >= 1:
        shown = ", ".join(f"{name}={share}" for name, share in fractions.items())
        raise DataError(
            f"fractions {shown}: wanted shares above 0 and together below 1, of other lists than train, which gets "
            "the rest; such as val=0.2"
        )
    ranked = sorted(ids, key=lambda one: hashlib.sha256(f"{seed}:{one}".encode()).digest())
    lists, begin = {}, 0
    for name, share in fractions.items():
        end = begin + round(share * len(ids))
        lists[name] = set(ranked[begin:end])
        begin = end
    lists = {"train": set(ranked[begin:]), **lists}
    empty = [name for name, chosen in lists.items() if not chosen]
    if empty:
        raise DataError(f"of {len(ids)} images none are left for {', '.join(empty)}; give other fractions")
    return {name: [one for one in ids if one in chosen] for name, chosen in lists.items()}


def absent_classes(folder: UserFolder, pixels: Mapping[str, int]) -> list[str]:
    """The classes without a pixel, ``3 (dog)`` each.

    Args:
        folder: the dataset.
        pixels: per label value, as a manifest has them.
    """
    numbers = [n for n in range(folder.classes) if n != folder.void_in_files and str(n) not in pixels]
    return [f"{n} ({folder.names[n]})" if folder.names else str(n) for n in numbers]
