"""README.md says what is so: its commands have the verbs and options that it names, its longer program runs."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import lmdb
import numpy as np
import pytest

from caffe_compat.__main__ import VERBS, _verbs
from caffe_compat.proto.caffe_pb2 import Datum
from caffe_compat.proto.weights import read_caffemodel
from caffe_compat.solver import SGDSolver
from data_prep.cli import main as data_verbs
from nets.catalogue import MODELS
from solvers.cli import command as solve

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.partition(" # ")[0].strip()
    for kind, block in BLOCKS
    if kind == ""
    for line in block.replace("\\\n", "").splitlines()
]


def options(command):
    return {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"--help"}


def begun_with(*words):
    found = [shlex.split(line)[len(words) :] for line in COMMANDS if shlex.split(line)[: len(words)] == list(words)]
    assert found
    return found


@pytest.mark.parametrize("args", begun_with("python", "solve.py"), ids=" ".join)
def test_commands_of_solve_exist(args):
    assert {arg for arg in args if arg.startswith("-")} <= options(solve)
    assert args[0] in MODELS or args == ["--list"]


@pytest.mark.parametrize("args", begun_with("python", "-m", "data_prep"), ids=" ".join)
def test_commands_of_data_preparation_exist(args):
    verb = data_verbs.get_command(click.Context(data_verbs), args[0])
    assert {arg for arg in args if arg.startswith("-")} <= options(verb)


@pytest.mark.parametrize("args", begun_with("caffe-compat"), ids=" ".join)
def test_commands_of_caffes_tools_exist(args):
    verb = _verbs.get_command(click.Context(_verbs), args[0])
    assert {f"-{arg}" for arg in args if arg.startswith("-")} <= options(verb)


def test_every_verb_is_named():
    listed = TEXT[TEXT.index("Caffe's tools are verbs") :]
    listed = listed[: listed.index("```")]
    assert [name for name in VERBS if not re.search(rf"\b{name}\b", listed)] == []


NET = """
layer {{ name: "d" type: "Data" top: "data" top: "label" transform_param {{ scale: 0.01 }}
        data_param {{ source: "db" batch_size: {batch} backend: LMDB }} }}
layer {{ name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
        inner_product_param {{ num_output: 3 weight_filler {{ type: "gaussian" std: 0.1 }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" }}
"""
SOLVER = 'net: "{net}" base_lr: 0.1 momentum: 0.9 lr_policy: "fixed" max_iter: 3 solver_mode: CPU'


def test_the_program_for_several_processes_trains_as_one_with_a_larger_batch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    with lmdb.open("db", map_size=1 << 20) as db, db.begin(write=True) as put:
        for i in range(12):
            pixels = draw.integers(0, 256, 6, np.uint8).tobytes()
            datum = Datum(channels=1, height=2, width=3, data=pixels, label=i % 3)
            put.put(b"%08d" % i, datum.SerializeToString())
    for batch, solver in ((1, "solver.prototxt"), (2, "whole.prototxt")):
        Path(f"net{batch}").write_text(NET.format(batch=batch))
        Path(solver).write_text(SOLVER.format(net=f"net{batch}"))
    whole = SGDSolver("whole.prototxt")
    whole.net.save("init.caffemodel")
    whole.step(3)

    (program,) = [block for kind, block in BLOCKS if kind == "python" and "init_process_group" in block]
    program = program.replace("solver.step(100)", "solver.step(3)")
    Path("train.py").write_text(program + 'solver.net.save(f"{dist.get_rank()}.caffemodel")\n')
    known = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2"}
    known |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(29500 + os.getpid() % 20000)}
    if Path("/sys/class/net/lo").exists():  # else gloo looks the machine's own name up
        known["GLOO_SOCKET_IFNAME"] = "lo"
    runs = [subprocess.Popen([sys.executable, "train.py"], env=known | {"RANK": str(rank)}) for rank in range(2)]
    try:
        assert [run.wait(120) for run in runs] == [0, 0]
    finally:
        for run in runs:
            run.kill()
    for rank in range(2):
        blobs = next(layer.blobs for layer in read_caffemodel(f"{rank}.caffemodel") if layer.name == "ip")
        for blob, wanted in zip(blobs, whole.net.params["ip"], strict=True):
            assert np.abs(blob - wanted.data).max() <= 1e-6
