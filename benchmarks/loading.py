"""From a caffemodel of 537 MB (voc-fcn8s, random weights) to a ready net.

    python benchmarks/loading.py

The measure of loading is what cannot be avoided: reading the file's bytes from the page cache, and one copy of them.
Beside it: torch.load of the same weights into a plain PyTorch net, and OpenCV's dnn on the same files. Each runs in a
process of its own with its imports done; they take turns. What imports take is in start_up.py.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from engines.work import Work
from measuring import own_process
from measuring.options import parser, work_of
from measuring.plots import draw_bars
from measuring.report import Report
from measuring.turns import Measured, take_turns

FIRST = "read and copy"
WAYS = (FIRST, "ours", "ours (lean)", "torch.load", "opencv")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from a command line."""
    given = parser(__doc__).parse_args(arguments)
    report = Report("loading", given)
    with tempfile.TemporaryDirectory() as folder:
        work = work_of(given, 64, 64, folder=folder)
        size, measured = _measure(report, work, given.rounds, given.repeats)
    first = measured[FIRST]
    rows = [
        [name, f"{one.seconds:.3f}", one.spread, f"{one.seconds / first.seconds:.2f} x", f"{one.peak_bytes / 1e9:.2f}"]
        for name, one in measured.items()
    ]
    title = f"caffemodel of {size / 1e6:.0f} MB to a ready net"
    report.table(title, ["", "seconds", "rounds", "of the first", "peak GB"], rows)
    report.found = {name: one.record() for name, one in measured.items()} | {"file_bytes": size}
    draw_bars(report.plot_path(), {title: {name: one.seconds for name, one in measured.items()}}, "seconds")
    report.save()


def _measure(report: Report, work: Work, rounds: int, repeats: int) -> tuple[int, dict[str, Measured]]:
    """Bytes of the caffemodel, and each way of loading."""
    own_process.call("engines.files:write", work.threads, work=asdict(work), kinds=["caffe"])
    own_process.call("engines.loaded:write_state_dict", work.threads, work=asdict(work))
    calls = {
        way: partial(
            own_process.call, "engines.loaded:time_loading", work.threads, way=way, work=asdict(work), repeats=repeats
        )
        for way in WAYS
    }
    return (Path(work.folder) / "net.caffemodel").stat().st_size, take_turns(calls, rounds, report.say)


if __name__ == "__main__":
    main()
