"""Engines side by side at one task and size: time, memory, and how near their scores are to plain PyTorch's."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from engines.provided import provided
from engines.timed import ENGINES
from engines.work import Work
from measuring import own_process
from measuring.agreement import Agreement, agree_files
from measuring.own_process import Unavailable
from measuring.report import Report
from measuring.turns import Measured, take_turns

__all__ = ["REFERENCE", "Entry", "compare"]


@dataclass(frozen=True)
class Entry:
    """A line of the comparison: an engine at a precision."""

    engine: str
    precision: str = "fp32"

    @property
    def name(self) -> str:
        """As shown."""
        return self.engine if self.precision == "fp32" else f"{self.engine} {self.precision}"


REFERENCE = Entry("torch")


def compare(
    report: Report, task: str, work: Work, entries: Sequence[Entry], arguments: argparse.Namespace
) -> dict[str, float]:
    """Measure the entries in turn; a table goes to the screen, its figures to the report.

    Args:
        report: takes the figures.
        task: ``forward`` or ``step``.
        work: size, channels and threads.
        entries: the first one is ours: the others' times are shown as a ratio to it.
        arguments: with rounds and repeats.

    Returns:
        Seconds of each entry that could be measured.
    """
    kinds = [ENGINES[entry.engine].reads for entry in entries] if task == "forward" else []
    with provided(report, work, kinds) as placed:
        calls = {entry.name: _call(entry, task, placed, arguments.repeats) for entry in entries}
        measured = take_turns(calls, arguments.rounds, report.say)
        agreements = _agreements(Path(placed.folder), list(measured))
    _show(report, task, work, measured, agreements)
    return {name: one.seconds for name, one in measured.items()}


def _call(entry: Entry, task: str, work: Work, repeats: int) -> Callable[[], dict[str, Any]]:
    """What measures an entry. A peer that fails is unavailable; ours is to end the run."""
    call = partial(
        own_process.call, "engines.timed:time_engine", work.threads,
        engine=entry.engine, task=task, work=asdict(replace(work, precision=entry.precision)), repeats=repeats,
        scores=str(_scores(Path(work.folder), entry.name)) if task == "forward" else "",
    )  # fmt: skip

    def peer() -> dict[str, Any]:
        try:
            return call()
        except RuntimeError as error:
            raise Unavailable(str(error).splitlines()[-1]) from error

    return call if entry.engine.startswith("ours") else peer


def _scores(folder: Path, name: str) -> Path:
    return folder / f"scores of {name}.npy"


def _agreements(folder: Path, names: Sequence[str]) -> dict[str, Agreement]:
    reference = _scores(folder, REFERENCE.name)
    if not reference.exists():
        return {}
    return {name: agree_files(_scores(folder, name), reference) for name in names}


def _show(
    report: Report, task: str, work: Work, measured: dict[str, Measured], agreements: dict[str, Agreement]
) -> None:
    size = " x ".join(map(str, work.shape))
    columns = ["engine", "seconds", "rounds", "ours faster", "peak GB"]
    if agreements:
        columns += ["max difference", "same argmax"]
    ours = next(iter(measured))
    rows, found = [], {}
    for name, one in measured.items():
        ratio = one.seconds / measured[ours].seconds
        row = [name, f"{one.seconds:.3f}", one.spread, "" if name == ours else f"{ratio:.2f} x"]
        rows.append([*row, f"{one.peak_bytes / 1e9:.2f}", *(agreements[name].cells() if agreements else [])])
        found[name] = one.record() | {f"to {ours}": ratio}
        found[name] |= agreements[name].record() if agreements else {}
    against = f"; scores against {REFERENCE.name}'s" if agreements else ""
    report.table(f"{task}, {size}{against}", columns, rows)
    report.found[f"{task} {size}"] = found
