"""Reading again every file of a finished folder of files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caffe_compat.errors import DataError
from data_prep.contents import Contents
from data_prep.file_writer import files_manifest, sample_facts
from data_prep.manifest import check_agreement, read_samples
from data_prep.verify_samples import verify_samples

__all__ = ["verify_files"]


def verify_files(
    folder: Path, manifest: dict[str, Any], jobs: int = 1, progress: Callable[[int], Any] = lambda done: None
) -> int:
    """Hold everything in a finished folder against its manifest.

    First the journal and the manifest against each other, then file by file: that it can be decoded, its shape and
    values, the equal size of a sample's files, and its checksum.

    Args:
        folder: as ``write_files`` leaves it.
        manifest: its manifest, of the present format.
        jobs: processes.
        progress: told 1 after each sample.

    Returns:
        The number of samples.

    Raises:
        DataError: the first fault, with its file and key.
    """
    try:
        contents = {kind: Contents.from_json(held) for kind, held in manifest["files"].items()}
        patterns = {kind: str(held["path"]) for kind, held in manifest["files"].items()}
    except (DataError, KeyError, AttributeError) as error:
        raise DataError(f"'{folder / 'manifest.json'}' is damaged ({error})") from error
    journal = read_samples(folder / "samples.jsonl")
    rows = {key: journal[key] for key in sorted(journal)}
    check_agreement(folder, manifest, lambda: files_manifest(list(rows.values()), contents, patterns))
    check = _Check(folder, contents, patterns)
    written = {key: row["files"] for key, row in rows.items()}
    return verify_samples(check, written, lambda kind, key: f"key {key}: '{check.path(kind, key)}'", jobs, progress)


@dataclass(frozen=True)
class _Check:
    """Reads a key's files and gives their measures."""

    folder: Path
    contents: dict[str, Contents]
    patterns: dict[str, str]

    def path(self, kind: str, key: str) -> Path:
        return self.folder / self.patterns[kind].replace("{key}", key)

    def __call__(self, key: str) -> dict[str, dict[str, Any]]:
        try:
            return sample_facts(self.contents, {kind: self.path(kind, key) for kind in self.contents})
        except DataError as error:
            raise DataError(f"key {key}: {error}") from error
