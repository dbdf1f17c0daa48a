"""NYUDv2 as the FCN release reads it: a file to each image and kind.

    data/images/img_5001.png       colour, 425 x 560
    data/depth/img_5001.png        in-painted depth, 16 bits, millimetres
    data/rawdepth/img_5001.png     raw depth, likewise, 0 where missing (not read by nets)
    data/hha/img_5001.png          HHA: disparity, height, angle as red, green, blue
    segmentation/img_5001.mat      segmentation: 0 = none, 1 to 40 the classes
    train.txt, val.txt, ...        lists of ids, such as 5001

Where there is no trainval.txt, as in the release, that list is train and val, one after the other. Labels are given
as nets use them: classes 0 to 39, 255 = none.

Source: shelhamer/fcn.berkeleyvision.org nyud_layers.py, data/nyud; nyu-hooks cropIt.m.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from caffe_compat.errors import DataError
from data_prep.contents import Contents, check_values
from data_prep.images import decode_image
from data_prep.label_mat import decode_label_mat
from data_prep.lists import read_list
from data_prep.nyud_mat import CLASSES
from data_prep.png_files import decode_depth
from data_prep.seg_folder import SegFolder, folder_contents
from data_prep.sources import download_hint

__all__ = ["NYUDFolder", "decode_segmentation", "encode_segmentation", "find_nyud", "nyud_root"]

_MAT_TEXT_BYTES = 116
_PICTURES = ("images", "depth", "rawdepth", "hha")
_PARTS_OF = {"trainval": ("train", "val")}
_PLACES = ("", "nyud", "nyud2", "NYUDv2", "lmdb")


@dataclass(frozen=True)
class NYUDFolder(SegFolder):
    """A folder in that layout; ``root`` holds data, segmentation and the lists."""

    classes: int = CLASSES

    title = "NYUDv2"
    usual: ClassVar[tuple[str, ...]] = ("trainval", "train", "val", "test")

    @property
    def name(self) -> str:
        """``nyud``."""
        return "nyud"

    @property
    def list_folder(self) -> Path:
        """The folder itself."""
        return self.root

    def ids(self, split: str) -> list[str]:
        """The ids of a list; of trainval, where it has no file, those of train and val.

        Raises:
            DataError: as ``read_list``.
        """
        made = split in self.splits() and split not in super().splits()
        return [one for part in (_PARTS_OF[split] if made else (split,)) for one in read_list(self.list_path(part))]

    def splits(self) -> list[str]:
        """Names of the lists that are there, or can be put together."""
        there = set(super().splits())
        return sorted(there | {whole for whole, parts in _PARTS_OF.items() if there.issuperset(parts)})

    def lists(self, names: Sequence[str] = ()) -> dict[str, list[str]]:
        """The ids of the named lists; without names trainval and test, and train or val where trainval is not there.

        Raises:
            DataError: as ``ids``.
        """
        there = [one for one in self.usual if one in self.splits()]
        parts = _PARTS_OF["trainval"] if "trainval" in there else ()
        return super().lists(names or [one for one in there if one not in parts])

    def picture_path(self, kind: str, image_id: str) -> Path:
        """data/KIND/img_ID.png; kinds: images, depth, rawdepth, hha."""
        return self.root / "data" / kind / f"img_{image_id}.png"

    def image_path(self, image_id: str) -> Path:
        """data/images/img_ID.png."""
        return self.picture_path("images", image_id)

    def label_path(self, image_id: str) -> Path:
        """segmentation/img_ID.mat."""
        return self.root / "segmentation" / f"img_{image_id}.mat"

    def folders(self) -> list[Path]:
        """The folders that hold the files."""
        return [*(self.root / "data" / kind for kind in _PICTURES), self.root / "segmentation"]

    def decode_label(self, data: bytes, name: str) -> np.ndarray:
        """Classes 0 to 39, 255 = none."""
        return decode_segmentation(data, name)

    def picture_bytes(self, kind: str, image_id: str) -> bytes:
        """Content of a picture's file.

        Raises:
            DataError: it is missing or unreadable.
        """
        return self._content(kind, self.picture_path(kind, image_id))

    def read_depth_mm(self, image_id: str) -> np.ndarray:
        """In-painted depth: H x W uint16, millimetres, above 0.

        Raises:
            DataError: the file is missing or damaged, or has pixels without depth.
        """
        path = self.picture_path("depth", image_id)
        return decode_painted_depth(self._content("depth", path), str(path))

    def read_hha(self, image_id: str) -> np.ndarray:
        """HHA: H x W x 3 uint8, disparity, height, angle.

        Raises:
            DataError: the file is missing or damaged.
        """
        path = self.picture_path("hha", image_id)
        return decode_image(self._content("HHA", path), str(path))


def decode_painted_depth(data: bytes, name: str) -> np.ndarray:
    """Depth with a value at every pixel, from a file's content.

    Raises:
        DataError: as ``decode_depth``, or a pixel is 0.
    """
    depth = decode_depth(data, name)
    check_values(Contents("depth"), depth[np.newaxis], name)
    return depth


def decode_segmentation(data: bytes, name: str) -> np.ndarray:
    """Classes of a ``segmentation/*.mat``: H x W uint8, 0 to 39, 255 = none (one less than in the file, 0 to 255).

    Args:
        data: the file's content.
        name: path, for messages.

    Raises:
        DataError: as ``decode_label_mat``.
    """
    label = decode_label_mat(data, name, "segmentation", 0, CLASSES).astype(np.uint8)
    label -= 1  # 0 becomes 255
    return label


def encode_segmentation(segmentation: np.ndarray, mark: str) -> bytes:
    """The content of a ``segmentation/*.mat``: H x W uint8, 0 (none) to 40, and a mark of what it was made from.

    The same for the same arguments: the free text at the file's beginning gives no date.
    """
    import scipy.io  # slow to import

    out = io.BytesIO()
    scipy.io.savemat(out, {"segmentation": segmentation, "made_from": mark}, do_compression=True)
    content = out.getvalue()
    return b"MATLAB 5.0 MAT-file".ljust(_MAT_TEXT_BYTES) + content[_MAT_TEXT_BYTES:]


def segmentation_mark(path: Path) -> str | None:
    """That mark; None where there is none, or the file is missing or damaged."""
    import scipy.io  # slow to import

    try:
        return str(np.ravel(scipy.io.loadmat(path, variable_names=["made_from"])["made_from"])[0])
    except Exception:  # missing, damaged, or another's file: made again
        return None


def nyud_root(source: Path) -> Path | None:
    """Where the folder in this layout is; None if there is none. ``source`` as for ``find_nyud``."""
    return next((source / place for place in _PLACES if (source / place / "data" / "images").is_dir()), None)


def find_nyud(source: Path) -> NYUDFolder:
    """The folder in this layout at or below ``source``.

    Args:
        source: the folder itself, or one in which ``python -m data_prep nyud`` made it (nyud, lmdb) or the release's
            archive was unpacked.

    Raises:
        DataError: there is none.
    """
    root = nyud_root(source)
    if root is None:
        raise DataError(
            f"no NYUDv2 dataset at '{source}': looked for a folder with data/images, there and in "
            f"{', '.join(_PLACES[1:])} below it; found {folder_contents(source)}; wanted what python -m data_prep nyud "
            f"makes of the published files; {download_hint('nyud')}"
        )
    return NYUDFolder(root)
