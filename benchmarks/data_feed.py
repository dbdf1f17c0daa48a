"""Whether data keeps up: images read from LMDBs per second, and a solver step with data and without.

    python benchmarks/data_feed.py
    python benchmarks/data_feed.py --size 250x250 --pairs 20 --rounds 1

Images are drawn, 375 x 500, in LMDBs as data_prep builds them (JPEGs). "Reading" runs the data layers alone: the Python
layer that solve.py trains from, and Caffe's Data layers, which load ahead in the background. "Step" is a whole solver
step of voc-fcn8s: on the same arrays each time, or fed from the LMDBs.
Each runs in a process of its own, in turns. "Reads faster": images read per second over steps per second.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

from engines.work import parse_size
from measuring import own_process
from measuring.options import parser, work_of
from measuring.plots import draw_bars
from measuring.report import Report
from measuring.turns import Measured, take_turns

FIXED = "fixed input"
FED = {
    "python layers": "LMDBSegDataLayer, in a drawn order, as solve.py trains",
    "Data layers": "Caffe's own, in the order of keys, loaded ahead in the background",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from a command line."""
    options = parser(__doc__)
    options.add_argument("--size", default="375x500", help="height x width of the images (375x500)")
    options.add_argument("--pairs", type=int, default=40, help="images in the LMDBs (40)")
    given = options.parse_args(arguments)
    report = Report("data_feed", given)
    with tempfile.TemporaryDirectory() as folder:
        work = work_of(given, *parse_size(given.size), folder=folder)
        own_process.call("engines.fed:draw", work.threads, work=asdict(work), pairs=given.pairs)
        call = partial(own_process.call, threads=work.threads, work=asdict(work))
        reading = {
            feed: partial(call, "engines.fed:time_reading", feed=feed, repeats=2 * given.pairs) for feed in FED
        }  # fmt: skip
        steps = {
            feed: partial(call, "engines.fed:time_step", feed=feed, repeats=given.repeats) for feed in (FIXED, *FED)
        }
        read = take_turns(reading, given.rounds, report.say)
        stepped = take_turns(steps, given.rounds, report.say)
    _show(report, given.size, read, stepped)
    report.save()


def _show(report: Report, size: str, read: dict[str, Measured], stepped: dict[str, Measured]) -> None:
    alone = stepped[FIXED].seconds
    rows = [[FIXED, "", "", f"{alone:.3f}", stepped[FIXED].spread, ""]]
    found = {FIXED: {"step": stepped[FIXED].record()}}
    for feed in FED:
        step, record = stepped[feed].seconds, read[feed].seconds
        rows.append(
            [feed, f"{1 / record:.0f}", f"{step / record:.1f} x", f"{step:.3f}", stepped[feed].spread]
            + [f"{step / alone:.3f} x"]
        )
        found[feed] = {"reading": read[feed].record(), "step": stepped[feed].record()}
    columns = ["", "images/s read", "reads faster", "step, seconds", "rounds", "to fixed input"]
    report.table(f"voc-fcn8s fed with images of {size}", columns, rows)
    for feed, meaning in FED.items():
        report.say(f"{feed}: {meaning}")
    report.found = found
    bars = {
        "solver step": {feed: one.seconds for feed, one in stepped.items()},
        "reading an image": {feed: one.seconds for feed, one in read.items()},
    }
    draw_bars(report.plot_path(), bars, "seconds")


if __name__ == "__main__":
    main()
