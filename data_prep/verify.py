"""``--verify``: reading again all that was written, and the first fault with its key."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from caffe_compat.errors import DataError
from data_prep.manifest import FORMAT, read_manifest
from data_prep.outcome import Outcome
from data_prep.verify_files import verify_files
from data_prep.verify_lmdb import verify_lmdbs

__all__ = ["Begin", "verified", "verify_folder", "written_folders"]

Begin = Callable[[str, int], Callable[[int], Any]]
"""Begins a progress bar: of a title and a total gives what is told how many more are done."""


def verify_folder(folder: Path, jobs: int = 1, begin: Begin = lambda title, total: lambda done: None) -> int:
    """Hold everything in a finished folder, of databases or of files, against its manifest.

    Args:
        folder: that holds manifest.json.
        jobs: processes.
        begin: called with a title and the number of samples; what it gives is told what is done.

    Returns:
        The number of samples.

    Raises:
        DataError: the first fault, with its key, and what to do; the folder is unfinished, no such folder, or of a
            format without checksums.
    """
    if folder.name.endswith(".partial") or not (folder / "manifest.json").exists() and _has_journal(folder):
        raise DataError(f"'{folder}' is unfinished; run the command that writes it again: it goes on where it stopped")
    manifest = read_manifest(folder)
    if manifest.get("format") != FORMAT:
        raise DataError(
            f"'{folder}' is of format {manifest.get('format')}, which has no checksums to verify by (this is format "
            f"{FORMAT}); it can be read as it is; to have it verified, delete it and build it again"
        )
    tell = begin(f"verify {folder.name}", manifest["count"])
    if "files" in manifest:
        try:
            return verify_files(folder, manifest, jobs, tell)
        except DataError as error:
            raise DataError(f"{error}; run the command that wrote it again: damaged files are made again") from error
    try:
        return verify_lmdbs(folder, manifest, jobs, tell)
    except DataError as error:
        raise DataError(f"{error}; delete '{folder}' and build it again") from error


def verified(outcome: Outcome, jobs: int, begin: Begin) -> Outcome:
    """What a run left, verified where it is finished: ``verified``, or ``damaged`` with the first fault."""
    if not outcome.manifest:
        return outcome
    try:
        verify_folder(outcome.folder, jobs, begin)
    except DataError as error:
        return replace(outcome, state="damaged", damage=str(error))
    return replace(outcome, state="verified")


def written_folders(folder: Path) -> list[Path]:
    """The folders with something to verify at and in a folder, unfinished ones too.

    Raises:
        DataError: there are none.
    """
    there = [folder, *sorted(one for one in folder.glob("*") if one.is_dir())] if folder.is_dir() else []
    found = [one for one in there if (one / "manifest.json").exists() or _has_journal(one)]
    if not found:
        raise DataError(f"'{folder}' holds nothing that this tool wrote (no manifest.json there or one level below)")
    return found


def _has_journal(folder: Path) -> bool:
    return (folder / "samples.jsonl").exists() or folder.name.endswith(".partial")
