"""Image and label records of Caffe Datums, made from checked pairs."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from caffe_compat.proto import caffe_pb2 as pb
from caffe_compat.proto.datum import array_to_datum
from data_prep.contents import Contents, measure, measure_bytes, sources_digest
from data_prep.images import is_plain_jpeg, is_plain_png
from data_prep.labels import encode_label
from data_prep.png_files import encode_png
from data_prep.seg_folder import Pair, SegFolder

__all__ = [
    "IMAGE_FORMS",
    "LABEL_FORMS",
    "PairLoader",
    "Record",
    "encoded_datum",
    "raw_datum",
    "record_key",
]

IMAGE_FORMS = ("jpeg", "png", "raw")
LABEL_FORMS = ("raw", "png")


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
