"""Trainings that were stopped, by a kill or a signal, and go on to the last bit; what --resume refuses."""

import signal
import time

import numpy as np
import pytest

from caffe_compat.errors import DataError, SolverError, WeightsError
from caffe_compat.proto.weights import read_solverstate
from solvers.training import latest_snapshot, weights_of

QUIET = {"score_every": 0, "progress": False}


def wait_for(condition, process, seconds=60):
    """Until the condition holds while the process runs."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.01)


def test_resume_in_another_process_after_a_kill(thin, drawn_once, tmp_path, start, program, snapshots):
    process = start(program, drawn_once, tmp_path / "killed", 100000)
    wait_for(lambda: snapshots.latest(tmp_path / "killed") is not None, process)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    state = snapshots.latest(tmp_path / "killed")
    reached = read_solverstate(state).iter
    assert state.name == f"train_iter_{reached}.solverstate"
    training = thin.thin_training(drawn_once, tmp_path / "killed", reached + 3, resume=True)
    assert training.solver.iter == reached
    assert training.origin == f"{state.name}, with data position and random states"
    training.check()
    training.run(progress=False)
    unbroken = thin.thin_training(drawn_once, tmp_path / "unbroken", reached + 3)
    unbroken.run(progress=False)
    snapshots.assert_same_bits(snapshots.latest(tmp_path / "killed"), snapshots.latest(tmp_path / "unbroken"))
    for name in ("losses.csv", "scores.csv"):
        texts = [(tmp_path / run / "voc-fcn32s" / name).read_text() for run in ("killed", "unbroken")]
        assert texts[0] == texts[1]


def test_a_snapshot_s_state_is_never_without_its_resume_file(thin, drawn_once, tmp_path, snapshots):
    """A kill between the files of a snapshot: the state, by which it is found, is the last of them."""
    training = thin.thin_training(drawn_once, tmp_path)
    folder = tmp_path / "voc-fcn32s" / "snapshot"
    (folder / "train_iter_2.caffemodel").mkdir()  # the weights cannot take their place
    with pytest.raises(WeightsError, match=r"train_iter_2\.caffemodel"):
        training.run(**QUIET)
    assert (folder / "train_iter_2.resume").is_file()
    assert snapshots.latest(tmp_path) is None


def test_resume_without_the_resume_file_is_caffe_s_restore(unbroken, thin, drawn_once, tmp_path, snapshots):
    runs = {}
    for name in ("with", "without"):
        thin.thin_training(drawn_once, tmp_path / name, 2).run(**QUIET)
        if name == "without":
            snapshots.latest(tmp_path / name).with_suffix(".resume").unlink()
        runs[name] = thin.thin_training(drawn_once, tmp_path / name, resume=True)
    assert runs["without"].origin == (
        "train_iter_2.solverstate, without train_iter_2.resume: data begins anew, as Caffe's restore"
    )
    order = {name: run.solver.net.layers[0].state_dict() for name, run in runs.items()}
    fresh = thin.thin_training(drawn_once, tmp_path / "fresh").solver.net.layers[0].state_dict()
    assert order["without"] == fresh != order["with"]
    for blob, saved in snapshots.blobs_of(tmp_path / "without/voc-fcn32s/snapshot/train_iter_2.caffemodel").items():
        layer, index = blob.split("/")
        assert np.array_equal(runs["without"].solver.net.params[layer][int(index)].data, saved)
    runs["without"].run(**QUIET)
    ours, theirs = (snapshots.blobs_of(weights_of(snapshots.latest(f))) for f in (tmp_path / "without", unbroken[2]))
    assert not np.array_equal(ours["score_fr/0"], theirs["score_fr/0"])


def test_sigint_snapshots_and_stops(thin, drawn_once, tmp_path, start, program, snapshots):
    process = start(program, drawn_once, tmp_path, 100000)
    wait_for(lambda: snapshots.latest(tmp_path) is not None, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    state = snapshots.latest(tmp_path)
    reached = read_solverstate(state).iter
    assert out.splitlines()[-1] == f"voc-fcn32s: stopped at iteration {reached}; kept {weights_of(state)}"
    assert state.with_suffix(".resume").is_file()
    assert thin.thin_training(drawn_once, tmp_path, reached + 1, resume=True).solver.iter == reached


def test_sigint_during_a_snapshot_waits_for_its_end(thin, drawn_once, tmp_path, monkeypatch, capsys, snapshots):
    training = thin.thin_training(drawn_once, tmp_path, 100)
    save = training.solver.net.save

    def interrupted_save(*arguments, **settings):
        signal.raise_signal(signal.SIGINT)
        save(*arguments, **settings)

    monkeypatch.setattr(training.solver.net, "save", interrupted_save)
    assert training.run(**QUIET) is None
    assert capsys.readouterr().out.startswith("voc-fcn32s: stopped at iteration 2; ")
    assert snapshots.latest(tmp_path).name == "train_iter_2.solverstate"


def test_sigint_while_scoring_keeps_what_was_trained(thin, drawn_once, tmp_path, monkeypatch, capsys, snapshots):
    training = thin.thin_training(drawn_once, tmp_path, snapshot_every=4)
    monkeypatch.setattr(training, "score", lambda progress: signal.raise_signal(signal.SIGINT))
    assert training.run(score_every=1, progress=False) is None
    assert f"voc-fcn32s: stopped at iteration 1; kept {training.weights}\n" in capsys.readouterr().out
    assert weights_of(snapshots.latest(tmp_path)) == training.weights
    resumed = thin.thin_training(drawn_once, tmp_path, 2, resume=True)
    assert resumed.origin == "train_iter_1.solverstate, with data position and random states"
    resumed.run(**QUIET)
    assert resumed.finished


def test_sighup_snapshots_with_a_resume_file_and_goes_on(thin, drawn_once, tmp_path):
    training = thin.thin_training(drawn_once, tmp_path, 3, snapshot_every=100)
    sent = []

    def hang_up_once():
        if not sent:
            sent.append(1)
            signal.raise_signal(signal.SIGHUP)

    training.solver.add_callback(hang_up_once, lambda: None)
    training.run(**QUIET)
    assert training.finished
    names = sorted(path.name for path in (tmp_path / "voc-fcn32s" / "snapshot").iterdir())
    kinds = ("caffemodel", "resume", "solverstate")
    assert names == [f"train_iter_{n}.{kind}" for n in (1, 3) for kind in kinds]


def test_a_folder_with_snapshots_is_refused_without_resume(unbroken, thin, drawn_once):
    with pytest.raises(
        SolverError,
        match=r"'.*voc-fcn32s' holds a training already \(train_iter_4\.solverstate\); --resume goes on with it, "
        "another --workdir begins anew",
    ):
        thin.thin_training(drawn_once, unbroken[2])


def test_resume_with_nothing_there(thin, drawn_once, tmp_path):
    with pytest.raises(
        SolverError, match=r"--resume: '.*voc-fcn32s/snapshot' holds no train_iter_N\.solverstate; leave --resume out"
    ):
        thin.thin_training(drawn_once, tmp_path, resume=True)
    assert not (tmp_path / "voc-fcn32s").exists()


def test_a_damaged_resume_file_is_named(thin, drawn_once, tmp_path, snapshots):
    thin.thin_training(drawn_once, tmp_path, 2).run(**QUIET)
    snapshots.latest(tmp_path).with_suffix(".resume").write_bytes(b"garbage")
    with pytest.raises(SolverError, match=r"train_iter_2\.resume: is not a \.resume file, or damaged"):
        thin.thin_training(drawn_once, tmp_path, resume=True)


def test_resume_with_other_data_is_refused(thin, drawn, drawn_once, tmp_path):
    thin.thin_training(drawn_once, tmp_path / "runs", 2).run(**QUIET)
    with pytest.raises(DataError, match="list"):
        thin.thin_training(tmp_path / "data", tmp_path / "runs", resume=True)


def test_the_latest_snapshot_is_by_number_and_by_whole_name(tmp_path):
    folder = tmp_path / "snapshot"
    folder.mkdir()
    for name in ("train_iter_900.solverstate", "train_iter_1000.solverstate", "train_iter_2000.caffemodel"):
        (folder / name).touch()
    (folder / ".train_iter_3000.solverstate.77.tmp").touch()
    (folder / "train_iter_old.solverstate").touch()
    assert latest_snapshot(tmp_path).name == "train_iter_1000.solverstate"
    assert latest_snapshot(tmp_path / "elsewhere") is None


def test_scores_on_the_way_stay_when_going_on(thin, drawn_once, tmp_path):
    thin.thin_training(drawn_once, tmp_path, 2).run(score_every=1, progress=False)
    training = thin.thin_training(drawn_once, tmp_path, 4, resume=True)
    training.run(score_every=1, progress=False)
    assert training.scores.column("iteration").tolist() == [1, 2, 3, 4]
    assert training.losses.column("iteration").tolist() == [0, 1, 2, 3]


def test_a_run_stopped_before_its_last_scores_gets_them_on_resume(thin, drawn_once, tmp_path):
    thin.thin_training(drawn_once, tmp_path, 2).run(**QUIET)
    training = thin.thin_training(drawn_once, tmp_path, 2, resume=True)
    scores = training.run(progress=False)
    assert scores is not None
    assert training.scores.column("mean_iu").tolist() == [scores[""].mean_iu]
    assert thin.thin_training(drawn_once, tmp_path, 2, resume=True).run(progress=False) is None
