"""Image and label records of Caffe Datums: written from checked pairs, read back from LMDBs keyed alike."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from caffe_compat.errors import DataError
from caffe_compat.layer.data.lmdb_source import LMDBReader
from caffe_compat.proto import caffe_pb2 as pb
from caffe_compat.proto.datum import array_to_datum, datum_to_array, parse_datum
from data_prep.contents import Contents, measure, measure_bytes, sources_digest
from data_prep.images import is_plain_jpeg, is_plain_png
from data_prep.labels import decode_label, encode_label
from data_prep.lists import read_list
from data_prep.png_files import encode_png
from data_prep.seg_folder import Pair, SegFolder

__all__ = [
    "IMAGE_FORMS",
    "LABEL_FORMS",
    "PairLoader",
    "PairedLMDB",
    "Record",
    "encoded_datum",
    "raw_datum",
    "record_key",
]

IMAGE_FORMS = ("jpeg", "png", "raw")
LABEL_FORMS = ("raw", "png")
_KEY = re.compile(r"\d{8}_(.+)", re.DOTALL)


def record_key(position: int, image_id: str) -> bytes:
    """The key of a list's sample, ``%08d_ID``: in the database records lie in the list's order."""
    return f"{position:08d}_{image_id}".encode()


@dataclass(frozen=True)
class Record:
    """One sample as the databases hold it.

    Attributes:
        datums: a serialised Datum for each database.
        facts: the measures of each (see contents.py), its ``sha256``, ``bytes`` and whether it is ``encoded``.
        height: of image and label, pixels.
        width: likewise.
    """

    datums: dict[str, bytes]
    facts: dict[str, dict[str, Any]]
    height: int
    width: int

    @classmethod
    def of(cls, contents: dict[str, Contents], datums: dict[str, pb.Datum], values: dict[str, np.ndarray]) -> "Record":
        """A record of Datums and of the arrays that they hold.

        Args:
            contents: what each database holds.
            datums: for each database.
            values: for each database, C x H x W.
        """
        written = {name: datum.SerializeToString() for name, datum in datums.items()}
        facts = {
            name: {**measure_bytes(data), "encoded": datums[name].encoded, **measure(contents[name], values[name])}
            for name, data in written.items()
        }
        _, height, width = next(iter(values.values())).shape
        return cls(written, facts, height, width)


@dataclass(frozen=True)
class PairLoader:
    """Makes the records of a dataset's images and labels.

    Args:
        folder: the dataset.
        images: ``jpeg``: the image files as they are (Caffe decodes them); ``png``: PNGs as they are, others encoded
            as PNG without loss; ``raw``: BGR bytes, larger, no decoding. A file that readers may take differently
            (not of three channels the right way up) is not stored as it is: of ``jpeg`` it becomes raw.
        labels: ``raw``: one byte per pixel; ``png``: grey PNG of the class numbers, smaller.
    """

    folder: SegFolder
    images: str = "jpeg"
    labels: str = "raw"

    databases: ClassVar[tuple[str, ...]] = ("image_lmdb", "label_lmdb")

    @property
    def contents(self) -> dict[str, Contents]:
        """What each database holds."""
        return {"image_lmdb": Contents("image"), "label_lmdb": self._labels}

    @property
    def _labels(self) -> Contents:
        return Contents("label", self.folder.classes, self.folder.void)

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the records' bytes beside the files."""
        return {
            "images": self.images,
            "labels": self.labels,
            "classes": self.folder.classes,
            "void": self.folder.void,
            **self.folder.settings,
        }

    def digest(self, image_id: str) -> str:
        """A checksum of what a record is made from: both files and the settings.

        Raises:
            DataError: a file is missing or unreadable.
        """
        return self._digest(*self.folder.read_bytes(image_id))

    def _digest(self, *contents: bytes) -> str:
        return sources_digest(sorted(self.settings.items()), *contents)

    def check(self, image_id: str) -> None:
        """Read a sample's files and make nothing.

        Raises:
            DataError: as ``SegFolder.read_pair``.
        """
        self.folder.read_pair(image_id)

    def load(self, image_id: str) -> tuple[Record, str]:
        """A sample's record and checksum.

        Raises:
            DataError: as ``SegFolder.read_pair``.
        """
        pair = self.folder.read_pair(image_id)
        record = self._record(pair, {"label_lmdb": pair.label})
        return record, self._digest(pair.image_bytes, pair.label_bytes)

    def _record(self, pair: Pair, labels: dict[str, np.ndarray]) -> Record:
        """The record of an image and of labels, H x W each, by database."""
        bgr = np.ascontiguousarray(pair.image[:, :, ::-1].transpose(2, 0, 1))  # H x W x RGB -> BGR x H x W
        values = {"image_lmdb": bgr, **{name: label[np.newaxis] for name, label in labels.items()}}
        datums = {"image_lmdb": self._image(pair, bgr)}
        for name, label in labels.items():
            datums[name] = encoded_datum(encode_label(label)) if self.labels == "png" else raw_datum(values[name])
        return Record.of(self.contents, datums, values)

    def _image(self, pair: Pair, bgr: np.ndarray) -> pb.Datum:
        if self.images == "jpeg" and is_plain_jpeg(pair.image_bytes):
            return encoded_datum(pair.image_bytes)
        if self.images == "png":
            return encoded_datum(pair.image_bytes if is_plain_png(pair.image_bytes) else encode_png(pair.image))
        return raw_datum(bgr)


def encoded_datum(content: bytes) -> pb.Datum:
    """A Datum of a picture file, as convert_imageset makes it."""
    return pb.Datum(data=content, encoded=True, label=0)


def raw_datum(values: np.ndarray) -> pb.Datum:
    """A Datum of an array, C x H x W, as convert_imageset makes it."""
    datum = array_to_datum(np.ascontiguousarray(values), 0)
    datum.encoded = False  # said as convert_imageset says it
    return datum


class PairedLMDB:
    """An image and a label LMDB with the same keys, read by id.

    Args:
        image_lmdb: folder of the image database.
        label_lmdb: folder of the label database.
        keys: list file that chooses records and their order by key or by id; None takes all in key order.

    Attributes:
        ids: the samples in order; of keys ``%08d_ID`` the ID, of others the key itself.

    Raises:
        DataError: a database is missing, damaged or empty; the keys differ; the list names a record that is not there.
    """

    def __init__(self, image_lmdb: str, label_lmdb: str, keys: Path | None = None) -> None:
        self._readers = {"image": LMDBReader(image_lmdb), "label": LMDBReader(label_lmdb)}
        found = list(self._readers["image"].keys())
        _check_same_keys(found, list(self._readers["label"].keys()), image_lmdb, label_lmdb)
        self.ids = [_id_of(key) for key in found]
        if len(set(self.ids)) < len(self.ids):
            self.ids = [key.decode("utf-8", "surrogateescape") for key in found]
        self._keys = dict(zip(self.ids, found, strict=True))
        if keys is not None:
            self.ids = self._chosen(keys, found)

    def _chosen(self, path: Path, found: list[bytes]) -> list[str]:
        by_key = {key.decode("utf-8", "surrogateescape"): image_id for image_id, key in self._keys.items()}
        chosen = []
        for word in read_list(path):
            image_id = word if word in self._keys else by_key.get(word)
            if image_id is None:
                raise DataError(
                    f"list '{path}' names '{word}', which is not in '{self._readers['image'].path}' "
                    f"({len(found)} records, the first {_shown(found[0])}); correct the list or build the LMDB from it"
                )
            chosen.append(image_id)
        return chosen

    def name(self, kind: str, image_id: str) -> str:
        """Which record that is, for messages: ``PATH, key KEY``."""
        return f"{self._readers[kind].path}, key {_shown(self._keys[image_id])}"

    def read_image(self, image_id: str) -> np.ndarray:
        """An image, H x W x 3, RGB.

        Raises:
            DataError: the record is damaged or has not three channels.
        """
        name = self.name("image", image_id)
        values = datum_to_array(self._datum("image", image_id), source=f"image '{name}'")
        if values.shape[0] != 3:
            raise DataError(
                f"image '{name}' has {values.shape[0]} channels; wanted 3 (BGR); "
                "check that image_lmdb and label_lmdb are not exchanged"
            )
        return values[::-1].transpose(1, 2, 0)  # BGR x H x W -> H x W x RGB

    def read_label(self, image_id: str) -> np.ndarray:
        """A label, H x W; values not checked against the classes.

        Raises:
            DataError: the record is damaged, has several channels, or values that are no class numbers.
        """
        name = self.name("label", image_id)
        datum = self._datum("label", image_id)
        if datum.encoded:
            return decode_label(datum.data, name)
        values = datum_to_array(datum, source=f"label '{name}'")
        if values.shape[0] != 1:
            raise DataError(
                f"label '{name}' has {values.shape[0]} channels; wanted 1; "
                "check that image_lmdb and label_lmdb are not exchanged"
            )
        label: np.ndarray = values[0]
        if label.dtype != np.uint8:
            as_bytes = label.astype(np.uint8)
            if (as_bytes != label).any():
                raise DataError(f"label '{name}' holds values that are not whole numbers from 0 to 255; build it again")
            label = as_bytes
        return label

    def _datum(self, kind: str, image_id: str) -> pb.Datum:
        name = self.name(kind, image_id)
        content = self._readers[kind].get(self._keys[image_id])
        if content is None:
            raise DataError(f"{kind} '{name}' is not there any more; the database was changed: open it again")
        return parse_datum(content, f"{kind} '{name}'")


def _check_same_keys(images: list[bytes], labels: list[bytes], image_lmdb: str, label_lmdb: str) -> None:
    if not images:
        raise DataError(f"'{image_lmdb}' holds no records; build it with python -m data_prep")
    if images == labels:
        return
    only = sorted(set(images) ^ set(labels))[0]
    holder, other = (image_lmdb, label_lmdb) if only in set(images) else (label_lmdb, image_lmdb)
    raise DataError(
        f"'{image_lmdb}' ({len(images)} records) and '{label_lmdb}' ({len(labels)} records) are not keyed alike: "
        f"key {_shown(only)} is in '{holder}', not in '{other}'; give the two databases that were built together"
    )


def _id_of(key: bytes) -> str:
    text = key.decode("utf-8", "surrogateescape")
    match = _KEY.fullmatch(text)
    return match[1] if match else text


def _shown(key: bytes) -> str:
    return key.decode("utf-8", "backslashreplace")
