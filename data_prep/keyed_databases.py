"""LMDBs of Caffe Datums with the same keys, read by id: what the data layers over LMDBs take their samples from."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from caffe_compat.errors import DataError
from caffe_compat.layer.data.lmdb_source import LMDBReader
from data_prep.contents import Contents
from data_prep.labels import VOID
from data_prep.lists import read_list
from data_prep.record_values import decode_record, decode_sample, record_bytes, record_title, shown_key

__all__ = ["KeyedDatabases", "PairedLMDB"]

_KEY = re.compile(r"\d{8}_(.+)", re.DOTALL)


class KeyedDatabases:
    """Databases keyed alike.

    Args:
        databases: folder of each, and what it holds, by part of the sample: image, label, ...

    Attributes:
        ids: the samples in key order; of keys ``%08d_ID`` the ID, of others the key itself.

    Raises:
        DataError: a database is missing, damaged or empty, or their keys differ.
    """

    def __init__(self, databases: Mapping[str, tuple[str | Path, Contents]]) -> None:
        self._readers = {part: LMDBReader(folder) for part, (folder, _) in databases.items()}
        self._contents = {part: held for part, (_, held) in databases.items()}
        found = [list(reader.keys()) for reader in self._readers.values()]
        paths = [reader.path for reader in self._readers.values()]
        if not found[0]:
            raise DataError(f"'{paths[0]}' holds no records; build it with python -m data_prep")
        for keys, path in zip(found[1:], paths[1:], strict=True):
            _check_same_keys(found[0], keys, paths[0], path)
        self.ids = [_id_of(key) for key in found[0]]
        if len(set(self.ids)) < len(self.ids):
            self.ids = [key.decode("utf-8", "surrogateescape") for key in found[0]]
        self._keys = dict(zip(self.ids, found[0], strict=True))

    def name(self, part: str, image_id: str) -> str:
        """Which record that is, for messages: ``PATH, key KEY``."""
        return record_title(Path(self._readers[part].path), self._keys[image_id])

    def read(self, part: str, image_id: str) -> np.ndarray:
        """One part of a sample: C x H x W.

        Raises:
            DataError: the record is damaged, or does not hold what it should.
        """
        name = self.name(part, image_id)
        return decode_record(self._contents[part], self._bytes(part, image_id), name)[0]

    def read_sample(self, image_id: str) -> dict[str, np.ndarray]:
        """All parts of a sample, each C x H x W, by name.

        Raises:
            DataError: as ``read``; they differ in size.
        """
        data = {part: self._bytes(part, image_id) for part in self._contents}
        decoded = decode_sample(self._contents, data, {part: self.name(part, image_id) for part in data})
        return {part: values for part, (values, _) in decoded.items()}

    def _bytes(self, part: str, image_id: str) -> bytes:
        return record_bytes(self._readers[part], self._keys[image_id])


class PairedLMDB(KeyedDatabases):
    """An image and a label LMDB.

    Args:
        image_lmdb: folder of the image database.
        label_lmdb: folder of the label database.
        keys: list file that chooses records and their order by key or by id; None takes all in key order.
        classes: how many there are, 255 being void; None does not hold labels to any.

    Raises:
        DataError: as KeyedDatabases; the list names a record that is not there.
    """

    def __init__(
        self, image_lmdb: str | Path, label_lmdb: str | Path, keys: Path | None = None, classes: int | None = None
    ) -> None:
        label = Contents("label", classes, VOID)
        super().__init__({"image": (image_lmdb, Contents("image")), "label": (label_lmdb, label)})
        if keys is not None:
            self.ids = self._chosen(keys)

    def _chosen(self, path: Path) -> list[str]:
        by_key = {key.decode("utf-8", "surrogateescape"): image_id for image_id, key in self._keys.items()}
        chosen = []
        for word in read_list(path):
            image_id = word if word in self._keys else by_key.get(word)
            if image_id is None:
                first = next(iter(self._keys.values()))
                raise DataError(
                    f"list '{path}' names '{word}', which is not in '{self._readers['image'].path}' "
                    f"({len(by_key)} records, the first {shown_key(first)}); correct the list or build the LMDB from it"
                )
            chosen.append(image_id)
        return chosen

    def read_pair(self, image_id: str) -> tuple[np.ndarray, np.ndarray]:
        """An image (H x W x 3, RGB) and its label (H x W).

        Raises:
            DataError: as ``read_sample``.
        """
        sample = self.read_sample(image_id)
        return sample["image"][::-1].transpose(1, 2, 0), sample["label"][0]  # BGR x H x W -> H x W x RGB


def _check_same_keys(keys: Sequence[bytes], other_keys: Sequence[bytes], path: str, other_path: str) -> None:
    if keys == other_keys:
        return
    only = sorted(set(keys) ^ set(other_keys))[0]
    holder, other = (path, other_path) if only in set(keys) else (other_path, path)
    raise DataError(
        f"'{path}' ({len(keys)} records) and '{other_path}' ({len(other_keys)} records) are not keyed alike: "
        f"key {shown_key(only)} is in '{holder}', not in '{other}'; give databases that were built together"
    )


def _id_of(key: bytes) -> str:
    text = key.decode("utf-8", "surrogateescape")
    match = _KEY.fullmatch(text)
    return match[1] if match else text
