"""What importing costs, beside PyTorch's own import: seconds from a process's start to its end.

    python benchmarks/start_up.py                 medians of 7 rounds

The programs take turns, round after round, each in a process of its own, after one round that is not counted.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from measuring.options import parser
from measuring.plots import draw_bars
from measuring.report import Report
from measuring.turns import take_turns

ROOT = Path(__file__).resolve().parents[1]
FIRST = "import torch"
PROGRAMS = {
    FIRST: ["-c", "import torch"],
    "import caffe_compat": ["-c", "import caffe_compat"],
    "import caffe_compat; caffe_compat.Net": ["-c", "import caffe_compat; caffe_compat.Net"],
    "python -m data_prep --help": ["-m", "data_prep", "--help"],
    "what a data_prep process imports": ["-c", "import data_prep.jobs, data_prep.records, data_prep.voc"],
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from a command line."""
    given = parser(__doc__, rounds=7, repeats=1).parse_args(arguments)
    report = Report("start_up", given)
    calls = {name: _program(asked, given.repeats) for name, asked in PROGRAMS.items()}
    take_turns(calls, 1, report.say)  # files into the page cache
    measured = take_turns(calls, given.rounds, report.say)
    rows = [
        [name, f"{one.seconds:.2f}", one.spread, f"{one.seconds / measured[FIRST].seconds:.2f} x"]
        for name, one in measured.items()
    ]
    report.table("processes, start to end", ["program", "seconds", "rounds", "of torch"], rows)
    report.found = {name: one.record() for name, one in measured.items()}
    draw_bars(report.plot_path(), {"start to end": {name: one.seconds for name, one in measured.items()}}, "seconds")
    report.save()


def _program(asked: list[str], repeats: int) -> Callable[[], dict[str, Any]]:
    """A call that runs Python so often, and gives the mean seconds of a process."""

    def run() -> dict[str, Any]:
        begin = time.perf_counter()
        for _ in range(repeats):
            subprocess.run([sys.executable, *asked], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
        return {"seconds": (time.perf_counter() - begin) / repeats, "bytes": 0}

    return run


if __name__ == "__main__":
    main()
