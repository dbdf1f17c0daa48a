"""A stream of images of different sizes through one lean net, against each image at a size that stays.

    python benchmarks/stream.py
    python benchmarks/stream.py --images 20 --rounds 1

Sizes are drawn as PASCAL VOC's are: the longer side 500 pixels, mostly 500 x 375. "Stream" is one process that takes
them in order, after a warm-up at 375 x 500; it runs through them twice. "Fixed" is a process for each size, warmed up
at that size; its time counts as often as the stream has the size. What is kept per size would show in the resident
memory after the first and the second run through. Scores of both are compared, at every eighth row and column.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from engines.provided import provided
from engines.streamed import GRID_PX
from engines.work import Work
from measuring import own_process
from measuring.agreement import agree
from measuring.options import parser, work_of
from measuring.plots import Curves, draw_curves
from measuring.report import Report

LONG_PX = 500
COMMON_SHORT_PX = (375, 333, 334, 281, 400, 332, 335, 376)
COMMON_SHARES = (0.60, 0.15, 0.08, 0.04, 0.04, 0.03, 0.03, 0.03)
RARE_SHORT_PX = (220, 500)
RARE_SHARE = 0.25
UPRIGHT_SHARE = 0.25
PASSES = 2


def draw_sizes(count: int, seed: int = 2012) -> list[tuple[int, int]]:
    """Heights and widths such as VOC has, pixels: a longer side of 500, a quarter of the images upright."""
    rng = np.random.default_rng(seed)
    sizes = []
    for _ in range(count):
        rare = rng.random() < RARE_SHARE
        short = int(
            rng.integers(*RARE_SHORT_PX, endpoint=True) if rare else rng.choice(COMMON_SHORT_PX, p=COMMON_SHARES)
        )
        sizes.append((LONG_PX, short) if rng.random() < UPRIGHT_SHARE else (short, LONG_PX))
    return sizes


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from a command line."""
    options = parser(__doc__, repeats=3)
    options.add_argument("--images", type=int, default=50, help="in the stream (50)")
    options.add_argument("--scale", type=float, default=1.0, help="of the sizes, for a quick look (1)")
    given = options.parse_args(arguments)
    report = Report("stream", given)
    sizes = [(round(h * given.scale), round(w * given.scale)) for h, w in draw_sizes(given.images)]
    warm = work_of(given, round(375 * given.scale), round(500 * given.scale))
    with provided(report, warm, ["caffe"]) as placed:
        streams, fixed = _measure(placed, sizes, given.rounds, given.repeats, Path(placed.folder))
        difference = _difference(Path(placed.folder), set(sizes))
    _show(report, sizes, streams, fixed, difference)
    report.save()


def _measure(
    warm: Work, sizes: list[tuple[int, int]], rounds: int, repeats: int, folder: Path
) -> tuple[list[dict[str, Any]], dict[tuple[int, int], list[dict[str, Any]]]]:
    """Rounds of the stream, and for each size rounds of it alone."""
    streams: list[dict[str, Any]] = []
    fixed: dict[tuple[int, int], list[dict[str, Any]]] = {size: [] for size in sizes}
    for _ in range(rounds):
        streams.append(
            own_process.call(
                "engines.streamed:time_stream", warm.threads,
                work=asdict(warm), sizes=sizes, passes=PASSES, scores=str(folder / "stream.npz"),
            )
        )  # fmt: skip
        for size, turns in fixed.items():
            turns.append(
                own_process.call(
                    "engines.streamed:time_fixed", warm.threads,
                    work=asdict(replace(warm, height=size[0], width=size[1])), repeats=repeats,
                    scores=str(folder / f"{size[0]}x{size[1]}.npy"),
                )
            )  # fmt: skip
    return streams, fixed


def _difference(folder: Path, sizes: set[tuple[int, int]]) -> float:
    """The largest difference of scores between stream and fixed, relative to the largest score of its size."""
    streamed = np.load(folder / "stream.npz")
    names = [f"{height}x{width}" for height, width in sizes]
    return max(agree(streamed[name], np.load(folder / f"{name}.npy")).difference for name in names)


def _show(
    report: Report,
    sizes: list[tuple[int, int]],
    streams: list[dict[str, Any]],
    fixed: dict[tuple[int, int], list[dict[str, Any]]],
    difference: float,
) -> None:
    alone = {size: median(turn["seconds"] for turn in turns) for size, turns in fixed.items()}
    whole = sum(alone[size] for size in sizes)
    passes = [median(sum(turn["seconds"][number]) for turn in streams) for number in range(PASSES)]
    resident = [median(turn["resident"][number] for turn in streams) for number in range(PASSES + 1)]
    peaks = (max(turn["bytes"] for turn in streams), max(turn["bytes"] for turns in fixed.values() for turn in turns))
    rows = [["fixed sizes, summed", f"{whole:.2f}", "", "", f"{peaks[1] / 1e9:.2f}"]]
    for number, (taken, held) in enumerate(zip(passes, resident[1:], strict=True), 1):
        sizes_gb = [f"{held / 1e9:.2f}", f"{peaks[0] / 1e9:.2f}"]
        rows.append([f"stream, run {number}", f"{taken:.2f}", f"{taken / whole:.3f} x", *sizes_gb])
    columns = ["", "seconds", "to fixed", "resident GB after", "peak GB"]
    report.table(f"{len(sizes)} images of {len(fixed)} sizes, forward", columns, rows)
    report.say(f"resident after the warm-up at one size: {resident[0] / 1e9:.2f} GB")
    report.say(
        f"largest relative difference of scores between stream and fixed (each {GRID_PX}th pixel): {difference:.1e}"
    )
    seconds = {
        f"run {number + 1}": (
            list(range(len(sizes))),
            [median(turn["seconds"][number][index] for turn in streams) for index in range(len(sizes))],
        )
        for number in range(PASSES)
    }
    seconds["fixed size"] = (list(range(len(sizes))), [alone[size] for size in sizes])
    draw_curves(report.plot_path(), [Curves("stream of images", "image", "seconds", seconds)])
    report.found = {
        "sizes": sizes, "fixed_seconds": whole, "stream_seconds": passes, "ratio": [one / whole for one in passes],
        "resident_bytes": resident, "peak_bytes": {"stream": peaks[0], "fixed": peaks[1]}, "difference": difference,
        "by_image": {name: values for name, (_, values) in seconds.items()},
    }  # fmt: skip


if __name__ == "__main__":
    main()
