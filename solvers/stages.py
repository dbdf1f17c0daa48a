"""Running a recipe, or the chain of recipes that leads to it, each from the weights of the one before."""

from pathlib import Path

import click

from caffe_compat.errors import SolverError
from solvers.recipe import Recipe
from solvers.recipes import chain
from solvers.training import Training, Workplace, iteration_of, latest_snapshot, weights_of

__all__ = ["train"]


def train(
    this: Recipe,
    workplace: Workplace,
    iterations: int | None,
    init: tuple[Path, ...],
    resume: bool,
    stages: bool,
    check: bool,
) -> None:
    """Train a recipe, or the chain that leads to it.

    Args:
        this: the recipe.
        workplace: what to run with.
        iterations: how many; None: the recipe's.
        init: weights to start from; without, those of the stages before, where they are in the same workplace.
        resume: go on from the latest snapshot.
        stages: run the whole chain; finished stages are skipped.
        check: only look over what the first stage that is not finished would start with.

    Raises:
        SolverError: the check found faults; or as ``Training``.
    """
    todo = chain(this.model) if stages else [this]
    results: dict[str, Path] = {}
    for stage in todo:
        weights = [results[name] for name in stage.predecessors if name in results] or list(init)
        state = latest_snapshot(workplace.folder / stage.model)
        planned = stage.iterations if iterations is None else iterations
        if stages and state is not None and iteration_of(state) >= planned:
            click.echo(f"{stage.model}: finished before ({state.name})")
            results[stage.model] = weights_of(state)
            continue
        again = resume and (state is not None or not stages)
        if state is None and not weights:
            weights = _previous(stage, workplace)
        training = Training(stage, workplace, planned, weights, again)
        found = training.check()
        click.echo(f"{stage.model}: check before training\n{found}")
        if found.faults:
            raise SolverError(f"{stage.model}: the check above found faults ({len(found.faults)}); mend them first")
        if check:
            return
        training.run()
        if not training.finished:
            click.echo("the same command with --resume goes on from there")
            return
        click.echo(f"{stage.model}: finished; {training.weights}")
        results[stage.model] = training.weights


def _previous(stage: Recipe, workplace: Workplace) -> list[Path]:
    """The weights of the stages before, if all of them were trained in the same workdir."""
    states = [latest_snapshot(workplace.folder / name) for name in stage.predecessors]
    found = [weights_of(state) for state in states if state is not None]
    if len(found) < len(states):
        return []
    for weights in found:
        click.echo(f"{stage.model}: starts from {weights}")
    return found
