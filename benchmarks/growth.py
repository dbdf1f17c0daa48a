"""How time and memory of voc-fcn8s grow with the image's side and with the batch.

    python benchmarks/growth.py                          forward: sides 128 to 1024, batches 1 to 8 at side 256
    python benchmarks/growth.py --tasks forward step     solver steps too; sides up to --step-most
    python benchmarks/growth.py --sides 128 256 512 --batches 1 2

Each point runs in a process of its own, engines in turn; medians over rounds. "ns per pixel" and "bytes per pixel" tell
growth that is not linear; the memory's are counted from the smallest point. The exponent is that of the time over the
pixels, from the second smallest to the largest: 1 is linear.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial

from engines.provided import provided
from engines.timed import ENGINES
from engines.work import Work
from measuring import own_process
from measuring.options import parser, work_of
from measuring.plots import Curves, draw_curves
from measuring.report import Report
from measuring.turns import Measured, take_turns

TASKS = ("forward", "step")
Points = dict[int, Measured]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from a command line."""
    options = parser(__doc__, rounds=2)
    options.add_argument("--tasks", nargs="+", choices=TASKS, default=["forward"])
    options.add_argument("--engines", nargs="+", choices=list(ENGINES), default=["ours (lean)", "torch channels_last"])
    options.add_argument("--sides", nargs="+", type=int, default=[128, 192, 256, 384, 512, 768, 1024])
    options.add_argument("--batches", nargs="+", type=int, default=[1, 2, 4, 8])
    options.add_argument("--batch-side", type=int, default=256, help="pixels, where the batch grows (256)")
    options.add_argument("--step-most", type=int, default=512, help="largest side of a solver step, pixels (512)")
    given = options.parse_args(arguments)
    report, panels = Report("growth", given), []
    any_size = work_of(given, given.batch_side, given.batch_side)
    with provided(report, any_size, ["caffe"] if "ours (lean)" in given.engines else []) as placed:
        for task in given.tasks:
            most = given.step_most if task == "step" else max(given.sides)
            sides = {side: (side, 1) for side in given.sides if side <= most}
            batches = {batch: (given.batch_side, batch) for batch in given.batches}
            panels += _grow(report, task, "side", sides, given, placed)
            panels += _grow(report, task, "batch", batches, given, placed)
    draw_curves(report.plot_path(), panels)
    report.save()


def _grow(
    report: Report, task: str, what: str, points: dict[int, tuple[int, int]], given: argparse.Namespace, placed: Work
) -> list[Curves]:
    """Measure each point; panels of time and of memory.

    Args:
        report: takes the figures.
        task: forward or step.
        what: grows: side or batch.
        points: by its value: side in pixels, and batch.
        given: the command line.
        placed: where the caffemodel is.
    """
    found: dict[str, Points] = {engine: {} for engine in given.engines}
    for value, (side, batch) in points.items():
        work = replace(placed, height=side, width=side, batch=batch)
        calls = {
            engine: partial(
                own_process.call, "engines.timed:time_engine", work.threads,
                engine=engine, task=task, work=asdict(work), repeats=given.repeats,
            )
            for engine in given.engines
        }  # fmt: skip
        for engine, one in take_turns(calls, given.rounds, report.say).items():
            found[engine][value] = one
    pixels = {value: side * side * batch for value, (side, batch) in points.items()}
    for engine, measured in found.items():
        if measured:
            _show(report, f"{task}, {engine}: growth with the {what}", what, pixels, measured)
    label = "megapixels, one image" if what == "side" else f"megapixels, images of side {given.batch_side}"
    kept = {engine: measured for engine, measured in found.items() if measured}
    x = {engine: [pixels[value] / 1e6 for value in measured] for engine, measured in kept.items()}
    times = {engine: (x[engine], [one.seconds for one in m.values()]) for engine, m in kept.items()}
    peaks = {engine: (x[engine], [one.peak_bytes / 1e9 for one in m.values()]) for engine, m in kept.items()}
    title = f"{task}, growing {what}"
    return [Curves(f"{title}: time", label, "seconds", times), Curves(f"{title}: peak memory", label, "GB", peaks)]


def _show(report: Report, title: str, what: str, pixels: dict[int, int], measured: Points) -> None:
    rows = []
    smallest = min(measured)
    for value, one in measured.items():
        more = pixels[value] - pixels[smallest]
        growth = f"{(one.peak_bytes - measured[smallest].peak_bytes) / more:.0f}" if more else ""
        per_pixel = f"{1e9 * one.seconds / pixels[value]:.0f}"
        rows.append([value, f"{one.seconds:.3f}", per_pixel, f"{one.peak_bytes / 1e9:.2f}", growth])
    report.table(title, [what, "seconds", "ns per pixel", "peak GB", "bytes per pixel"], rows)
    exponent = growth_exponent({pixels[value]: one.seconds for value, one in measured.items()})
    if exponent is not None:
        report.say(f"exponent of time over pixels: {exponent:.2f}")
    report.found[title] = {value: one.record() for value, one in measured.items()} | {"exponent": exponent}


def growth_exponent(seconds: dict[int, float]) -> float | None:
    """P in time = c * pixels ** p, from the second smallest to the largest; None below three points."""
    if len(seconds) < 3:
        return None
    _, low, *_, high = sorted(seconds)  # three points: low is the middle one
    return math.log(seconds[high] / seconds[low]) / math.log(high / low)


if __name__ == "__main__":
    main()
