"""One training: from a recipe, a data folder and starting weights to snapshots, scores and a learning curve.

WORKDIR/MODEL/
    train.prototxt, val.prototxt, deploy.prototxt     the nets
    solver.prototxt                                   the recipe's settings, as released
    snapshot/train_iter_N.caffemodel, .solverstate    as Caffe writes them; .resume: data position, random states
    train.log                                         Caffe's log lines, for parse_log
    losses.csv, scores.csv, learning_curve.png        to look at; a row of losses for each iteration, counted from 0
    lists/, lmdb/                                     what was read
"""

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import click
from tqdm import tqdm

from caffe_compat import glog
from caffe_compat.device import set_random_seed
from caffe_compat.errors import SolverError
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST, NetParameter, SolverParameter
from caffe_compat.proto.text import write_text
from caffe_compat.solver import SGDSolver, apply_extra, load_extra, save_extra
from caffe_compat.solver.lr import learning_rate
from nets.catalogue import DEPLOY_FILE, Model, lookup
from nets.surgery import Report, interp
from solvers.checkup import Checkup, examine
from solvers.evaluation import evaluate
from solvers.initial import interpolated_layers, start_recipe
from solvers.metrics import Scores
from solvers.recipe import Recipe
from solvers.report import Table, learning_curve, loss_columns, loss_row, score_columns, score_row
from solvers.score import print_scores
from solvers.splits import Splits

__all__ = ["Training", "Workplace", "iteration_of", "latest_snapshot", "weights_of"]

_STATE = re.compile(r"train_iter_(\d+)\.solverstate")


@dataclass(frozen=True)
class Workplace:
    """What a training is run with, whatever the recipe.

    Args:
        splits: the data.
        folder: WORKDIR; each model has a folder in it.
        seed: of data order, Dropout and fillers.
        snapshot_every: iterations between snapshots; None: the recipe's.
        width: fraction of the channels, for thin copies.
        precision: of train and test net, ``fp32`` or ``bf16``; weights, their updates and snapshots are float32.
        classes: of the labels, for data of one's own; None: the model's.
        change_net: a last change to train and test nets (the demo's fillers and loss normalisation).
    """

    splits: Splits
    folder: Path
    seed: int = 1337
    snapshot_every: int | None = None
    width: float = 1
    precision: str = "fp32"
    classes: int | None = None
    change_net: Callable[[NetParameter], None] | None = None


class _RecipeSolver(SGDSolver):
    """Caffe's SGD, whose snapshots come with what a bit-equal resume needs.

    That is written first: a solver state that is there, even after a kill between the files, has it beside it.
    """

    def snapshot(self) -> tuple[str, str]:
        save_extra(self)
        return super().snapshot()

    def watched(self) -> AbstractContextManager[object]:
        """Signals that come in this block are noted, while snapshots are written too."""
        return self._watched()

    def asked_to_stop(self) -> bool:
        """Whether a noted signal that no iteration has taken asks to stop."""
        while self._signals is not None and (request := self._signals.take()) != "none":
            if request == "stop":
                return True
            self.snapshot()
        return False


def latest_snapshot(folder: Path) -> Path | None:
    """The solver state of the highest iteration in a model's folder; None if there is none."""
    states = [path for path in (folder / "snapshot").glob("*.solverstate") if _STATE.fullmatch(path.name)]
    return max(states, key=iteration_of, default=None)


def iteration_of(state: Path) -> int:
    """The iteration that a solver state, ``train_iter_N.solverstate``, was taken at."""
    found = _STATE.fullmatch(state.name)
    assert found is not None  # latest_snapshot gives no other
    return int(found[1])


def weights_of(state: Path) -> Path:
    """The caffemodel that was written beside a solver state."""
    return state.with_suffix(".caffemodel")


class Training:
    """A recipe, set up: nets built, weights in place, nothing run yet.

    Args:
        recipe: what to run.
        workplace: what to run it with.
        iterations: how many; None: the recipe's.
        weights: a caffemodel to start from, or for a recipe that fuses streams one for each; none leaves the fillers'
            values. Not used when going on.
        resume: go on from the latest snapshot in the model's folder.

    Raises:
        SolverError: there is a snapshot and ``resume`` was not asked for, or the other way round.
        WeightsError, DataError, NetError: weights, data or net are faulty.
    """

    def __init__(
        self,
        recipe: Recipe,
        workplace: Workplace,
        iterations: int | None = None,
        weights: Path | Sequence[Path] | None = None,
        resume: bool = False,
    ) -> None:
        self.recipe = recipe
        self.workplace = workplace
        self.iterations = recipe.iterations if iterations is None else iterations
        known = lookup(recipe.model)
        self.model: Model = known if workplace.classes is None else known.with_classes(workplace.classes)
        tasks = self.model.tasks
        truth = [blob for task in tasks for blob in (task.label, task.loss)]
        self.folder = workplace.folder / recipe.model
        state = latest_snapshot(self.folder)
        self._check_folder(state, resume)
        (self.folder / "snapshot").mkdir(parents=True, exist_ok=True)
        set_random_seed(workplace.seed)
        with glog.log_to_file(self.folder / "train.log", level=0):
            train, test = self._write_nets()
            self.solver = _RecipeSolver(self._settings(train), keep=truth, precision=workplace.precision)
            scored = [*(task.score for task in tasks), *truth]
            self.test_net = Net(test, phase=TEST, keep=scored, precision=workplace.precision)
            self.test_net.share_with(self.solver.net)
            self.report, self.origin = self._start(state, weights)
        self.losses = Table(self.folder / "losses.csv", ["iteration", *loss_columns(tasks)], self.solver.iter)
        self.scores = Table(self.folder / "scores.csv", ["iteration", *score_columns(tasks)], self.solver.iter + 1)

    def _check_folder(self, state: Path | None, resume: bool) -> None:
        if state is not None and not resume:
            raise SolverError(
                f"'{self.folder}' holds a training already ({state.name}); --resume goes on with it, "
                "another --workdir begins anew"
            )
        if state is None and resume:
            raise SolverError(
                f"--resume: '{self.folder / 'snapshot'}' holds no train_iter_N.solverstate; leave --resume out, "
                "or name the --workdir that the interrupted run used"
            )

    def _write_nets(self) -> tuple[NetParameter, NetParameter]:
        work, splits = self.workplace, self.workplace.splits
        nets = self.model.prototxts(
            train_source=splits.train.source(self.model, self.folder, work.seed),
            test_source=splits.test.source(self.model, self.folder, work.seed),
            width=work.width,
        )
        for name, net in nets.items():
            if work.change_net is not None and name != DEPLOY_FILE:
                work.change_net(net)
            write_text(self.folder / name, net)
        solver = self.recipe.solver(self.model.train_file, self.model.test_file)
        write_text(self.folder / "solver.prototxt", solver)
        return nets[self.model.train_file], nets[self.model.test_file]

    def _settings(self, train: NetParameter) -> SolverParameter:
        """The recipe's, with the net in the message; snapshots are taken by ``run``, between steps."""
        param = self.recipe.solver()
        param.train_net_param.CopyFrom(train)
        param.ClearField("test_interval")
        param.ClearField("test_initialization")
        param.max_iter = self.iterations
        param.snapshot = 0
        param.snapshot_prefix = str(self.folder / "snapshot" / "train")
        param.random_seed = self.workplace.seed
        return param

    def _start(self, state: Path | None, weights: Path | Sequence[Path] | None) -> tuple[Report | None, str]:
        if state is not None:
            self.solver.restore(state)
            extra = state.with_suffix(".resume")
            if not extra.exists():
                return None, f"{state.name}, without {extra.name}: data begins anew, as Caffe's restore"
            apply_extra(self.solver, load_extra(extra))
            return None, f"{state.name}, with data position and random states"
        files = [weights] if isinstance(weights, Path) else list(weights or ())
        if not files:
            interp(self.solver.net, interpolated_layers(self.solver.net))
            return None, "none given: all layers at their fillers, interpolation set"
        return start_recipe(self.solver.net, self.recipe, files), ", ".join(map(str, files))

    @property
    def weights(self) -> Path:
        """The caffemodel of the present iteration, once a snapshot of it was taken."""
        return self.folder / "snapshot" / f"train_iter_{self.solver.iter}.caffemodel"

    def check(self) -> Checkup:
        """Look everything over; see ``solvers.checkup``."""
        left = max(0, self.iterations - self.solver.iter)
        net, param, work = self.solver.net, self.solver.param.train_net_param, self.workplace
        return examine(self.recipe, self.model, net, param, work.splits, self.report, self.origin, left, work.precision)

    # -- running -------------------------------------------------------------------------------------------------------

    def run(self, score_every: int | None = None, progress: bool = True) -> dict[str, Scores] | None:
        """Train to the end, scoring on the way and at the end.

        Args:
            score_every: iterations between scorings; None: the recipe's; 0: none at all.
            progress: show bars on stderr.

        Returns:
            The last scores, as ``score`` gives them; None if stopped by a signal, or if nothing was left to score.
        """
        solver, every = self.solver, self.recipe.score_every if score_every is None else score_every
        snapshot_every = self.workplace.snapshot_every or self.recipe.snapshot_every
        solver.handle_signals("stop", "snapshot")
        with (
            glog.log_to_file(self.folder / "train.log", level=0),
            tqdm(total=self.iterations, initial=solver.iter, desc=self.recipe.model, disable=not progress) as bar,
        ):
            solver.add_callback(lambda: None, lambda: self._note(bar))
            try:
                stopped, scores = self._run(every, snapshot_every, progress)
            except KeyboardInterrupt:  # between two blocks that watch, or while scoring
                stopped, scores = True, None
            if stopped:
                with solver.watched():
                    if not self.weights.with_suffix(".solverstate").exists():
                        solver.snapshot()
                click.echo(f"{self.recipe.model}: stopped at iteration {solver.iter}; kept {self.weights}")
                return None
        learning_curve(self.folder / "learning_curve.png", {self.recipe.model: (self.losses, self.scores)})
        return scores

    def _run(self, every: int, snapshot_every: int, progress: bool) -> tuple[bool, dict[str, Scores] | None]:
        """Whether a signal asked to stop, and the last scores."""
        solver, scores = self.solver, None
        if every and self.finished and not self._scored():  # stopped between its end and its last scores
            scores = self.score(progress)
        while not self.finished:
            marks = [self.iterations, _next(solver.iter, snapshot_every)]
            with solver.watched():
                solver.step(min([*marks, *([_next(solver.iter, every)] if every else [])]) - solver.iter)
                if self.finished or solver.iter % snapshot_every == 0:
                    solver.snapshot()
                if solver.requested_early_exit or solver.asked_to_stop():
                    return True, scores
            if every and (self.finished or solver.iter % every == 0):
                scores = self.score(progress)
        return False, scores

    @property
    def finished(self) -> bool:
        """Whether all iterations are done."""
        return self.solver.iter >= self.iterations

    def _scored(self) -> bool:
        return self.solver.iter in self.scores.column("iteration")

    def _note(self, bar: tqdm) -> None:
        """After a backward: the row of the loss, and the bar."""
        solver = self.solver
        rate, _ = learning_rate(solver.param, solver.iter, solver.current_step)
        row = loss_row(solver.net, self.model.tasks, solver.loss)
        self.losses.add({"iteration": solver.iter, **row})
        bar.set_postfix_str(f"loss/pixel {row['loss_per_pixel']:.4f}, loss {solver.loss:.4g}, lr {rate:.3g}")
        bar.update(1)

    def score(self, progress: bool = True) -> dict[str, Scores]:
        """Score the present weights on the test split and note the result.

        Returns:
            Scores by the task's name; that of a net with one task is empty.
        """
        scores = evaluate(self.test_net, self.model, self.workplace.splits.test.ids, progress=progress)
        for task, one in scores.items():
            print_scores(one, self.solver.iter, echo=glog.log, task=task)
        row = score_row(scores)
        told = ", ".join(f"{name.replace('_', ' ')} {100 * value:.1f}" for name, value in row.items())
        tqdm.write(f"{self.recipe.model}: iteration {self.solver.iter}: {told}")
        self.scores.add({"iteration": self.solver.iter, **row})
        return scores


def _next(now: int, every: int) -> int:
    """The first multiple of ``every`` after now."""
    return (now // every + 1) * every
