"""The built-in job: a short run for what it leaves, and the real one for its result."""

import re
import signal

import numpy as np
import pytest
from PIL import Image

from caffe_compat.errors import SolverError
from caffe_compat.proto.caffe_pb2 import LossParameter
from caffe_compat.proto.text import read_net, read_solver
from solvers import demo

STAGES = ("voc-fcn32s", "voc-fcn16s", "voc-fcn8s")
LAST_LINE = re.compile(r"demo: voc-fcn8s held-out mean IU = (0\.\d{3})")


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(demo, "_ITERATIONS", dict.fromkeys(STAGES, 4))


def test_a_short_run(short, tmp_path, capsys):
    folder = tmp_path / "the-demo"
    scores = demo.run_demo("voc-fcn8s", folder, progress=False)
    printed = capsys.readouterr().out.splitlines()
    assert LAST_LINE.fullmatch(printed[-1])[1] == f"{scores.mean_iu:.3f}"
    assert scores.images == 24
    assert [line for line in printed if "iterations at" in line] == [
        f"{name}: 4 iterations at 0.125 of the channels" for name in STAGES
    ]
    assert not any("FAULT" in line for line in printed)
    assert f"  weights   {folder}/voc-fcn32s/snapshot/train_iter_4.caffemodel" in printed
    assert f"  weights   {folder}/voc-fcn16s/snapshot/train_iter_4.caffemodel" in printed
    for name in STAGES:
        rows = (folder / name / "scores.csv").read_text().splitlines()
        assert [row.split(",")[0] for row in rows] == ["iteration", "1", "2", "3", "4"]
        assert (folder / name / "lmdb" / "sbd_train" / "image_lmdb" / "data.mdb").is_file()
    assert float(rows[-1].split(",")[3]) == scores.mean_iu
    with Image.open(folder / "learning_curve.png") as curve, Image.open(folder / "pictures.png") as pictures:
        assert curve.format == pictures.format == "PNG"
        assert pictures.size[0] >= 4 * 96
        assert pictures.size[1] >= 6 * 96
        assert len(np.unique(np.asarray(pictures))) > 50


def test_the_nets_are_the_released_ones_but_for_what_the_demo_names(short, tmp_path):
    demo.run_demo("voc-fcn32s", tmp_path / "demo", read="files", progress=False)
    net = read_net(tmp_path / "demo" / "voc-fcn32s" / "train.prototxt")
    layers = {layer.name: layer for layer in net.layer}
    assert list(layers["conv1_1"].convolution_param.pad) == [100]
    assert list(layers["score"].crop_param.offset) == [19]
    assert layers["conv1_2"].convolution_param.weight_filler.type == "msra"
    assert not layers["score_fr"].convolution_param.HasField("weight_filler")
    assert layers["loss"].loss_param.normalize
    assert layers["loss"].loss_param.normalization == LossParameter.VALID
    assert layers["fc6"].convolution_param.num_output == 512
    assert read_solver(tmp_path / "demo" / "voc-fcn32s" / "solver.prototxt").lr_policy == "poly"


def test_a_second_run_goes_beside_the_first(tmp_path):
    names = []
    for _ in range(3):
        folder = demo._unused(tmp_path / "my-demo")
        folder.mkdir()
        names.append(folder.name)
    assert names == ["my-demo", "my-demo-2", "my-demo-3"]


def test_the_same_seed_gives_the_same_demo(short, tmp_path):
    runs = [demo.run_demo("voc-fcn32s", tmp_path / name, seed=3, progress=False) for name in ("a", "b")]
    assert np.array_equal(runs[0].hist, runs[1].hist)


def test_no_demo_of_the_other_models(tmp_path):
    with pytest.raises(SolverError, match="--demo: no demo of voc-fcn8s-atonce; there is one of voc-fcn32s, voc-fcn16"):
        demo.run_demo("voc-fcn8s-atonce", tmp_path / "demo")


def test_interrupted(start, tmp_path):
    process = start("solve.py", "voc-fcn8s", "--demo", "--workdir", tmp_path)
    for line in process.stdout:
        if line.startswith("voc-fcn32s: 700 iterations"):
            break
    losses = tmp_path / "demo" / "voc-fcn32s" / "losses.csv"
    while len(losses.read_text().splitlines()) < 2:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "voc-fcn32s: stopped at iteration " in out
    assert "--resume" not in out  # a demo begins anew
    assert "Traceback" not in err


@pytest.mark.slow
def test_the_demo_learns(start, tmp_path):
    process = start("solve.py", "voc-fcn8s", "--demo", "--workdir", tmp_path)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    assert float(LAST_LINE.fullmatch(out.splitlines()[-1])[1]) >= 0.6
    assert (tmp_path / "demo" / "learning_curve.png").is_file()
