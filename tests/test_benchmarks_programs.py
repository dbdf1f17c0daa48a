"""Each benchmark runs, in small, and writes what it found; and what the benchmarks share does what it says."""

import json
import sys

import numpy as np
import pytest
import torch

import data_feed
import fcn8s
import growth
import loading
import loss_curves
import precision
import start_up
import stream
import switches
from caffe_compat.net.plan.plan import REWRITES
from measuring import machine, own_process
from measuring.agreement import agree
from measuring.own_process import Unavailable
from measuring.timing import time_calls
from measuring.turns import take_turns

SMALL = ["--channels", "0.04", "--threads", "1", "--rounds", "1", "--repeats", "1"]


@pytest.fixture
def here(monkeypatch, tmp_path):
    """Run a benchmark in this process; gives what it found. Threads stay as they are."""
    monkeypatch.setattr(own_process, "call", own_process.call_here)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)

    def run(program, *arguments):
        program.main([*SMALL, "--out", str(tmp_path / "out"), *arguments])
        name = program.__name__
        assert (tmp_path / "out" / f"{name}.png").stat().st_size > 1000
        written = json.loads((tmp_path / "out" / f"{name}.json").read_text())
        assert written["benchmark"] == name
        assert written["machine"]["threads"] == written["arguments"]["threads"] == 1
        assert written["machine"]["packages"]["torch"].startswith(torch.__version__.split("+")[0])
        return written["found"]

    return run


def test_fcn8s(here, capsys):
    found = here(fcn8s, "--sizes", "20x30", "--engines", "ours (lean)", "ours (no file)", "torch")
    assert list(found) == ["forward 1 x 3 x 20 x 30", "step 1 x 3 x 20 x 30"]
    forward, step = found.values()
    assert list(forward) == ["ours (lean)", "ours (no file)", "torch"]
    assert all(line["difference"] < 1e-5 and line["argmax"] > 0.99 for line in forward.values())
    assert all(line["seconds"] > 0 and line["peak_bytes"] > 1e7 for line in [*forward.values(), *step.values()])
    assert list(step) == ["ours (lean)", "torch"]
    assert "threads for every engine" in capsys.readouterr().out


def test_fcn8s_of_a_batch_leaves_ncnn_out(here, capsys):
    found = here(fcn8s, "--sizes", "20x30", "--batch", "2", "--tasks", "forward", "--engines", "torch", "ncnn")
    assert list(found["forward 2 x 3 x 20 x 30"]) == ["torch"]
    assert "ncnn: not measured" in capsys.readouterr().out


def test_peers_that_fail_are_left_out_and_ours_are_not(here, monkeypatch, capsys):
    def fail(function, threads, **arguments):
        if arguments.get("engine") in failing:
            raise RuntimeError("exit code -4:\nIllegal instruction")
        return own_process.call_here(function, threads, **arguments)

    monkeypatch.setattr(own_process, "call", fail)
    asked = ["--sizes", "20x30", "--tasks", "forward", "--engines", "ours (lean)", "torch channels_last"]
    failing = ["torch channels_last"]
    assert list(here(fcn8s, *asked)["forward 1 x 3 x 20 x 30"]) == ["ours (lean)"]
    assert "torch channels_last: not measured: Illegal instruction" in capsys.readouterr().out
    failing = ["ours (lean)"]
    with pytest.raises(RuntimeError, match="Illegal instruction"):
        here(fcn8s, *asked)


def test_engines_that_have_not_the_device_are_left_out(here):
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    work = {"height": 20, "width": 30, "channels": 0.04, "device": "cuda:0"}
    for engine, why in (("torch", "finds no CUDA device"), ("ours (lean)", "CUDA"), ("opencv", "on the CPU only")):
        with pytest.raises(Unavailable, match=why):
            own_process.call("engines.timed:time_engine", 1, engine=engine, task="forward", work=work, repeats=1)


def test_precision(here):
    found = here(precision, "--sizes", "20x30")
    forward, step, _ = found.values()
    assert forward["torch bf16"]["difference"] > 1e-5
    assert forward["torch bf16"]["argmax"] > 0.9
    assert 0 < forward["ours (lean) bf16"]["difference"] < 0.05
    assert forward["ours (lean) bf16"]["argmax"] > 0.95
    assert {"ours (lean)", "ours (lean) bf16", "torch", "torch bf16", "torch channels_last bf16"} <= set(step)
    assert len(found["weights"]) == 3
    assert all(0 < one["difference"] < 0.05 for one in found["weights"].values())


def test_switches(here):
    found = here(switches, "--sizes", "20x30", "--names", "winograd", "windows", "--tasks", "forward", "step")
    forward, step = found.values()
    assert list(forward) == ["all on", "none on", "winograd off", "windows off", "winograd alone", "windows alone"]
    assert list(step) == list(forward)
    assert all(line["difference"] < 5e-5 for line in forward.values())


def test_switches_name_only_rewrites(here, capsys):
    with pytest.raises(SystemExit):
        here(switches, "--names", "magic")
    assert f"no such rewrite: magic; there are: {', '.join(REWRITES)}" in capsys.readouterr().err


def test_stream(here):
    found = here(stream, "--images", "4", "--scale", "0.06")
    assert len(found["ratio"]) == stream.PASSES
    assert len(found["by_image"]["fixed size"]) == 4
    assert found["difference"] < 1e-5


def test_stream_sizes_are_as_vocs():
    sizes = stream.draw_sizes(400)
    assert all(max(size) == 500 and min(size) >= 220 for size in sizes)
    assert sizes.count((375, 500)) > 100
    assert 50 < sum(height > width for height, width in sizes) < 150
    assert sizes[:50] == stream.draw_sizes(50)


def test_data_feed(here):
    found = here(data_feed, "--size", "30x40", "--pairs", "3")
    assert list(found) == ["fixed input", "python layers", "Data layers"]
    assert all(found[feed]["reading"]["seconds"] > 0 for feed in data_feed.FED)


def test_growth(here):
    found = here(growth, "--sides", "16", "24", "32", "--batches", "1", "2", "--batch-side", "16", "--step-most", "16")
    assert len(found) == 4
    assert set(found["forward, torch channels_last: growth with the side"]) == {"16", "24", "32", "exponent"}


def test_growth_exponent():
    assert growth.growth_exponent({100: 5, 1000: 20, 4000: 80}) == pytest.approx(1)
    assert growth.growth_exponent({1: 9, 10: 1, 100: 3, 1000: 1e4}) == pytest.approx(2)
    assert growth.growth_exponent({100: 5, 1000: 20}) is None


def test_loss_curves(here):
    found = here(loss_curves, "--size", "20x30", "--iterations", "3")
    assert len(found["fp32, seed 1"]["losses"]) == 3
    assert list(found)[-2:] == ["bf16, seed 1", "bf16, seed 2"]
    assert found["fp32, seed 2"]["losses"] != found["fp32, seed 1"]["losses"]


def test_differences_of_losses_are_to_other_seeds():
    means = {("fp32", 1): [1.0, 1.0], ("fp32", 2): [2.0, 4.0], ("fp32", 3): [4.0, 4.0], ("bf16", 1): [3.0, 5.0]}
    apart = loss_curves.differences({run: np.array(mean) for run, mean in means.items()})
    assert apart == {("fp32", 1): 2.5, ("fp32", 2): 1.0, ("fp32", 3): 2.0, ("bf16", 1): 0.5}


def test_smoothed_losses():
    assert loss_curves.smoothed([1, 3, 5, 7, 100], window=2).tolist() == [2, 6]
    assert loss_curves.smoothed([1, 3], window=20).tolist() == [2]


def test_loading(here):
    found = here(loading)
    assert {"read and copy", "ours", "ours (lean)", "torch.load"} <= set(found)
    assert found["ours"]["seconds"] > 0
    assert found["file_bytes"] > 100_000


def test_start_up(here, monkeypatch):
    monkeypatch.delitem(start_up.PROGRAMS, "import caffe_compat; caffe_compat.Net")
    monkeypatch.setitem(start_up.PROGRAMS, start_up.FIRST, ["-c", "pass"])
    found = here(start_up)
    assert list(found) == list(start_up.PROGRAMS)
    assert all(line["seconds"] > 0 for line in found.values())


def test_a_process_of_its_own_runs_a_benchmarks_function():
    work = {"height": 20, "width": 30, "channels": 0.04, "threads": 1}
    found = own_process.call("engines.timed:time_engine", 1, engine="torch", task="forward", work=work, repeats=3)
    assert len(found["all_seconds"]) == 3
    assert found["bytes"] > 50_000_000


def test_a_process_of_its_own_that_fails_says_why():
    with pytest.raises(RuntimeError, match=r"os:listdir, exit code 1:(.|\n)*No such file or directory"):
        own_process.call("os:listdir", 1, path="/no/such/folder")
    with pytest.raises(Unavailable, match="no_such_package"):
        own_process.call("no_such_package:run", 1)


def test_peak_memory_counts_what_has_gone():
    before = own_process.peak_bytes()
    assert np.ones(before - own_process.resident_bytes() + 50_000_000, np.uint8).all()
    assert own_process.peak_bytes() > before + 40_000_000


def test_machine_is_described():
    told = "\n".join(machine.lines(machine.describe(threads=7)))
    assert "7 threads for every engine" in told
    assert f"Python {sys.version.split()[0]}" in told
    assert f"torch {torch.__version__.split('+')[0]}" in told


def test_calls_are_timed_after_a_warm_up():
    seen = []
    assert len(time_calls(seen.append, ["a", "b", "c"], repeats=4)) == 4
    assert seen == ["a", "b", "a", "b", "c", "a"]


def test_turns_leave_out_what_is_unavailable():
    asked, said = [], []

    def engine(seconds):
        def run():
            asked.append(seconds)
            return {"seconds": seconds, "bytes": 10 * seconds}

        return run

    def missing():
        asked.append("missing")
        raise Unavailable("No module named 'fast'")

    measured = take_turns({"one": engine(1), "fast": missing, "two": engine(2)}, 2, said.append)
    assert asked == [1, "missing", 2, 1, 2]
    assert said == ["fast: not measured: No module named 'fast'"]
    assert measured["two"].record() == {"seconds": 2, "rounds": [2, 2], "peak_bytes": 20}


def test_agreement():
    reference = np.array([[[[1.0, 4.0]], [[2.0, 3.0]]]])  # 1 x 2 x 1 x 2
    scores = reference.copy()
    scores[0, 0, 0, 0] = 3
    found = agree(scores, reference)
    assert (found.difference, found.argmax) == (0.5, 0.5)
    assert found.cells() == ["5.0e-01", "50.000 %"]
    with pytest.raises(ValueError, match=r"scores are \(1, 2, 1, 1\), the reference \(1, 2, 1, 2\)"):
        agree(scores[..., :1], reference)
