"""Folders of files that are made one sample at a time, so that an interrupted run loses nothing.

Each file appears whole. Beside the files lie

    samples.jsonl   a line for each sample that is there: checksums and measures of its files
    manifest.json   what they sum up to (see manifest.py); only a finished folder has one
    faults.txt      what is wrong with the samples that could not be made

A run that follows keeps the files that were made of the same sources by the same settings, and makes those again whose
content is not what was written.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from caffe_compat.errors import DataError
from data_prep.contents import Contents, check_sizes, check_values, measure, measure_bytes
from data_prep.images import decode_image
from data_prep.jobs import Fault, run_ordered
from data_prep.labels import decode_label
from data_prep.lists import list_digest
from data_prep.lmdb_build import disk_errors, write_text
from data_prep.manifest import FORMAT, describe, journal_lines, read_samples, sizes_of, tool_versions
from data_prep.nyud import decode_segmentation
from data_prep.outcome import Outcome
from data_prep.png_files import decode_depth, read_file
from data_prep.run_lock import only_one, remove_leftovers

__all__ = ["FileSet", "file_values", "files_manifest", "sample_facts", "write_files"]


@dataclass(frozen=True)
class FileSet:
    """What is to be written; picklable for more than one job.

    Args:
        root: the folder.
        make: makes a sample's files unless they are there, made of the same: ``written`` or ``kept``.
        key: the key of a sample.
        patterns: for each kind of file its path below ``root``, with ``{key}`` in it.
        contents: what each kind holds.
        settings: what decides the content beside the sources; values that JSON can hold.
    """

    root: Path
    make: Callable[[str], str]
    key: Callable[[str], str]
    patterns: Mapping[str, str]
    contents: Mapping[str, Contents]
    settings: Mapping[str, Any]

    def path(self, kind: str, sample: str) -> Path:
        """The file of a kind."""
        return self.root / self.patterns[kind].replace("{key}", self.key(sample))

    def facts(self, sample: str) -> dict[str, dict[str, Any]]:
        """The measures of a sample's files, which are read for it.

        Raises:
            DataError: a file is missing, damaged, of other values or of another size than the others.
        """
        return sample_facts(self.contents, {kind: self.path(kind, sample) for kind in self.contents})


def sample_facts(contents: Mapping[str, Contents], paths: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """The measures of a sample's files, by kind.

    Raises:
        DataError: a file is missing, damaged, of other values or of another size than the others.
    """
    facts = {kind: _file_facts(held, paths[kind]) for kind, held in contents.items()}
    check_sizes({f"{contents[kind].holds} '{paths[kind]}'": one["shape"][1:] for kind, one in facts.items()})
    return facts


def _file_facts(held: Contents, path: Path) -> dict[str, Any]:
    """The measures of a file.

    Raises:
        DataError: it is missing, damaged, or holds other values.
    """
    data = read_file(path, held.holds)
    return {**measure_bytes(data), **measure(held, file_values(held, data, str(path)))}


def file_values(held: Contents, data: bytes, name: str) -> np.ndarray:
    """The values of a file's content, C x H x W, an image's as BGR.

    Raises:
        DataError: the file is damaged, or holds other values.
    """
    if held.holds == "label":
        decode = decode_segmentation if name.endswith(".mat") else decode_label
        values = decode(data, name)[np.newaxis]
    elif held.holds in ("depth", "raw depth"):
        values = decode_depth(data, name)[np.newaxis]
    else:
        rgb = decode_image(data, name).transpose(2, 0, 1)  # H x W x 3 -> 3 x H x W
        values = rgb[::-1] if held.holds == "image" else rgb
    check_values(held, values, name)
    return values


@dataclass(frozen=True)
class _Make:
    """Makes a sample's files; gives what became of them, and their measures (of kept ones the checksums alone)."""

    files: FileSet

    def __call__(self, sample: str) -> tuple[str, dict[str, dict[str, Any]]]:
        state = self.files.make(sample)
        if state == "written":
            return state, self.files.facts(sample)
        kinds = self.files.patterns
        return state, {kind: measure_bytes(read_file(self.files.path(kind, sample), kind)) for kind in kinds}


def write_files(
    files: FileSet,
    samples: Sequence[str],
    *,
    jobs: int = 1,
    strict: bool = False,
    progress: Callable[[int], Any] = lambda done: None,
) -> Outcome:
    """Make the files of samples, or go on making them.

    Args:
        files: what is made of a sample.
        samples: in order.
        jobs: processes.
        strict: stop at the first faulty sample.
        progress: told 1 after each sample.

    Returns:
        What became of it. With faulty samples the folder has no manifest and counts as unfinished.

    Raises:
        DataError: another run is at it; the disk is full; with ``strict``, a fault.
    """
    root = files.root
    with disk_errors(root):
        root.mkdir(parents=True, exist_ok=True)
    with only_one(root), disk_errors(root):
        (root / "manifest.json").unlink(missing_ok=True)  # unfinished until all is there
        remove_leftovers(root, *{files.path(kind, "x").parent for kind in files.patterns})
        rows = _rows_there(files, {files.key(one) for one in samples})
        kept, faults = 0, []
        for (_, sample), made in run_ordered(_Make(files), list(enumerate(samples)), jobs):
            result = made if isinstance(made, Fault) else _settled(files, sample, rows, *made)
            if isinstance(result, Fault):
                faults.append(result)
                if strict:
                    raise DataError(result.message)
            elif result is None:
                kept += 1
            else:
                rows[result["key"]] = result
                _append(root / "samples.jsonl", result)
            progress(1)
        return _finished(files, samples, rows, kept, faults)


def _finished(
    files: FileSet, samples: Sequence[str], rows: dict[str, dict[str, Any]], kept: int, faults: list[Fault]
) -> Outcome:
    root, done = files.root, len(samples) - len(faults)
    in_order = [rows[key] for key in sorted(rows)]
    write_text(root / "samples.jsonl", journal_lines(in_order))
    report = root / "faults.txt"
    if faults:
        write_text(report, "".join(f"{fault.message}\n" for fault in faults))
        return Outcome(root, "unfinished", done, kept, faults, report=report)
    report.unlink(missing_ok=True)
    manifest = files_manifest(in_order, files.contents, files.patterns)
    write_text(root / "manifest.json", json.dumps(manifest, indent=2) + "\n")
    return Outcome(root, "already there" if kept == done else "written", done, kept, manifest=manifest)


def files_manifest(
    rows: Sequence[dict[str, Any]], contents: Mapping[str, Contents], patterns: Mapping[str, str]
) -> dict[str, Any]:
    """The manifest (see manifest.py) of the journal's rows, sorted by key."""
    described = {
        kind: {"path": patterns[kind], **describe(held, [(row["key"], row["files"][kind]) for row in rows])}
        for kind, held in contents.items()
    }
    settings: list[dict[str, Any]] = []
    for row in rows:
        if row["settings"] not in settings:
            settings.append(row["settings"])
    labels = [one["pixels"] for one in described.values() if "pixels" in one]
    return {
        "format": FORMAT,
        "versions": tool_versions(),
        "files": described,
        "settings": settings,
        "count": len(rows),
        "list_sha256": list_digest(row["key"] for row in rows),
        "sizes": sizes_of(rows),
        **({"pixels": labels[0]} if labels else {}),
    }


def _rows_there(files: FileSet, wanted: set[str]) -> dict[str, dict[str, Any]]:
    """The journal's rows, without those of other samples whose files were taken away."""
    rows = read_samples(files.root / "samples.jsonl")

    def there(key: str) -> bool:
        return any((files.root / pattern.replace("{key}", key)).exists() for pattern in files.patterns.values())

    return {key: row for key, row in rows.items() if "files" in row and (key in wanted or there(key))}


def _settled(
    files: FileSet, sample: str, rows: Mapping[str, dict[str, Any]], state: str, facts: dict[str, dict[str, Any]]
) -> dict[str, Any] | Fault | None:
    """The row of a sample's files, or None where the journal's still holds; kept files that are damaged are remade."""
    key = files.key(sample)
    row = rows.get(key)
    if state == "kept" and row is not None:
        if all(row["files"].get(kind, {}).get("sha256") == one["sha256"] for kind, one in facts.items()):
            return None
    try:
        if state == "kept":
            facts = _facts_or_remade(files, sample, known=row is not None)
    except DataError as error:
        return Fault(sample, str(error))
    height, width = next(iter(facts.values()))["shape"][1:]
    return {"key": key, "height": height, "width": width, "settings": dict(files.settings), "files": facts}


def _facts_or_remade(files: FileSet, sample: str, known: bool) -> dict[str, dict[str, Any]]:
    """The measures of files without a line in the journal; files that differ from their line are made again."""
    if not known:
        try:
            return files.facts(sample)
        except DataError:
            pass  # damaged: made again
    for kind in files.patterns:
        files.path(kind, sample).unlink(missing_ok=True)
    files.make(sample)
    return files.facts(sample)


def _append(journal: Path, row: Mapping[str, Any]) -> None:
    with journal.open("a", encoding="utf-8") as out:
        out.write(journal_lines([row]))
        out.flush()
        os.fsync(out.fileno())
