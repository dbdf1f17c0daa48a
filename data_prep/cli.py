"""Command line: ``python -m data_prep DATASET --source DIR --out DIR`` (also installed as ``fcn-data``)."""

from pathlib import Path
from typing import Any

import click

from caffe_compat.errors import DataError
from data_prep.contact_sheet_command import contact_sheet
from data_prep.dataset_command import dataset_options, run_lists
from data_prep.download_command import download
from data_prep.folder_command import folder
from data_prep.hha_command import hha
from data_prep.nyud_command import nyud
from data_prep.options import PATH
from data_prep.pascalcontext_command import pascalcontext
from data_prep.prepare import seg11valid
from data_prep.sbd import LabelPNGs, SBDFolder, find_sbd, sbd_root
from data_prep.seg_folder import SegFolder
from data_prep.siftflow_command import siftflow
from data_prep.sources import download_hint
from data_prep.statistics_command import statistics
from data_prep.verify_command import verify
from data_prep.voc import VOCFolder, find_voc, train_aug

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
def main() -> None:
    """Make what the nets read out of a dataset as its authors publish it.

    Every image and label is read and checked. An interrupted run goes on where it stopped when run again.

    \b
    fcn-data download voc2011 sbd --out DATA
    fcn-data voc --source DATA --out DATA/lmdb
    fcn-data sbd --source DATA --out DATA/lmdb
    fcn-data contact-sheet DATA/lmdb/sbd_train --out sheet.png
    """  # noqa: D301  click's mark for lines that stay as they are


@main.command()
@dataset_options
@click.option("--classes", type=click.IntRange(2, 255), default=21, help="With the background.")
@click.option("--year", type=click.IntRange(2007, 2012), help="Which VOC, where the folder holds several.")
@click.option("--sbd", type=PATH, help="SBD's folder; else looked for in SOURCE.")
def voc(source: Path, year: int | None, sbd: Path | None, classes: int, **options: Any) -> None:
    """PASCAL VOC 2007 to 2012, on request merged with SBD.

    SOURCE is VOCdevkit or a VOC20xx in it. With SBD the list seg11valid is made from VOC2011's val, and on request
    (--split train_aug) the merged training list of both datasets, 10,582 images for VOC2012; where VOC's folder has
    lists of these names they are taken. With train_aug or --sbd, images that VOC does not label get SBD's label.
    """

    def lists(splits: tuple[str, ...]) -> tuple[SegFolder, dict[str, list[str]]]:
        found = find_voc(source, year)
        other = find_sbd(sbd or source) if sbd is not None or sbd_root(source) is not None else None
        fills = sbd is not None or "train_aug" in splits  # else a label that is missing is a fault
        folder = VOCFolder(found.root, classes, sbd=other if fills else None)
        usual = [name for name in ("train", "val", "seg11valid") if name in folder.splits()]
        makes = other is not None and (folder.name == "voc2011" or sbd is not None and folder.name == "voc")
        if makes and "seg11valid" not in usual:
            usual.append("seg11valid")
        return folder, {name: _voc_ids(folder, other, name) for name in splits or usual}

    run_lists(lists, **options)


def _voc_ids(folder: VOCFolder, sbd: SBDFolder | None, split: str) -> list[str]:
    """The ids of a list that VOC has, or that is made of VOC and SBD."""
    make = {"train_aug": train_aug, "seg11valid": seg11valid}.get(split)
    if make is None or split in folder.splits():
        return folder.ids(split)
    if sbd is None:
        raise DataError(
            f"'{folder.list_folder}' has no list {split}, and there is no SBD to make it with: name SBD's folder with "
            f"--sbd; {download_hint('sbd')}"
        )
    return make(folder, sbd)


@main.command()
@dataset_options
@click.option("--classes", type=click.IntRange(2, 255), default=21, help="With the background.")
@click.option("--png", type=PATH, help="Folder that gets the labels as PNGs, too: ID.png.")
def sbd(source: Path, classes: int, png: Path | None, **options: Any) -> None:
    """SBD: labels for more of PASCAL VOC's images.

    SOURCE is benchmark_RELEASE or the dataset folder in it; its labels are cls/*.mat, or PNGs.
    """

    def lists(splits: tuple[str, ...]) -> tuple[SegFolder, dict[str, list[str]]]:
        folder = SBDFolder(find_sbd(source).root, classes)
        return folder, folder.lists(splits)

    run_lists(lists, files_of=None if png is None else lambda folder: LabelPNGs(folder, png).files(), **options)


for verb in (hha, nyud, siftflow, pascalcontext, folder, verify, statistics, contact_sheet, download):
    main.add_command(verb)
