"""From a caffemodel of 537 MB (voc-fcn8s, random weights) to a ready net; and how long imports take.

    python benchmarks/loading.py

The measure of loading is what cannot be avoided: reading the file's bytes from the page cache, and one copy of them.
Beside it: torch.load of the same weights into a plain PyTorch net, and OpenCV's dnn on the same files. Each runs in a
process of its own with its imports done; they take turns. Imports are timed in fresh Python processes, in turns.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from engines.work import Work
from measuring import own_process
from measuring.options import parser, work_of
from measuring.own_process import Unavailable
from measuring.plots import draw_bars
from measuring.report import Report
from measuring.turns import Measured, take_turns

WAYS = ("read and copy", "ours", "ours (lean)", "torch.load", "opencv")
IMPORTS = {
    "import torch": "import torch",
    "import caffe_compat": "import caffe_compat",
    "import caffe_compat; caffe_compat.Net": "import caffe_compat; caffe_compat.Net",
}
_TIMED = "import time; begin = time.perf_counter(); {0}; print(time.perf_counter() - begin)"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from a command line."""
    options = parser(__doc__)
    options.add_argument("--import-rounds", type=int, default=7, help="turns of every import (7)")
    given = options.parse_args(arguments)
    report = Report("loading", given)
    with tempfile.TemporaryDirectory() as folder:
        work = work_of(given, 64, 64, folder=folder)
        loads = _loads(report, work, given.rounds, given.repeats)
    imports = take_turns({name: _import(code) for name, code in IMPORTS.items()}, given.import_rounds, report.say)
    _show(report, "imports, fresh processes", imports)
    bars = {"file to ready net": loads, "imports": imports}
    draw_bars(
        report.plot_path(),
        {title: {name: one.seconds for name, one in found.items()} for title, found in bars.items()},
        "seconds",
    )
    report.save()


def _loads(report: Report, work: Work, rounds: int, repeats: int) -> dict[str, Measured]:
    own_process.call("engines.files:write", work.threads, work=asdict(work), kinds=["caffe"])
    own_process.call("engines.loaded:write_state_dict", work.threads, work=asdict(work))
    size = (Path(work.folder) / "net.caffemodel").stat().st_size
    calls = {
        way: partial(
            own_process.call, "engines.loaded:time_loading", work.threads, way=way, work=asdict(work), repeats=repeats
        )
        for way in WAYS
    }
    measured = take_turns(calls, rounds, report.say)
    _show(report, f"caffemodel of {size / 1e6:.0f} MB to a ready net", measured)
    return measured


def _import(code: str) -> Callable[[], dict[str, Any]]:
    """A call that runs the code in a fresh process and gives its seconds."""

    def run() -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-c", _TIMED.format(code)], capture_output=True, text=True, check=False
        )  # fmt: skip
        if done.returncode:
            raise Unavailable(done.stderr.strip().splitlines()[-1])
        return {"seconds": float(done.stdout), "bytes": 0}

    return run


def _show(report: Report, title: str, measured: dict[str, Measured]) -> None:
    """A table with ratios to the first."""
    first = next(iter(measured.values()))
    with_peak = first.peak_bytes > 0
    rows = []
    for name, one in measured.items():
        ratio = "" if one is first else f"{one.seconds / first.seconds:.2f} x"
        peak = [f"{one.peak_bytes / 1e9:.2f}"] if with_peak else []
        rows.append([name, f"{one.seconds:.3f}", one.spread, ratio, *peak])
    columns = ["", "seconds", "rounds", "to the first", *(["peak GB"] if with_peak else [])]
    report.table(title, columns, rows)
    report.found[title] = {name: one.record() for name, one in measured.items()}


if __name__ == "__main__":
    main()
