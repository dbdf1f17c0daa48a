"""Files that appear under their name whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["replacing"]


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path in the same folder; rename it to ``path`` when the block ends well.

    The block writes the temporary file (an empty one exists). After it the data is forced to disk and takes the place
    of whatever ``path`` was. If the block or the renaming fails, the temporary file is removed, ``path`` is untouched
    and the error goes on.

    Args:
        path: the final name; its folder must exist.

    Raises:
        OSError: the folder is missing or not writable, the disk is full, ``path`` is a directory.
    """
    final = Path(path)
    temporary = final.with_name(f".{final.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # mode as of a plain open(), by umask
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, final)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    with suppress(OSError):  # the rename itself; not every file system lets a folder be synced
        _sync(final.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
