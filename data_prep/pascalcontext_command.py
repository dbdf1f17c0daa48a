"""``python -m data_prep pascalcontext``: PASCAL-Context to lists and LMDBs of the 59 class task."""

from pathlib import Path
from typing import Any

import click

from data_prep.dataset_command import dataset_options, run_lists
from data_prep.options import PATH
from data_prep.pascalcontext import find_pascalcontext
from data_prep.seg_folder import SegFolder

__all__ = ["pascalcontext"]


@click.command()
@dataset_options
@click.option("--voc", type=PATH, help="VOC2010 or VOCdevkit; else looked for in SOURCE.")
def pascalcontext(source: Path, voc: Path | None, **options: Any) -> None:
    """PASCAL-Context: 59 classes and the background.

    SOURCE holds trainval (the .mat files of the dataset's trainval.tar.gz), and labels.txt and 59_labels.txt or the FCN
    release's classes-400.txt and classes-59.txt. The images are VOC2010's.
    """

    def lists(splits: tuple[str, ...]) -> tuple[SegFolder, dict[str, list[str]]]:
        folder = find_pascalcontext(source, voc)
        return folder, folder.lists(splits)

    run_lists(lists, **options)
