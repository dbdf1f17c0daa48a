"""An unfinished set of databases: records put in by bounded transactions, and a journal of those that are safe.

The journal, samples.jsonl, gets a record's line after every database has the record.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import lmdb

from caffe_compat.errors import DataError
from caffe_compat.layer.data.lmdb_source import LMDBReader
from caffe_compat.proto.whole_file import replacing
from data_prep.contents import Contents
from data_prep.jobs import Fault, run_ordered
from data_prep.lists import list_digest, write_list
from data_prep.manifest import FORMAT, describe, journal_lines, read_samples, sizes_of, tool_versions
from data_prep.records import Record, record_key

__all__ = ["Build", "Loader", "check_count", "disk_errors", "manifest_of", "write_text"]

_FIRST_MAP = 1 << 26
_MOST_RECORDS = 128
_MOST_BYTES = 1 << 26


class Loader(Protocol):
    """Makes the records of a list's ids; must be picklable for more than one job."""

    @property
    def databases(self) -> tuple[str, ...]:
        """Names of the databases."""

    @property
    def contents(self) -> dict[str, Contents]:
        """What each of them holds."""

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the records' bytes beside the source files."""

    def digest(self, image_id: str) -> str:
        """Checksum of a record's sources; raises DataError."""

    def load(self, image_id: str) -> tuple[Record, str]:
        """A record and that checksum; raises DataError."""


class Build:
    """The databases and the journal of an unfinished folder.

    Args:
        partial: the folder.
        environments: its open databases by name.
    """

    def __init__(self, partial: Path, environments: dict[str, Any]) -> None:
        self.partial = partial
        self.environments = environments
        self.samples = read_samples(partial / "samples.jsonl")
        self._waiting: list[tuple[bytes, Record, str]] = []
        self._waiting_bytes = 0

    @classmethod
    @contextmanager
    def opened(cls, partial: Path, databases: Sequence[str]) -> Iterator["Build"]:
        """Open or make the databases; closed when the block ends, however it ends."""
        with ExitStack() as stack:
            environments = {}
            for name in databases:
                path = partial / name
                if (path / "data.mdb").exists():
                    _check_unfinished(path)
                with disk_errors(path):
                    environments[name] = lmdb.open(str(path), map_size=_FIRST_MAP, subdir=True, max_readers=8)
                stack.callback(environments[name].close)
            yield cls(partial, environments)

    def keep(self, ids: Sequence[str], loader: Loader, progress: Callable[[int], None]) -> set[bytes]:
        """Keys of the records that are in every database and whose sources are unchanged; others are removed."""
        inside = [_keys(environment) for environment in self.environments.values()]
        safe = set.intersection(*inside)
        wanted = [(i, one) for i, one in enumerate(ids) if record_key(i, one) in safe]
        kept = set()
        for (i, one), digest in run_ordered(loader.digest, wanted, jobs=1):
            key = record_key(i, one)
            row = self.samples.get(key.decode(), {})  # of format 1 without measures: such records are made again
            if not isinstance(digest, Fault) and row.get("sources") == digest and "databases" in row:
                kept.add(key)
                progress(1)
        for (name, environment), keys in zip(self.environments.items(), inside, strict=True):
            _write(environment, self.partial / name, [(key, None) for key in sorted(keys - kept)])
        self.samples = {key.decode(): self.samples[key.decode()] for key in kept}
        self._write_journal(sorted(self.samples))  # without lines that were cut off or no longer hold
        return kept

    def add(self, key: bytes, record: Record, digest: str) -> None:
        """Take a record; it is safe after the next commit."""
        self._waiting.append((key, record, digest))
        self._waiting_bytes += sum(len(datum) for datum in record.datums.values())
        if len(self._waiting) >= _MOST_RECORDS or self._waiting_bytes >= _MOST_BYTES:
            self.commit()

    def commit(self) -> None:
        """Put what was taken into the databases, then into the journal."""
        if not self._waiting:
            return
        for name, environment in self.environments.items():
            _write(environment, self.partial / name, [(key, one.datums[name]) for key, one, _ in self._waiting])
        added = {}
        for key, record, digest in self._waiting:
            added[key.decode()] = {
                "key": key.decode(),
                "sources": digest,
                "height": record.height,
                "width": record.width,
                "databases": record.facts,
            }
        journal = self.partial / "samples.jsonl"
        with disk_errors(journal), journal.open("a", encoding="utf-8") as out:
            out.write(journal_lines(added.values()))
            out.flush()
            os.fsync(out.fileno())
        self.samples.update(added)
        self._waiting, self._waiting_bytes = [], 0

    def finish(self, ids: Sequence[str], loader: Loader) -> dict[str, Any]:
        """Close the databases, check them, and write the files beside them; gives the manifest."""
        with disk_errors(self.partial):
            self._close()
        for name in self.environments:
            check_count(self.partial / name, len(ids), self.partial)
        keys = [record_key(i, one).decode() for i, one in enumerate(ids)]
        (self.partial / "faults.txt").unlink(missing_ok=True)
        self._write_journal(keys)
        manifest = manifest_of([self.samples[key] for key in keys], ids, loader.contents, loader.settings)
        write_list(self.partial / "list.txt", ids)
        write_text(self.partial / "manifest.json", json.dumps(manifest, indent=2) + "\n")
        return manifest

    def _write_journal(self, keys: Sequence[str]) -> None:
        write_text(self.partial / "samples.jsonl", journal_lines(self.samples[key] for key in keys))

    def _close(self) -> None:
        """Close the databases; a file that ends before its last page is filled up, as readers ask for."""
        for name, environment in self.environments.items():
            size = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
            environment.sync(True)
            environment.close()
            file = self.partial / name / "data.mdb"
            if file.stat().st_size < size:
                os.truncate(file, size)
            (self.partial / name / "lock.mdb").unlink(missing_ok=True)


def manifest_of(
    rows: Sequence[dict[str, Any]], ids: Sequence[str], contents: dict[str, Contents], settings: dict[str, Any]
) -> dict[str, Any]:
    """The manifest (see manifest.py) of the journal's rows in the list's order."""
    databases = {
        name: describe(held, [(row["key"], row["databases"][name]) for row in rows]) for name, held in contents.items()
    }
    return {
        "format": FORMAT,
        "versions": tool_versions(),
        "databases": databases,
        "settings": settings,
        "count": len(ids),
        "list_sha256": list_digest(ids),
        "sources_sha256": list_digest(row["sources"] for row in rows),
        "sizes": sizes_of(rows),
        "pixels": next(one["pixels"] for one in databases.values() if "pixels" in one),
    }


def check_count(database: Path, count: int, whole: Path) -> None:
    """Open a database and hold its number of records against ``count``.

    Raises:
        DataError: it is damaged or holds another number; ``whole`` is the folder to delete.
    """
    reader = LMDBReader(database)
    found = reader.keys_count
    reader.close()
    if found != count:
        raise DataError(f"'{database}' holds {found} records instead of {count}; delete '{whole}' and run again")


def _keys(environment: Any) -> set[bytes]:
    with environment.begin() as transaction:
        return set(transaction.cursor().iternext(keys=True, values=False))


def _write(environment: Any, path: Path, changes: list[tuple[bytes, bytes | None]]) -> None:
    """Put (or with None remove) records in one transaction, with a larger map as often as needed."""
    with disk_errors(path):
        while changes:
            try:
                with environment.begin(write=True) as transaction:
                    for key, value in changes:
                        if value is None:
                            transaction.delete(key)
                        else:
                            transaction.put(key, value)
                return
            except lmdb.MapFullError:
                environment.set_mapsize(environment.info()["map_size"] * 2)


def _check_unfinished(path: Path) -> None:
    try:
        LMDBReader(path).close()
    except DataError as error:
        raise DataError(
            f"the unfinished '{path}' is damaged ({error}); delete '{path.parent}' and run again"
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write a file that appears whole."""
    with disk_errors(path), replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a failure to write ``path`` into a DataError that says that the run can be continued."""
    try:
        yield
    except (lmdb.Error, OSError) as error:
        if isinstance(error, lmdb.MapFullError):
            raise
        raise DataError(
            f"'{path}' cannot be written ({error}); make room or correct the permissions and run again: "
            "it goes on where it stopped"
        ) from error
