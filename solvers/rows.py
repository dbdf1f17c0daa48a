"""The rows of a training's tables, losses.csv and scores.csv, for nets with one task or several.

With one task: loss, loss_per_pixel; pixel_accuracy, mean_accuracy, mean_iu, fw_iu. With several, each task has these
under its name, as semantic_loss_per_pixel and semantic_mean_iu, and loss_per_pixel is the sum over tasks.
"""

from collections.abc import Mapping, Sequence

from caffe_compat.net.net import Net
from data_prep.labels import VOID
from nets.catalogue import Task
from solvers.checkup import averages_pixels
from solvers.metrics import Scores

__all__ = ["loss_columns", "loss_row", "score_columns", "score_row"]

_METRICS = ("pixel_accuracy", "mean_accuracy", "mean_iu", "fw_iu")
_TOTALS = ("loss", "loss_per_pixel")


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
    return [_of(task.name, name) for task in tasks for name in _METRICS]


def score_row(scores: Mapping[str, Scores]) -> dict[str, float]:
    """What the tasks scored, 0 to 1."""
    return {_of(task, name): float(getattr(one, name)) for task, one in scores.items() for name in _METRICS}


def _of(task: str, name: str) -> str:
    return f"{task}_{name}" if task else name
