"""Published scores of the models: those whose weights and whose dataset are at hand are measured and judged."""

from collections.abc import Iterator
from pathlib import Path

from caffe_compat.errors import CaffeError, DataError
from nets.catalogue import lookup
from solvers.datasets import find_test_split
from solvers.findings import Finding
from solvers.measured import score_weights
from solvers.metrics import four_figures
from solvers.published import RELEASED_WEIGHTS
from solvers.recipes import recipe
from solvers.training import iteration_of, latest_snapshot, weights_of
from solvers.verdict import compare, governing

__all__ = ["check_model", "find_weights"]

_STATES = {True: "agrees", False: "OUTSIDE", None: "measured"}


def find_weights(model: str, folder: Path) -> list[Path]:
    """The weights of a model in a folder or below it.

    These are files of the released name, ``MODEL.caffemodel`` and ``MODEL.caffemodel.h5``, and in a workdir of solve.py
    the last snapshot of a finished training.
    """
    names = [f"{model}.caffemodel", f"{model}.caffemodel.h5"]
    if model in RELEASED_WEIGHTS:
        names.insert(0, RELEASED_WEIGHTS[model])
    found = [path for name in names for path in sorted(folder.rglob(name)) if path.is_file()]
    state = latest_snapshot(folder / model)
    if state is not None and iteration_of(state) >= recipe(model).iterations and weights_of(state).is_file():
        found.append(weights_of(state))
    return found


def check_model(
    model: str,
    weights: Path | None,
    data: Path | None,
    read: str = "files",
    width: float = 1,
    progress: bool = True,
) -> Iterator[Finding]:
    """Score a model's weights, each file of them, on its test split.

    Args:
        model: name in the catalogue.
        weights: folder of weights.
        data: the data folder.
        read: ``files`` or ``lmdb``.
        width: fraction of the channels, for weights of thin copies.
        progress: show a bar on stderr.
    """
    if weights is None or data is None:
        yield Finding("skipped", model, "no --weights" if weights is None else "no --data")
        return
    files = find_weights(model, weights)
    if not files:
        names = [name for name in (RELEASED_WEIGHTS.get(model), f"{model}.caffemodel") if name is not None]
        yield Finding("skipped", model, f"no {' or '.join(names)} in '{weights}'")
        return
    try:
        find_test_split(data, lookup(model), read)
    except DataError as error:
        yield Finding("skipped", model, f"weights are there ({len(files)}), but its data is not: {error}")
        return
    for path in files:
        yield from _scored(model, path, data, read, width, progress)


def _scored(model: str, path: Path, data: Path, read: str, width: float, progress: bool) -> Iterator[Finding]:
    """A finding for each task."""
    name = f"{model} with {path.name}"
    try:
        measured = score_weights(model, path, data, read, width, progress)
    except (CaffeError, OSError) as error:
        yield Finding("failed", name, str(error))
        return
    released = path.name == RELEASED_WEIGHTS.get(model)
    for task, scores in measured.scores.items():
        verdict = compare(model, scores, task=task, ids=measured.images, released=released)
        row = governing(model, task)
        beside = f"; published {four_figures(row)} ({row.source})" if row is not None else ""
        found = f"{four_figures(scores)} on {measured.images} images of {measured.split}{beside}; {verdict.text}"
        yield Finding(_STATES[verdict.agrees], f"{name}, {task}" if task else name, found)
