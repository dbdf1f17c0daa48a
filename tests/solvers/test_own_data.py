"""Training a voc model on images and classes of one's own: LMDBs of ``data_prep folder``, or files in VOC's layout."""

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from caffe_compat.errors import DataError
from data_prep.cli import main as data_prep
from data_prep.labels import encode_label
from nets.catalogue import lookup
from solvers.datasets import FAMILIES, find_splits
from solvers.infer import deploy_net

CLASSES = 4


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A data folder: LMDBs of eight pictures of four classes, two of them held out."""
    folder, draw = tmp_path_factory.mktemp("own"), np.random.default_rng(2)
    for part in ("images", "labels"):
        (folder / "mine" / part).mkdir(parents=True)
    for number in range(8):
        label = np.kron(draw.integers(0, CLASSES, (4, 5)), np.ones((16, 16))).astype(np.uint8)
        label[0] = 255
        Image.fromarray(np.stack([label * 60] * 3, axis=2)).save(folder / "mine" / "images" / f"{number}.png")
        (folder / "mine" / "labels" / f"{number}.png").write_bytes(encode_label(label))
    words = ["folder", "--source", folder / "mine", "--classes", CLASSES, "--fraction", "val=0.25"]
    made = CliRunner().invoke(data_prep, [*map(str, words), "--out", str(folder / "data" / "lmdb")])
    assert made.exit_code == 0, made.output
    return folder / "data"


def test_a_training_on_lmdbs_of_one_s_own(thin, own, tmp_path):
    first = thin.thin_training(own, tmp_path, read="lmdb", classes=CLASSES)
    told = str(first.check())
    assert f"train     6 images, LMDBs {own / 'lmdb' / 'folder_train'}\n" in told
    assert "labels    classes 0 to 3 and void (255) in 6 opened" in told
    scores = first.run(progress=False)
    assert scores[""].classes == CLASSES
    assert first.losses.column("loss_per_pixel")[0] == pytest.approx(np.log(CLASSES), rel=1e-5)
    assert thin.thin_training(own, tmp_path, read="lmdb", classes=CLASSES, resume=True).finished
    assert deploy_net("voc-fcn32s", first.weights, classes=CLASSES, width=thin.WIDTH).blobs["score"].shape[1] == CLASSES


def test_the_command(solve, own, pool3, tmp_path):
    """From weights of VOC's classes, with all that the README's lines give."""
    options = ("--data", own, "--read", "lmdb", "--classes", CLASSES, "--init", pool3, "--workdir", tmp_path)
    done = solve("voc-fcn-pool3", *options, "--iterations", 1)
    assert done.status == 0, done.err
    row = (tmp_path / "voc-fcn-pool3" / "losses.csv").read_text().splitlines()[1].split(",")
    assert float(row[2]) == pytest.approx(np.log(CLASSES), rel=1e-5)  # scores are still 0
    weights = tmp_path / "voc-fcn-pool3" / "snapshot" / "train_iter_1.caffemodel"
    pictures = own.parent / "mine" / "images"
    done = solve("voc-fcn-pool3", "--infer", pictures, "--classes", CLASSES, "--init", weights, "--workdir", tmp_path)
    assert done.status == 0, done.err
    assert len(list((tmp_path / "voc-fcn-pool3" / "predictions").glob("*.png"))) == 8


def test_weights_for_other_classes_start_all_but_the_scores(thin, drawn_once, own, tmp_path):
    first = thin.thin_training(drawn_once, tmp_path / "voc", 1)
    first.run(score_every=0, progress=False)
    found = thin.thin_training(own, tmp_path / "own", read="lmdb", classes=CLASSES, weights=first.weights).check()
    assert not found.faults
    assert "dropped  score_fr [0] (21, 128, 1, 1): the new net has (4, 128, 1, 1)" in str(found)


def test_labels_are_held_against_the_classes(thin, own, tmp_path):
    with pytest.raises(DataError, match="0 to 2"):
        thin.thin_training(own, tmp_path, read="lmdb", classes=CLASSES - 1).check()


def test_voc_s_lmdbs_come_first_for_voc_s_classes_alone(own):
    voc = lookup("voc-fcn32s")
    pairs, for_own = (FAMILIES["voc"].database_pairs(model) for model in (voc, voc.with_classes(CLASSES)))
    assert (pairs[0][0], pairs[-1][0]) == ("sbd_train", "folder_train")
    assert for_own[0] == ("folder_train", "folder_val")
    with pytest.raises(DataError, match="no VOC dataset at .*; there are the LMDBs .*folder_train.*: --read"):
        find_splits(own, voc.with_classes(CLASSES))
