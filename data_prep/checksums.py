"""Is a downloaded file the one that was wanted: its size, its published checksums, and the one noted beside it.

The note, ``NAME.sha256``, is written when a file is first there and whole, in the form of sha256sum (which checks it
too: ``sha256sum -c NAME.sha256``). It holds later copies to the first one where nobody published a checksum.
"""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from caffe_compat.errors import DataError
from caffe_compat.proto.whole_file import replacing
from data_prep.sources import SourceFile

__all__ = ["check_file", "note_path", "read_note"]

_BLOCK_BYTES = 1 << 20
_NOTE = "sha256"
_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")


def note_path(path: Path) -> Path:
    """The checksum file beside a file: ``NAME.sha256``."""
    return path.with_name(f"{path.name}.{_NOTE}")


def read_note(path: Path) -> str | None:
    """The SHA-256 noted for a file, hexadecimal; None where there is no note.

    Raises:
        DataError: the note cannot be read or is of another form.
    """
    note = note_path(path)
    try:
        lines = note.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"checksum file '{note}' cannot be read ({error}); remove it and run again") from error
    found = _LINE.fullmatch(lines[0]) if len(lines) == 1 else None
    if found is None or found[2] != path.name:
        raise DataError(
            f"checksum file '{note}' is not one line 'SHA-256  {path.name}' as sha256sum writes it; "
            "remove it and run again"
        )
    return found[1].lower()


def check_file(
    content: Path, path: Path, file: SourceFile, progress: Callable[[int, int | None], Any] = lambda done, total: None
) -> None:
    """Hold a file's content against all that is known of it; note its SHA-256 where there is no note yet.

    Args:
        content: the file to be read.
        path: the name that it has or will have; the note is beside it.
        file: what is published about it.
        progress: told the bytes read so far, and how many there are.

    Raises:
        DataError: it cannot be read, or size or a checksum is another one; the message says which, and what was found.
    """
    noted = read_note(path)
    wanted = [("published ", name, value.lower()) for name, value in file.checksums.items()]
    if noted is not None:
        wanted.append((f"'{note_path(path).name}' says ", _NOTE, noted))
    try:
        size = content.stat().st_size
        if file.size is not None and size != file.size:
            raise DataError(f"'{content}' has {size} bytes, wanted {file.size} (published)")
        found = _digests(content, {_NOTE, *file.checksums}, size, progress)
    except OSError as error:
        raise DataError(f"'{content}' cannot be read ({error})") from error
    for origin, name, value in wanted:
        if found[name] != value:
            raise DataError(f"'{content}' has {name} {found[name]}, wanted {value} ({origin.strip()})")
    if noted is None:
        note = note_path(path)
        try:
            with replacing(note) as temporary:
                temporary.write_text(f"{found[_NOTE]}  {path.name}\n", encoding="utf-8")
        except OSError as error:
            raise DataError(f"checksum file '{note}' cannot be written ({error})") from error


def _digests(path: Path, names: set[str], size: int, progress: Callable[[int, int | None], Any]) -> dict[str, str]:
    """Checksums of a file by their algorithms, in one reading."""
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in names}
    done = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            for one in hashes.values():
                one.update(block)
            done += len(block)
            progress(done, size)
    return {name: one.hexdigest() for name, one in hashes.items()}
