"""``python -m data_prep siftflow``: SIFT Flow to LMDBs of images, semantic and geometric labels."""

from pathlib import Path
from typing import Any

import click

from data_prep.dataset_command import dataset_options, run_lists
from data_prep.seg_folder import SegFolder
from data_prep.siftflow import find_siftflow
from data_prep.siftflow_records import SIFTFlowLoader

__all__ = ["siftflow"]


@click.command()
@dataset_options
def siftflow(source: Path, **options: Any) -> None:
    """SIFT Flow: 33 semantic and 3 geometric classes, 256 x 256.

    SOURCE is SiftFlowDataset, as its zip unpacks. The lists trainval.txt and test.txt are not in the zip, but of the
    FCN release: download brings them; else put them into SOURCE, or name them with --list-file. Without them they are
    made of the dataset's TestSet1.txt: the same images, but in another order, so that a seed draws others.
    """

    def lists(splits: tuple[str, ...]) -> tuple[SegFolder, dict[str, list[str]]]:
        folder = find_siftflow(source)
        return folder, folder.lists(splits)

    run_lists(lists, make_loader=SIFTFlowLoader, **options)
