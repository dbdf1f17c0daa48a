"""What given weights score on their model's own test split, all tasks in one pass, beside what was published.

measured = score_weights("voc-fcn8s", Path("fcn8s-heavy-pascal.caffemodel"), Path("data"))
measured.scores[""].mean_iu
show_beside_published(measured)
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from caffe_compat.errors import SolverError
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST
from nets.catalogue import lookup
from solvers.datasets import find_test_split
from solvers.evaluation import evaluate
from solvers.initial import check_covered, check_there
from solvers.metrics import FIGURES, Scores
from solvers.published import PUBLISHED, RELEASED_WEIGHTS, SOURCES
from solvers.score import print_scores
from solvers.verdict import judge, scored_on

__all__ = ["Measured", "score_weights", "show_beside_published"]

_SEED = 1337


@dataclass(frozen=True)
class Measured:
    """What given weights score.

    Args:
        model: its name.
        weights: their file.
        split: name of the list.
        images: how many it has.
        scores: by the task's name; that of a net with one task is empty.
    """

    model: str
    weights: Path
    split: str
    images: int
    scores: dict[str, Scores]


def score_weights(
    model: str,
    weights: Path,
    data: Path,
    read: str = "files",
    width: float = 1,
    progress: bool = True,
    precision: str = "fp32",
) -> Measured:
    """Score weights on the test split of their model's dataset.

    Args:
        model: name in the catalogue.
        weights: a caffemodel.
        data: the data folder; nothing to train on need be there.
        read: ``files`` or ``lmdb``.
        width: fraction of the channels, for thin copies.
        progress: show a bar on stderr.
        precision: ``fp32`` or ``bf16``.

    Raises:
        DataError: the data is not there or faulty.
        WeightsError: the weights are not there, cannot be read, do not fit, or leave a layer at zero.
    """
    known = lookup(model)
    check_there(weights)
    split = find_test_split(data, known, read)
    with TemporaryDirectory() as folder:
        nets = known.prototxts(test_source=split.source(known, Path(folder), _SEED), width=width)
        keep = [blob for task in known.tasks for blob in (task.score, task.label, task.loss)]
        net = Net(nets[known.test_file], phase=TEST, weights=weights, keep=keep, precision=precision)
        check_covered(net, weights)
        scores = evaluate(net, known, split.ids, progress=progress)
    return Measured(model, weights, split.name, len(split.ids), scores)


def show_beside_published(measured: Measured) -> None:
    """Print the release's lines, then a table of the measured and the published figures, and what comes of it.

    Weights in a file of the released name must come to the figures of the released ones.

    Raises:
        SolverError: figures of the whole split contradict what was published.
    """
    for task, scores in measured.scores.items():
        print_scores(scores, 0, task=task)
    rows = [row for row in PUBLISHED[measured.model] if row.split == scored_on(measured.model)]
    for task, scores in measured.scores.items():
        title = f"{task}, in per cent" if task else "in per cent"
        click.echo(f"\n{title:<24}{'pixel acc.':>12}{'mean acc.':>12}{'mean IU':>12}{'f.w. IU':>12}")
        _line(f"measured ({measured.images})", scores)
        for row in rows:
            if row.task == task:
                _line(f"published {row.source}", row)
    for source in dict.fromkeys(row.source for row in rows):
        click.echo(f"{source}: {SOURCES[source]}")
    if measured.split not in scored_on(measured.model).split():
        click.echo(f"note: the list scored is {measured.split}, not {scored_on(measured.model)}")
    released = measured.weights.name == RELEASED_WEIGHTS.get(measured.model)
    wrong = []
    for task, scores in measured.scores.items():
        try:
            verdict = judge(measured.model, scores, task=task, ids=measured.images, released=released)
            click.echo(f"{task}: {verdict}" if task else verdict)
        except SolverError as error:
            wrong.append(str(error))
    if wrong:
        raise SolverError("; ".join(wrong))


def _line(title: str, figures: object) -> None:
    values = [getattr(figures, name) for name in FIGURES]
    cells = (f"{'-':>12}" if value is None else f"{100 * value:>12.3f}" for value in values)
    click.echo(f"{title:<24}{''.join(cells)}")
