"""What a run leaves to look at: losses and scores as tables, and the learning curve as a picture.

Columns of losses.csv and scores.csv after ``iteration``, for a net with one task: loss, loss_per_pixel; pixel_accuracy,
mean_accuracy, mean_iu, fw_iu. With several, each task has these under its name, as semantic_loss_per_pixel and
semantic_mean_iu, and loss_per_pixel is the sum over tasks.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from caffe_compat.net.net import Net
from caffe_compat.proto.whole_file import replacing
from data_prep.labels import VOID
from nets.catalogue import Task
from solvers.checkup import averages_pixels
from solvers.metrics import FIGURES, Scores

__all__ = ["Table", "learning_curve", "loss_columns", "loss_row", "score_columns", "score_row"]

_TOTALS = ("loss", "loss_per_pixel")
_FORMS = ("o--", "s:", "^-.")  # of the scores' lines, task by task


class Table:
    """A CSV file that grows by a row at a time; one that is there already goes on.

    Args:
        path: the file; its folder must exist.
        columns: names, the first being ``iteration``.
        until: rows of this iteration and later ones, left from a run that went further, are dropped.
    """

    def __init__(self, path: Path, columns: Sequence[str], until: int = 0) -> None:
        self.path = path
        self.columns = list(columns)
        kept = [row for row in self._read() if int(row["iteration"]) < until]
        with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(kept)

    def _read(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            return [row for row in csv.DictReader(file) if set(row) == set(self.columns) and None not in row.values()]

    def add(self, row: Mapping[str, float]) -> None:
        """Append one row."""
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self.columns).writerow(row)

    def column(self, name: str) -> np.ndarray:
        """A column's values, float64."""
        return np.array([float(row[name]) for row in self._read()])


def loss_columns(tasks: Sequence[Task]) -> list[str]:
    """Columns of losses.csv after the iteration."""
    return [*_TOTALS, *(_of(task.name, name) for task in tasks if task.name for name in _TOTALS)]


def loss_row(net: Net, tasks: Sequence[Task], loss: float) -> dict[str, float]:
    """What an iteration lost.

    Args:
        net: the train net after a forward; keeps every task's label and loss.
        tasks: its tasks.
        loss: of the whole iteration, as the solver has it.
    """
    if len(tasks) == 1:
        return {"loss": loss, "loss_per_pixel": _per_pixel(net, tasks[0], loss)}
    row = {"loss": loss, "loss_per_pixel": 0.0}
    for task in tasks:
        own = float(net.blobs[task.loss].tensor().sum())
        per_pixel = _per_pixel(net, task, own)
        row |= {_of(task.name, "loss"): own, _of(task.name, "loss_per_pixel"): per_pixel}
        row["loss_per_pixel"] += per_pixel
    return row


def _per_pixel(net: Net, task: Task, loss: float) -> float:
    if averages_pixels(net):
        return loss
    return loss / max(1, int((net.blobs[task.label].tensor() != VOID).sum()))


def score_columns(tasks: Sequence[Task]) -> list[str]:
    """Columns of scores.csv after the iteration."""
    return [_of(task.name, name) for task in tasks for name in FIGURES]


def score_row(scores: Mapping[str, Scores]) -> dict[str, float]:
    """What the tasks scored, 0 to 1."""
    return {_of(task, name): float(getattr(one, name)) for task, one in scores.items() for name in FIGURES}


def _of(task: str, name: str) -> str:
    return f"{task}_{name}" if task else name


def learning_curve(path: Path, stages: Mapping[str, tuple[Table, Table]]) -> None:
    """Draw loss per pixel and mean IU against the iteration, one colour per stage, one stage after another.

    Args:
        path: a PNG.
        stages: model name -> its tables of losses (iteration, loss_per_pixel) and of scores (iteration, and mean_iu or
            TASK_mean_iu for each of several tasks).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    left = figure.subplots()
    right = left.twinx()
    begin = 0.0
    for index, (name, (losses, scores)) in enumerate(stages.items()):
        x, y = losses.column("iteration"), losses.column("loss_per_pixel")
        if not x.size:
            continue
        colour = f"C{index}"
        width = max(1, len(y) // 40)
        smooth = np.convolve(np.pad(y, (width - 1, 0), mode="edge"), np.ones(width) / width, mode="valid")
        left.plot(begin + x, y, color=colour, alpha=0.2, linewidth=0.8)
        left.plot(begin + x, smooth, color=colour, label=f"{name}: loss")
        at = begin + scores.column("iteration")
        for column, form in zip((one for one in scores.columns if one.endswith("mean_iu")), _FORMS, strict=False):
            told = column.removesuffix("mean_iu").replace("_", " ") + "mean IU"
            right.plot(at, scores.column(column), form, color=colour, label=f"{name}: {told}")
        begin += float(x[-1]) + 1
    left.set(xlabel="iteration", ylabel="loss per labelled pixel", ylim=(0, None))
    right.set(ylabel="mean IU on held-out images", ylim=(0, 1))
    handles = [*left.get_legend_handles_labels()[0], *right.get_legend_handles_labels()[0]]
    left.legend(handles=handles, loc="center right", fontsize="small")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
