"""What a run of the command line shows: progress bars, faults, and a table of the lists at the end."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from tqdm import tqdm

from data_prep.jobs import Fault
from data_prep.prepare import SplitReport

__all__ = ["progress_bars", "show_faults", "show_reports"]

_MOST_SHOWN = 20


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int], Callable[[int], Any]]]:
    """Gives a function of a title and a number of images that begins a bar and gives what moves it on."""
    bars: list[tqdm] = []

    def begin(title: str, total: int) -> Callable[[int], Any]:
        bars.append(tqdm(total=total, desc=title, unit="image"))
        return bars[-1].update

    try:
        yield begin
    finally:
        for bar in bars:
            bar.close()


def show_faults(title: str, faults: Sequence[Fault]) -> None:
    """The first faults, on standard error."""
    for fault in faults[:_MOST_SHOWN]:
        click.echo(f"{title} {fault.image_id}: {fault.message}", err=True)
    if len(faults) > _MOST_SHOWN:
        click.echo(f"... and {len(faults) - _MOST_SHOWN} more", err=True)


def show_reports(reports: Sequence[SplitReport]) -> None:
    """The faults and a table with a line for each list.

    Raises:
        ClickException: there are faults.
    """
    for report in reports:
        show_faults(report.split, report.outcome.faults)
    rows = [("list", "images", "published", "faults", "classes", "state", "folder")]
    for report in reports:
        outcome = report.outcome
        values = [int(value) for value in outcome.manifest.get("pixels", {})]
        rows.append(
            (
                report.split,
                str(outcome.count),
                "-" if report.published is None else str(report.published),
                str(len(outcome.faults)),
                str(sum(value != 255 for value in values)) if values else "-",
                outcome.state,
                str(outcome.folder),
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    faults = sum(len(report.outcome.faults) for report in reports)
    if faults:
        raise click.ClickException(f"{faults} faulty samples; repair the files or shorten the lists, and run again")
