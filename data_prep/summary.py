"""What a run of the command line shows: progress bars, faults, and a table of the lists at the end."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from tqdm import tqdm

from data_prep.jobs import Fault
from data_prep.labels import VOID
from data_prep.prepare import SplitReport

__all__ = ["faulty_samples", "progress_bars", "show_faults", "show_reports"]

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


def faulty_samples(count: int) -> str:
    """So many of them, in words."""
    return f"{count} faulty sample{'' if count == 1 else 's'}"


def show_faults(title: str, faults: Sequence[Fault]) -> None:
    """The first faults, on standard error."""
    for fault in faults[:_MOST_SHOWN]:
        click.echo(f"{title} {fault.image_id}: {fault.message}", err=True)
    if len(faults) > _MOST_SHOWN:
        click.echo(f"... and {len(faults) - _MOST_SHOWN} more", err=True)


def show_reports(reports: Sequence[SplitReport], more: Sequence[str] = ()) -> None:
    """The faults, each once, and a table with a line for each list or folder.

    Args:
        reports: what became of each.
        more: lines to show after the table.

    Raises:
        ClickException: there are faults, or what was written is damaged.
    """
    told: set[Fault] = set()
    for report in reports:
        outcome = report.outcome
        show_faults(report.split, [fault for fault in outcome.faults if fault not in told])
        told.update(outcome.faults)
        if outcome.report is not None:
            click.echo(f"{report.split}: every fault is listed in '{outcome.report}'", err=True)
        if outcome.damage:
            click.echo(f"{report.split}: {outcome.damage}", err=True)
    _show_table([_HEAD, *(_row(report) for report in reports)])
    for line in more:
        click.echo(line)
    damaged = sum(bool(report.outcome.damage) for report in reports)
    said = []
    if told:
        faulty = faulty_samples(len({fault.image_id for fault in told}))
        said.append(f"{faulty}; repair the files or shorten the lists, and run again")
    if damaged:
        said.append(f"{damaged} of {len(reports)} did not pass; see above")
    if said:
        raise click.ClickException("\n".join(said))


_HEAD = ("list", "images", "published", "kept", "faults", "classes", "state", "folder")


def _row(report: SplitReport) -> tuple[str, ...]:
    outcome = report.outcome
    values = [int(value) for value in outcome.manifest.get("pixels", {})]
    return (
        report.split,
        str(outcome.count),
        "-" if report.published is None else str(report.published),
        str(outcome.kept),
        str(len(outcome.faults)),
        str(sum(value != VOID for value in values)) if values else "-",
        outcome.state,
        str(outcome.folder),
    )


def _show_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
