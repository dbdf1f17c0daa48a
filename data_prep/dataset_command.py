"""What the verbs of datasets with image files, label files and lists have in common: options, run and summary."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import click

from caffe_compat.errors import CaffeError, DataError
from data_prep.file_writer import FileSet
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
from data_prep.prepare import Run, SplitReport, list_of, prepare
from data_prep.records import IMAGE_FORMS
from data_prep.seg_folder import SegFolder
from data_prep.summary import progress_bars, show_reports

__all__ = ["dataset_options", "run_lists"]

_SOURCE = "Folder of the unpacked dataset, or the one that was downloaded to."
_IMAGES = "JPEG files as they are, PNG without loss, or BGR bytes."


def dataset_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that ``run_lists`` takes, and --source."""
    for option in reversed(
        (
            click.option("--source", type=PATH, required=True, help=_SOURCE),
            click.option("--out", type=PATH, required=True, help="Folder that gets the lists and LMDBs."),
            split_option,
            list_file_option,
            click.option("--lmdb/--no-lmdb", "build", default=True, help="Write LMDBs, or check only."),
            click.option("--images", type=click.Choice(IMAGE_FORMS), default="jpeg", help=_IMAGES),
            labels_option,
            jobs_option,
            strict_option,
            verify_option,
        )
    ):
        command = option(command)
    return command


def run_lists(
    lists: Callable[[tuple[str, ...]], tuple[SegFolder, dict[str, list[str]]]],
    splits: tuple[str, ...],
    files: tuple[Path, ...],
    out: Path,
    warn_shared: bool = False,
    files_of: Callable[[SegFolder], FileSet] | None = None,
    **options: Any,
) -> list[SplitReport]:
    """Prepare a dataset's lists and show what became of them.

    Args:
        lists: of the chosen splits, gives the dataset and its ids by split; of none, the usual ones.
        splits: names of lists of the dataset.
        files: list files besides, or instead.
        out: as ``prepare``.
        warn_shared: warn of lists that share images.
        files_of: of the dataset, gives the files that are made of every image in the lists, before the databases.
        options: as ``prepare``.

    Returns:
        A report for each list.

    Raises:
        ClickException: something is wrong, or there are faulty samples.
    """
    check_verify(options["verify"], options["build"] or files_of is not None)
    try:
        folder, wanted = lists(splits) if splits or not files else (lists(())[0], {})
        wanted |= dict(list_of(path) for path in files)
        if not wanted:
            usual = " or ".join(folder.usual)
            raise DataError(f"'{folder.list_folder}' has no {usual} list; name a list with --split or --list-file")
        if warn_shared:
            _warn_shared(wanted)
        with progress_bars() as begin:
            run = Run(out, **{name: options[name] for name in ("jobs", "strict", "verify")}, begin=begin)
            made = [] if files_of is None else [run.files(files_of(folder), wanted)]
            reports = prepare(folder, wanted, out, progress=begin, **options)
    except CaffeError as error:
        raise click.ClickException(str(error)) from error
    show_reports(made + reports)
    return reports


def _warn_shared(lists: Mapping[str, Sequence[str]]) -> None:
    for (one, ids), (other, other_ids) in combinations(lists.items(), 2):
        shared = sorted(set(ids) & set(other_ids))
        if shared:
            click.echo(
                f"warning: {one} and {other} share {len(shared)} images, the first '{shared[0]}'; what is measured on "
                "the one does not hold for new images if the net was trained on the other",
                err=True,
            )
