"""Records of SIFT Flow for LMDBs keyed alike: image, semantic and geometric label."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from data_prep.contents import Contents
from data_prep.labels import VOID, check_label, check_label_size
from data_prep.records import PairedLMDB, PairLoader, Record
from data_prep.siftflow import GEOMETRIC_NAMES, SEMANTIC_NAMES, SIFTFlowFolder

__all__ = ["SIFTFlowLoader", "SIFTFlowRecords"]


@dataclass(frozen=True)
class SIFTFlowLoader(PairLoader):
    """Makes the records of SIFT Flow's images and both labels; ``images`` and ``labels`` as in PairLoader.

    The manifest counts the pixels per class of both labels, each with its database.
    """

    folder: SIFTFlowFolder

    databases: ClassVar[tuple[str, ...]] = ("image_lmdb", "sem_lmdb", "geo_lmdb")

    @property
    def contents(self) -> dict[str, Contents]:
        """What each database holds."""
        geometric = Contents("label", len(GEOMETRIC_NAMES), VOID)
        return {"image_lmdb": Contents("image"), "sem_lmdb": self._labels, "geo_lmdb": geometric}

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the records' bytes beside the files."""
        return {**super().settings, "geometric_classes": len(GEOMETRIC_NAMES)}

    def digest(self, image_id: str) -> str:
        """A checksum of the three files and the settings.

        Raises:
            DataError: a file is missing or unreadable.
        """
        return self._digest(*self.folder.read_bytes(image_id), self.folder.geometric_bytes(image_id))

    def check(self, image_id: str) -> None:
        """Read a sample's files and make nothing.

        Raises:
            DataError: as ``SIFTFlowFolder.read_sample``.
        """
        self.folder.read_sample(image_id)

    def load(self, image_id: str) -> tuple[Record, str]:
        """A sample's record and checksum.

        Raises:
            DataError: as ``SIFTFlowFolder.read_sample``.
        """
        pair, geometric, geometric_bytes = self.folder.read_sample(image_id)
        record = self._record(pair, {"sem_lmdb": pair.label, "geo_lmdb": geometric})
        return record, self._digest(pair.image_bytes, pair.label_bytes, geometric_bytes)


class SIFTFlowRecords:
    """The databases of a list, read by id.

    Args:
        folder: that holds image_lmdb, sem_lmdb and geo_lmdb.

    Attributes:
        ids: the samples in key order, which is the list's.

    Raises:
        DataError: a database is missing, damaged or empty, or their keys differ.
    """

    def __init__(self, folder: Path) -> None:
        image, sem, geo = (str(folder / name) for name in SIFTFlowLoader.databases)
        self._pairs = {len(SEMANTIC_NAMES): PairedLMDB(image, sem), len(GEOMETRIC_NAMES): PairedLMDB(image, geo)}
        self.ids = self._pairs[len(SEMANTIC_NAMES)].ids

    def read_sample(self, image_id: str) -> tuple[np.ndarray, ...]:
        """An image (H x W x 3, RGB), its semantic and its geometric label (each H x W), checked.

        Raises:
            DataError: a record is damaged, of another size than the image, or holds other values.
        """
        image = self._pairs[len(SEMANTIC_NAMES)].read_image(image_id)
        labels = []
        for classes, records in self._pairs.items():
            label, name = records.read_label(image_id), records.name("label", image_id)
            check_label_size(label.shape, image.shape, name, records.name("image", image_id))
            check_label(label, name, classes)
            labels.append(label)
        return image, *labels
