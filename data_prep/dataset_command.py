"""What the verbs of datasets with image files, label files and lists have in common: options, run and summary."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import click

from caffe_compat.errors import CaffeError, DataError
from data_prep.file_writer import FileSet, write_files
from data_prep.options import PATH, check_verify, jobs_option, strict_option, verify_option
from data_prep.prepare import SplitReport, list_of, prepare
from data_prep.records import IMAGE_FORMS, LABEL_FORMS
from data_prep.seg_folder import SegFolder
from data_prep.summary import progress_bars, show_reports
from data_prep.verify import Begin, verified

__all__ = ["dataset_options", "run_lists"]

_SOURCE = "Folder of the unpacked dataset, or the one that was downloaded to."
_IMAGES = "JPEG files as they are, PNG without loss, or BGR bytes."


def dataset_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that ``run_lists`` takes, and --source."""
    for option in reversed(
        (
            click.option("--source", type=PATH, required=True, help=_SOURCE),
            click.option("--out", type=PATH, required=True, help="Folder that gets the lists and LMDBs."),
            click.option("--split", "splits", multiple=True, help="Only this list of the dataset; may be repeated."),
            click.option("--list-file", "files", multiple=True, type=PATH, help="A list file; may be repeated."),
            click.option("--lmdb/--no-lmdb", "build", default=True, help="Write LMDBs, or check only."),
            click.option("--images", type=click.Choice(IMAGE_FORMS), default="jpeg", help=_IMAGES),
            click.option("--labels", type=click.Choice(LABEL_FORMS), default="raw", help="Bytes, or grey PNG."),
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
        with progress_bars() as progress:
            made = [] if files_of is None else [_files(files_of(folder), wanted, progress, **options)]
            reports = prepare(folder, wanted, out, progress=progress, **options)
    except CaffeError as error:
        raise click.ClickException(str(error)) from error
    told = frozenset(fault.image_id for report in made for fault in report.outcome.faults)
    show_reports(made + [replace(report, shared_faults=told) for report in reports])
    return reports


def _files(
    files: FileSet,
    lists: Mapping[str, Sequence[str]],
    progress: Begin,
    jobs: int,
    strict: bool,
    verify: bool,
    **options: Any,
) -> SplitReport:
    ids = sorted(set().union(*lists.values()))
    outcome = write_files(files, ids, jobs=jobs, strict=strict, progress=progress("files", len(ids)))
    return SplitReport("files", None, verified(outcome, jobs, progress) if verify else outcome)


def _warn_shared(lists: Mapping[str, Sequence[str]]) -> None:
    for (one, ids), (other, other_ids) in combinations(lists.items(), 2):
        shared = sorted(set(ids) & set(other_ids))
        if shared:
            click.echo(
                f"warning: {one} and {other} share {len(shared)} images, the first '{shared[0]}'; what is measured on "
                "the one does not hold for new images if the net was trained on the other",
                err=True,
            )
