"""Records of SIFT Flow for LMDBs keyed alike: image, semantic and geometric label."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from data_prep.contents import Contents
from data_prep.keyed_databases import KeyedDatabases
from data_prep.labels import VOID
from data_prep.records import PairLoader, Record
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
        return _contents(self._labels)

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


class SIFTFlowRecords(KeyedDatabases):
    """The databases of a list, read by id.

    Args:
        folder: that holds image_lmdb, sem_lmdb and geo_lmdb.

    Raises:
        DataError: as KeyedDatabases.
    """

    def __init__(self, folder: Path) -> None:
        contents = _contents(Contents("label", len(SEMANTIC_NAMES), VOID))
        super().__init__({name: (folder / name, held) for name, held in contents.items()})

    def read_triple(self, image_id: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """An image (H x W x 3, RGB), its semantic and its geometric label (each H x W).

        Raises:
            DataError: as ``read_sample``.
        """
        image, sem, geo = self.read_sample(image_id).values()
        return image[::-1].transpose(1, 2, 0), sem[0], geo[0]  # BGR x H x W -> H x W x RGB


def _contents(semantic: Contents) -> dict[str, Contents]:
    geometric = Contents("label", len(GEOMETRIC_NAMES), VOID)
    return {"image_lmdb": Contents("image"), "sem_lmdb": semantic, "geo_lmdb": geometric}
