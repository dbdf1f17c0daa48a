"""``plot_log CHART OUT LOG...``: curves of training logs in one picture.

    caffe-compat plot_log 6 loss.png run1.log run2.log

CHART is a number as in Caffe's script: 0 test accuracy, 2 test loss, 4 learning rate, 6 train loss over iterations;
1, 3, 5, 7 the same over seconds. A net with several outputs of that kind gets a curve for each.

Source: BVLC/caffe tools/extra/plot_training_log.py.example (the numbers of the charts).
"""

from pathlib import Path

import click
from matplotlib.figure import Figure

from caffe_compat.errors import DataError
from caffe_compat.proto.whole_file import replacing
from caffe_compat.tools.flags import FlagCommand
from caffe_compat.tools.parse_log import Table, read_log

__all__ = ["CHARTS", "plot_log"]

CHARTS = [
    (name, axis)
    for name in ("Test accuracy", "Test loss", "Train learning rate", "Train loss")
    for axis in ("Iters", "Seconds")
]
"""What each chart shows, and over what."""

_COLUMNS = {"Iters": "NumIters", "Seconds": "Seconds"}


@click.command(
    cls=FlagCommand, epilog="\b\n" + "\n".join(f"{i}  {name} vs. {over}" for i, (name, over) in enumerate(CHARTS))
)
@click.argument("chart", type=click.IntRange(0, len(CHARTS) - 1))
@click.argument("target", metavar="OUT")
@click.argument("logs", metavar="LOG...", nargs=-1, required=True)
def plot_log(chart: int, target: str, logs: tuple[str, ...]) -> None:
    """Draw CHART of the training logs LOG... into the picture OUT (.png, .svg or .pdf)."""
    name, over = CHARTS[chart]
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    for log in logs:
        for label, xs, ys in _curves(log, name, _COLUMNS[over]):
            axes.plot(xs, ys, label=label, marker="." if len(xs) < 50 else "")
    axes.set(title=f"{name} vs. {over}", xlabel=over, ylabel=name)
    axes.legend()
    suffix = Path(target).suffix.removeprefix(".") or "png"
    if suffix not in figure.canvas.get_supported_filetypes():
        raise click.UsageError(f"{target}: pictures of kind '{suffix}' cannot be drawn; use .png, .svg or .pdf")
    try:
        with replacing(target) as temporary:
            figure.savefig(temporary, format=suffix)
    except OSError as error:
        raise DataError(f"{target}: cannot be written: {error.strerror or error}") from error


def _curves(log: str, name: str, over: str) -> list[tuple[str, list[float], list[float]]]:
    """Label, abscissae and ordinates of each curve of one log."""
    train, test = read_log(log)
    kind, _, wanted = name.partition(" ")
    table: Table = train if kind == "Train" else test
    known = list(dict.fromkeys(column for row in table for column in row))
    wanted = "LearningRate" if wanted == "learning rate" else wanted
    columns = [column for column in known if wanted.lower() in column.lower()]
    if not columns:
        found = f"its columns are {', '.join(known[3:])}" if known else f"it has no {kind.lower()} outputs"
        raise DataError(f"{log}: no column for the chart '{name}'; {found}; choose another chart")
    curves = []
    for column in columns:
        rows = [row for row in table if column in row]
        label = Path(log).name if len(columns) == 1 else f"{Path(log).name}: {column}"
        curves.append((label, [row[over] for row in rows], [row[column] for row in rows]))
    return curves
