"""Drawn data, thin trainings, and solve.py as a function and as a program."""

import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from caffe_compat.device import set_mode_cpu
from caffe_compat.glog import init_log
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST
from data_prep.shapes import draw_dataset
from nets.catalogue import lookup
from nets.sources import InputData
from nets.surgery import interp
from solvers import cli
from solvers.initial import interpolated_layers

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("thin_training.py")


@pytest.fixture(scope="session")
def thin():
    """What thin_training.py defines: thin_training, thin_workplace, thin_recipe, random_trunk."""
    return SimpleNamespace(**runpy.run_path(str(PROGRAM), run_name="thin_training"))


@pytest.fixture(scope="session")
def miniatures():
    """What miniatures.py defines: MAKERS of NYUDv2, SIFT Flow and PASCAL-Context by dataset."""
    return SimpleNamespace(**runpy.run_path(str(PROGRAM.with_name("miniatures.py"))))


@pytest.fixture(scope="session")
def snapshots():
    """What snapshots.py defines: latest, blobs_of, assert_same_bits."""
    return SimpleNamespace(**runpy.run_path(str(PROGRAM.with_name("snapshots.py"))))


@pytest.fixture(scope="session")
def unbroken(thin, drawn_once, tmp_path_factory):
    """Four iterations of voc-fcn32s without a break, from files: the training, its scores and folder; only to read."""
    folder = tmp_path_factory.mktemp("unbroken")
    training = thin.thin_training(drawn_once, folder)
    scores = training.run(progress=False)
    return training, scores, folder


@pytest.fixture(scope="session")
def data_of(miniatures, drawn_once, tmp_path_factory):
    """Function: the data folder of a dataset in miniature, to be read only."""
    made = {"voc": drawn_once}

    def folder(dataset):
        if dataset not in made:
            made[dataset] = tmp_path_factory.mktemp(dataset) / "data"
            miniatures.MAKERS[dataset](made[dataset])
        return made[dataset]

    return folder


@pytest.fixture(scope="session")
def drawn_once(tmp_path_factory):
    """A small drawn dataset, to be read only."""
    folder = tmp_path_factory.mktemp("drawn") / "data"
    draw_dataset(folder, train=6, val=2)
    return folder


@pytest.fixture
def drawn(tmp_path):
    """A small drawn dataset that the test may spoil."""
    return draw_dataset(tmp_path / "data", train=3, val=2)


@pytest.fixture
def solve(monkeypatch, capsys):
    """Function: solve.py with these arguments, in this process: its exit status and what it printed."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["solve.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        code = ended.value.code
        status, message = (1, f"{code}\n") if isinstance(code, str) else (code or 0, "")
        return SimpleNamespace(status=status, out=printed.out, err=printed.err + message)

    yield run
    set_mode_cpu()
    init_log(0)


@pytest.fixture
def start():
    """Function: a program of this project as a process with this process's number of threads; killed at the end."""
    started = []
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(min(2, torch.get_num_threads()))}

    def begin(*arguments):
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            cwd=ROOT,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def program():
    """Path of thin_training.py."""
    return PROGRAM


@pytest.fixture
def pool3(tmp_path):
    """Weights of voc-fcn-pool3, the smallest model at full width, that find background everywhere."""
    net = Net(lookup("voc-fcn-pool3").build(InputData({"data": (1, 3, 32, 32)})), TEST, keep=[])
    for blobs in net.params.values():
        blobs[0].data[...] = np.random.default_rng(1).normal(0, 0.01, blobs[0].shape)
    interp(net, interpolated_layers(net))
    net.params["score_pool3"][0].data[...] = 0
    net.params["score_pool3"][1].data[...] = np.eye(21)[0]
    net.save(tmp_path / "pool3.caffemodel")
    return tmp_path / "pool3.caffemodel"
