"""Samples to look at, whatever they come from: finished databases, finished files, or a dataset as it is published.

opened = open_samples(Path("lmdb/voc2012_val"))
opened.read(opened.keys[0])        # {"image": 3 x H x W BGR, "label": 1 x H x W}
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from caffe_compat.errors import DataError
from data_prep.contents import Contents
from data_prep.file_writer import file_values
from data_prep.labels import VOC_CLASSES
from data_prep.lists import read_list
from data_prep.manifest import FORMAT, read_manifest, read_samples
from data_prep.nyud import find_nyud
from data_prep.nyud_records import NYUDLoader
from data_prep.pascalcontext import find_pascalcontext
from data_prep.png_files import read_file
from data_prep.record_values import decode_sample, read_record
from data_prep.records import PairLoader, Record, record_key
from data_prep.sbd import find_sbd
from data_prep.seg_folder import SegFolder, folder_contents
from data_prep.siftflow import GEOMETRIC_NAMES, SEMANTIC_NAMES, find_siftflow
from data_prep.siftflow_records import SIFTFlowLoader
from data_prep.user_folder import UserFolder, class_names, user_folder
from data_prep.voc import find_voc

__all__ = ["DATASETS", "Samples", "open_samples", "written_in"]

DATASETS = ("voc", "sbd", "nyud", "siftflow", "pascalcontext", "folder")

Values = dict[str, np.ndarray]


@dataclass(frozen=True)
class Samples:
    """Samples of one list; picklable, so that several processes can read them.

    Attributes:
        path: where they come from.
        dataset: which dataset they belong to, of DATASETS; None where that is unknown.
        keys: of the samples, in order: ids, or the databases' keys.
        contents: what each part of a sample is, by name: image, label, sem, geo, depth, hha, ...
        names: of the classes of each label whose classes have names, that of number 0 first.
        read: gives the parts of a key's sample, each C x H x W (of an image BGR); raises DataError.
    """

    path: Path
    dataset: str | None
    keys: list[str]
    contents: dict[str, Contents]
    names: dict[str, tuple[str, ...]]
    read: Callable[[str], Values]


def open_samples(folder: Path, dataset: str | None = None, split: str | None = None) -> Samples:
    """The samples in a folder.

    Args:
        folder: one with a manifest.json, which another verb wrote, or a dataset's own.
        dataset: which it is, of DATASETS; found out unless given.
        split: list of a dataset's folder, or a list file; the first of its usual ones unless given; of files that
            another verb made, all of them.

    Raises:
        DataError: there is nothing to read; it is not clear which dataset that is; a list is missing.
    """
    manifest = read_manifest(folder) if (folder / "manifest.json").exists() else None
    if manifest is None or ("files" in manifest and split is not None):
        return _published(folder, dataset, split)
    if split is not None:
        raise DataError(f"'{folder}' is what was made of one list; leave out --split")
    if manifest.get("format") != FORMAT:
        raise DataError(f"'{folder}' is of format {manifest.get('format')}, this is {FORMAT}; build it again")
    return (_files if "files" in manifest else _databases)(folder, manifest, dataset)


def written_in(folder: Path) -> list[Path]:
    """The finished folders that a verb's --out holds, itself among them; of any other folder, that alone."""
    children = sorted(one for one in folder.glob("*") if one.is_dir() and not one.name.endswith(".partial"))
    return [one for one in (folder, *children) if (one / "manifest.json").exists()] or [folder]


# -- what other verbs wrote --------------------------------------------------------------------------------------------


def _databases(folder: Path, manifest: dict[str, Any], dataset: str | None) -> Samples:
    contents = _contents(folder, manifest["databases"])
    keys = [record_key(i, one).decode() for i, one in enumerate(read_list(folder / "list.txt"))]
    settings = manifest.get("settings", {})
    dataset = dataset or _written_of(folder, contents)
    named = tuple(settings.get("names", ())) or _nyud_names(dataset, folder.parent)
    return Samples(folder, dataset, keys, contents, _names(dataset, contents, named), _ReadRecords(folder, contents))


@dataclass(frozen=True)
class _ReadRecords:
    folder: Path
    contents: dict[str, Contents]

    def __call__(self, key: str) -> Values:
        data = {part: read_record(self.folder / f"{part}_lmdb", key) for part in self.contents}
        titles = {part: f"{self.folder}/{part}_lmdb, key {key}" for part in self.contents}
        return _values(decode_sample(self.contents, data, titles))


def _files(folder: Path, manifest: dict[str, Any], dataset: str | None) -> Samples:
    contents = _contents(folder, manifest["files"])
    keys = sorted(read_samples(folder / "samples.jsonl"))
    patterns = {part: str(held["path"]) for part, held in manifest["files"].items()}
    dataset = dataset or ("nyud" if any(one.holds == "hha" for one in contents.values()) else None)
    names = _names(dataset, contents, _nyud_names(dataset, folder))
    return Samples(folder, dataset, keys, contents, names, _ReadFiles(folder, contents, patterns))


@dataclass(frozen=True)
class _ReadFiles:
    folder: Path
    contents: dict[str, Contents]
    patterns: dict[str, str]

    def __call__(self, key: str) -> Values:
        values = {}
        for part, held in self.contents.items():
            path = self.folder / self.patterns[part].replace("{key}", key)
            values[part] = file_values(held, read_file(path, held.holds), str(path))
        return values


def _contents(folder: Path, described: dict[str, Any]) -> dict[str, Contents]:
    try:
        return {name.removesuffix("_lmdb"): Contents.from_json(held) for name, held in described.items()}
    except (DataError, AttributeError) as error:
        raise DataError(f"'{folder / 'manifest.json'}' is damaged ({error}); build the folder again") from error


def _written_of(folder: Path, contents: dict[str, Contents]) -> str | None:
    """Which dataset databases were made of: some have their own parts, others are told by the folder's name."""
    if "geo" in contents:
        return "siftflow"
    if "hha" in contents:
        return "nyud"
    match = re.match(r"(voc|sbd|pascalcontext)(\d{4})?_", folder.name)
    return match[1] if match else None


# -- datasets ----------------------------------------------------------------------------------------------------------


class _Loader(Protocol):
    @property
    def contents(self) -> dict[str, Contents]: ...

    def load(self, image_id: str) -> tuple[Record, str]: ...


def _published(folder: Path, dataset: str | None, split: str | None) -> Samples:
    found = {}
    for name, find in _FINDERS.items():
        if dataset in (name, None):
            try:
                found[name] = find(folder)
            except DataError:
                if dataset is not None:
                    raise
    if not found:
        raise DataError(
            f"'{folder}' holds no manifest.json and is none of the datasets {', '.join(DATASETS)}; found "
            f"{folder_contents(folder)}; name the dataset with --dataset to be told what it lacks"
        )
    if len(found) > 1:
        raise DataError(f"'{folder}' may be {' or '.join(found)}; name one with --dataset")
    [(name, source)] = found.items()
    loader: _Loader = _LOADERS.get(name, PairLoader)(source, images="raw")
    contents = {database.removesuffix("_lmdb"): held for database, held in loader.contents.items()}
    named = tuple(source.settings.get("names", ())) or _nyud_names(name, source.root)
    names = _names(name, contents, named)
    return Samples(source.root, name, _ids(source, split), contents, names, _ReadPublished(loader, contents))


@dataclass(frozen=True)
class _ReadPublished:
    loader: _Loader
    contents: dict[str, Contents]

    def __call__(self, image_id: str) -> Values:
        record, _ = self.loader.load(image_id)
        data = {part: record.datums[f"{part}_lmdb"] for part in self.contents}
        titles = {part: f"{part} of {image_id}" for part in self.contents}
        return _values(decode_sample(self.contents, data, titles))


def _ids(source: SegFolder, split: str | None) -> list[str]:
    if split is not None:
        return source.ids(split)
    for name in source.usual:
        if name in source.splits():
            return source.ids(name)
    if isinstance(source, UserFolder):
        return source.all_ids()
    there = ", ".join(source.splits()) or "none"
    usual = " or ".join(source.usual)
    raise DataError(f"'{source.list_folder}' has no list {usual} (there: {there}); name one with --split")


_FINDERS: dict[str, Callable[[Path], SegFolder]] = {
    "voc": find_voc,
    "sbd": find_sbd,
    "nyud": find_nyud,
    "siftflow": find_siftflow,
    "pascalcontext": find_pascalcontext,
    "folder": user_folder,
}
_LOADERS: dict[str, Callable[..., _Loader]] = {"nyud": NYUDLoader, "siftflow": SIFTFlowLoader}


# -- both --------------------------------------------------------------------------------------------------------------


def _values(decoded: dict[str, tuple[np.ndarray, bool]]) -> Values:
    return {part: values for part, (values, _) in decoded.items()}


def _names(dataset: str | None, contents: dict[str, Contents], named: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The names of each label's classes, as far as they are as many as the classes."""
    known = {"voc": VOC_CLASSES, "sbd": VOC_CLASSES}.get(dataset or "", named)
    if dataset == "siftflow":
        by_part: dict[str, tuple[str, ...]] = {"sem": SEMANTIC_NAMES, "label": SEMANTIC_NAMES, "geo": GEOMETRIC_NAMES}
    else:
        by_part = {part: known for part, held in contents.items() if held.holds == "label"}
    return {part: names for part, names in by_part.items() if part in contents and len(names) == contents[part].classes}


def _nyud_names(dataset: str | None, folder: Path) -> tuple[str, ...]:
    """NYUDv2's classes, where its verb has written their names."""
    path = folder / "classes.txt"
    return class_names(path) if dataset == "nyud" and path.is_file() else ()
