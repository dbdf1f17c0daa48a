"""One run at a time on a folder, and what a killed one left there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from caffe_compat.errors import DataError

__all__ = ["only_one", "remove_leftovers"]


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder, where the system has such locks; it ends with the process.

    Raises:
        DataError: another run holds it.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DataError(f"another run is writing '{folder}'; wait for it, or end it") from None
        yield
    finally:
        os.close(handle)


def remove_leftovers(*folders: Path) -> None:
    """Remove the temporary files (see whole_file) that a killed run left in folders on which no other is at work."""
    for folder in folders:
        for path in folder.glob(".*.tmp"):
            path.unlink(missing_ok=True)
