"""Writing databases of Datums so that an interrupted run loses nothing and a finished one is whole.

A list's databases are built in ``NAME.partial``, which is renamed to ``NAME`` when every record is in. Such a folder
holds

    image_lmdb/, label_lmdb/   LMDBs, records keyed %08d_ID in the list's order
    list.txt                   the ids
    manifest.json              counts, shapes, means, pixels per class, settings, checksums, versions: see manifest.py
    samples.jsonl              the same for each record, and a checksum of its sources

A run that finds a ``.partial`` keeps the records whose sources still have the same checksum.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from caffe_compat.errors import DataError
from data_prep.jobs import Fault, run_ordered
from data_prep.lists import list_digest
from data_prep.lmdb_build import Build, Loader, check_count, disk_errors, write_text
from data_prep.manifest import read_manifest
from data_prep.outcome import Outcome
from data_prep.records import record_key
from data_prep.run_lock import only_one, remove_leftovers

__all__ = ["write_lmdbs"]


def write_lmdbs(
    folder: Path,
    ids: Sequence[str],
    loader: Loader,
    *,
    jobs: int = 1,
    strict: bool = False,
    count_records: bool = True,
    progress: Callable[[int], None] = lambda done: None,
) -> Outcome:
    """Build the databases of a list, or go on building them.

    Args:
        folder: where the finished databases go; its parent is made if need be.
        ids: the samples, in order.
        loader: makes their records.
        jobs: processes that read and check.
        strict: stop at the first faulty sample.
        count_records: count the records of databases that are there already; not needed where they are verified next.
        progress: told the number of samples dealt with since the last call.

    Returns:
        What became of it. With faulty samples the databases stay unfinished: repair the files, or take the ids out of
        the list, and run again.

    Raises:
        DataError: ``folder`` holds something else; another run is at it; the disk is full; with ``strict``, a fault.
    """
    if folder.exists():
        return _already_there(folder, ids, loader, count_records, progress)
    partial = folder.with_name(f"{folder.name}.partial")
    with disk_errors(partial):
        partial.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(only_one(partial))
        remove_leftovers(partial)
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
            report = partial / "faults.txt"
            write_text(report, "".join(f"{fault.message}\n" for fault in faults))
            return Outcome(partial, "unfinished", len(ids) - len(faults), len(kept), faults, report=report)
        manifest = build.finish(ids, loader)
        _rename(partial, folder)
    return Outcome(folder, "written", len(ids), len(kept), manifest=manifest)


def _rename(partial: Path, folder: Path) -> None:
    try:
        partial.rename(folder)
    except OSError as error:
        raise DataError(
            f"'{partial}' is complete but cannot be renamed to '{folder}' ({error.strerror}); "
            "move away what is there and run again"
        ) from error


def _already_there(
    folder: Path, ids: Sequence[str], loader: Loader, count_records: bool, progress: Callable[[int], None]
) -> Outcome:
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
    for name in manifest["databases"] if count_records else ():
        check_count(folder / name, len(ids), folder)
    return Outcome(folder, "already there", len(ids), len(ids), manifest=manifest)
