"""Command line: ``python -m data_prep DATASET --source DIR --out DIR`` (also installed as ``fcn-data``)."""

from pathlib import Path
from typing import Any

import click

from data_prep.dataset_command import dataset_options, run_lists
from data_prep.folder_command import folder
from data_prep.hha_command import hha
from data_prep.nyud_command import nyud
from data_prep.pascalcontext_command import pascalcontext
from data_prep.prepare import seg11valid
from data_prep.sbd import find_sbd
from data_prep.seg_folder import SegFolder
from data_prep.siftflow_command import siftflow
from data_prep.voc import VOCFolder, find_voc

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Make what the nets read out of a dataset as its authors publish it.

    Every image and label is read and checked. An interrupted run goes on where it stopped when run again.
    """


@main.command()
@dataset_options
@click.option("--classes", type=click.IntRange(2, 255), default=21, help="With the background.")
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

    run_lists(lists, **options)


@main.command()
@dataset_options
@click.option("--classes", type=click.IntRange(2, 255), default=21, help="With the background.")
def sbd(source: Path, classes: int, **options: Any) -> None:
    """SBD: SOURCE is benchmark_RELEASE or the dataset folder in it."""

    def lists(splits: tuple[str, ...]) -> tuple[SegFolder, dict[str, list[str]]]:
        folder = type(found := find_sbd(source))(found.root, classes)
        there = [name for name in ("train", "val") if name in folder.splits()]
        return folder, {name: folder.ids(name) for name in splits or there}

    run_lists(lists, **options)


for verb in (hha, nyud, siftflow, pascalcontext, folder):
    main.add_command(verb)
