"""SIFT Flow as it is published: scenes of 256 x 256 pixels with semantic and geometric labels.

    SiftFlowDataset/Images/spatial_envelope_256x256_static_8outdoorcategories/ID.jpg
                    SemanticLabels/spatial_envelope_256x256_static_8outdoorcategories/ID.mat
                        S: 0 = void, 1 to 33 the classes
                    GeoLabels/spatial_envelope_256x256_static_8outdoorcategories/ID.mat
                        S: -1 (or 0) = void, 1 to 3 the classes
                    TestSet1.txt             the 200 test images, a path with backslashes to a line
                    trainval.txt, test.txt   lists of ids, which the FCN release adds (data/sift-flow); they may
                                             also lie beside SiftFlowDataset, or in sift-flow

Without the two lists they are made of TestSet1.txt: the same images, but trainval sorted, so that a seed draws others.

Labels are given as nets use them: classes from 0, 255 = void.

Source: Tighe and Lazebnik, SuperParsing (ECCV 2010), SiftFlowDataset.zip; shelhamer/fcn.berkeleyvision.org
siftflow_layers.py, data/sift-flow/classes.txt.
"""

from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import ClassVar

import numpy as np

from caffe_compat.errors import DataError
from data_prep.contents import check_sizes
from data_prep.label_mat import decode_label_mat
from data_prep.lists import PUBLISHED_SIZES, list_digest
from data_prep.seg_folder import Pair, SegFolder, folder_contents
from data_prep.sources import download_hint

__all__ = [
    "GEOMETRIC_NAMES",
    "SEMANTIC_NAMES",
    "UNANNOTATED",
    "SIFTFlowFolder",
    "decode_geometric",
    "decode_semantic",
    "find_siftflow",
]

SEMANTIC_NAMES: tuple[str, ...] = (
    "awning",
    "balcony",
    "bird",
    "boat",
    "bridge",
    "building",
    "bus",
    "car",
    "cow",
    "crosswalk",
    "desert",
    "door",
    "fence",
    "field",
    "grass",
    "moon",
    "mountain",
    "person",
    "plant",
    "pole",
    "river",
    "road",
    "rock",
    "sand",
    "sea",
    "sidewalk",
    "sign",
    "sky",
    "staircase",
    "streetlight",
    "sun",
    "tree",
    "window",
)
"""The 33 semantic classes in label order. None of the 200 test images shows cow, desert or moon."""

GEOMETRIC_NAMES: tuple[str, ...] = ("sky", "horizontal", "vertical")
"""The 3 geometric classes in label order."""

UNANNOTATED: tuple[str, ...] = ("highway_bost181", "street_urb506")
"""The two images without annotation, which the FCN release leaves out of trainval."""

_SIZE_PX = (256, 256)
_TEST_SET = "TestSet1.txt"
_RELEASED = {  # of the sorted ids
    "trainval": "587d2b5f510e869c83c048f491db37aa63118f116594ce5b45addfc93b66524b",
    "test": "05cef92d019f81ce4b80a227bd68421248bf507b305e4ccb16432bf7bbab362e",
}
_SCENES = "spatial_envelope_256x256_static_8outdoorcategories"
_PARTS = ("Images", "SemanticLabels", "GeoLabels")
_UNPACKED = "SiftFlowDataset"
_BELOW = ("", "siftflow", "sift-flow")
_PLACES = tuple(f"{below}/{part}".strip("/") for part in ("", _UNPACKED) for below in _BELOW)


@dataclass(frozen=True)
class SIFTFlowFolder(SegFolder):
    """SIFT Flow's folder: ``root`` holds Images, SemanticLabels, GeoLabels and the lists.

    What SegFolder calls the label is the semantic one.

    Args:
        beside: other folders in which lists may lie.
    """

    classes: int = len(SEMANTIC_NAMES)
    beside: tuple[Path, ...] = ()

    title = "SIFT Flow"
    usual: ClassVar[tuple[str, ...]] = ("trainval", "test")

    @property
    def name(self) -> str:
        """``siftflow``."""
        return "siftflow"

    @property
    def list_folder(self) -> Path:
        """The folder itself."""
        return self.root

    def list_path(self, split: str) -> Path:
        """A list's file: in the folder, beside it where it bears the archive's name, or in one of ``beside``."""
        path = super().list_path(split)
        if path.parent != self.root:
            return path
        parent = (self.root.parent,) if self.root.name == _UNPACKED else ()
        places = [path, *(folder / path.name for folder in (*parent, *self.beside))]
        return next((place for place in places if place.is_file()), path)

    def ids(self, split: str) -> list[str]:
        """The ids of a list: its file's, or of trainval and test made of TestSet1.txt where they have none.

        Raises:
            DataError: as ``read_list``; trainval or test can be neither read nor made; or the lists of a whole dataset
                are not the released ones.
        """
        test_set = self.root / _TEST_SET
        if split not in _RELEASED or self.list_path(split).exists():
            return super().ids(split)
        if not test_set.is_file():
            raise DataError(
                f"SIFT Flow dataset '{self.root}' has neither {split}.txt nor {_TEST_SET}, of which it can be made; "
                "put there the lists of the FCN release (shelhamer/fcn.berkeleyvision.org, data/sift-flow); "
                f"{download_hint('siftflow')}"
            )
        lines = test_set.read_text(encoding="utf-8", errors="replace").splitlines()
        ids = [PureWindowsPath(line.strip()).stem for line in lines if line.strip()]
        if split == "trainval":
            images = {path.stem for path in (self.root / "Images" / _SCENES).glob("*.jpg")}
            ids = sorted(images.difference(ids, UNANNOTATED))
        if len(ids) == PUBLISHED_SIZES["siftflow", split] and list_digest(sorted(ids)) != _RELEASED[split]:
            raise DataError(
                f"'{test_set}' gives {len(ids)} images for {split}, but not those of the FCN release; put its list "
                f"(shelhamer/fcn.berkeleyvision.org, data/sift-flow/{split}.txt) into '{self.root}'; "
                f"{download_hint('siftflow')}"
            )
        return ids

    def splits(self) -> list[str]:
        """Names of the lists that are there, or can be made."""
        made = {one for one in _RELEASED if (self.root / _TEST_SET).is_file() or self.list_path(one).is_file()}
        return sorted({*super().splits(), *made} - {Path(_TEST_SET).stem})

    def image_path(self, image_id: str) -> Path:
        """Images/.../ID.jpg."""
        return self.root / "Images" / _SCENES / f"{image_id}.jpg"

    def label_path(self, image_id: str) -> Path:
        """SemanticLabels/.../ID.mat."""
        return self.root / "SemanticLabels" / _SCENES / f"{image_id}.mat"

    def geometric_path(self, image_id: str) -> Path:
        """GeoLabels/.../ID.mat."""
        return self.root / "GeoLabels" / _SCENES / f"{image_id}.mat"

    def decode_label(self, data: bytes, name: str) -> np.ndarray:
        """Semantic classes 0 to 32, 255 = void."""
        return decode_semantic(data, name)

    def read_pair(self, image_id: str) -> Pair:
        """An image and its semantic label, with everything checked.

        Raises:
            DataError: as ``SegFolder.read_pair``, or the image is not of 256 x 256 pixels.
        """
        pair = super().read_pair(image_id)
        if pair.image.shape[:2] != _SIZE_PX:
            raise DataError(
                f"image '{self.image_path(image_id)}' is {pair.image.shape[1]} x {pair.image.shape[0]} pixels (width x "
                f"height); SIFT Flow's are {_SIZE_PX[1]} x {_SIZE_PX[0]}; replace image and labels"
            )
        return pair

    def geometric_bytes(self, image_id: str) -> bytes:
        """Content of the geometric label's file.

        Raises:
            DataError: it is missing or unreadable.
        """
        return self._content("geometric label", self.geometric_path(image_id))

    def read_sample(self, image_id: str) -> tuple[Pair, np.ndarray, bytes]:
        """An image with its semantic label, the geometric label (H x W uint8), and that one's file content.

        Raises:
            DataError: as ``read_pair``; the geometric label is missing, damaged, of another size, or of other values.
        """
        pair, content = self.read_pair(image_id), self.geometric_bytes(image_id)
        name = str(self.geometric_path(image_id))
        geometric = decode_geometric(content, name)
        image_name = f"image '{self.image_path(image_id)}'"
        check_sizes({image_name: pair.image.shape, f"geometric label '{name}'": geometric.shape})
        return pair, geometric, content


def decode_semantic(data: bytes, name: str) -> np.ndarray:
    """Semantic classes of a file of SemanticLabels: H x W uint8, 0 to 32, 255 = void (one less than in the file).

    Raises:
        DataError: as ``decode_label_mat``.
    """
    label = decode_label_mat(data, name, "S", 0, len(SEMANTIC_NAMES)).astype(np.uint8)
    label -= 1  # 0 becomes 255
    return label


def decode_geometric(data: bytes, name: str) -> np.ndarray:
    """Geometric classes of a file of GeoLabels: H x W uint8, 0 to 2, 255 = void.

    Raises:
        DataError: as ``decode_label_mat``.
    """
    values = decode_label_mat(data, name, "S", -1, len(GEOMETRIC_NAMES))
    label = np.maximum(values, 0).astype(np.uint8)  # -1 becomes 0
    label -= 1  # 0 becomes 255
    return label


def find_siftflow(source: Path) -> SIFTFlowFolder:
    """SIFT Flow's folder at or below ``source``.

    Args:
        source: the folder SiftFlowDataset, the one in which the archive was unpacked, or one that holds ``sift-flow``
            as the FCN release has it; lists are looked for in all of these.

    Raises:
        DataError: there is none, or a part of it is missing.
    """
    places = (source / place for place in _PLACES)
    root = next((root for root in places if any((root / part / _SCENES).is_dir() for part in _PARTS)), None)
    if root is None:
        raise DataError(
            f"no SIFT Flow dataset at '{source}': looked for {', '.join(_PARTS)} with {_SCENES} in them, there and in "
            f"SiftFlowDataset below it; found {folder_contents(source)}; "
            f"give the folder that SiftFlowDataset.zip unpacks to; {download_hint('siftflow')}"
        )
    missing = [part for part in _PARTS if not (root / part / _SCENES).is_dir()]
    if missing:
        raise DataError(
            f"SIFT Flow dataset '{root}' lacks {', '.join(f'{part}/{_SCENES}' for part in missing)}; found "
            f"{folder_contents(root)}; unpack SiftFlowDataset.zip again"
        )
    return SIFTFlowFolder(root, beside=tuple(source / below for below in _BELOW))
