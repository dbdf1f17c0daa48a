"""What a recipe trains on and is scored on: a list of images, read from a dataset's files or from LMDBs.

What differs from dataset to dataset is a ``Family``: solvers/datasets_voc.py and its neighbours.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from caffe_compat.errors import DataError
from data_prep.keyed_databases import PairedLMDB
from data_prep.lists import PUBLISHED_SIZES, read_list, write_list
from data_prep.lmdb_build import Loader
from data_prep.lmdb_writer import write_lmdbs
from data_prep.records import PairLoader
from data_prep.seg_folder import SegFolder
from data_prep.summary import faulty_samples
from nets.catalogue import Model
from nets.sources import PythonData

__all__ = ["Family", "FolderSplit", "LmdbSplit", "Split", "Splits", "data_layer"]

Labels = tuple[np.ndarray, ...]


class Family(ABC):
    """How the nets of one dataset find and read it.

    Attributes:
        title: the dataset's name, for messages.
        verb: what makes it: the arguments of ``python -m data_prep`` without --out; ``{data}`` is the data folder.
        out: where in the data folder that is to write.
        downloads: what ``python -m data_prep download`` calls what the released nets were trained and scored on.
    """

    title: ClassVar[str]
    verb: ClassVar[str]
    out: ClassVar[str] = "lmdb"
    downloads: ClassVar[tuple[str, ...]]

    @abstractmethod
    def find(self, data: Path, model: Model, train: bool) -> tuple[SegFolder, str, list[str]]:
        """The dataset's folder, and name and ids of the list to train on, or else to be scored on.

        Raises:
            DataError: folder or list is not there, or not whole.
        """

    def loader(self, folder: Any) -> Loader:
        """What makes LMDB records of the folder's files."""
        return PairLoader(folder)

    def database_pairs(self, model: Model) -> list[tuple[str, str]]:
        """Folders of LMDBs for training and for scoring that go together, as data_prep names them, the best first."""
        return [(f"{model.dataset}_{model.train_split}", f"{model.dataset}_{model.test_split}")]

    def database_places(self, data: Path) -> list[Path]:
        """Where such folders are looked for."""
        return [data, data / "lmdb"]

    @abstractmethod
    def file_layer(self, folder: Any, listed: Path, model: Model, seed: int) -> PythonData:
        """The data layer over a list of the folder's files."""

    @abstractmethod
    def lmdb_layer(self, databases: Path, name: str, model: Model, seed: int) -> PythonData:
        """The data layer over a folder of LMDBs; the list's name decides on random drawing."""

    def check_files(self, folder: Any, image_id: str, model: Model) -> Labels:
        """Read all that a net of the model takes of an image, and give its labels (H x W) in the order of the tasks.

        Raises:
            DataError: a file is missing, damaged or does not go with the others.
        """
        return (folder.read_pair(image_id).label,)

    def check_records(self, databases: Path, model: Model) -> Callable[[str], Labels]:
        """Open a folder of LMDBs; gives a function that does the same with its records.

        Raises:
            DataError: a database is missing or damaged, or their keys differ.
        """
        records = PairedLMDB(databases / "image_lmdb", databases / "label_lmdb", classes=model.classes)
        return lambda image_id: records.read_pair(image_id)[1:]


@dataclass(frozen=True)
class Split(ABC):
    """One list of one dataset.

    Args:
        family: how it is read.
        name: of the list, such as ``train``.
        ids: the images, in order.
    """

    family: Family
    name: str
    ids: list[str]

    @property
    @abstractmethod
    def dataset(self) -> str:
        """Short name of the dataset, such as ``voc2011``."""

    @property
    @abstractmethod
    def title(self) -> str:
        """Dataset and list, for messages."""

    @property
    def published_size(self) -> int | None:
        """How many images the whole dataset's list has, where known."""
        return PUBLISHED_SIZES.get((self.dataset, self.name))

    @abstractmethod
    def checker(self, model: Model) -> Callable[[str], Labels]:
        """Function: read all that a net of the model takes of an image, and give its labels, as ``check_files``."""

    @abstractmethod
    def source(self, model: Model, out: Path, seed: int) -> PythonData:
        """A data layer over this split.

        Args:
            model: whose tops it makes.
            out: folder for the list, and for LMDBs that are not there yet.
            seed: of the draws, in a split that is drawn from at random.

        Raises:
            DataError: the data is faulty.
        """


@dataclass(frozen=True)
class FolderSplit(Split):
    """A list of a dataset's folder.

    Args:
        folder: the dataset.
        read: ``files``, or ``lmdb``: LMDBs are built of the files before they are read.
    """

    folder: SegFolder
    read: str = "files"

    @property
    def dataset(self) -> str:
        """The folder's."""
        return self.folder.name

    @property
    def title(self) -> str:
        """Such as ``NYUDv2 trainval``."""
        return f"{self.folder.title} {self.name}"

    def checker(self, model: Model) -> Callable[[str], Labels]:
        """Reads files."""
        return lambda image_id: self.family.check_files(self.folder, image_id, model)

    def source(self, model: Model, out: Path, seed: int) -> PythonData:
        """Over files, or over LMDBs in ``out/lmdb``."""
        if self.read == "lmdb":
            where = out / "lmdb" / f"{self.dataset}_{self.name}"
            outcome = write_lmdbs(where, self.ids, self.family.loader(self.folder))
            if outcome.faults:
                raise DataError(
                    f"{self.title}: {faulty_samples(len(outcome.faults))}, the first: "
                    f"{outcome.faults[0].message}; repair them or shorten the list"
                )
            return self.family.lmdb_layer(where.resolve(), self.name, model, seed)
        listed = out / "lists" / f"{self.name}.txt"
        listed.parent.mkdir(parents=True, exist_ok=True)
        write_list(listed, self.ids)
        return self.family.file_layer(self.folder, listed.resolve(), model, seed)


@dataclass(frozen=True)
class LmdbSplit(Split):
    """LMDBs that ``python -m data_prep`` has finished.

    Args:
        databases: their folder, ``DATASET_LIST``.
    """

    databases: Path

    @classmethod
    def opened(cls, family: Family, databases: Path) -> "LmdbSplit":
        """The split in such a folder.

        Raises:
            DataError: the folder's list is missing or damaged.
        """
        ids = read_list(databases / "list.txt")
        return cls(family, databases.name.partition("_")[2], ids, databases)

    @property
    def dataset(self) -> str:
        """By the folder's name."""
        return self.databases.name.partition("_")[0]

    @property
    def title(self) -> str:
        """Such as ``LMDBs DATA/lmdb/nyud_trainval``."""
        return f"LMDBs {self.databases}"

    def checker(self, model: Model) -> Callable[[str], Labels]:
        """Reads records."""
        return self.family.check_records(self.databases, model)

    def source(self, model: Model, out: Path, seed: int) -> PythonData:
        """Over these LMDBs; nothing is written."""
        return self.family.lmdb_layer(self.databases.resolve(), self.name, model, seed)


@dataclass(frozen=True)
class Splits:
    """What to train on and what to score on."""

    train: Split
    test: Split


def data_layer(cls: type, params: dict[str, Any]) -> PythonData:
    """A Python layer of ours."""
    return PythonData(cls.__module__, cls.__name__, params)
