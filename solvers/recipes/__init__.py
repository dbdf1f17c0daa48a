"""The recipes, one file each; ``RECIPES`` is the table of their names in the order of the paper."""

import difflib
from importlib import import_module

from caffe_compat.errors import SolverError
from solvers.recipe import Recipe

__all__ = ["RECIPES", "chain", "recipe", "recipe_text"]

RECIPES = ("voc-fcn32s", "voc-fcn16s", "voc-fcn8s", "voc-fcn8s-atonce", "voc-fcn-alexnet")


def _module(name: str) -> str:
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise SolverError(f"unknown model '{name}'{hint}; known: {', '.join(RECIPES)}")
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
    """What the recipe's file says of itself: command, device, hours, expected result."""
    return import_module(_module(name)).__doc__ or ""


def chain(name: str) -> list[Recipe]:
    """The recipes to run one after another to get to a model, itself last."""
    stages = [recipe(name)]
    while stages[0].begins_from is not None:
        stages.insert(0, recipe(stages[0].begins_from))
    return stages
