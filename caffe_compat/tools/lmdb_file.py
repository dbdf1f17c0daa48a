"""A new LMDB, as Caffe's tools make one, that appears under its name only when it is complete."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb

from caffe_compat import glog
from caffe_compat.errors import DataError

__all__ = ["NewLMDB", "creating_lmdb"]

_BATCH = 1000  # records per transaction, as in Caffe's tools
_FIRST_SIZE = 2**24  # bytes; doubled when it is full


class NewLMDB:
    """Takes records for a database that is being made."""

    def __init__(self, env: lmdb.Environment) -> None:
        self._env = env
        self._waiting: list[tuple[bytes, bytes]] = []

    def put(self, key: str, value: bytes) -> None:
        """Add a record."""
        self._waiting.append((key.encode("utf-8", "surrogateescape"), value))
        if len(self._waiting) == _BATCH:
            self.commit()

    def commit(self) -> None:
        """Write what has been added."""
        while True:
            try:
                with self._env.begin(write=True) as transaction:
                    for key, value in self._waiting:
                        transaction.put(key, value)
                break
            except lmdb.MapFullError:
                self._env.set_mapsize(2 * self._env.info()["map_size"])
        self._waiting.clear()


@contextmanager
def creating_lmdb(path: str) -> Iterator[NewLMDB]:
    """A new database in folder ``path``, which must not exist yet.

    The block puts the records in. The folder appears when the block ends well; if it fails, nothing is left.

    Raises:
        DataError: the folder exists, or cannot be written.
    """
    final = Path(path)
    if final.exists():
        raise DataError(f"{path}: exists already; delete it, or give another name")
    temporary = final.with_name(f".{final.name}.partial")
    try:
        shutil.rmtree(temporary, ignore_errors=True)  # of a run that was killed
        temporary.mkdir()
        glog.info("db_lmdb.cpp:35", f"Opened lmdb {path}")
        with lmdb.open(str(temporary), map_size=_FIRST_SIZE, lock=False) as env:
            new = NewLMDB(env)
            yield new
            new.commit()
        temporary.rename(final)
    except (OSError, lmdb.Error) as error:
        raise DataError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
