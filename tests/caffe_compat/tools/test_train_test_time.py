"""train, test and time against the logs that the real Caffe wrote of the same files."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

PREFIX = re.compile(r"[IWEF](?:\d{8}|\d{4}) \d\d:\d\d:\d\d\.\d{6} +\d+ ([\w.]+:\d+)\] (.*)")
NUMBER = re.compile(r"(?<![\w.#])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
# Lines of parts that Caffe has and we do not: its HDF5 reader, and the Softmax inside SoftmaxWithLoss.
NOT_OURS = re.compile(r"(hdf5|hdf5_data_layer)\.\w+:\d+")
SPEED = re.compile(r"\([^()]* iter/s, [^()]* iters\)")


@pytest.fixture
def logs(realdata, tmp_path, monkeypatch):
    """A copy of the recorded runs' folder to run in, without their snapshots."""
    folder = tmp_path / "logs"
    shutil.copytree(realdata / "logs", folder, copy_function=shutil.copyfile)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    monkeypatch.chdir(folder)
    return folder


def lines(text, told_by):
    """(place's file, text) of the lines of these files, with what follows each as further lines."""
    found = []
    for line in text.splitlines():
        match = PREFIX.match(line)
        if match:
            found.append([match[1].partition(":")[0], SPEED.sub("(speed)", match[2])])
        elif found and line.strip():
            found[-1][1] += "\n" + line.rstrip()
    return [(place, text.rstrip()) for place, text in found if place in told_by]


def assert_same_lines(ours, recorded, *told_by, timed=False):
    ours, recorded = lines(ours, told_by), lines(recorded, told_by)
    if "layer_factory.hpp" in told_by:  # the Softmax inside a loss is a layer of its own there
        recorded = [
            line
            for i, line in enumerate(recorded)
            if i == 0 or line[1] != "Creating layer loss" or recorded[i - 1][1] != "loss -> loss"
        ]
    assert [(place, NUMBER.sub("N", text)) for place, text in ours] == [
        (place, NUMBER.sub("N", text)) for place, text in recorded
    ]
    if timed:
        return
    for (_, found), (_, wanted) in zip(ours, recorded, strict=True):
        assert [float(n) for n in NUMBER.findall(found)] == pytest.approx(
            [float(n) for n in NUMBER.findall(wanted)], rel=2e-4, abs=2e-6
        ), wanted


SOLVER_LINES = ("caffe.cpp", "solver.cpp", "sgd_solver.cpp")
NET_LINES = ("net.cpp", "layer_factory.hpp")


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("train", "-solver=solver.prototxt -weights=init.caffemodel"),
        ("resume", "--solver=solver.prototxt --snapshot=snap/lenet_iter_30.solverstate"),
        ("train_multistep", "--solver solver_multistep_avg.prototxt --weights init.caffemodel"),
    ],
)
def test_train_logs_what_caffe_logged(verb, logs, tmp_path, name, flags):
    recorded = (logs / f"{name}.log").read_text()
    done = verb("train", *flags.split())
    assert done.code == 0, done.err
    assert_same_lines(done.log, recorded, *SOLVER_LINES, *NET_LINES)

    shutil.copyfile(done.file, tmp_path / "ours.log")
    assert verb("parse_log", tmp_path / "ours.log", tmp_path).code == 0
    for kind in ("train", "test"):
        found = (tmp_path / f"ours.log.{kind}").read_text().splitlines()
        wanted = (logs / f"parsed/{name}.oldglog.log.{kind}").read_text().splitlines()
        assert found[0] == wanted[0]
        assert len(found) == len(wanted)
        for ours, theirs in zip(found[1:], wanted[1:], strict=True):
            ours, theirs = (list(map(float, row.split(","))) for row in (ours, theirs))
            del ours[1], theirs[1]  # Seconds
            assert ours == pytest.approx(theirs, rel=2e-4)


def test_train_writes_the_snapshots(verb, logs, realdata):
    for file in (logs / "snap").iterdir():
        file.unlink()
    assert verb("train", "-solver=solver.prototxt", "-weights=init.caffemodel").code == 0
    assert {file.name for file in (logs / "snap").iterdir()} == {
        file.name for file in (realdata / "logs/snap").iterdir()
    }


def test_test_logs_what_caffe_logged(verb, logs):
    done = verb("test", "--model=net.prototxt", "--weights=snap/lenet_iter_60.caffemodel", "--iterations=3")
    assert done.code == 0, done.err
    assert_same_lines(done.log, (logs / "test.log").read_text(), "caffe.cpp", *NET_LINES)


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("time", "--iterations=4"),
        ("time_test_phase", "--weights=snap/lenet_iter_60.caffemodel --iterations=2 --phase=TEST"),
    ],
)
def test_time_logs_what_caffe_logged(verb, logs, name, flags):
    done = verb("time", "-model", "net.prototxt", *flags.split())
    assert done.code == 0, done.err
    recorded = (logs / f"{name}.log").read_text()
    assert_same_lines(done.log, recorded, "caffe.cpp", timed=True)
    assert_same_lines(done.log, recorded, *NET_LINES)
    times = {text: float(ms) for text, ms in re.findall(r"\] *(\S+\t\w+): (\S+) ms", done.log)}
    assert times["conv1\tforward"] > 0
    whole = float(re.search(r"Average Forward-Backward: (\S+) ms", done.log)[1])
    assert 0.1 * whole < sum(times.values()) <= whole


def test_bf16_is_near_and_not_the_same(verb, logs):
    """With an ip1 of 64 outputs, the least that is computed at bf16."""
    (logs / "net.prototxt").write_text((logs / "net.prototxt").read_text().replace("num_output: 24", "num_output: 64"))
    settings = (logs / "solver.prototxt").read_text()
    (logs / "short.prototxt").write_text(settings.replace("max_iter: 60", "max_iter: 11"))
    for args, told in (
        ("train -solver=short.prototxt", r"Iteration 10 .*, loss = (\S+)"),
        ("test -model=net.prototxt -weights=snap/lenet_iter_11.caffemodel -iterations=2", r"\] Loss: (\S+)"),
    ):
        losses = [float(re.search(told, verb(*args.split(), *more).log)[1]) for more in ((), ("-precision=bf16",))]
        assert losses[0] != losses[1]
        assert losses[1] == pytest.approx(losses[0], rel=0.02)


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_time_at_bf16_times_the_same_layers(verb, logs, phase):
    """The loss that it begins with tells that it computes in bfloat16."""
    (logs / "net.prototxt").write_text((logs / "net.prototxt").read_text().replace("num_output: 24", "num_output: 64"))
    settings = (logs / "solver.prototxt").read_text()
    (logs / "short.prototxt").write_text(settings.replace("max_iter: 60", "max_iter: 3"))
    assert verb("train", "-solver=short.prototxt").code == 0
    losses, layers = [], []
    for precision in ("fp32", "bf16"):
        flags = f"-iterations=2 -phase={phase} -weights=snap/lenet_iter_3.caffemodel -precision={precision}"
        done = verb("time", "-model=net.prototxt", *flags.split())
        assert done.code == 0, done.err
        losses.append(float(re.search(r"Initial loss: (\S+)", done.log)[1]))
        layers.append([name for name, _ in re.findall(r"\] *(\S+\t\w+): (\S+) ms", done.log)])
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert layers[0] == layers[1]
    assert "conv1\tbackward" in layers[0]


def test_builds_are_logged_by_the_tools_alone(verb, logs):
    assert "Top shape" not in verb("compare", "--help").log
    from caffe_compat import TEST, Net
    from caffe_compat.glog import log_to_file

    with log_to_file(logs / "own.log"):
        Net("net.prototxt", TEST)
    assert "net.cpp" not in (logs / "own.log").read_text()


def test_ctrl_c_snapshots_and_stops(logs):
    (logs / "long.prototxt").write_text(
        (logs / "solver.prototxt").read_text().replace("max_iter: 60", "max_iter: 100000").replace("snapshot: 30", "")
    )
    with open(logs / "run.log", "w") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "caffe_compat", "train", "-solver=long.prototxt", "-weights=init.caffemodel"],
            stderr=err,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"},
        )
        try:
            deadline = time.monotonic() + 60
            while "Iteration 20," not in (logs / "run.log").read_text() and time.monotonic() < deadline:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        finally:
            process.kill()
    log = (logs / "run.log").read_text()
    assert log.endswith("Optimization Done.\n")
    assert "Optimization stopped early." in log
    (iteration,) = re.findall(r"Snapshotting to binary proto file snap/lenet_iter_(\d+).caffemodel", log)
    assert (logs / f"snap/lenet_iter_{iteration}.solverstate").is_file()


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ("train", 2, "-solver is missing"),
        ("train -solver=s -weights=a -snapshot=b", 2, "-snapshot and -weights are both given"),
        ("train -solver=missing.prototxt", 1, "missing.prototxt: no such file"),
        ("train -solver=s.prototxt -sigint_effect=explode", 1, "unknown sigint_effect 'explode'"),
        ("train -solver=s.prototxt -gpu=0,1", 1, "2 devices, but one process trains on one"),
        ("train -solver=s.prototxt -gpu=x", 2, "give numbers separated by commas, or all"),
        ("train -solver=s.prototxt -precision=fp16", 2, "'fp16' is not one of 'fp32', 'bf16'"),
        ("test -model=m -weights=w -precision=fp16", 2, "'fp16' is not one of 'fp32', 'bf16'"),
        ("test -weights=w", 2, "-model is missing"),
        ("test -model=m", 2, "-weights is missing"),
        ("test -model=m.prototxt -weights=w -iterations=0", 2, "0 is not in the range"),
        ("test -model=n.prototxt -weights=missing", 1, "missing: no such file"),
        ("time", 2, "-model is missing"),
        ("time -model=m -precision=half", 2, "'half' is not one of 'fp32', 'bf16'"),
        ("time -model=m -phase=train", 2, "'train' is not one of 'TRAIN', 'TEST'"),
    ],
)
def test_what_is_refused(verb, tmp_path, monkeypatch, args, code, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "n.prototxt").write_text('layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 } } }')
    (tmp_path / "s.prototxt").write_text('net: "n.prototxt" base_lr: 1 lr_policy: "fixed" solver_mode: CPU')
    done = verb(*args.split())
    assert done.code == code
    assert message in done.err


def test_a_gpu_that_is_not_there(verb, tmp_path, monkeypatch):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "n.prototxt").write_text('layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 } } }')
    for text, flags, message in (
        ("solver_mode: GPU", [], "s.prototxt: solver_mode is GPU, but .* finds no CUDA device; set solver_mode: CPU"),
        ("", ["-gpu=0"], "GPU 0 was asked for, but .* finds no CUDA device"),
        ("", ["-gpu=all"], "-gpu all: .* finds no CUDA device"),
    ):
        (tmp_path / "s.prototxt").write_text(f'net: "n.prototxt" base_lr: 1 lr_policy: "fixed" {text}')
        done = verb("train", "-solver=s.prototxt", *flags)
        assert done.code == 1
        assert re.search(message, done.err)
    assert verb("device_query", "-gpu=all").code == 1
    done = verb("device_query")
    assert done.code == 0
    assert "Querying GPUs \n" in done.log
    assert "No CUDA device; nets run on the CPU" in done.log
