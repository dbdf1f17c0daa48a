"""Whether training at bf16 learns as at fp32: loss curves of a thin voc-fcn8s on drawn images, overlaid.

    python benchmarks/loss_curves.py                     an eighth of the channels, 200 iterations

Trainings on the same images in the same order: several at fp32, each with another seed of Dropout, and some at bf16
with the first of these seeds. What seeds differ by is the noise that bf16 is to stay within. Shown is, for each
training, the mean absolute difference of its losses, each a mean over 20 iterations, to the mean of the fp32 trainings
of other seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np

from engines.work import parse_size
from measuring import own_process
from measuring.options import parser, work_of
from measuring.own_process import Unavailable
from measuring.plots import Curves, draw_curves
from measuring.report import Report

WINDOW = 20
Run = tuple[str, int]  # precision and seed
SEEDS = {"fp32": (1, 2, 3, 4), "bf16": (1, 2)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from a command line."""
    options = parser(__doc__)
    options.set_defaults(channels=1 / 8)
    options.add_argument("--size", default="96x128", help="height x width of the images (96x128)")
    options.add_argument("--iterations", type=int, default=200, help="of each training (200)")
    given = options.parse_args(arguments)
    report = Report("loss_curves", given)
    losses: dict[Run, list[float]] = {}
    for precision, seeds in SEEDS.items():
        work = replace(work_of(given, *parse_size(given.size)), precision=precision)
        for seed in seeds:
            try:
                found = own_process.call(
                    "engines.trained:train", work.threads, work=asdict(work), iterations=given.iterations, seed=seed
                )
            except Unavailable as error:
                report.say(f"{precision}: not measured: {error}")
                break
            losses[precision, seed] = found["losses"]
    _show(report, losses)
    report.save()


def smoothed(losses: Sequence[float], window: int = WINDOW) -> np.ndarray:
    """Means over windows; a rest at the end is left out, unless there is no whole window."""
    window = min(window, len(losses))
    whole = len(losses) // window * window
    return np.asarray(losses[:whole]).reshape(-1, window).mean(axis=1)


def differences(means: Mapping[Run, np.ndarray]) -> dict[Run, float]:
    """Mean absolute difference of each training's means to those of the fp32 trainings of other seeds."""
    apart = {}
    for run, mean in means.items():
        others = [other for (precision, seed), other in means.items() if precision == "fp32" and seed != run[1]]
        apart[run] = float(np.abs(mean - np.mean(others, axis=0)).mean())
    return apart


def _show(report: Report, losses: dict[Run, list[float]]) -> None:
    means = {run: smoothed(values) for run, values in losses.items()}
    apart = differences(means)
    names = {run: f"{run[0]}, seed {run[1]}" for run in losses}
    rows = [[names[run], f"{mean[0]:.3f}", f"{mean[-1]:.3f}", f"{apart[run]:.4f}"] for run, mean in means.items()]
    columns = ["training", f"loss, first {WINDOW}", f"last {WINDOW}", "from fp32 of other seeds"]
    report.table("loss per pixel", columns, rows)
    report.found = {names[run]: {"losses": losses[run], "difference": apart[run]} for run in losses}
    lines = {names[run]: (list(range(len(values))), values) for run, values in losses.items()}
    panels = [Curves("each iteration", "iteration", "loss per pixel", lines)]
    lines = {names[run]: ([WINDOW * (i + 0.5) for i in range(len(m))], m.tolist()) for run, m in means.items()}
    panels.append(Curves(f"means over {WINDOW} iterations", "iteration", "loss per pixel", lines))
    draw_curves(report.plot_path(), panels)


if __name__ == "__main__":
    main()
