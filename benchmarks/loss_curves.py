"""Whether training at bf16 learns as at fp32: loss curves of a thin voc-fcn8s on drawn images, overlaid.

    python benchmarks/loss_curves.py                     an eighth of the channels, 200 iterations

Three trainings on the same images in the same order: at fp32; at fp32 with another seed of Dropout; at bf16 with the
first seed. What two seeds differ by is the noise that bf16 is to stay within: shown is the mean absolute difference of
the losses, each a mean over 20 iterations, to the first training.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from engines.work import parse_size
from measuring import own_process
from measuring.options import parser, work_of
from measuring.own_process import Unavailable
from measuring.plots import Curves, draw_curves
from measuring.report import Report

WINDOW = 20
FIRST = "fp32"
RUNS = {FIRST: ("fp32", 1), "fp32, another seed": ("fp32", 2), "bf16": ("bf16", 1)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from a command line."""
    options = parser(__doc__)
    options.set_defaults(channels=1 / 8)
    options.add_argument("--size", default="96x128", help="height x width of the images (96x128)")
    options.add_argument("--iterations", type=int, default=200, help="of each training (200)")
    given = options.parse_args(arguments)
    report = Report("loss_curves", given)
    losses: dict[str, list[float]] = {}
    for name, (precision, seed) in RUNS.items():
        work = replace(work_of(given, *parse_size(given.size)), precision=precision)
        try:
            found = own_process.call(
                "engines.trained:train", work.threads, work=asdict(work), iterations=given.iterations, seed=seed
            )
        except Unavailable as error:
            report.say(f"{name}: not measured: {error}")
        else:
            losses[name] = found["losses"]
    _show(report, losses)
    report.save()


def smoothed(losses: Sequence[float], window: int = WINDOW) -> np.ndarray:
    """Means over windows; a rest at the end is left out, unless there is no whole window."""
    window = min(window, len(losses))
    whole = len(losses) // window * window
    return np.asarray(losses[:whole]).reshape(-1, window).mean(axis=1)


def _show(report: Report, losses: dict[str, list[float]]) -> None:
    means = {name: smoothed(values) for name, values in losses.items()}
    rows, found = [], {}
    for name, mean in means.items():
        apart = float(np.abs(mean - means[FIRST]).mean())
        rows.append([name, f"{mean[0]:.3f}", f"{mean[-1]:.3f}", "" if name == FIRST else f"{apart:.4f}"])
        found[name] = {"losses": losses[name], "from_first": apart}
    columns = ["training", f"loss, first {WINDOW}", f"last {WINDOW}", f"difference to {FIRST}"]
    report.table("loss per pixel", columns, rows)
    report.found = found
    lines = {name: (list(range(len(values))), values) for name, values in losses.items()}
    panels = [Curves("each iteration", "iteration", "loss per pixel", lines)]
    lines = {name: ([WINDOW * (i + 0.5) for i in range(len(mean))], mean.tolist()) for name, mean in means.items()}
    panels.append(Curves(f"means over {WINDOW} iterations", "iteration", "loss per pixel", lines))
    draw_curves(report.plot_path(), panels)


if __name__ == "__main__":
    main()
