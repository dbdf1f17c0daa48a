"""``python -m data_prep verify``: read again what the other verbs wrote."""

from pathlib import Path

import click

from caffe_compat.errors import CaffeError, DataError
from data_prep.manifest import read_manifest
from data_prep.options import PATH, jobs_option
from data_prep.outcome import Outcome
from data_prep.prepare import SplitReport
from data_prep.summary import progress_bars, show_reports
from data_prep.verify import verify_folder, written_folders

__all__ = ["verify"]


@click.command()
@click.argument("folders", metavar="FOLDER...", nargs=-1, required=True, type=PATH)
@jobs_option
def verify(folders: tuple[Path, ...], jobs: int) -> None:
    """Read again all that was written, and tell the first fault.

    FOLDER is one that holds a manifest.json, or the --out of a verb. The datasets that it was made from are not needed.
    """
    reports = []
    with progress_bars() as begin:
        for folder in (one for given in folders for one in _folders(given)):
            outcome = Outcome(folder, "verified", 0)
            try:
                outcome.count = outcome.kept = verify_folder(folder, jobs, begin)
                outcome.manifest = read_manifest(folder)
            except DataError as error:
                outcome.state, outcome.damage = "damaged", str(error)
            reports.append(SplitReport(folder.name, None, outcome))
    show_reports(reports)


def _folders(given: Path) -> list[Path]:
    try:
        return written_folders(given)
    except CaffeError as error:
        raise click.ClickException(str(error)) from error
