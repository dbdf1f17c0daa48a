"""Holding a score against the published figures: which row it is held against, and what comes of it.

A score on a whole test split agrees with a row if it lies within the row's tolerance, as the weights do that the row
was measured with. Weights of one's own agree if they come to what others have come to by training.
"""

from dataclasses import dataclass

from caffe_compat.errors import SolverError
from nets.catalogue import lookup
from solvers.metrics import FIGURES, Scores
from solvers.published import PUBLISHED, RETRAINED, SOURCES, SPLIT_IMAGES, Row

__all__ = ["Verdict", "compare", "governing", "judge", "misses", "scored_on"]

_SCORED_ON = {"voc": "seg11valid", "nyud": "NYUDv2 test", "siftflow": "SIFT Flow test",
              "pascalcontext": "PASCAL-Context val"}  # fmt: skip
_FROM_RELEASED = ("W", "R")  # measured with the weights that were released
_STRONGEST_FIRST = (*_FROM_RELEASED, "P", "C")
_SPREAD = (0.014, 0.004)  # how far below and above the released weights others' trainings of the VOC models have come


@dataclass(frozen=True)
class Verdict:
    """What a comparison came to.

    Args:
        agrees: None where there is nothing to hold the score against.
        text: one line that says with what it agrees, where it does not, or why there was no comparison.
    """

    agrees: bool | None
    text: str


def scored_on(model: str) -> str:
    """The split of a model's published figures, as rows name it."""
    return _SCORED_ON[lookup(model).dataset]


def governing(model: str, task: str = "") -> Row | None:
    """The row that a model's score on its test split is held against; None if nothing was published.

    It is the one that is closest to the recipe: of the released weights scored again, else the release's own, else
    PAMI's, else CVPR's, whose VOC trainings were other ones.
    """
    rows = {row.source: row for row in reversed(PUBLISHED[model]) if (row.split, row.task) == (scored_on(model), task)}
    return next((rows[source] for source in _STRONGEST_FIRST if source in rows), None)


def misses(measured: Scores, row: Row) -> list[str]:
    """Where a score lies outside a row's tolerance, in words; empty if nowhere.

    Args:
        measured: the score.
        row: the published figures.
    """
    found = []
    for name, words in FIGURES.items():
        wanted, got = getattr(row, name), getattr(measured, name)
        if wanted is not None and not abs(got - wanted) <= row.tolerance:
            found.append(
                f"{words} {100 * got:.3f} is not within {100 * row.tolerance:g} of the published "
                f"{100 * wanted:.3f} ({row.source})"
            )
    return found


def compare(model: str, measured: Scores, *, task: str = "", ids: int | None = None, released: bool = False) -> Verdict:
    """Hold a score of one task against what was published of it.

    Args:
        model: name in the catalogue.
        measured: the score on the model's test split.
        task: of a net with several, its name.
        ids: number of images in the list that was scored; a row counts for the whole list only. None: it was whole.
        released: the weights are the released ones, which must come to the figures that were measured with them.
    """
    whole = SPLIT_IMAGES[scored_on(model)]
    if ids is not None and ids != whole:
        return Verdict(None, f"not judged: {scored_on(model)} has {whole} images, and these are {ids}")
    row = governing(model, task)
    if row is None:
        return Verdict(None, f"not judged: nothing was published of {model}{f', {task}' if task else ''}")
    wrong = misses(measured, row)
    if not wrong:
        return Verdict(True, f"agrees with {row.source} ({SOURCES[row.source]}) within {100 * row.tolerance:g}")
    if released and row.source in _FROM_RELEASED:
        return Verdict(False, "; ".join(wrong))
    name = "mean_iu" if row.mean_iu is not None else "pixel_accuracy"
    lowest, highest, origin = _trained(model, row, name)
    told = f"{lowest * 100:.1f} to {highest * 100:.1f}, {origin}"
    if lowest <= getattr(measured, name) <= highest:
        return Verdict(True, f"{FIGURES[name]} is within {told}")
    return Verdict(False, "; ".join([*wrong, f"nor is {FIGURES[name]} within {told}"]))


def _trained(model: str, row: Row, name: str) -> tuple[float, float, str]:
    """What a training of one's own should come to, and where that is from."""
    if model in RETRAINED:
        return *RETRAINED[model], "which others have trained it to"
    below, above = _SPREAD
    figure = getattr(row, name)
    return figure - below, figure + above, f"the spread of trainings around {100 * figure:.1f} ({row.source})"


def judge(model: str, measured: Scores, *, task: str = "", ids: int | None = None, released: bool = False) -> str:
    """The text of ``compare``, with the same arguments, as long as the score does not contradict what was published.

    Raises:
        SolverError: it lies outside.
    """
    verdict = compare(model, measured, task=task, ids=ids, released=released)
    if verdict.agrees is False:
        raise SolverError(f"{model}{f' ({task})' if task else ''}: {verdict.text}")
    return verdict.text
