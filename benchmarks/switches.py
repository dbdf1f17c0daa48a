"""What each rewrite of the plan gains in voc-fcn8s: all on, each one off, each one alone, none.

    python benchmarks/switches.py                        a forward at 500 x 500
    python benchmarks/switches.py --tasks forward step   a solver step too
    python benchmarks/switches.py --sizes 375x500 --names winograd windows

Each line runs in a process of its own, in turns. "Off costs": the time without this rewrite over the time with all.
"Alone gains": the time without any over the time with only this one. A forward's scores are compared with those of the
run without any rewrite: the largest difference, relative to the largest score, and the pixels whose highest class is
the same.
"""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from engines.provided import provided
from engines.work import Work, parse_size
from measuring import own_process
from measuring.agreement import Agreement, agree_files
from measuring.options import parser, work_of
from measuring.plots import draw_bars
from measuring.report import Report
from measuring.turns import Measured, take_turns

ALL, NONE = "all on", "none on"
TASKS = ("forward", "step")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from a command line."""
    options = parser(__doc__)
    options.add_argument("--tasks", nargs="+", choices=TASKS, default=["forward"])
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
    for task in given.tasks:
        for size in given.sizes:
            work = work_of(given, *parse_size(size))
            bars[f"{task} {size}"] = _measure(report, task, work, lines, given.rounds, given.repeats)
    draw_bars(report.plot_path(), bars, "seconds")
    report.save()


def _measure(
    report: Report, task: str, work: Work, lines: dict[str, list[str]], rounds: int, repeats: int
) -> dict[str, float]:
    """Time the lines at one size; seconds by line."""
    with provided(report, work, ["caffe"] if task == "forward" else []) as placed:
        scores = {name: Path(placed.folder) / f"{name}.npy" for name in lines}
        calls = {
            name: partial(
                own_process.call, "engines.switched:time_switched", work.threads,
                task=task, work=asdict(placed), on=on, repeats=repeats, scores=str(scores[name]),
            )
            for name, on in lines.items()
        }  # fmt: skip
        measured = take_turns(calls, rounds, report.say)
        compared = measured if task == "forward" else {}
        agreements = {name: agree_files(scores[name], scores[NONE]) for name in compared}
    _show(report, f"{task}, 1 x 3 x {work.height} x {work.width}", measured, agreements)
    return {name: one.seconds for name, one in measured.items()}


def _show(report: Report, title: str, measured: dict[str, Measured], agreements: dict[str, Agreement]) -> None:
    best, plain = measured[ALL].seconds, measured[NONE].seconds
    rows = []
    for name, one in measured.items():
        cost = f"{one.seconds / best:.2f} x" if name.endswith(" off") or name == NONE else ""
        gain = f"{plain / one.seconds:.2f} x" if name.endswith(" alone") or name == ALL else ""
        agreed = agreements[name].cells() if agreements else []
        rows.append([name, f"{one.seconds:.3f}", one.spread, cost, gain, f"{one.peak_bytes / 1e9:.2f}", *agreed])
    columns = ["rewrites", "seconds", "rounds", "off costs", "alone gains", "peak GB"]
    columns += ["max difference", "same argmax"] if agreements else []
    report.table(f"{title}; scores against the run with {NONE}" if agreements else title, columns, rows)
    report.found[title] = {
        name: one.record() | (agreements[name].record() if agreements else {}) for name, one in measured.items()
    }


if __name__ == "__main__":
    main()
