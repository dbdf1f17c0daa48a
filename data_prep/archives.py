"""Archives (tar, tgz, zip) unpacked inside one folder, whole or not at all.

An archive is unpacked to ``.NAME.unpacking`` beside the target folder NAME; a run that was killed leaves only that
folder, which the next one removes. What was wanted of it then takes its place: by one renaming where the target does
not exist yet; else what is missing is moved in, the folder that tells a finished dataset last. A file that is there
with other content is never replaced.

Only plain files and folders are unpacked. Absolute paths, ``..``, links and devices are refused, whatever they lead to.
"""

import filecmp
import lzma
import os
import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from stat import S_IFMT, S_ISDIR, S_ISLNK, S_ISREG
from typing import Any

from caffe_compat.errors import DataError
from data_prep.lmdb_build import disk_errors
from data_prep.run_lock import only_one
from data_prep.seg_folder import folder_contents

__all__ = ["is_placed", "place", "unpack"]

_DAMAGE = (
    OSError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
)
_DEEPEST = 4
_BLOCK_BYTES = 1 << 20


def is_placed(target: Path, holds: str) -> bool:
    """Does a folder hold what an archive gives it last."""
    return (target / holds).is_dir()


def place(archive: Path, target: Path, holds: str, progress: Callable[[int], Any] = lambda count: None) -> None:
    """Unpack an archive and make its folder that has ``holds`` in it the target.

    Args:
        archive: a tar, compressed or not, or a zip.
        target: becomes that folder, or gets what it lacks of it.
        holds: name of a folder in it; it is moved in last, so that where it is, everything is.
        progress: told of each member.

    Raises:
        DataError: the archive is damaged or is refused (``unpack``), has no such folder, or holds a file that is in
            the target with other content; the target cannot be written; another run unpacks to it.
    """
    target = target.resolve()
    unpacking = target.with_name(f".{target.name}.unpacking")
    with disk_errors(target):
        unpacking.mkdir(parents=True, exist_ok=True)
        with only_one(unpacking):
            try:
                for left in unpacking.iterdir():
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
                unpack(archive, unpacking, progress)
                root = _folder_with(unpacking, holds, target.name, archive)
                if target.is_dir() and not any(target.iterdir()):
                    target.rmdir()
                if target.exists():
                    _merge(root, target, holds, archive)
                else:
                    os.replace(root, target)
            finally:
                shutil.rmtree(unpacking, ignore_errors=True)


def unpack(archive: Path, into: Path, progress: Callable[[int], Any] = lambda count: None) -> None:
    """Unpack all members below a folder.

    Args:
        archive: a tar, compressed or not, or a zip.
        into: an empty folder.
        progress: told of each member.

    Raises:
        DataError: the archive is damaged or of another kind; or a member is refused: names both. What was unpacked
            before stays in the folder.
        OSError: a member cannot be written.
    """
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, into, progress)
        else:
            _unpack_tar(archive, into, progress)
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:  # the system's; gzip and bz2 raise some without
            raise
        what = (str(error) or type(error).__name__).splitlines()[0].rstrip(":")
        raise DataError(
            f"archive '{archive}' is damaged or no tar, tgz or zip ({what}); remove it and download it again"
        ) from error


def _unpack_tar(archive: Path, into: Path, progress: Callable[[int], Any]) -> None:
    if not hasattr(tarfile, "data_filter"):
        raise DataError(f"archive '{archive}' is unpacked with Python 3.11.4 or later only; update Python")
    with tarfile.open(archive) as tar:
        for member in tar:
            _check_name(archive, member.name)
            if member.issym() or member.islnk():
                raise _refusal(archive, member.name, f"is a link to '{member.linkname}'")
            if not member.isfile() and not member.isdir():
                raise _refusal(archive, member.name, "is a device or another special file")
            try:
                tar.extract(member, into, filter="data")
            except tarfile.FilterError as error:
                raise _refusal(archive, member.name, f"is unsafe ({error})") from error
            progress(1)
        while tar.fileobj is not None and tar.fileobj.read(_BLOCK_BYTES):
            pass  # to the end, where compressed files have their checksum


def _unpack_zip(archive: Path, into: Path, progress: Callable[[int], Any]) -> None:
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            _check_name(archive, member.filename)
            mode = member.external_attr >> 16
            if S_ISLNK(mode):
                raise _refusal(archive, member.filename, "is a link")
            if S_IFMT(mode) and not S_ISREG(mode) and not S_ISDIR(mode):
                raise _refusal(archive, member.filename, "is a device or another special file")
            if member.flag_bits & 1:
                raise _refusal(archive, member.filename, "is encrypted")
            packed.extract(member, into)
            progress(1)


def _check_name(archive: Path, name: str) -> None:
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    if posix.is_absolute() or windows.drive or windows.root:
        raise _refusal(archive, name, "has an absolute path")
    if ".." in posix.parts or ".." in windows.parts:
        raise _refusal(archive, name, "leads upwards with '..'")
    if re.search(r"[\x00-\x1f]", name):
        raise _refusal(archive, name, "has control characters in its name")


def _refusal(archive: Path, name: str, what: str) -> DataError:
    return DataError(
        f"archive '{archive}', member {name!r} {what}; only plain files and folders inside the target are unpacked. "
        "Nothing was put into the target: this is not the published archive, or unpack it by hand if you trust it"
    )


def _folder_with(top: Path, holds: str, name: str, archive: Path) -> Path:
    """The folder that has ``holds`` in it, nearest to the top."""
    level = [top]
    for _ in range(_DEEPEST):
        found = [one for one in level if (one / holds).is_dir()]
        if len(found) > 1:
            found = [one for one in found if one.name == name] or found
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(str(one.relative_to(top)) for one in found)
            raise DataError(f"archive '{archive}' has several folders with {holds}: {names}; unpack it by hand")
        level = sorted(one for folder in level for one in folder.iterdir() if one.is_dir())
    raise DataError(
        f"archive '{archive}' has no folder '{holds}'; found {folder_contents(top)}: it is another archive than was "
        "wanted; remove it and run again"
    )


def _merge(root: Path, target: Path, last: str, archive: Path) -> None:
    """Move in what the target lacks, ``last`` at the end; first see that no file is there with other content."""
    for source in _entries(root):
        there = target / source.relative_to(root)
        if not os.path.lexists(there):
            continue
        if source.is_dir():
            same = there.is_dir() and not there.is_symlink()
        else:
            same = there.is_file() and not there.is_symlink() and filecmp.cmp(source, there, shallow=False)
        if not same:
            raise DataError(
                f"'{there}' is there and is not what '{archive}' has under that name; nothing was changed: move it "
                "away, or give another --out, and run again"
            )
    for source in sorted(root.iterdir(), key=lambda one: one.name == last):
        _move_in(source, target / source.name)


def _entries(folder: Path) -> Iterator[Path]:
    """Everything below a folder."""
    for one in sorted(folder.iterdir()):
        yield one
        if one.is_dir():
            yield from _entries(one)


def _move_in(source: Path, there: Path) -> None:
    if not there.exists():
        os.replace(source, there)
    elif source.is_dir():
        for one in source.iterdir():
            _move_in(one, there / one.name)
