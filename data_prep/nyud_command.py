"""``python -m data_prep nyud``: NYU Depth V2 to the files and LMDBs that FCN's nets read."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click

from caffe_compat.errors import CaffeError, DataError
from data_prep.contents import Contents
from data_prep.file_writer import FileSet
from data_prep.hha.camera import CAMERAS, parse_camera
from data_prep.labels import VOID
from data_prep.lists import read_list, write_list
from data_prep.lmdb_build import disk_errors, write_text
from data_prep.nyud import NYUDFolder, find_nyud, nyud_root
from data_prep.nyud_export import NYUDExport
from data_prep.nyud_labels40 import mapping_from_labels40
from data_prep.nyud_mat import ClassMapping, LabeledMat, find_file, read_mapping, read_splits
from data_prep.nyud_records import DEPTH_FORMS, HHA_FORMS, NYUD_IMAGE_FORMS, NYUDLoader
from data_prep.options import (
    PATH,
    check_verify,
    jobs_option,
    labels_option,
    list_file_option,
    split_option,
    strict_option,
    verify_option,
)
from data_prep.prepare import Run
from data_prep.sources import download_hint
from data_prep.summary import progress_bars, show_reports

__all__ = ["nyud", "nyud_files"]

_MAT = "the frames (2.8 GB)"
_SPLITS = "the official split (or name FCN's lists with --list-file)"
_MAPPING = "the mapping of 894 labels to 40 classes"


@click.command()
@click.option("--source", type=PATH, required=True, help="Folder of the downloaded files, or in FCN's own layout.")
@click.option("--out", type=PATH, required=True, help="Folder that gets the files, lists and LMDBs.")
@split_option
@list_file_option
@click.option("--split-file", type=PATH, help="splits.mat; else looked for in SOURCE.")
@click.option("--mapping", type=PATH, help="classMapping40.mat or labels40.mat; else looked for in SOURCE.")
@click.option("--camera", default="color-cropped", help=f"For HHA: {', '.join(CAMERAS)}, or fx,fy,cx,cy in pixels.")
@click.option("--lmdb/--no-lmdb", "build", default=True, help="Write LMDBs, or the files only.")
@click.option("--images", type=click.Choice(NYUD_IMAGE_FORMS), default="png", help="Files as they are, or BGR.")
@click.option("--depths", type=click.Choice(DEPTH_FORMS), default="float", help="Floats, or 16-bit PNG (not Caffe's).")
@click.option("--hha", type=click.Choice(HHA_FORMS), default="raw", help="Bytes, or PNG.")
@labels_option
@jobs_option
@strict_option
@verify_option
def nyud(source: Path, out: Path, build: bool, jobs: int, strict: bool, verify: bool, **options: Any) -> None:
    """NYU Depth V2 (NYUDv2): 40 classes, depth and HHA.

    SOURCE holds nyu_depth_v2_labeled.mat, splits.mat and classMapping40.mat (labels40.mat does as well), which download
    puts into nyud_v2. Images are cropped to 425 x 560.

    The lists are the official split, under FCN's names: trainval (795) and test (654). FCN's own train (381) and val
    (414) divide trainval by no known rule: name the release's files with --list-file train.txt --list-file val.txt. Ids
    are 5001 to 6449.

    A SOURCE that holds data/images, data/depth, data/hha and segmentation already is made into LMDBs only.
    """
    try:
        with disk_errors(out):
            dataset = _from_source(source, out, **options)
            check_verify(verify, build or dataset.files is not None)
            with progress_bars() as begin:
                run = Run(out, jobs, strict, verify, begin)
                reports = [] if dataset.files is None else [run.files(dataset.files, dataset.lists)]
                faults = {fault.image_id: fault.message for report in reports for fault in report.outcome.faults}
                if build or dataset.files is None:  # files that were made were checked
                    reports += run.lists(replace(dataset.loader, faults=faults), dataset.lists, build)
    except CaffeError as error:
        raise click.ClickException(str(error)) from error
    show_reports(reports)


@dataclass(frozen=True)
class _Dataset:
    """What was found, and what is to be made.

    Attributes:
        loader: of the databases' records.
        lists: ids by list.
        files: the files to make; None where they are the source.
    """

    loader: NYUDLoader
    lists: dict[str, list[str]]
    files: FileSet | None = None


def _from_source(
    source: Path,
    out: Path,
    splits: tuple[str, ...],
    split_file: Path | None,
    mapping: Path | None,
    files: tuple[Path, ...],
    camera: str,
    images: str,
    depths: str,
    hha: str,
    labels: str,
) -> _Dataset:
    """The dataset; makes the folders and writes the lists."""
    lists = {path.stem: [one.removeprefix("img_") for one in read_list(path)] for path in files}
    published = [path for pattern in ("*.mat", "*/nyu_depth_v2_labeled.mat") for path in source.glob(pattern)]
    if nyud_root(source) is not None and not published:
        there = find_nyud(source)
        lists |= there.lists(splits) if splits or not lists else {}
        if not lists:
            raise DataError(f"'{there.root}' has none of the lists {', '.join(there.usual)}; name one with --list-file")
        out.mkdir(parents=True, exist_ok=True)
        return _Dataset(NYUDLoader(there, images, depths, labels, hha), lists)
    mat = LabeledMat(find_file(source, "nyu_depth_v2_labeled.mat", None, "--source", _MAT))
    table = _mapping(source, mapping, mat)
    if splits or not lists:
        lists |= _official(find_file(source, "splits.mat", split_file, "--split-file", _SPLITS), splits, mat.count)
    folder = NYUDFolder(out, void=VOID)
    export = NYUDExport(mat, table, folder, parse_camera(camera))
    for one in folder.folders():
        one.mkdir(parents=True, exist_ok=True)
    for split, ids in lists.items():
        write_list(folder.list_path(split), ids)
    if table.names:
        write_text(out / "classes.txt", "".join(f"{one}\n" for one in table.names))
    return _Dataset(NYUDLoader(folder, images, depths, labels, hha), lists, nyud_files(export))


def _official(path: Path, splits: tuple[str, ...], count: int) -> dict[str, list[str]]:
    """The lists of splits.mat, or those of them that were named."""
    lists = read_splits(path, count)
    for name in splits:
        if name not in lists:
            raise DataError(
                f"'{path}' has the lists {' and '.join(lists)}, not '{name}'; FCN's train and val are files: name "
                f"them with --list-file; {download_hint('nyud-fcn')}"
            )
    return {name: lists[name] for name in splits or lists}


def _mapping(source: Path, given: Path | None, mat: LabeledMat) -> ClassMapping:
    """The mapping of the labels, from classMapping40.mat, or where only that is there from labels40.mat."""
    names = ("classMapping40.mat", "labels40.mat")
    places = [given] if given else [one for name in names for one in (source / name, *sorted(source.glob(f"*/{name}")))]
    found = next((path for path in places if path.is_file()), given)
    path = find_file(source, names[0], found, "--mapping", _MAPPING)
    return mapping_from_labels40(path, mat) if path.name.startswith("labels40") else read_mapping(path)


def nyud_files(export: NYUDExport) -> FileSet:
    """What is written of each frame."""
    folder, kinds = export.folder, {"images": "image", "depth": "depth", "rawdepth": "raw depth", "hha": "hha"}
    patterns = {kind: folder.picture_path(kind, "{key}") for kind in kinds}
    patterns["segmentation"] = folder.label_path("{key}")
    contents = {kind: Contents(holds) for kind, holds in kinds.items()}
    contents["segmentation"] = Contents("label", folder.classes, folder.void)
    return FileSet(
        folder.root,
        export,
        str,
        {kind: path.relative_to(folder.root).as_posix() for kind, path in patterns.items()},
        contents,
        {"camera": asdict(export.camera)},
    )
