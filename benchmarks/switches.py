"""What each rewrite of the plan gains in a forward of voc-fcn8s: all on, each one off, each one alone, none.

    python benchmarks/switches.py
    python benchmarks/switches.py --sizes 375x500 --names winograd windows

Each line runs in a process of its own, in turns. "Off costs": the time without this rewrite over the time with all.
"Alone gains": the time without any over the time with only this one. Scores are compared with those of the run without
any rewrite: the largest difference, relative to the largest score, and the pixels whose highest class is the same.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from engines.work import Work, parse_size
from measuring import own_process
from measuring.agreement import agree_files
from measuring.options import parser
from measuring.plots import draw_bars
from measuring.report import Report
from measuring.turns import take_turns

ALL, NONE = "all on", "none on"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from a command line."""
    options = parser(__doc__)
    options.add_argument("--sizes", nargs="+", default=["500x500"], help="height x width, such as 375x500")
    options.add_argument("--names", nargs="+", help="of rewrites to switch (all)")
    given = options.parse_args(arguments)
    report = Report("switches", given)
    known: list[str] = own_process.call("engines.switched:rewrites", given.threads)["names"]
    names = given.names or known
    if unknown := sorted(set(names) - set(known)):
        options.error(f"--names: no such rewrite: {', '.join(unknown)}; there are: {', '.join(known)}")
    lines = {ALL: known, NONE: []}
    lines |= {f"{name} off": [other for other in known if other != name] for name in names}
    lines |= {f"{name} alone": [name] for name in names}
    bars = {}
    for size in given.sizes:
        work = Work(*parse_size(size), 1, given.channels, given.threads)
        bars[f"forward {size}"] = _measure(report, work, lines, given.rounds, given.repeats)
    draw_bars(report.plot_path(), bars, "seconds")
    report.save()


def _measure(
    report: Report, work: Work, lines: dict[str, list[str]], rounds: int, repeats: int
) -> dict[str, float]:  # fmt: skip
    """Time the lines at one size; seconds by line."""
    with tempfile.TemporaryDirectory() as folder:
        scores = {name: Path(folder) / f"{name}.npy" for name in lines}
        calls = {
            name: partial(
                own_process.call, "engines.switched:time_switched", work.threads,
                work=asdict(work), on=on, repeats=repeats, scores=str(scores[name]),
            )
            for name, on in lines.items()
        }  # fmt: skip
        measured = take_turns(calls, rounds, report.say)
        agreements = {name: agree_files(scores[name], scores[NONE]) for name in measured}
    best, plain = measured[ALL].seconds, measured[NONE].seconds
    rows = []
    for name, one in measured.items():
        cost = f"{one.seconds / best:.2f} x" if name.endswith(" off") or name == NONE else ""
        gain = f"{plain / one.seconds:.2f} x" if name.endswith(" alone") or name == ALL else ""
        peak = f"{one.peak_bytes / 1e9:.2f}"
        rows.append([name, f"{one.seconds:.3f}", one.spread, cost, gain, peak, *agreements[name].cells()])
    columns = ["rewrites", "seconds", "rounds", "off costs", "alone gains", "peak GB", "max difference", "same argmax"]
    size = f"{work.height} x {work.width}"
    report.table(f"forward, 1 x 3 x {size}; scores against the run with {NONE}", columns, rows)
    report.found[size] = {name: one.record() | agreements[name].record() for name, one in measured.items()}
    return {name: one.seconds for name, one in measured.items()}


if __name__ == "__main__":
    main()
