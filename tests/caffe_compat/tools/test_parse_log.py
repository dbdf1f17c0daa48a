"""Tables from training logs: the recorded ones to the letter, and logs of other ages and ends."""

import csv
import math
import os

import pytest

from caffe_compat.errors import DataError
from caffe_compat.tools.parse_log import read_log

HEAD = "I1122 13:14:17.000000  1 solver.cpp:289] Solving net\n"


def row(second, text, day="1122", place="solver.cpp:1"):
    return f"I{day} 13:14:{second:09.6f}  1 {place}] {text}\n"


@pytest.mark.parametrize("name", ["train", "resume", "train_multistep"])
def test_the_recorded_tables_to_the_letter(verb, realdata, tmp_path, name):
    log = realdata / f"logs/parsed/{name}.oldglog.log"
    assert verb("parse_log", log, tmp_path).code == 0
    for kind in ("train", "test"):
        assert (tmp_path / f"{log.name}.{kind}").read_bytes() == log.with_name(f"{log.name}.{kind}").read_bytes()


@pytest.mark.parametrize("name", ["train", "resume", "train_multistep"])
def test_the_prefix_with_a_year(realdata, name):
    assert read_log(str(realdata / f"logs/{name}.log")) == read_log(str(realdata / f"logs/parsed/{name}.oldglog.log"))


def test_delimiter_and_verbose(verb, realdata, tmp_path):
    log = realdata / "logs/train.log"
    done = verb("parse_log", log, tmp_path, "--verbose", "--delimiter", ";")
    assert done.out.splitlines() == [f"wrote {tmp_path / 'train.log.train'}", f"wrote {tmp_path / 'train.log.test'}"]
    with open(tmp_path / "train.log.test", newline="") as file:
        assert next(csv.reader(file, delimiter=";")) == ["NumIters", "Seconds", "LearningRate", "accuracy", "loss"]


def test_a_diverged_run_and_a_single_test(tmp_path):
    log = tmp_path / "log"
    log.write_text(
        HEAD
        + row(18, "Iteration 0, Testing net (#0)")
        + row(18.5, "    Test net output #0: accuracy = 0.5")
        + row(19, "    Train net output #0: loss = 2 (* 1 = 2 loss)")
        + row(19, "Iteration 0, lr = 1e-05")
        + row(20, "Iteration 10 (5 iter/s, 2s/10 iters), loss = nan")
        + row(20.25, "    Train net output #0: loss = nan (* 1 = nan loss)")
        + row(21, "Iteration 20 (5 iter/s, 2s/10 iters), loss = -inf")
        + row(21.25, "    Train net output #0: loss = -inf (* 1 = -inf loss)")
    )
    train, test = read_log(str(log))
    assert [r["NumIters"] for r in train] == [0, 10, 20]
    assert [r["Seconds"] for r in train] == [2, 3.25, 4.25]
    assert [r["LearningRate"] for r in train] == [1e-5] * 3
    assert math.isnan(train[1]["loss"])
    assert train[2]["loss"] == -math.inf
    assert [(r["NumIters"], r["accuracy"]) for r in test] == [(0, 0.5)]


def test_over_new_year(tmp_path):
    log = tmp_path / "log"
    log.write_text(
        row(0, "Solving net", "1231")
        + row(0, "Iteration 0 (x), loss = 1", "1231")
        + row(0, "    Train net output #0: loss = 1", "1231")
        + row(0, "Iteration 1 (x), loss = 1", "0101")
        + row(0, "    Train net output #0: loss = 1", "0101")
    )
    os.utime(log, (1.7e9, 1.7e9))
    assert [r["Seconds"] for r in read_log(str(log))[0]] == [0, 86400]


def test_lines_without_a_prefix_are_passed_over(tmp_path):
    log = tmp_path / "log"
    log.write_text(
        "warning: Iteration 7\n"
        + HEAD
        + "Iteration 9\n"
        + row(18, "Train net output #0: early = 1")
        + row(19, "Iteration 3")
        + "  File x.py\n"
        + "I1399 99:00:00.000000 1 x:1] Train net output #0: loss = 9\n"
        + row(20, "    Train net output #0: loss = 1")
    )
    (found,), test = read_log(str(log))
    assert (found["NumIters"], found["loss"]) == (3, 1)
    assert "early" not in found
    assert test == []


def test_a_table_without_rows_is_not_written(verb, tmp_path):
    (tmp_path / "log").write_text(HEAD + row(18, "Iteration 0") + row(18, "Train net output #0: loss = 1"))
    done = verb("parse_log", tmp_path / "log", tmp_path)
    assert done.code == 0
    assert "no test outputs in" in done.out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log", "log.train", "verb.log"]


def test_a_log_of_steps_begins_at_its_first_iteration(tmp_path):
    """A script that calls ``solver.step`` never logs "Solving"."""
    log = tmp_path / "log"
    log.write_text(
        row(1, "Solver scaffolding done.")
        + row(2, "Iteration 0 (x), loss = 1")
        + row(2, "    Train net output #0: loss = 1")
        + row(2, "Iteration 0, lr = 0.5")
        + row(5, "Iteration 20 (x), loss = 1")
        + row(5, "    Train net output #0: loss = 0.5")
    )
    train, test = read_log(str(log))
    assert [(one["NumIters"], one["Seconds"], one["loss"]) for one in train] == [(0, 0, 1), (20, 3, 0.5)]
    assert test == []


def test_what_is_no_log(verb, tmp_path):
    (tmp_path / "log").write_text("hello\n")
    with pytest.raises(DataError, match="has no line with 'Solving' or 'Iteration'; give"):
        read_log(str(tmp_path / "log"))
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_log(str(tmp_path / "missing"))
    assert "there is no such folder" in verb("parse_log", tmp_path / "log", tmp_path / "no").err
    assert "give a single character" in verb("parse_log", tmp_path / "log", tmp_path, "--delimiter=").err
