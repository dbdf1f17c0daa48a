"""The models as ``solve.py --list`` tells of them, and their files as ``--emit-prototxt`` writes them."""

from pathlib import Path

import click

from caffe_compat.proto.text import write_text
from nets.catalogue import DEPLOY_FILE, Model, lookup
from nets.classifiers import INPUT_SHAPE, build, train_val
from nets.size import parameter_count
from nets.sources import InputData
from solvers.published import PUBLISHED
from solvers.recipe import Recipe
from solvers.recipes import RECIPES, recipe, recipe_text

__all__ = ["emit", "emit_classifier", "show_models"]

_TRAIN_VAL_FILE = "train_val.prototxt"


def show_models(model: str | None) -> None:
    """Print what is known of a model, or of None a line or two on each.

    Raises:
        SolverError: there is no such model.
    """
    if model is not None:
        click.echo(f"{model}\n\n{_known(model)}")
        return
    for name in RECIPES:
        known = lookup(name)
        net = known.build(InputData(known.deploy_shapes), classes=known.classes)
        millions = parameter_count(net) / 1e6
        size = f"{millions:.0f}M" if millions > 1 else f"{millions:.2f}M"
        best = max((row.mean_iu or 0 for row in PUBLISHED[name] if not row.split.startswith("VOC")), default=0)
        told = f"published mean IU {100 * best:.1f}" if best else "no published mean IU"
        click.echo(
            f"{name:<23} {recipe_text(name).splitlines()[0]}\n{'':<23} {known.dataset}, "
            f"{size} parameters, stride {known.stride}, {known.classes} classes, {told}"
        )
    click.echo("\nsolve.py MODEL --list tells more; solve.py --help has the options; try solve.py voc-fcn8s --demo")


def _known(model: str) -> str:
    text = recipe_text(model)
    notes = "".join(f"\nNote:      {note}" for note in recipe(model).notes)
    return text.rstrip() + notes


def emit(this: Recipe, known: Model, folder: Path) -> None:
    """Write the nets of a recipe's model and the solver into a folder, as released."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, net in known.prototxts().items():
        write_text(folder / name, net)
    write_text(folder / "solver.prototxt", this.solver(known.train_file, known.test_file))
    click.echo(f"{folder}: {known.train_file}, {known.test_file}, {DEPLOY_FILE}, solver.prototxt")


def emit_classifier(name: str, folder: Path) -> None:
    """Write the nets of a classifier into a folder: to train and test on LMDBs of ILSVRC, and its deploy form."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / _TRAIN_VAL_FILE, train_val(name))
    write_text(folder / DEPLOY_FILE, build(name, InputData({"data": INPUT_SHAPE})))
    click.echo(f"{folder}: {_TRAIN_VAL_FILE}, {DEPLOY_FILE}")
