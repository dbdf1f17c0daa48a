"""Scripts of the FCN release's kind (pycaffe_scripts/, our own) run as they are through ``caffe-compat run``.

They write nets with NetSpec and coord_map, feed them from Python data layers, transplant a classifier, train with an
SGDSolver, score its test net and infer, with ``import caffe`` and a GPU by number.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import caffe_compat
from caffe_compat.net.net import Net
from caffe_compat.proto.text import read_net
from data_prep.shapes import draw_dataset

HERE = Path(__file__).resolve().parent
SOLVER = """
train_net: "train.prototxt" test_net: "val.prototxt" test_iter: 736 test_interval: 999999999 test_initialization: false
display: 1 average_loss: 20 lr_policy: "fixed" base_lr: 1e-8 momentum: 0.9 iter_size: 1 max_iter: 100000
weight_decay: 0.0005 snapshot: 4 snapshot_prefix: "snapshot/train"
"""


def caffe_compat_run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent.parent), str(folder)]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "caffe_compat", "run", *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The scripts, a drawn dataset beside them, and what net.py wrote."""
    top = tmp_path_factory.mktemp("release")
    draw_dataset(top / "drawn", train=3, val=2)
    model = top / "model"
    shutil.copytree(HERE / "pycaffe_scripts", model, ignore=shutil.ignore_patterns("__pycache__"))
    (model / "solver.prototxt").write_text(SOLVER)
    (model / "snapshot").mkdir()
    done = caffe_compat_run(model, "net.py")
    assert done.returncode == 0, done.stderr
    return model


@pytest.fixture(scope="module")
def trained(folder) -> subprocess.CompletedProcess[str]:
    """solve.py, made to stay on the CPU."""
    done = caffe_compat_run(folder, "--device", "cpu", "solve.py", "0")
    assert done.returncode == 0, done.stderr
    return done


def test_the_nets_are_written(folder):
    train = {layer.name: layer for layer in read_net(folder / "train.prototxt").layer}
    assert train["data"].python_param.module == "folder_layers"
    assert eval(train["data"].python_param.param_str)["split"] == "train"
    assert [list(train[name].crop_param.offset) for name in ("score_pool4c", "score")] == [[5], [27]]
    assert list(train) == [layer.name for layer in read_net(folder / "val.prototxt").layer]


def test_training_transplants_steps_and_scores(folder, trained):
    lines = trained.stdout.splitlines()
    assert lines[:3] == [
        "reshaped fc6 (8, 294) to (8, 6, 7, 7)",
        "reshaped fc7 (8, 8) to (8, 8, 1, 1)",
        "left out fc8",
    ]
    assert [line.split()[1] for line in lines[3:]] == ["2", "4"]
    losses = [float(line.split()[3]) for line in lines[3:]]
    assert losses[1] < losses[0] < 96 * 128 * np.log(21) * 1.01
    assert trained.stderr.count("Iteration ") >= 4
    pictures = sorted((folder.parent / "drawn/pascal/VOC2011/JPEGImages").glob("*.jpg"))
    assert len(pictures) == 2
    for picture in pictures:
        with Image.open(folder / "out_4" / f"{picture.stem}.png") as guess, Image.open(picture) as shown:
            assert guess.size == shown.size


def test_what_was_trained_is_saved_and_inferred(folder, trained):
    net = read_net(folder / "val.prototxt")
    net.layer[0].Clear()
    net.layer[0].MergeFrom(caffe_compat.layers.Input(shape={"dim": [1, 3, 9, 9]}).to_proto().layer[0])
    net.layer[0].name, net.layer[0].top[:] = "data", ["data"]
    del net.layer[-1]
    (folder / "deploy.prototxt").write_text(str(net))
    picture = next(iter(sorted((folder.parent / "drawn/pascal/VOC2011/JPEGImages").glob("*.jpg"))))
    weights = "snapshot/train_iter_4.caffemodel"
    done = caffe_compat_run(folder, "infer.py", str(picture), weights, "out.npy")
    assert done.returncode == 0, done.stderr
    shown = np.load(folder / "out.npy")
    with Image.open(folder / "out_4" / f"{picture.stem}.png") as scored:
        np.testing.assert_array_equal(shown, np.array(scored))
    start = Net(str(folder / "classifier.prototxt"), str(folder / "classifier.caffemodel"), caffe_compat.TEST)
    moved = Net(str(folder / "deploy.prototxt"), str(folder / weights), caffe_compat.TEST)
    difference = np.abs(moved.params["conv1"][0].data - start.params["conv1"][0].data).max()
    assert 0 < difference < 0.1 * np.abs(start.params["conv1"][0].data).max()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_the_way_out_is_shown(folder):
    done = caffe_compat_run(folder, "solve.py", "0")
    assert done.returncode == 1
    assert "caffe-compat run --device cpu SCRIPT" in done.stderr


def test_a_device_that_is_none_is_refused_before_the_script_runs(folder):
    done = caffe_compat_run(folder, "--device", "tpu", "solve.py", "0")
    assert done.returncode == 2
    assert "'tpu' is not one of 'script', 'cpu'" in done.stderr
