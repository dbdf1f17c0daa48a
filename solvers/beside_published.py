"""What weights score, printed beside what was published for their model, and what comes of it."""

import click

from caffe_compat.errors import SolverError
from solvers.published import PUBLISHED, RELEASED_WEIGHTS, SOURCES
from solvers.score import print_scores
from solvers.scoring_command import Measured
from solvers.verdict import FIGURES, judge, scored_on

__all__ = ["show_beside_published"]


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
