"""``python -m data_prep folder``: the user's own images and labels to lists and LMDBs."""

import re
from pathlib import Path
from typing import Any

import click

from caffe_compat.errors import DataError
from data_prep.dataset_command import dataset_options, run_lists
from data_prep.labels import VOID
from data_prep.options import PATH
from data_prep.seg_folder import SegFolder
from data_prep.user_folder import absent_classes, divide, user_folder

__all__ = ["folder"]


def _fractions(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, float]:
    fractions: dict[str, float] = {}
    for value in values:
        match = re.fullmatch(r"([\w-]+)=(\d*\.?\d+)", value)
        if match is None:
            raise click.BadParameter(f"{value!r} is not LIST=SHARE, such as val=0.2")
        if match[1] in fractions:
            raise click.BadParameter(f"{match[1]} is given two shares")
        fractions[match[1]] = float(match[2])
    return fractions


def _dataset_name(context: click.Context, option: click.Parameter, value: str) -> str:
    if not re.fullmatch(r"[\w-]+", value):
        raise click.BadParameter(f"{value!r} is to be part of file names: letters, digits, _ and - only")
    return value


@click.command()
@dataset_options
@click.option("--name", "dataset", default="folder", callback=_dataset_name, help="What the lists are called after.")
@click.option("--names", "names_file", type=PATH, help="Names of the classes, one to a line.")
@click.option("--classes", type=click.IntRange(2, 255), help="How many, where they have no names.")
@click.option("--void", type=click.IntRange(0, 255), default=VOID, help="Value of pixels without a class.")
@click.option("--no-void", is_flag=True, help="Every pixel has a class.")
@click.option("--fraction", "fractions", multiple=True, callback=_fractions, help="As val=0.2; the rest is train.")
@click.option("--seed", type=int, default=0, help="Of the division by fractions.")
@click.option("--image-dir", "image_dir", default="images", help="Folder of the images in SOURCE.")
@click.option("--label-dir", "label_dir", default="labels", help="Folder of the labels in SOURCE.")
def folder(
    source: Path,
    dataset: str,
    names_file: Path | None,
    classes: int | None,
    void: int,
    no_void: bool,
    fractions: dict[str, float],
    seed: int,
    image_dir: str,
    label_dir: str,
    **options: Any,
) -> None:
    """Your own images and labels.

    They are SOURCE/images/ID.jpg and SOURCE/labels/ID.png. Labels are palette or grey PNGs of class numbers from 0;
    void pixels are stored as 255, whatever value they have. The classes are named in SOURCE/classes.txt, by --names, or
    counted by --classes, and every label is held against them. Lists are SOURCE/train.txt, val.txt and test.txt, those
    of --split and --list-file, or made by --fraction.
    """
    found: list[Any] = []

    def lists(splits: tuple[str, ...]) -> tuple[SegFolder, dict[str, list[str]]]:
        own = user_folder(source, names_file, classes, None if no_void else void, image_dir, label_dir, dataset)
        found.append(own)
        if fractions:
            if splits or options["files"]:
                raise DataError("--fraction divides all images, so that no list can be named besides; leave out one")
            return own, divide(own.all_ids(), fractions, seed)
        wanted = own.lists(splits)
        if not wanted and not options["files"]:
            raise DataError(
                f"'{source}' has no {' or '.join(f'{one}.txt' for one in own.usual)}; name a list with --list-file, "
                "or divide the images, as with --fraction val=0.2"
            )
        return own, wanted

    for report in run_lists(lists, warn_shared=True, **options):
        absent = absent_classes(found[0], report.outcome.manifest["pixels"]) if report.outcome.manifest else []
        if absent:
            click.echo(f"{report.split}: no pixel of class {', '.join(absent)}", err=True)
