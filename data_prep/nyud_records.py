"""Records of NYUDv2 for LMDBs keyed alike: colour, depth, HHA and label.

image_lmdb   the PNG file, which Caffe decodes to BGR (or BGR bytes)
depth_lmdb   1 x H x W millimetres as float_data, which Caffe reads (or a 16-bit PNG, smaller, which it does not)
hha_lmdb     3 x H x W bytes (or a PNG that Caffe decodes to them): disparity, height, angle, in the order that FCN's
             nets take them
label_lmdb   1 x H x W bytes (or a grey PNG): classes 0 to 39, 255 = none
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from caffe_compat.errors import DataError
from data_prep.contents import Contents, check_sizes, sources_digest
from data_prep.images import decode_image, is_plain_png
from data_prep.keyed_databases import KeyedDatabases
from data_prep.labels import VOID, check_label, encode_label
from data_prep.nyud import NYUDFolder, decode_painted_depth
from data_prep.nyud_mat import CLASSES
from data_prep.png_files import encode_png
from data_prep.records import Record, encoded_datum, raw_datum

__all__ = ["DATABASES", "DEPTH_FORMS", "HHA_FORMS", "NYUD_IMAGE_FORMS", "NYUDLoader", "NYUDRecords"]

DATABASES = ("image_lmdb", "depth_lmdb", "hha_lmdb", "label_lmdb")
DEPTH_FORMS = ("float", "png")
HHA_FORMS = ("raw", "png")
NYUD_IMAGE_FORMS = ("png", "raw")


@dataclass(frozen=True)
class NYUDLoader:
    """Makes records of a folder's files (see lmdb_build.Loader).

    Args:
        folder: the files.
        images: ``png`` or ``raw``.
        depths: ``float`` or ``png``.
        labels: ``raw`` or ``png``.
        hha: ``raw`` or ``png``.
        faults: what is wrong with ids whose files could not be made, by id.
    """

    folder: NYUDFolder
    images: str = "png"
    depths: str = "float"
    labels: str = "raw"
    hha: str = "raw"
    faults: Mapping[str, str] = field(default_factory=dict)

    databases: ClassVar[tuple[str, ...]] = DATABASES

    @property
    def contents(self) -> dict[str, Contents]:
        """What each database holds."""
        return _contents(self.folder.classes, self.folder.void)

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the records' bytes beside the files."""
        return {
            "images": self.images,
            "depths": self.depths,
            "depth_unit": "millimetre",
            "hha_channels": "disparity, height, angle",
            "labels": self.labels,
            "classes": self.folder.classes,
            "void": self.folder.void,
            **({} if self.hha == "raw" else {"hha": self.hha}),  # raw is what databases without this setting hold
        }

    def digest(self, image_id: str) -> str:
        """A checksum of the four files and the settings.

        Raises:
            DataError: a file is missing, unreadable, or could not be made.
        """
        return self._digest(*self._files(image_id))

    def _files(self, image_id: str) -> list[bytes]:
        if image_id in self.faults:
            raise DataError(self.faults[image_id])
        pictures = [self.folder.picture_bytes(kind, image_id) for kind in ("images", "depth", "hha")]
        return [*pictures, self.folder.read_bytes(image_id)[1]]

    def _digest(self, *contents: bytes) -> str:
        return sources_digest(sorted(self.settings.items()), *contents)

    def check(self, image_id: str) -> None:
        """Read a sample's files and keep nothing.

        Raises:
            DataError: as ``load``.
        """
        self.load(image_id)

    def load(self, image_id: str) -> tuple[Record, str]:
        """A sample's record and checksum.

        Raises:
            DataError: a file is missing, damaged or of another size than the image, or could not be made.
        """
        files = self._files(image_id)
        image_bytes, depth_bytes, hha_bytes, label_bytes = files
        paths = [str(self.folder.picture_path(kind, image_id)) for kind in ("images", "depth", "hha")]
        image, hha = decode_image(image_bytes, paths[0]), decode_image(hha_bytes, paths[2])
        depth = decode_painted_depth(depth_bytes, paths[1])
        label_name = str(self.folder.label_path(image_id))
        label = self.folder.decode_label(label_bytes, label_name)
        shapes = zip(("image", "depth", "HHA"), paths, (image.shape, depth.shape, hha.shape), strict=True)
        sizes = {f"{kind} '{path}'": shape for kind, path, shape in shapes}
        check_sizes({**sizes, f"label '{label_name}'": label.shape})
        check_label(label, label_name, self.folder.classes, self.folder.void)
        arrays = {
            "image_lmdb": _planes(image)[::-1],
            "depth_lmdb": depth[np.newaxis],
            "hha_lmdb": _planes(hha),
            "label_lmdb": label[np.newaxis],
        }
        plain = image_bytes if is_plain_png(image_bytes) else encode_png(image)
        png_files = {  # a PNG's red, green, blue are decoded to blue, green, red
            "image_lmdb": plain if self.images == "png" else None,
            "depth_lmdb": depth_bytes if self.depths == "png" else None,
            "hha_lmdb": encode_png(hha[:, :, ::-1]) if self.hha == "png" else None,
            "label_lmdb": encode_label(label) if self.labels == "png" else None,
        }
        datums = {
            name: raw_datum(arrays[name]) if png is None else encoded_datum(png) for name, png in png_files.items()
        }
        return Record.of(self.contents, datums, arrays), self._digest(*files)


def _planes(image: np.ndarray) -> np.ndarray:
    return image.transpose(2, 0, 1)  # H x W x 3 -> 3 x H x W


class NYUDRecords(KeyedDatabases):
    """The databases of a list, read by id.

    Args:
        folder: that holds image_lmdb, depth_lmdb, hha_lmdb and label_lmdb.
        kinds: which of them to open: image, depth, hha, label.

    Raises:
        DataError: as KeyedDatabases.
    """

    def __init__(self, folder: Path, kinds: Sequence[str]) -> None:
        contents = _contents(CLASSES, VOID)
        super().__init__({kind: (folder / f"{kind}_lmdb", contents[f"{kind}_lmdb"]) for kind in kinds})

    def read_image(self, image_id: str) -> np.ndarray:
        """Colour: H x W x 3 uint8, RGB."""
        return self.read("image", image_id)[::-1].transpose(1, 2, 0)  # BGR x H x W -> H x W x RGB

    def read_hha(self, image_id: str) -> np.ndarray:
        """HHA: H x W x 3 uint8, disparity, height, angle."""
        return self.read("hha", image_id).transpose(1, 2, 0)

    def read_depth_mm(self, image_id: str) -> np.ndarray:
        """In-painted depth: H x W, millimetres."""
        return self.read("depth", image_id)[0]

    def read_label(self, image_id: str) -> np.ndarray:
        """Classes: H x W uint8, 0 to 39, 255 = none."""
        return self.read("label", image_id)[0]


def _contents(classes: int, void: int | None) -> dict[str, Contents]:
    labels = Contents("label", classes, void)
    return dict(zip(DATABASES, (*(Contents(kind) for kind in ("image", "depth", "hha")), labels), strict=True))
