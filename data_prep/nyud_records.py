"""Records of NYUDv2 for LMDBs keyed alike: colour, depth, HHA and label.

image_lmdb   the PNG file, which Caffe decodes to BGR (or BGR bytes)
depth_lmdb   1 x H x W millimetres as float_data, which Caffe reads (or a 16-bit PNG, smaller, which it does not)
hha_lmdb     3 x H x W bytes (or a PNG that Caffe decodes to them): disparity, height, angle, in the order that FCN's
             nets take them
label_lmdb   1 x H x W bytes (or a grey PNG): classes 0 to 39, 255 = none
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from caffe_compat.errors import DataError
from caffe_compat.layer.data.lmdb_source import LMDBReader
from caffe_compat.proto import caffe_pb2 as pb
from caffe_compat.proto.datum import datum_to_array, parse_datum
from data_prep.contents import Contents, check_sizes, sources_digest
from data_prep.images import decode_image, is_plain_png
from data_prep.labels import VOID, check_label, check_label_size, decode_label, encode_label
from data_prep.nyud import NYUDFolder, decode_painted_depth
from data_prep.nyud_mat import CLASSES
from data_prep.png_files import decode_depth, encode_png
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
        labels = Contents("label", self.folder.classes, self.folder.void)
        return dict(zip(DATABASES, (*(Contents(kind) for kind in ("image", "depth", "hha")), labels), strict=True))

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
        check_label_size(label.shape, image.shape, label_name, paths[0])
        check_sizes({paths[0]: image.shape[:2], paths[1]: depth.shape, paths[2]: hha.shape[:2]})
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


class NYUDRecords:
    """The databases of a list, read by id.

    Args:
        folder: that holds image_lmdb, depth_lmdb, hha_lmdb and label_lmdb.
        kinds: which of them to open: image, depth, hha, label.

    Attributes:
        ids: the samples in key order, which is the list's.

    Raises:
        DataError: a database is missing, damaged or empty, or their keys differ.
    """

    def __init__(self, folder: Path, kinds: list[str]) -> None:
        self._readers = {kind: LMDBReader(folder / f"{kind}_lmdb") for kind in kinds}
        keys = {kind: list(reader.keys()) for kind, reader in self._readers.items()}
        first = kinds[0]
        if not keys[first]:
            raise DataError(f"'{folder / first}_lmdb' holds no records; build it with python -m data_prep nyud")
        for kind in kinds:
            if keys[kind] != keys[first]:
                raise DataError(
                    f"'{folder}': {kind}_lmdb ({len(keys[kind])} records) and {first}_lmdb ({len(keys[first])}) are "
                    "not keyed alike; give databases that were built together"
                )
        self.ids = [key.decode("utf-8", "surrogateescape").partition("_")[2] for key in keys[first]]
        self._keys = dict(zip(self.ids, keys[first], strict=True))

    def read_image(self, image_id: str) -> np.ndarray:
        """Colour: H x W x 3 uint8, RGB."""
        return self._values("image", image_id, 3)[::-1].transpose(1, 2, 0)  # BGR x H x W -> H x W x RGB

    def read_hha(self, image_id: str) -> np.ndarray:
        """HHA: H x W x 3 uint8, disparity, height, angle."""
        return self._values("hha", image_id, 3).transpose(1, 2, 0)

    def read_depth_mm(self, image_id: str) -> np.ndarray:
        """In-painted depth: H x W, millimetres."""
        datum, name = self._datum("depth", image_id)
        if datum.encoded:
            return decode_depth(datum.data, name)
        return self._values("depth", image_id, 1)[0]

    def read_label(self, image_id: str) -> np.ndarray:
        """Classes: H x W uint8, 0 to 39, 255 = none."""
        datum, name = self._datum("label", image_id)
        label = decode_label(datum.data, name) if datum.encoded else self._values("label", image_id, 1)[0]
        label = label.astype(np.uint8)
        check_label(label, name, CLASSES, VOID)
        return label

    def _values(self, kind: str, image_id: str, channels: int) -> np.ndarray:
        datum, name = self._datum(kind, image_id)
        values = datum_to_array(datum, source=name)
        if values.shape[0] != channels:
            raise DataError(f"{name} has {values.shape[0]} channels; wanted {channels}; build the databases again")
        return values

    def _datum(self, kind: str, image_id: str) -> tuple[pb.Datum, str]:
        key, reader = self._keys[image_id], self._readers[kind]
        name = f"{kind} '{reader.path}, key {key.decode('utf-8', 'backslashreplace')}'"
        content = reader.get(key)
        if content is None:
            raise DataError(f"{name} is not there any more; the database was changed: open it again")
        return parse_datum(content, name), name
