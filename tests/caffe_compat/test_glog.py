"""Log lines: glog's prefix, C++'s numbers, and a recorded training line by line."""

import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from caffe_compat import glog
from caffe_compat.proto.text import read_solver
from caffe_compat.solver import get_solver

ROOT = Path(__file__).resolve().parents[2]
PREFIX = re.compile(r"^[IWEF]\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ [\w.]+:\d+\] ")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (0.02, "0.02"),
        (2.13230001, "2.1323"),
        (1e-10, "1e-10"),
        (1234567, "1.23457e+06"),
        (-0.5, "-0.5"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_are_written_as_by_cpp(value, text):
    assert glog.number(value) == text


def test_a_line(tmp_path):
    with glog.log_to_file(tmp_path / "log"):
        glog.info("solver.cpp:239", "Iteration 0")
        glog.log("mine")
        glog.warning("careful")
    glog.log("after")
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 3
    assert all(PREFIX.match(line) for line in lines)
    assert lines[0].startswith("I")
    assert lines[0].endswith(" solver.cpp:239] Iteration 0")
    assert re.search(r" test_glog\.py:\d+\] mine$", lines[1])
    assert lines[2].startswith("W")


def test_errors_carry_their_trace(tmp_path):
    with glog.log_to_file(tmp_path / "log"):
        try:
            raise ValueError("found")
        except ValueError:
            logging.getLogger("caffe_compat.part").exception("failed")
    text = (tmp_path / "log").read_text()
    assert text.startswith("E")
    assert "ValueError: found" in text


def lines_on_stderr(script, **environment):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run([sys.executable, "-c", script], env=environment, text=True, capture_output=True, check=True)
    return done.stderr.splitlines()


def test_lines_appear_on_stderr_and_glog_minloglevel_is_heard():
    script = (
        "from caffe_compat import glog; glog.info('a.cpp:1', 'one'); glog.warning('two')\n"
        "glog.init_log(2); glog.warning('no')"
    )
    assert [line.split("] ")[1] for line in lines_on_stderr(script)] == ["one", "two"]
    assert [line.split("] ")[1] for line in lines_on_stderr(script, GLOG_minloglevel="1")] == ["two"]


def test_a_program_that_configures_logging_gets_the_lines_once_in_its_form():
    script = (
        "import logging; logging.basicConfig(format='mine %(message)s')\n"
        "from caffe_compat import glog; glog.info('a.cpp:1', 'one')"
    )
    assert lines_on_stderr(script) == ["mine one"]


RUNS = {
    "train.log": ("solver.prototxt", "weights", "init.caffemodel"),
    "train_multistep.log": ("solver_multistep_avg.prototxt", "weights", "init.caffemodel"),
    "resume.log": ("solver.prototxt", "resume", "snap/lenet_iter_30.solverstate"),
}
KEPT = re.compile(
    r"Iteration|net output #|Test loss|Status|Snapshotting|Optimization|Solving|Policy|Finetuning|Creating t"
)


def shown(path):
    """The texts that both sides log, without Caffe's time and speed; places included."""
    lines = [line for line in path.read_text().splitlines() if KEPT.search(line) and "caffe.cpp" not in line]
    return [re.sub(r"\(.* iter/s, .*s/(\d+) iters\)", r"(\1)", line.split(maxsplit=3)[3]) for line in lines]


@pytest.mark.parametrize("name", RUNS)
def test_a_recorded_training_line_by_line(name, realdata, tmp_path, monkeypatch):
    recorded = realdata / "logs"
    for file in recorded.iterdir():
        if file.is_file():
            shutil.copyfile(file, tmp_path / file.name)
    (tmp_path / "snap").mkdir()
    for file in (recorded / "snap").glob("*_30.*"):
        shutil.copyfile(file, tmp_path / "snap" / file.name)
    monkeypatch.chdir(tmp_path)
    settings, how, start = RUNS[name]
    param = read_solver(settings)
    if how == "weights":
        param.weights.append(start)
    with glog.log_to_file("ours.log"):
        solver = get_solver(param)
        if how == "resume":
            solver.restore(start)
        solver.solve()
    ours, theirs = shown(tmp_path / "ours.log"), shown(recorded / name)
    assert len(ours) > 20
    number = re.compile(r"-?\d+\.?\d*(?:e[-+]\d+)?")
    assert [number.sub("#", line) for line in ours] == [number.sub("#", line) for line in theirs]
    for a, b in zip(ours, theirs, strict=True):
        assert [float(x) for x in number.findall(a)] == pytest.approx(
            [float(x) for x in number.findall(b)], rel=1e-5
        ), a
