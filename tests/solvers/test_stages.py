"""The chain of stages as the command runs it: which weights each starts from, what is skipped, what ends it."""

import signal
import threading
import time

import pytest

from caffe_compat.errors import SolverError
from solvers.recipes import recipe
from solvers.stages import train as train_stages
from solvers.training import weights_of


@pytest.fixture
def train(thin, drawn_once, tmp_path, capsys):
    """Function: the command's training of a thin model in tmp_path; gives what it printed."""

    def run(model, iterations=2, *, init=None, resume=False, stages=False, check=False, change_net=thin.random_trunk):
        workplace = thin.thin_workplace(drawn_once, tmp_path, change_net=change_net)
        try:
            train_stages(recipe(model), workplace, iterations, () if init is None else (init,), resume, stages, check)
        finally:
            printed = capsys.readouterr().out
        return printed

    return run


def test_stages_run_one_from_the_other_and_are_skipped_when_finished(train, tmp_path, snapshots):
    printed = train("voc-fcn8s", stages=True)
    weights = {name: weights_of(snapshots.latest(tmp_path, name)) for name in ("voc-fcn32s", "voc-fcn16s", "voc-fcn8s")}
    assert [line for line in printed.splitlines() if "finished" in line] == [
        f"{name}: finished; {path}" for name, path in weights.items()
    ]
    assert f"  weights   {weights['voc-fcn32s']}" in printed
    assert f"  weights   {weights['voc-fcn16s']}" in printed
    assert "not in the file: score_pool3" in printed
    times = {path: path.stat().st_mtime_ns for path in weights.values()}
    assert train("voc-fcn8s", stages=True).splitlines() == [
        f"{name}: finished before (train_iter_2.solverstate)" for name in weights
    ]
    assert {path: path.stat().st_mtime_ns for path in weights.values()} == times


def test_stages_go_on_where_they_were(train, tmp_path, snapshots):
    train("voc-fcn32s")
    train("voc-fcn16s", iterations=1)
    with pytest.raises(SolverError, match=r"voc-fcn16s' holds a training already \(train_iter_1"):
        train("voc-fcn8s", stages=True)
    printed = train("voc-fcn8s", stages=True, resume=True)
    assert "voc-fcn32s: finished before" in printed
    assert "weights   train_iter_1.solverstate, with data position and random states" in printed
    assert snapshots.latest(tmp_path, "voc-fcn8s").name == "train_iter_2.solverstate"


def test_init_is_for_the_first_stage_only_even_when_that_is_skipped(train, thin, drawn_once, tmp_path, snapshots):
    first = thin.thin_training(drawn_once, tmp_path / "other", 1)
    first.run(score_every=0, progress=False)
    train("voc-fcn32s")
    printed = train("voc-fcn16s", init=first.weights, stages=True)
    assert f"  weights   {weights_of(snapshots.latest(tmp_path))}\n" in printed
    assert str(first.weights) not in printed


def test_a_finished_model_alone_is_not_trained_over(train):
    train("voc-fcn32s")
    with pytest.raises(SolverError, match=r"holds a training already \(train_iter_2\.solverstate\); --resume goes on"):
        train("voc-fcn32s")
    assert "voc-fcn32s: finished; " in train("voc-fcn32s", resume=True)


def test_a_stage_alone_finds_the_weights_of_the_one_before(train, tmp_path, snapshots):
    train("voc-fcn32s")
    weights = weights_of(snapshots.latest(tmp_path))
    printed = train("voc-fcn16s")
    assert printed.startswith(f"voc-fcn16s: starts from {weights}\n")
    assert f"  weights   {weights}\n" in printed


def test_init_wins_over_the_stage_before(train, tmp_path, snapshots):
    train("voc-fcn32s")
    mine = weights_of(snapshots.latest(tmp_path)).rename(tmp_path / "mine.caffemodel")
    assert f"  weights   {mine}\n" in train("voc-fcn16s", init=mine)


def test_resume_does_not_speak_of_the_stage_before(train):
    train("voc-fcn32s")
    train("voc-fcn16s")
    assert "starts from" not in train("voc-fcn16s", 3, resume=True)


def test_a_stop_by_sigint_ends_the_chain_and_says_how_to_go_on(train, tmp_path, snapshots):
    def interrupt():
        while snapshots.latest(tmp_path) is None:
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    other = threading.Thread(target=interrupt)
    other.start()
    printed = train("voc-fcn16s", 100000, stages=True).splitlines()
    other.join()
    assert printed[-2].startswith("voc-fcn32s: stopped at iteration ")
    assert printed[-1] == "the same command with --resume goes on from there"
    assert not (tmp_path / "voc-fcn16s").exists()


def test_check_stops_before_training(train, tmp_path, snapshots):
    printed = train("voc-fcn32s", check=True)
    assert printed.startswith("voc-fcn32s: check before training\n  train     6 images, SBD train")
    assert snapshots.latest(tmp_path) is None
    assert not list((tmp_path / "voc-fcn32s" / "snapshot").iterdir())
    assert (tmp_path / "voc-fcn32s" / "losses.csv").read_text().splitlines() == ["iteration,loss,loss_per_pixel"]
    train("voc-fcn32s")
    assert snapshots.latest(tmp_path) is not None


def test_faults_forbid_a_start(train, tmp_path, snapshots):
    with pytest.raises(SolverError, match=r"voc-fcn32s: the check above found faults \(1\); mend them first"):
        train("voc-fcn32s", change_net=None)
    assert snapshots.latest(tmp_path) is None
