"""FCN-8s at full width on real pictures of PASCAL VOC, by solve.py as a program: files, LMDB, kill and resume, scores.

Needs ../shared/realdata beside the checkout, 4 GB of memory, 5 GB of disk and about two minutes.
"""

import os
import re
import shutil
import signal
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST
from caffe_compat.proto.weights import read_caffemodel, read_solverstate
from data_prep.labels import read_label
from data_prep.lists import read_list, write_list
from nets.catalogue import lookup
from nets.sources import InputData
from nets.surgery import interp
from solvers.initial import interpolated_layers

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def voc(realdata, tmp_path_factory):
    """The 16 pairs as VOC2012: all of them in train, the demo's in val."""
    source = realdata / "VOCdevkit" / "VOC2012"
    folder = tmp_path_factory.mktemp("voc") / "VOC2012"
    lists = folder / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for part in ("JPEGImages", "SegmentationClass"):
        (folder / part).symlink_to((source / part).resolve())
    given = sorted((source / "ImageSets" / "Segmentation").glob("*.txt"))
    write_list(lists / "train.txt", sorted(one for path in given for one in read_list(path)))
    write_list(lists / "val.txt", ["2007_000129"])
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random weights for every layer, as tests/reference/README.md makes them from the layers' names."""
    net = Net(lookup("voc-fcn8s").build(InputData({"data": (1, 3, 64, 64)})), TEST, keep=[])
    for name, blobs in net.params.items():
        for i, blob in enumerate(blobs):
            rng = np.random.RandomState(zlib.crc32(f"{name}/{i}".encode()))
            scale = 0.1 if i else np.sqrt(2 / np.prod(blob.shape[1:]))
            blob.data[...] = (rng.standard_normal(blob.shape) * scale).astype(np.float32)
    interp(net, interpolated_layers(net))
    path = tmp_path_factory.mktemp("weights") / "random.caffemodel"
    net.save(path)
    yield path
    path.unlink()


@pytest.fixture
def run_folders(tmp_path):
    """Function: a folder for a run; its snapshots of 1 GB are deleted at the end."""
    yield lambda name: tmp_path / name
    for run in tmp_path.iterdir():
        shutil.rmtree(run)


def finish(process):
    """What the program printed, and its largest memory in GB."""
    out, err = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, err
    return out, usage.ru_maxrss * 1024 / 1e9


def same_weights_and_history(folder, other):
    for ours, theirs in zip(
        *(read_caffemodel(run / "train_iter_3.caffemodel") for run in (folder, other)), strict=True
    ):
        assert ours.name == theirs.name
        for a, b in zip(ours.blobs, theirs.blobs, strict=True):
            assert np.array_equal(a, b), ours.name
    ours, theirs = (read_solverstate(run / "train_iter_3.solverstate") for run in (folder, other))
    assert ours.iter == theirs.iter == 3
    for i, (a, b) in enumerate(zip(ours.history, theirs.history, strict=True)):
        assert np.array_equal(a, b), i
    assert any(a.any() for a in ours.history)


def test_three_iterations_from_files_and_lmdb_with_a_kill_between(voc, weights, start, run_folders):
    command = ["solve.py", "voc-fcn8s", "--data", voc.parent, "--init", weights, "--iterations", 3]
    files, lmdb = run_folders("files"), run_folders("lmdb")
    out, peak_gb = finish(start(*command, "--workdir", files))
    assert "  train     16 images, PASCAL VOC train (the whole list has 1464)" in out.splitlines()
    assert "FAULT" not in out
    assert float(re.search(r"memory +about (\d\.\d) GB", out)[1]) == pytest.approx(peak_gb, rel=0.25)
    assert peak_gb < 4.5

    command += ["--workdir", lmdb, "--read", "lmdb", "--snapshot", 2]
    process = start(*command)
    snapshots = lmdb / "voc-fcn8s" / "snapshot"
    while not (snapshots / "train_iter_2.solverstate").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (snapshots / "train_iter_3.solverstate").exists()
    out, _ = finish(start(*command, "--resume"))
    assert "  weights   train_iter_2.solverstate, with data position and random states" in out.splitlines()

    losses = [(run / "voc-fcn8s" / "losses.csv").read_text() for run in (files, lmdb)]
    assert losses[0] == losses[1]
    assert len(set(losses[0].splitlines())) == 4
    scores = [(run / "voc-fcn8s" / "scores.csv").read_text() for run in (files, lmdb)]
    assert scores[0] == scores[1]
    assert len((lmdb / "voc-fcn8s" / "lmdb" / "voc2012_train" / "list.txt").read_text().split()) == 16
    same_weights_and_history(files / "voc-fcn8s" / "snapshot", snapshots)


def test_score_beside_the_published(voc, weights, start):
    out, _ = finish(start("solve.py", "voc-fcn8s", "--score", weights, "--data", voc.parent))
    lines = out.splitlines()
    accuracy = next(float(line.split()[-1]) for line in lines if "overall accuracy" in line)
    measured = next(line.split()[2:] for line in lines if line.startswith("measured (1)"))
    assert float(measured[0]) == pytest.approx(100 * accuracy, abs=1e-3)
    assert any(line.split() == ["published", "W", "91.221", "77.615", "65.513", "84.545"] for line in lines)
    assert lines[-2:] == [
        "note: the list scored is val, not seg11valid",
        "not judged: seg11valid has 736 images, and these are 1",
    ]


def test_infer_a_picture(realdata, weights, start, tmp_path):
    image = realdata / "fcn_demo" / "image.jpg"
    out, _ = finish(start("solve.py", "voc-fcn8s", "--infer", image, "--init", weights, "--workdir", tmp_path))
    written = tmp_path / "voc-fcn8s" / "predictions" / "image.png"
    assert out == f"{image} -> {written}\n"
    label = read_label(written)
    with Image.open(image) as picture, Image.open(written.parent / "overlays" / "image.png") as overlaid:
        assert label.shape == (picture.height, picture.width)
        assert overlaid.size == picture.size
    assert label.max() <= 20
