"""Writing databases of Datums so that an interrupted run loses nothing and a finished one is whole.

A list's databases are built in ``NAME.partial``, which is renamed to ``NAME`` when every record is in. Such a folder
holds

    image_lmdb/, label_lmdb/   LMDBs, records keyed %08d_ID in the list's order
    list.txt                   the ids
    manifest.json              counts, sizes, pixels per class, settings, checksums
    samples.jsonl              for each record: key, checksum of its sources, size, pixels per class

A run that finds a ``.partial`` keeps the records whose sources still have the same checksum.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from caffe_compat.errors import DataError
from data_prep.jobs import Fault, run_ordered
from data_prep.lists import list_digest
from data_prep.lmdb_build import Build, Loader, check_count, write_text
from data_prep.records import record_key

__all__ = ["Outcome", "read_manifest", "write_lmdbs"]


@dataclass
class Outcome:
    """What became of a run.

    Attributes:
        folder: the finished folder, or the ``.partial`` one where there are faults.
        state: ``written``, ``already there`` or ``unfinished``.
        count: records in the databases.
        kept: of these, how many were there before.
        faults: what is wrong with the other samples.
        manifest: content of manifest.json; empty where unfinished.
    """

    folder: Path
    state: str
    count: int
    kept: int = 0
    faults: list[Fault] = field(default_factory=list)
    manifest: dict[str, Any] = field(default_factory=dict)


def write_lmdbs(
    folder: Path,
    ids: Sequence[str],
    loader: Loader,
    *,
    jobs: int = 1,
    strict: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> Outcome:
    """Build the databases of a list, or go on building them.

    Args:
        folder: where the finished databases go; its parent is made if need be.
        ids: the samples, in order.
        loader: makes their records.
        jobs: processes that read and check.
        strict: stop at the first faulty sample.
        progress: told the number of samples dealt with since the last call.

    Returns:
        What became of it. With faulty samples the databases stay unfinished: repair the files, or take the ids out of
        the list, and run again.

    Raises:
        DataError: ``folder`` holds something else; another run is at it; the disk is full; with ``strict``, a fault.
    """
    if folder.exists():
        return _already_there(folder, ids, loader, progress)
    partial = folder.with_name(f"{folder.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(_only_one(partial))
        build = stack.enter_context(Build.opened(partial, loader.databases))
        kept = build.keep(ids, loader, progress)
        faults = []
        todo = [(i, one) for i, one in enumerate(ids) if record_key(i, one) not in kept]
        for (i, one), result in run_ordered(loader.load, todo, jobs):
            if isinstance(result, Fault):
                faults.append(result)
                if strict:
                    build.commit()
                    raise DataError(result.message)
            else:
                build.add(record_key(i, one), *result)
            progress(1)
        build.commit()
        if faults:
            write_text(partial / "faults.txt", "".join(f"{fault.message}\n" for fault in faults))
            return Outcome(partial, "unfinished", len(ids) - len(faults), len(kept), faults)
        manifest = build.finish(ids, loader)
        _rename(partial, folder)
    return Outcome(folder, "written", len(ids), len(kept), manifest=manifest)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a finished folder.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if not isinstance(manifest["databases"], list) or not isinstance(manifest["count"], int):
            raise KeyError("count")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"'{folder}' has no readable manifest.json ({error!r}), so it was not written by this tool, or is damaged; "
            "move it away or give another --out"
        ) from error
    return dict(manifest)


def _rename(partial: Path, folder: Path) -> None:
    try:
        partial.rename(folder)
    except OSError as error:
        raise DataError(
            f"'{partial}' is complete but cannot be renamed to '{folder}' ({error.strerror}); "
            "move away what is there and run again"
        ) from error


def _already_there(folder: Path, ids: Sequence[str], loader: Loader, progress: Callable[[int], None]) -> Outcome:
    manifest = read_manifest(folder)
    differs = []
    if manifest.get("list_sha256") != list_digest(ids):
        differs.append(f"its list has {manifest['count']} images, the wanted one {len(ids)} or others")
    for name, value in loader.settings.items():
        stored = manifest.get("settings", {}).get(name)
        if stored != value:
            differs.append(f"{name} is {stored}, wanted {value}")
    if not differs:
        digests = []
        for _, digest in run_ordered(loader.digest, list(enumerate(ids)), jobs=1):
            if isinstance(digest, Fault):
                differs.append(digest.message)
                break
            digests.append(digest)
            progress(1)
        if not differs and list_digest(digests) != manifest.get("sources_sha256"):
            differs.append("the source files have changed since")
    if differs:
        raise DataError(
            f"'{folder}' is finished but of other content ({'; '.join(differs)}); it is left as it is: "
            "delete or rename it, or give another --out"
        )
    for name in manifest["databases"]:
        check_count(folder / name, len(ids), folder)
    return Outcome(folder, "already there", len(ids), len(ids), manifest=manifest)


@contextmanager
def _only_one(partial: Path) -> Iterator[None]:
    """Hold a lock on the unfinished folder, where the system has such locks; it ends with the process."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(partial, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DataError(f"another run is writing '{partial}'; wait for it, or end it") from None
        yield
    finally:
        os.close(handle)
