"""Reading again every record of a finished folder of databases."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from caffe_compat.errors import DataError
from caffe_compat.layer.data.lmdb_source import LMDBReader
from data_prep.contents import Contents, measure, measure_bytes
from data_prep.lists import list_digest, read_list
from data_prep.lmdb_build import manifest_of
from data_prep.manifest import check_agreement, read_samples
from data_prep.record_values import decode_sample, read_record, shown_key
from data_prep.records import record_key
from data_prep.verify_samples import verify_samples

__all__ = ["verify_lmdbs"]


def verify_lmdbs(
    folder: Path, manifest: dict[str, Any], jobs: int = 1, progress: Callable[[int], Any] = lambda done: None
) -> int:
    """Hold everything in a finished folder against its manifest.

    First the list, the journal and the manifest against each other, then the keys of every database, then record by
    record: that it is a Datum and can be decoded, its shape, channels and values, the equal size of what has the same
    key, and its checksum.

    Args:
        folder: as ``write_lmdbs`` leaves it.
        manifest: its manifest, of the present format.
        jobs: processes.
        progress: told 1 after each sample.

    Returns:
        The number of samples.

    Raises:
        DataError: the first fault, with its database and key.
    """
    contents = {name: _contents(folder, name, held) for name, held in manifest["databases"].items()}
    rows = _rows(folder, manifest, contents)
    for name in contents:
        _check_keys(folder / name, list(rows))
    written = {key: row["databases"] for key, row in rows.items()}
    check = _Check(folder, contents)
    return verify_samples(check, written, lambda name, key: f"'{folder / name}', key {key}", jobs, progress)


def _contents(folder: Path, name: str, held: dict[str, Any]) -> Contents:
    try:
        return Contents.from_json(held)
    except DataError as error:
        raise DataError(f"'{folder / 'manifest.json'}': {name} {error}") from None


def _rows(folder: Path, manifest: dict[str, Any], contents: dict[str, Contents]) -> dict[str, dict[str, Any]]:
    """The journal's rows by key in the list's order, after list, journal and manifest were found to agree."""
    ids = read_list(folder / "list.txt")
    if list_digest(ids) != manifest.get("list_sha256"):
        raise DataError(f"'{folder / 'list.txt'}' ({len(ids)} ids) is not the list that manifest.json was made of")
    journal = read_samples(folder / "samples.jsonl")
    keys = [record_key(i, one).decode() for i, one in enumerate(ids)]
    for key in keys:
        if key not in journal:
            raise DataError(f"'{folder / 'samples.jsonl'}' has no line of key {key}")
    rows = {key: journal[key] for key in keys}
    settings = manifest.get("settings", {})
    check_agreement(folder, manifest, lambda: manifest_of(list(rows.values()), ids, contents, settings))
    return rows


def _check_keys(database: Path, wanted: list[str]) -> None:
    reader = LMDBReader(database)
    try:
        for found, key in zip_longest(reader.keys(), (key.encode() for key in wanted)):
            if found == key:
                continue
            if found is None or (key is not None and key < found):
                raise DataError(f"'{database}' lacks key {shown_key(key or b'')}")
            raise DataError(f"'{database}' holds key {shown_key(found)}, which is not in the list")
    finally:
        reader.close()


@dataclass(frozen=True)
class _Check:
    """Reads a key's records in all databases and gives their measures."""

    folder: Path
    contents: dict[str, Contents]

    def __call__(self, key: str) -> dict[str, dict[str, Any]]:
        data = {name: read_record(self.folder / name, key) for name in self.contents}
        decoded = decode_sample(self.contents, data, {name: f"{self.folder / name}, key {key}" for name in data})
        return {
            name: {**measure_bytes(data[name]), "encoded": encoded, **measure(self.contents[name], values)}
            for name, (values, encoded) in decoded.items()
        }
