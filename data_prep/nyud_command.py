"""``python -m data_prep nyud``: NYU Depth V2 to the files and LMDBs that FCN's nets read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from caffe_compat.errors import CaffeError, DataError
from data_prep.hha.camera import CAMERAS, parse_camera
from data_prep.jobs import collect_faults
from data_prep.labels import VOID
from data_prep.lists import PUBLISHED_SIZES, read_list, write_list
from data_prep.lmdb_build import disk_errors, write_text
from data_prep.lmdb_writer import Outcome, write_lmdbs
from data_prep.nyud import NYUDFolder, find_nyud
from data_prep.nyud_export import NYUDExport
from data_prep.nyud_mat import LabeledMat, find_file, read_mapping, read_splits
from data_prep.nyud_records import DEPTH_FORMS, NYUD_IMAGE_FORMS, NYUDLoader
from data_prep.prepare import SplitReport
from data_prep.records import LABEL_FORMS
from data_prep.summary import progress_bars, show_reports

__all__ = ["nyud"]

_PATH = click.Path(path_type=Path)
_SITE = "http://horatio.cs.nyu.edu/mit/silberman"
_MAT = f"the frames, from {_SITE}/nyu_depth_v2/nyu_depth_v2_labeled.mat (2.8 GB)"
_SPLITS = f"the official split, from {_SITE}/indoor_seg_sup/splits.mat (or name FCN's lists with --list)"
_MAPPING = (
    "the mapping of 894 labels to 40 classes, from benchmarkData/metadata in eccv14-data.tgz of s-gupta/rcnn-depth, "
    "or from github.com/ankurhanda/nyuv2-meta-data"
)
_LISTED = ("trainval", "train", "val", "test")


@click.command()
@click.option("--source", type=_PATH, required=True, help="Folder of the downloaded files, or in FCN's own layout.")
@click.option("--out", type=_PATH, required=True, help="Folder that gets the files, lists and LMDBs.")
@click.option("--splits", type=_PATH, help="splits.mat; else looked for in SOURCE.")
@click.option("--mapping", type=_PATH, help="classMapping40.mat; else looked for in SOURCE.")
@click.option("--list", "files", multiple=True, type=_PATH, help="A list file instead of splits.mat; may be repeated.")
@click.option("--camera", default="color-cropped", help=f"For HHA: {', '.join(CAMERAS)}, or fx,fy,cx,cy in pixels.")
@click.option("--lmdb/--no-lmdb", "build", default=True, help="Write LMDBs (default), or the files only.")
@click.option("--images", type=click.Choice(NYUD_IMAGE_FORMS), default="png", help="Files as they are, or BGR.")
@click.option("--depths", type=click.Choice(DEPTH_FORMS), default="float", help="Floats, or 16-bit PNG (not Caffe's).")
@click.option("--labels", type=click.Choice(LABEL_FORMS), default="raw", help="Bytes, or grey PNG.")
@click.option("--jobs", type=click.IntRange(1), default=1, help="Processes.")
@click.option("--strict", is_flag=True, help="Stop at the first faulty image.")
def nyud(source: Path, out: Path, build: bool, jobs: int, strict: bool, **options: Any) -> None:
    """NYU Depth V2 (NYUDv2): 40 classes, colour, depth and HHA, 425 x 560.

    Download into SOURCE: nyu_depth_v2_labeled.mat and splits.mat from the dataset's site
    (cs.nyu.edu/~silberman/datasets/nyu_depth_v2.html), and classMapping40.mat from Gupta's benchmark
    (eccv14-data.tgz of s-gupta/rcnn-depth) or github.com/ankurhanda/nyuv2-meta-data.

    A SOURCE that holds data/images, data/depth, data/hha and segmentation already is made into LMDBs only.
    """
    try:
        with disk_errors(out):
            loader, lists = _from_source(source, out, **options)
            with progress_bars() as begin:
                reports = []
                for split, ids in lists.items():
                    tell = begin(f"nyud_{split}", len(ids))
                    if build:
                        where = out / f"nyud_{split}"
                        outcome = write_lmdbs(where, ids, loader, jobs=jobs, strict=strict, progress=tell)
                    else:
                        outcome = _files_only(loader, ids, jobs, strict, tell)
                    reports.append(SplitReport(split, PUBLISHED_SIZES.get(("nyud", split)), outcome))
    except CaffeError as error:
        raise click.ClickException(str(error)) from error
    show_reports(reports)


def _from_source(
    source: Path,
    out: Path,
    splits: Path | None,
    mapping: Path | None,
    files: tuple[Path, ...],
    camera: str,
    images: str,
    depths: str,
    labels: str,
) -> tuple[NYUDLoader, dict[str, list[str]]]:
    """The loader and the lists; makes the folders and writes the lists."""
    lists = {path.stem: [one.removeprefix("img_") for one in read_list(path)] for path in files}
    there = find_nyud(source)
    if there is not None and not any(source.glob("*.mat")):
        lists = lists or {split: there.ids(split) for split in _LISTED if split in there.splits()}
        if not lists:
            raise DataError(f"'{there.root}' has none of the lists {', '.join(_LISTED)}; name one with --list")
        out.mkdir(parents=True, exist_ok=True)
        return NYUDLoader(there, images, depths, labels), lists
    mat = LabeledMat(find_file(source, "nyu_depth_v2_labeled.mat", None, "--source", _MAT))
    table = read_mapping(find_file(source, "classMapping40.mat", mapping, "--mapping", _MAPPING))
    lists = lists or read_splits(find_file(source, "splits.mat", splits, "--splits", _SPLITS), mat.count)
    folder = NYUDFolder(out, void=VOID)
    export = NYUDExport(mat, table, folder, parse_camera(camera))
    for one in folder.folders():
        one.mkdir(parents=True, exist_ok=True)
    for split, ids in lists.items():
        write_list(folder.list_path(split), ids)
    if table.names:
        write_text(out / "classes.txt", "".join(f"{one}\n" for one in table.names))
    return NYUDLoader(folder, images, depths, labels, export), lists


def _files_only(loader: NYUDLoader, ids: list[str], jobs: int, strict: bool, progress: Callable[[int], Any]) -> Outcome:
    """Make (or where they are there, check) a list's files."""
    faults = collect_faults(loader.export or loader.load, ids, jobs, strict, progress)
    return Outcome(loader.folder.root, "checked", len(ids) - len(faults), faults=faults)
