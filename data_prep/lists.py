"""Lists of image ids, and those that VOC and SBD together give.

FCN on PASCAL VOC is trained on SBD's ``train`` (8,498 images) and validated on seg11valid: those images of
VOC2011's ``val`` that are not in SBD's ``train`` (736 images; VOC2012's val has 904 such images, these among them).
Later work on VOC2012 trains on train_aug: VOC2012's ``train`` and all of SBD but VOC2012's ``val`` (10,582 images).

Source: shelhamer/fcn.berkeleyvision.org data/pascal/README.md and data/sift-flow; martinkersner/train-DeepLab
(train_aug); sizes from the datasets' own pages and lists.
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from caffe_compat.errors import DataError
from caffe_compat.proto.whole_file import replacing

__all__ = [
    "PUBLISHED_SIZES",
    "check_seg11valid",
    "list_digest",
    "merged_train",
    "read_list",
    "val_without",
    "write_list",
]

PUBLISHED_SIZES: dict[tuple[str, str], int] = {
    ("voc2007", "train"): 209,
    ("voc2007", "val"): 213,
    ("voc2008", "train"): 511,
    ("voc2008", "val"): 512,
    ("voc2009", "train"): 749,
    ("voc2009", "val"): 750,
    ("voc2010", "train"): 964,
    ("voc2010", "val"): 964,
    ("voc2011", "train"): 1112,
    ("voc2011", "val"): 1111,
    ("voc2011", "seg11valid"): 736,
    ("voc2012", "train"): 1464,
    ("voc2012", "val"): 1449,
    ("voc2012", "seg11valid"): 736,
    ("voc2012", "train_aug"): 10582,
    ("sbd", "train"): 8498,
    ("sbd", "val"): 2857,
    ("siftflow", "trainval"): 2486,
    ("siftflow", "test"): 200,
    ("pascalcontext", "train"): 4998,
    ("pascalcontext", "val"): 5105,
    ("nyud", "train"): 381,
    ("nyud", "val"): 414,
    ("nyud", "trainval"): 795,
    ("nyud", "test"): 654,
}
"""Number of images in a whole dataset's list, by dataset and split.

PASCAL-Context's are VOC2010's lists for detection, together its 10,103 images. SIFT Flow has 2,688 images, of which the
FCN release leaves two without annotation out of trainval. NYUDv2's trainval and test are the official split, and train
and val FCN's division of trainval.
"""

_SEG11VALID = "4ca991bd72c251fd2485eaa9e29536502ea3800d1b1c17c151fd6a04bcfbc2cc"  # of the sorted ids
_TRAIN_AUG = "d1326bd532648d73bc4b1bd275434eba81930982dc7401a65a8cecb26c028e24"  # likewise


def read_list(path: Path) -> list[str]:
    """The ids in a list file, one to a line, in its order; blank lines are passed over.

    A line may also be the paths of an image and its label, as DeepLab's lists have it: ``/JPEGImages/2007_000033.jpg
    /SegmentationClassAug/2007_000033.png`` is 2007_000033. The dataset says where its files are, not the list.

    Raises:
        DataError: the file is missing, empty, not text, or a line holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"list '{path}' is not there; {_lists_beside(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"list '{path}' cannot be read as text ({error}); wanted one image id to a line") from error
    ids = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if words and words[0].startswith("/"):
            stems = {PurePosixPath(word).stem for word in words}
            words = [*stems] if len(words) <= 2 and len(stems) == 1 else words
        if len(words) > 1:
            raise DataError(
                f"list '{path}' line {number}: {line.strip()[:60]!r} holds {len(words)} words; "
                "wanted one image id to a line, such as 2007_000033, or /FOLDER/ID.jpg /FOLDER/ID.png"
            )
        ids += words
    if not ids:
        raise DataError(f"list '{path}' names no images; give a file with one image id to a line")
    return ids


def _lists_beside(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"nor is its folder '{folder}'; correct the dataset's folder"
    there = sorted(f.stem for f in folder.glob("*.txt"))
    return f"the lists in '{folder}': {', '.join(there) or 'none'}; name one of them, or give a list file's path"


def write_list(path: Path, ids: Iterable[str]) -> None:
    """Write ids one to a line; the file appears whole."""
    with replacing(path) as temporary:
        temporary.write_text("".join(f"{one}\n" for one in ids), encoding="utf-8")


def list_digest(ids: Iterable[str]) -> str:
    """SHA-256 of the ids in their order, one to a line, as hexadecimal digits."""
    return hashlib.sha256("".join(f"{one}\n" for one in ids).encode()).hexdigest()


def val_without(val: Sequence[str], train: Iterable[str]) -> list[str]:
    """The ids of ``val`` that are not in ``train``, in the order of ``val``; for VOC2011 and SBD this is seg11valid."""
    taken = set(train)
    return [one for one in val if one not in taken]


def merged_train(
    voc_train: Iterable[str], voc_val: Iterable[str], sbd_train: Iterable[str], sbd_val: Iterable[str]
) -> list[str]:
    """train_aug: VOC's ``train`` and both of SBD's lists, without VOC's ``val``; sorted, each id once.

    Raises:
        DataError: the lists have the sizes of VOC2012 and SBD, but give other images than the published train_aug.
    """
    lists = [set(one) for one in (voc_train, voc_val, sbd_train, sbd_val)]
    train, val, *more = lists
    ids = sorted(train.union(*more) - val)
    whole = ("voc2012", "train"), ("voc2012", "val"), ("sbd", "train"), ("sbd", "val")
    if all(len(one) == PUBLISHED_SIZES[name] for one, name in zip(lists, whole, strict=True)):
        if list_digest(ids) != _TRAIN_AUG:
            raise DataError(
                f"VOC2012 and SBD together give {len(ids)} images, but not the published train_aug "
                f"({PUBLISHED_SIZES['voc2012', 'train_aug']}); check that all four lists are the datasets' own"
            )
    return ids


def check_seg11valid(ids: Sequence[str], origin: str) -> None:
    """Hold a list against the seg11valid that the published numbers were measured on.

    Args:
        ids: the list, in any order.
        origin: where it comes from, for the message.

    Raises:
        DataError: it is not those 736 images.
    """
    if len(ids) != PUBLISHED_SIZES["voc2011", "seg11valid"]:
        raise DataError(
            f"{origin}: {len(ids)} images, but seg11valid has {PUBLISHED_SIZES['voc2011', 'seg11valid']}; "
            "compute it from VOC2011's val and SBD's train, as published"
        )
    if list_digest(sorted(ids)) != _SEG11VALID:
        raise DataError(f"{origin}: {len(ids)} images, but not those of seg11valid; use VOC2011's val and SBD's train")
