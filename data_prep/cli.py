"""Command line: ``python -m data_prep DATASET --source DIR --out DIR`` (also installed as ``fcn-data``)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from caffe_compat.errors import CaffeError, DataError
from data_prep.hha_command import hha
from data_prep.nyud_command import nyud
from data_prep.prepare import list_of, prepare, seg11valid
from data_prep.records import IMAGE_FORMS, LABEL_FORMS
from data_prep.sbd import find_sbd
from data_prep.seg_folder import SegFolder
from data_prep.summary import progress_bars, show_reports
from data_prep.voc import VOCFolder, find_voc

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Make what the nets read out of a dataset as its authors publish it.

    Every image and label is read and checked. An interrupted run goes on where it stopped when run again.
    """


def _dataset_options(command: Callable[..., None]) -> Callable[..., None]:
    folder = click.Path(path_type=Path)
    for option in reversed(
        (
            click.option("--source", type=folder, required=True, help="Folder of the unpacked dataset."),
            click.option("--out", type=folder, required=True, help="Folder that gets the lists and LMDBs."),
            click.option("--split", "splits", multiple=True, help="Only this list of the dataset; may be repeated."),
            click.option("--list", "files", multiple=True, type=folder, help="A list file; may be repeated."),
            click.option("--lmdb/--no-lmdb", "build", default=True, help="Write LMDBs (default), or check only."),
            click.option("--images", type=click.Choice(IMAGE_FORMS), default="jpeg", help="Files as they are, or BGR."),
            click.option("--labels", type=click.Choice(LABEL_FORMS), default="raw", help="Bytes, or grey PNG."),
            click.option("--classes", type=click.IntRange(2, 255), default=21, help="With the background."),
            click.option("--jobs", type=click.IntRange(1), default=1, help="Processes."),
            click.option("--strict", is_flag=True, help="Stop at the first faulty sample."),
        )
    ):
        command = option(command)
    return command


@main.command()
@_dataset_options
@click.option("--year", type=click.IntRange(2007, 2012), help="Which VOC, where the folder holds several.")
@click.option("--sbd", type=click.Path(path_type=Path), help="SBD's folder, to make seg11valid (VOC2011).")
def voc(source: Path, year: int | None, sbd: Path | None, classes: int, **options: Any) -> None:
    """PASCAL VOC 2007 to 2012: SOURCE is VOCdevkit or a VOC20xx in it."""

    def lists(splits: tuple[str, ...]) -> tuple[SegFolder, dict[str, list[str]]]:
        found = find_voc(source, year)
        folder = VOCFolder(found.root, classes)
        there = [name for name in ("train", "val", "seg11valid") if name in folder.splits()]
        wanted = {name: folder.ids(name) for name in splits or there if not (name == "seg11valid" and sbd is not None)}
        if sbd is not None and (not splits or "seg11valid" in splits):
            wanted["seg11valid"] = seg11valid(folder, find_sbd(sbd))
        return folder, wanted

    _run(lists, **options)


@main.command()
@_dataset_options
def sbd(source: Path, classes: int, **options: Any) -> None:
    """SBD: SOURCE is benchmark_RELEASE or the dataset folder in it."""

    def lists(splits: tuple[str, ...]) -> tuple[SegFolder, dict[str, list[str]]]:
        folder = type(found := find_sbd(source))(found.root, classes)
        there = [name for name in ("train", "val") if name in folder.splits()]
        return folder, {name: folder.ids(name) for name in splits or there}

    _run(lists, **options)


def _run(
    lists: Callable[[tuple[str, ...]], tuple[SegFolder, dict[str, list[str]]]],
    splits: tuple[str, ...],
    files: tuple[Path, ...],
    out: Path,
    **options: Any,
) -> None:
    try:
        folder, wanted = lists(splits) if splits or not files else (lists(())[0], {})
        wanted |= dict(list_of(path) for path in files)
        if not wanted:
            raise DataError(f"'{folder.list_folder}' has no train or val list; name a list with --split or --list")
        with progress_bars() as progress:
            reports = prepare(folder, wanted, out, progress=progress, **options)
    except CaffeError as error:
        raise click.ClickException(str(error)) from error
    show_reports(reports)


for verb in (hha, nyud):
    main.add_command(verb)
