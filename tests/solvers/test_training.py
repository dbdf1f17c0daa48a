"""Trainings of thin nets: what they leave, the same from files and from LMDBs, what is refused."""

import numpy as np
import pytest

from caffe_compat.errors import WeightsError
from caffe_compat.glog import init_log
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST
from caffe_compat.proto.text import read_net, read_solver
from caffe_compat.spec.net_spec import NetSpec
from caffe_compat.spec.net_spec import layers as L
from solvers.score import score
from solvers.training import weights_of

QUIET = {"score_every": 0, "progress": False}


def test_what_a_training_leaves(unbroken, thin, snapshots):
    training, scores, folder = unbroken
    inside = {str(p.relative_to(folder / "voc-fcn32s")) for p in (folder / "voc-fcn32s").rglob("*") if p.is_file()}
    kept = {f"snapshot/train_iter_{n}.{kind}" for n in (2, 4) for kind in ("caffemodel", "solverstate", "resume")}
    assert inside == kept | {
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
    assert training.weights == weights_of(snapshots.latest(folder))
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


def test_the_weights_move_and_the_losses_differ(unbroken, snapshots):
    """Or else comparing runs would show nothing."""
    training, _, folder = unbroken
    before, after = (
        snapshots.blobs_of(folder / "voc-fcn32s" / "snapshot" / f"train_iter_{n}.caffemodel") for n in (2, 4)
    )
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


def test_from_lmdb_the_same_training(unbroken, thin, drawn_once, tmp_path, snapshots):
    training = thin.thin_training(drawn_once, tmp_path, read="lmdb")
    training.run(progress=False)
    folder = unbroken[2] / "voc-fcn32s"
    assert training.losses.path.read_text() == (folder / "losses.csv").read_text()
    assert training.scores.path.read_text() == (folder / "scores.csv").read_text()
    snapshots.assert_same_bits(snapshots.latest(tmp_path), snapshots.latest(unbroken[2]))
    assert {path.name for path in (tmp_path / "voc-fcn32s" / "lmdb").iterdir()} == {
        "sbd_train",
        "voc2011_seg11valid",
    }


def test_another_seed_is_another_training(unbroken, thin, drawn_once, tmp_path):
    training = thin.thin_training(drawn_once, tmp_path, 2, seed=6)
    training.run(**QUIET)
    assert training.losses.column("loss").tolist() != unbroken[0].losses.column("loss").tolist()[:2]


def test_weights_of_another_net_are_refused(thin, drawn_once, tmp_path):
    spec = NetSpec()
    spec.data = L.Input(shape={"dim": [1, 3, 4, 4]})
    spec.features_0 = L.Convolution(spec.data, num_output=2, kernel_size=3)
    Net(spec.to_proto(), TEST).save(tmp_path / "torchvision.caffemodel")
    with pytest.raises(WeightsError, match=r"torchvision\.caffemodel: none of its layers is in voc-fcn32s; is it ano"):
        thin.thin_training(drawn_once, tmp_path, weights=tmp_path / "torchvision.caffemodel")
