"""An unfinished set of databases: records put in by bounded transactions, and a journal of those that are safe.

The journal, samples.jsonl, gets a record's line after every database has the record.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import lmdb

from caffe_compat.errors import DataError
from caffe_compat.layer.data.lmdb_source import LMDBReader
from caffe_compat.proto.whole_file import replacing
from data_prep.jobs import Fault, run_ordered
from data_prep.lists import list_digest, write_list
from data_prep.records import Record, record_key

__all__ = ["Build", "Loader", "check_count", "disk_errors", "write_text"]

_FIRST_MAP = 1 << 26
_MOST_RECORDS = 128
_MOST_BYTES = 1 << 26


class Loader(Protocol):
    """Makes the records of a list's ids; must be picklable for more than one job."""

    @property
    def databases(self) -> tuple[str, ...]:
        """Names of the databases."""

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
        self.samples = _read_samples(partial / "samples.jsonl")
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
            if not isinstance(digest, Fault) and self.samples.get(key, {}).get("sources") == digest:
                kept.add(key)
                progress(1)
        for (name, environment), keys in zip(self.environments.items(), inside, strict=True):
            _write(environment, self.partial / name, [(key, None) for key in sorted(keys - kept)])
        self.samples = {key: self.samples[key] for key in kept}
        self._write_journal(sorted(kept))  # without lines that were cut off or no longer hold
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
            added[key] = {
                "key": key.decode(),
                "sources": digest,
                "height": record.height,
                "width": record.width,
                "pixels": {str(value): count for value, count in record.pixels.items()},
            }
        journal = self.partial / "samples.jsonl"
        with disk_errors(journal), journal.open("a", encoding="utf-8") as out:
            out.write(_lines(added.values()))
            out.flush()
            os.fsync(out.fileno())
        self.samples.update(added)
        self._waiting, self._waiting_bytes = [], 0

    def finish(self, ids: Sequence[str], loader: Loader) -> dict[str, Any]:
        """Close the databases, check them, and write the files beside them; gives the manifest."""
        self._close()
        for name in self.environments:
            check_count(self.partial / name, len(ids), self.partial)
        keys = [record_key(i, one) for i, one in enumerate(ids)]
        (self.partial / "faults.txt").unlink(missing_ok=True)
        self._write_journal(keys)
        manifest = _manifest([self.samples[key] for key in keys], ids, loader)
        write_list(self.partial / "list.txt", ids)
        write_text(self.partial / "manifest.json", json.dumps(manifest, indent=2) + "\n")
        return manifest

    def _write_journal(self, keys: Sequence[bytes]) -> None:
        write_text(self.partial / "samples.jsonl", _lines(self.samples[key] for key in keys))

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


def _manifest(rows: Sequence[dict[str, Any]], ids: Sequence[str], loader: Loader) -> dict[str, Any]:
    pixels: Counter[str] = Counter()
    for row in rows:
        pixels.update(row["pixels"])
    return {
        "format": 1,
        "databases": list(loader.databases),
        "settings": loader.settings,
        "count": len(ids),
        "list_sha256": list_digest(ids),
        "sources_sha256": list_digest(row["sources"] for row in rows),
        "sizes": dict(sorted(Counter(f"{row['width']}x{row['height']}" for row in rows).items())),
        "pixels": dict(sorted(pixels.items(), key=lambda item: int(item[0]))),
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


def _read_samples(path: Path) -> dict[bytes, dict[str, Any]]:
    """The journal by key, the last line of a key counting; a line that was cut off says nothing."""
    samples: dict[bytes, dict[str, Any]] = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return samples
    for line in lines:
        try:
            row = json.loads(line)
            samples[row["key"].encode()] = row
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return samples


def _lines(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


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
