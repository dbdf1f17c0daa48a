"""``python -m data_prep pascalcontext``: PASCAL-Context to lists and LMDBs of the 59 class task."""

from pathlib import Path
from typing import Any

import click

from data_prep.dataset_command import dataset_options, run_lists
from data_prep.pascalcontext import find_pascalcontext
from data_prep.seg_folder import SegFolder

__all__ = ["pascalcontext"]


@click.command()
@dataset_options
@click.option("--voc", type=click.Path(path_type=Path), help="VOC2010 or VOCdevkit; else looked for in SOURCE.")
def pascalcontext(source: Path, voc: Path | None, **options: Any) -> None:
    """PASCAL-Context: 59 classes and the background, on the images of VOC2010.

    SOURCE holds trainval (the .mat files of the dataset's trainval.tar.gz), and labels.txt and 59_labels.txt or the FCN
    release's classes-400.txt and classes-59.txt.
    """

    def lists(splits: tuple[str, ...]) -> tuple[SegFolder, dict[str, list[str]]]:
        folder = find_pascalcontext(source, voc)
        there = [name for name in folder.usual if name in folder.splits()]
        return folder, {name: folder.ids(name) for name in splits or there}

    run_lists(lists, **options)
