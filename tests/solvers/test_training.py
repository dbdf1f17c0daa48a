"""Trainings of thin nets: what they leave, resume after kills and signals, refusals, the chain of stages."""

import signal
import threading
import time

import numpy as np
import pytest

from caffe_compat.errors import DataError, SolverError, WeightsError
from caffe_compat.glog import init_log
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST
from caffe_compat.proto.text import read_net, read_solver
from caffe_compat.proto.weights import read_caffemodel, read_solverstate
from caffe_compat.spec.net_spec import NetSpec
from caffe_compat.spec.net_spec import layers as L
from solvers.recipes import recipe
from solvers.score import score
from solvers.stages import train as train_stages
from solvers.training import latest_snapshot, weights_of

QUIET = {"score_every": 0, "progress": False}


def blobs_of(path):
    return {f"{layer.name}/{i}": blob for layer in read_caffemodel(path) for i, blob in enumerate(layer.blobs)}


def assert_same_bits(state, other):
    """Weights, history and counters of two snapshots."""
    ours, theirs = blobs_of(weights_of(state)), blobs_of(weights_of(other))
    assert list(ours) == list(theirs)
    for name in ours:
        assert np.array_equal(ours[name], theirs[name]), name
    ours, theirs = read_solverstate(state), read_solverstate(other)
    assert (ours.iter, ours.current_step) == (theirs.iter, theirs.current_step)
    assert len(ours.history) == len(theirs.history) > 0
    for i, (a, b) in enumerate(zip(ours.history, theirs.history, strict=True)):
        assert np.array_equal(a, b), i


def latest(folder, model="voc-fcn32s"):
    return latest_snapshot(folder / model)


def wait_for(condition, process, seconds=60):
    """Until the condition holds while the process runs."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def unbroken(thin, drawn_once, tmp_path_factory):
    """Four iterations without a break, from files."""
    folder = tmp_path_factory.mktemp("unbroken")
    training = thin.thin_training(drawn_once, folder)
    scores = training.run(progress=False)
    return training, scores, folder


def test_what_a_training_leaves(unbroken, thin):
    training, scores, folder = unbroken
    inside = {str(p.relative_to(folder / "voc-fcn32s")) for p in (folder / "voc-fcn32s").rglob("*") if p.is_file()}
    snapshots = {f"snapshot/train_iter_{n}.{kind}" for n in (2, 4) for kind in ("caffemodel", "solverstate", "resume")}
    assert inside == snapshots | {
        "train.prototxt",
        "val.prototxt",
        "deploy.prototxt",
        "solver.prototxt",
        "train.log",
        "losses.csv",
        "scores.csv",
        "learning_curve.png",
        "lists/train.txt",
        "lists/seg11valid.txt",
    }
    assert training.finished
    assert training.weights == weights_of(latest(folder))
    assert read_net(folder / "voc-fcn32s" / "train.prototxt") == training.solver.param.train_net_param
    written = read_solver(folder / "voc-fcn32s" / "solver.prototxt")
    assert written == thin.thin_recipe().solver("train.prototxt", "val.prototxt")
    text = (folder / "voc-fcn32s" / "train.log").read_text()
    for part in ("Iteration 0, lr = 1e-08", "Iteration 0 (", "Snapshotting to binary proto", ">>> ", "mean IU"):
        assert part in text
    assert scores[""].images == 2


def test_the_log_file_is_whole_though_the_terminal_shows_little(thin, drawn_once, tmp_path):
    init_log(1)
    try:
        thin.thin_training(drawn_once, tmp_path, 1).run(**QUIET)
    finally:
        init_log(0)
    text = (tmp_path / "voc-fcn32s" / "train.log").read_text()
    assert "Initializing solver from parameters" in text
    assert "Iteration 0, lr = 1e-08" in text


def test_the_weights_move_and_the_losses_differ(unbroken):
    """Or else comparing runs would show nothing."""
    training, _, folder = unbroken
    before, after = (blobs_of(folder / "voc-fcn32s" / "snapshot" / f"train_iter_{n}.caffemodel") for n in (2, 4))
    for layer in ("conv1_1", "fc7", "score_fr"):
        assert not np.array_equal(before[f"{layer}/0"], after[f"{layer}/0"])
    assert np.array_equal(before["upscore/0"], after["upscore/0"])
    assert len(set(training.losses.column("loss"))) == 4


def test_losses_per_pixel_are_of_the_labelled_pixels(unbroken):
    training, _, _ = unbroken
    folder = training.workplace.splits.train.folder
    sizes = {int((folder.read_pair(one).label != 255).sum()) for one in training.workplace.splits.train.ids}
    pixels = training.losses.column("loss") / training.losses.column("loss_per_pixel")
    assert {round(count) for count in pixels} <= sizes
    assert training.losses.column("loss_per_pixel")[0] == pytest.approx(np.log(21), rel=1e-5)  # scores are still 0


def test_the_row_of_scores_is_what_the_written_files_score(unbroken):
    training, scores, folder = unbroken
    net = Net(read_net(folder / "voc-fcn32s" / "val.prototxt"), phase=TEST, weights=training.weights)
    again = score(net, training.workplace.splits.test.ids, progress=False)
    assert np.array_equal(again.hist, scores[""].hist)
    assert training.scores.column("iteration").tolist() == [4]
    assert training.scores.column("mean_iu").tolist() == [again.mean_iu]


def test_from_lmdb_the_same_training(unbroken, thin, drawn_once, tmp_path):
    training = thin.thin_training(drawn_once, tmp_path, read="lmdb")
    training.run(progress=False)
    folder = unbroken[2] / "voc-fcn32s"
    assert training.losses.path.read_text() == (folder / "losses.csv").read_text()
    assert training.scores.path.read_text() == (folder / "scores.csv").read_text()
    assert_same_bits(latest(tmp_path), latest(unbroken[2]))
    assert {path.name for path in (tmp_path / "voc-fcn32s" / "lmdb").iterdir()} == {
        "sbd_train",
        "voc2011_seg11valid",
    }


def test_another_seed_is_another_training(unbroken, thin, drawn_once, tmp_path):
    training = thin.thin_training(drawn_once, tmp_path, 2, seed=6)
    training.run(**QUIET)
    assert training.losses.column("loss").tolist() != unbroken[0].losses.column("loss").tolist()[:2]


def test_resume_in_another_process_after_a_kill(thin, drawn_once, tmp_path, start, program):
    process = start(program, drawn_once, tmp_path / "killed", 100000)
    wait_for(lambda: latest(tmp_path / "killed") is not None, process)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    state = latest(tmp_path / "killed")
    reached = read_solverstate(state).iter
    assert state.name == f"train_iter_{reached}.solverstate"
    training = thin.thin_training(drawn_once, tmp_path / "killed", reached + 3, resume=True)
    assert training.solver.iter == reached
    assert training.origin == f"{state.name}, with data position and random states"
    training.check()
    training.run(progress=False)
    unbroken = thin.thin_training(drawn_once, tmp_path / "unbroken", reached + 3)
    unbroken.run(progress=False)
    assert_same_bits(latest(tmp_path / "killed"), latest(tmp_path / "unbroken"))
    for name in ("losses.csv", "scores.csv"):
        texts = [(tmp_path / run / "voc-fcn32s" / name).read_text() for run in ("killed", "unbroken")]
        assert texts[0] == texts[1]


def test_a_snapshot_s_state_is_never_without_its_resume_file(thin, drawn_once, tmp_path):
    """A kill between the files of a snapshot: the state, by which it is found, is the last of them."""
    training = thin.thin_training(drawn_once, tmp_path)
    folder = tmp_path / "voc-fcn32s" / "snapshot"
    (folder / "train_iter_2.caffemodel").mkdir()  # the weights cannot take their place
    with pytest.raises(WeightsError, match=r"train_iter_2\.caffemodel"):
        training.run(**QUIET)
    assert (folder / "train_iter_2.resume").is_file()
    assert latest(tmp_path) is None


def test_resume_without_the_resume_file_is_caffe_s_restore(unbroken, thin, drawn_once, tmp_path):
    runs = {}
    for name in ("with", "without"):
        thin.thin_training(drawn_once, tmp_path / name, 2).run(**QUIET)
        if name == "without":
            latest(tmp_path / name).with_suffix(".resume").unlink()
        runs[name] = thin.thin_training(drawn_once, tmp_path / name, resume=True)
    assert runs["without"].origin == (
        "train_iter_2.solverstate, without train_iter_2.resume: data begins anew, as Caffe's restore"
    )
    order = {name: run.solver.net.layers[0].state_dict() for name, run in runs.items()}
    fresh = thin.thin_training(drawn_once, tmp_path / "fresh").solver.net.layers[0].state_dict()
    assert order["without"] == fresh != order["with"]
    for blob, saved in blobs_of(tmp_path / "without/voc-fcn32s/snapshot/train_iter_2.caffemodel").items():
        layer, index = blob.split("/")
        assert np.array_equal(runs["without"].solver.net.params[layer][int(index)].data, saved)
    runs["without"].run(**QUIET)
    ours, theirs = (blobs_of(weights_of(latest(f))) for f in (tmp_path / "without", unbroken[2]))
    assert not np.array_equal(ours["score_fr/0"], theirs["score_fr/0"])


def test_sigint_snapshots_and_stops(thin, drawn_once, tmp_path, start, program):
    process = start(program, drawn_once, tmp_path, 100000)
    wait_for(lambda: latest(tmp_path) is not None, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    state = latest(tmp_path)
    reached = read_solverstate(state).iter
    assert out.splitlines()[-1] == f"voc-fcn32s: stopped at iteration {reached}; kept {weights_of(state)}"
    assert state.with_suffix(".resume").is_file()
    assert thin.thin_training(drawn_once, tmp_path, reached + 1, resume=True).solver.iter == reached


def test_sigint_during_a_snapshot_waits_for_its_end(thin, drawn_once, tmp_path, monkeypatch, capsys):
    training = thin.thin_training(drawn_once, tmp_path, 100)
    save = training.solver.net.save

    def interrupted_save(*arguments, **settings):
        signal.raise_signal(signal.SIGINT)
        save(*arguments, **settings)

    monkeypatch.setattr(training.solver.net, "save", interrupted_save)
    assert training.run(**QUIET) is None
    assert capsys.readouterr().out.startswith("voc-fcn32s: stopped at iteration 2; ")
    assert latest(tmp_path).name == "train_iter_2.solverstate"


def test_sigint_while_scoring_keeps_what_was_trained(thin, drawn_once, tmp_path, monkeypatch, capsys):
    training = thin.thin_training(drawn_once, tmp_path, snapshot_every=4)
    monkeypatch.setattr(training, "score", lambda progress: signal.raise_signal(signal.SIGINT))
    assert training.run(score_every=1, progress=False) is None
    assert f"voc-fcn32s: stopped at iteration 1; kept {training.weights}\n" in capsys.readouterr().out
    assert weights_of(latest(tmp_path)) == training.weights
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


def test_a_damaged_resume_file_is_named(thin, drawn_once, tmp_path):
    thin.thin_training(drawn_once, tmp_path, 2).run(**QUIET)
    latest(tmp_path).with_suffix(".resume").write_bytes(b"garbage")
    with pytest.raises(SolverError, match=r"train_iter_2\.resume: is not a \.resume file, or damaged"):
        thin.thin_training(drawn_once, tmp_path, resume=True)


def test_resume_with_other_data_is_refused(thin, drawn, drawn_once, tmp_path):
    thin.thin_training(drawn_once, tmp_path / "runs", 2).run(**QUIET)
    with pytest.raises(DataError, match="list"):
        thin.thin_training(tmp_path / "data", tmp_path / "runs", resume=True)


def test_weights_of_another_net_are_refused(thin, drawn_once, tmp_path):
    spec = NetSpec()
    spec.data = L.Input(shape={"dim": [1, 3, 4, 4]})
    spec.features_0 = L.Convolution(spec.data, num_output=2, kernel_size=3)
    Net(spec.to_proto(), TEST).save(tmp_path / "torchvision.caffemodel")
    with pytest.raises(WeightsError, match=r"torchvision\.caffemodel: none of its layers is in voc-fcn32s; is it ano"):
        thin.thin_training(drawn_once, tmp_path, weights=tmp_path / "torchvision.caffemodel")


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


# -- stages, as the command runs them ----------------------------------------------------------------------------------


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


def test_stages_run_one_from_the_other_and_are_skipped_when_finished(train, tmp_path):
    printed = train("voc-fcn8s", stages=True)
    weights = {name: weights_of(latest(tmp_path, name)) for name in ("voc-fcn32s", "voc-fcn16s", "voc-fcn8s")}
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


def test_stages_go_on_where_they_were(train, tmp_path):
    train("voc-fcn32s")
    train("voc-fcn16s", iterations=1)
    with pytest.raises(SolverError, match=r"voc-fcn16s' holds a training already \(train_iter_1"):
        train("voc-fcn8s", stages=True)
    printed = train("voc-fcn8s", stages=True, resume=True)
    assert "voc-fcn32s: finished before" in printed
    assert "weights   train_iter_1.solverstate, with data position and random states" in printed
    assert latest(tmp_path, "voc-fcn8s").name == "train_iter_2.solverstate"


def test_init_is_for_the_first_stage_only_even_when_that_is_skipped(train, thin, drawn_once, tmp_path):
    first = thin.thin_training(drawn_once, tmp_path / "other", 1)
    first.run(**QUIET)
    train("voc-fcn32s")
    printed = train("voc-fcn16s", init=first.weights, stages=True)
    assert f"  weights   {weights_of(latest(tmp_path))}\n" in printed
    assert str(first.weights) not in printed


def test_a_finished_model_alone_is_not_trained_over(train):
    train("voc-fcn32s")
    with pytest.raises(SolverError, match=r"holds a training already \(train_iter_2\.solverstate\); --resume goes on"):
        train("voc-fcn32s")
    assert "voc-fcn32s: finished; " in train("voc-fcn32s", resume=True)


def test_a_stage_alone_finds_the_weights_of_the_one_before(train, tmp_path):
    train("voc-fcn32s")
    weights = weights_of(latest(tmp_path))
    printed = train("voc-fcn16s")
    assert printed.startswith(f"voc-fcn16s: starts from {weights}\n")
    assert f"  weights   {weights}\n" in printed


def test_init_wins_over_the_stage_before(train, tmp_path):
    train("voc-fcn32s")
    mine = weights_of(latest(tmp_path)).rename(tmp_path / "mine.caffemodel")
    assert f"  weights   {mine}\n" in train("voc-fcn16s", init=mine)


def test_resume_does_not_speak_of_the_stage_before(train):
    train("voc-fcn32s")
    train("voc-fcn16s")
    assert "starts from" not in train("voc-fcn16s", 3, resume=True)


def test_a_stop_by_sigint_ends_the_chain_and_says_how_to_go_on(train, tmp_path):
    def interrupt():
        while latest(tmp_path) is None:
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    other = threading.Thread(target=interrupt)
    other.start()
    printed = train("voc-fcn16s", 100000, stages=True).splitlines()
    other.join()
    assert printed[-2].startswith("voc-fcn32s: stopped at iteration ")
    assert printed[-1] == "the same command with --resume goes on from there"
    assert not (tmp_path / "voc-fcn16s").exists()


def test_check_stops_before_training(train, tmp_path):
    printed = train("voc-fcn32s", check=True)
    assert printed.startswith("voc-fcn32s: check before training\n  train     6 images, SBD train")
    assert latest(tmp_path) is None
    assert not list((tmp_path / "voc-fcn32s" / "snapshot").iterdir())
    assert (tmp_path / "voc-fcn32s" / "losses.csv").read_text().splitlines() == ["iteration,loss,loss_per_pixel"]
    train("voc-fcn32s")
    assert latest(tmp_path) is not None


def test_faults_forbid_a_start(train, tmp_path):
    with pytest.raises(SolverError, match=r"voc-fcn32s: the check above found faults \(1\); mend them first"):
        train("voc-fcn32s", change_net=None)
    assert latest(tmp_path) is None
