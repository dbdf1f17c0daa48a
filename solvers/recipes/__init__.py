"""The recipes, one file each; ``RECIPES`` is the table of their names in the order of the paper."""

from importlib import import_module

from caffe_compat.errors import SolverError
from caffe_compat.spelling import did_you_mean
from solvers.metrics import four_figures
from solvers.published import SOURCES, Row
from solvers.recipe import Recipe

__all__ = ["RECIPES", "chain", "recipe", "recipe_text"]

RECIPES = (
    "voc-fcn32s",
    "voc-fcn16s",
    "voc-fcn8s",
    "voc-fcn8s-atonce",
    "voc-fcn-alexnet",
    "nyud-fcn32s-color",
    "nyud-fcn32s-color-d",
    "nyud-fcn32s-hha",
    "nyud-fcn32s-color-hha",
    "siftflow-fcn32s",
    "siftflow-fcn16s",
    "siftflow-fcn8s",
    "pascalcontext-fcn32s",
    "pascalcontext-fcn16s",
    "pascalcontext-fcn8s",
    "voc-fcn32s-fixed",
    "voc-fcn32s-accumulated",
    "voc-fcn32s-online",
    "voc-fcn-pool5",
    "voc-fcn-pool4",
    "voc-fcn-pool3",
    "voc-fcn-googlenet",
    "nyud-fcn16s-color-hha",
    "voc-fcn8s-vgg19",
    "voc-fcn32s-sampled",
    "voc-fcn32s-balanced",
    "voc-fcn8s-learned",
)


def _module(name: str) -> str:
    if name not in RECIPES:
        raise SolverError(f"unknown model '{name}'{did_you_mean(name, RECIPES)}; known: {', '.join(RECIPES)}")
    return f"solvers.recipes.{name.replace('-', '_')}"


def recipe(name: str) -> Recipe:
    """The recipe of a model.

    Raises:
        SolverError: there is none; the message lists the known ones.
    """
    found = import_module(_module(name)).RECIPE
    assert isinstance(found, Recipe)
    return found


def recipe_text(name: str) -> str:
    """What the recipe's file says of itself (command, device, hours, expected result), and all that was published.

    Figures are pixel accuracy / mean accuracy / mean IU / frequency-weighted IU in per cent.
    """
    text = (import_module(_module(name)).__doc__ or "").rstrip("\n")
    return "\n".join([text, *(f"Published: {_told(row)}" for row in recipe(name).published)]) + "\n"


def _told(row: Row) -> str:
    """A row with where it is from and how near a score is to come to it."""
    task, table = (f"{row.task}, " if row.task else ""), (f", Table {row.table}" if row.table else "")
    return f"{four_figures(row)} on {row.split}, {task}within {100 * row.tolerance:g} ({SOURCES[row.source]}{table})"


def chain(name: str) -> list[Recipe]:
    """The recipes to run one after another to get to a model, itself last."""
    last = recipe(name)
    before = [stage for previous in last.predecessors for stage in chain(previous)]
    return [*before, last]
