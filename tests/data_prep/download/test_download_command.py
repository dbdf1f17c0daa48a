"""``python -m data_prep download``: each dataset, served in miniature, is then found by its verb and by solve.py."""

import dataclasses
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import pytest

from data_prep.download_command import SOURCES
from data_prep.sources import Source, SourceFile
from nets.catalogue import MODELS
from solvers.datasets import find_splits

ROOT = Path(__file__).resolve().parents[3]
HEX = {"md5": 32, "sha1": 40, "sha256": 64}


@pytest.fixture
def served(server, tmp_path, monkeypatch, run):
    """Puts content on the server at the place of a file of a source; the source keeps layout and names.

    Addresses, sizes and checksums of the table are those of the real files, and left out.
    """

    def serve(name, contents):
        files = []
        for file in SOURCES[name].files:
            server.pages["/" + file.path(Path()).as_posix()] = server.Page(contents[file.name])
            files.append(dataclasses.replace(file, urls=(), size=None, checksums={}))
        monkeypatch.setitem(SOURCES, name, dataclasses.replace(SOURCES[name], files=tuple(files)))

    def download(*arguments):
        return run("download", *arguments, "--out", tmp_path / "DATA", "--mirror", server.url + "/", "--wait", 0)

    server.serve, server.download, server.out = serve, download, tmp_path / "DATA"
    return server


def packed(tmp_path, folder, arcname, mode="w"):
    with tarfile.open(tmp_path / "packed", mode) as tar:
        tar.add(folder, arcname)
    return (tmp_path / "packed").read_bytes()


def next_command(run, done):
    """The command that the output names next, run in this process."""
    words = re.findall(r"next: python -m data_prep (.*)", done.output)[-1].split()
    return run(*words)


def test_voc_and_sbd_are_what_solve_reads(served, drawn, tmp_path, run):
    served.serve(
        "voc2011", {"VOCtrainval_25-May-2011.tar": packed(tmp_path, drawn.voc_dir, "TrainVal/VOCdevkit/VOC2011")}
    )
    served.serve("sbd", {"benchmark.tgz": packed(tmp_path, drawn.sbdd_dir, "benchmark_RELEASE/dataset", "w:gz")})
    done = served.download("voc2011", "sbd")
    assert done.exit_code == 0, done.output
    assert f"'{served.out / 'pascal/VOC2011'}' downloaded and unpacked" in done.output
    assert "terms: VOC's images are from flickr" in done.output
    splits = find_splits(served.out, MODELS["voc-fcn8s"])
    assert (splits.train.ids, splits.test.ids) == (drawn.train, drawn.val)
    assert next_command(run, done).exit_code == 0
    assert run("voc", "--source", served.out, "--year", 2011, "--out", served.out / "lmdb").exit_code == 0
    splits = find_splits(served.out, MODELS["voc-fcn8s"], "lmdb")
    assert [split.databases.name for split in (splits.train, splits.test)] == ["sbd_train", "voc2011_seg11valid"]
    assert sorted(one.name for one in (served.out / "archives").iterdir()) == [
        "VOCtrainval_25-May-2011.tar.sha256",
        "benchmark.tgz.sha256",
    ]
    served.asked.clear()
    again = served.download("voc2011", "sbd")
    assert again.exit_code == 0, again.output
    assert "pascal/VOC2011' is there already; remove it to download it anew" in again.output
    assert served.asked == []


@pytest.mark.parametrize("mac", [False, True])
def test_siftflow(served, draw_siftflow, tmp_path, mac, run):
    dataset = tmp_path / "SiftFlowDataset"
    draw_siftflow(dataset, ["coast_1", "street_2"], ["forest_3"])
    lists = {f"{name}.txt": (dataset / f"{name}.txt").read_bytes() for name in ("trainval", "test")}
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        for one in sorted(dataset.rglob("*")):
            if one.suffix in (".jpg", ".mat"):
                name = one.relative_to(tmp_path).as_posix()
                zipped.write(one, name)
                if mac:
                    zipped.writestr("__MACOSX/" + name, b"")
    served.serve("siftflow", {"SiftFlowDataset.zip": (tmp_path / "a.zip").read_bytes(), **lists})
    done = served.download("siftflow")
    assert done.exit_code == 0, done.output
    assert sorted(one.name for one in (served.out / "sift-flow").iterdir()) == [
        "GeoLabels",
        "Images",
        "SemanticLabels",
        "test.txt",
        "test.txt.sha256",
        "trainval.txt",
        "trainval.txt.sha256",
    ]
    read = next_command(run, done)
    assert read.exit_code == 0, read.output
    assert (served.out / "lmdb/siftflow_trainval").is_dir()
    assert find_splits(served.out, MODELS["siftflow-fcn8s"]).train.ids == ["coast_1", "street_2"]


def test_pascalcontext_brings_its_images(served, draw_pascalcontext, tmp_path, run):
    draw_pascalcontext(tmp_path / "context", tmp_path / "VOC2010", ["2008_000001", "2008_000002"], ["2008_000003"])
    for ours, theirs in (("labels.txt", "classes-400.txt"), ("59_labels.txt", "classes-59.txt")):
        (tmp_path / "context" / ours).rename(tmp_path / theirs)
    lists = {name: (tmp_path / name).read_bytes() for name in ("classes-400.txt", "classes-59.txt")}
    labels = packed(tmp_path, tmp_path / "context/trainval", "trainval", "w:gz")
    served.serve("pascalcontext", {"trainval.tar.gz": labels, **lists})
    images = packed(tmp_path, tmp_path / "VOC2010", "VOCdevkit/VOC2010")
    served.serve("voc2010", {"VOCtrainval_03-May-2010.tar": images})
    done = served.download("pascalcontext")
    assert done.exit_code == 0, done.output
    read = next_command(run, done)
    assert read.exit_code == 0, read.output
    assert (served.out / "lmdb/pascalcontext_val").is_dir()
    assert find_splits(served.out, MODELS["pascalcontext-fcn8s"]).test.ids == ["2008_000003"]


def test_nyud_as_published_and_as_released(served, nyud_source, tmp_path, run):
    names = ("nyu_depth_v2_labeled.mat", "splits.mat", "classMapping40.mat")
    served.serve("nyud", {name: (nyud_source.folder / name).read_bytes() for name in names})
    done = served.download("nyud")
    assert done.exit_code == 0, done.output
    made = next_command(run, done)
    assert made.exit_code == 0, made.output
    wanted = find_splits(served.out, MODELS["nyud-fcn32s-color"])
    files = served.out / "nyud"
    shutil.copytree(files, tmp_path / "nyud", ignore=shutil.ignore_patterns("nyud_*", "*.txt"))
    shutil.rmtree(files)
    train, val = wanted.train.ids[:2], wanted.train.ids[2:]
    lists = {"train.txt": train, "val.txt": val, "test.txt": wanted.test.ids}
    released = {name: "".join(f"{one}\n" for one in ids).encode() for name, ids in lists.items()}
    served.serve("nyud-fcn", {"nyud.tar.gz": packed(tmp_path, tmp_path / "nyud", "nyud", "w:gz"), **released})
    done = served.download("nyud-fcn")
    assert done.exit_code == 0, done.output
    read = next_command(run, done)
    assert read.exit_code == 0, read.output
    assert sorted(path.name for path in (served.out / "lmdb").iterdir()) == ["nyud_test", "nyud_trainval"]
    assert find_splits(served.out, MODELS["nyud-fcn32s-color"], "lmdb").train.ids == wanted.train.ids
    found = find_splits(served.out, MODELS["nyud-fcn32s-color"])
    assert (found.train.ids, found.test.ids) == (wanted.train.ids, wanted.test.ids)


def test_weights(served):
    served.serve("vgg16", {one.name: one.name.encode() for one in SOURCES["vgg16"].files})
    done = served.download("vgg16")
    assert done.exit_code == 0, done.output
    path = served.out / "weights/VGG_ILSVRC_16_layers.caffemodel"
    assert f"'{path}' downloaded" in done.output
    assert path.read_bytes() == path.name.encode()
    assert "is there already, verified" in served.download("vgg16").output
    path.write_bytes(b"scribbled over")
    spoilt = served.download("vgg16")
    assert spoilt.exit_code == 1
    assert "(published)" not in spoilt.output
    assert "('VGG_ILSVRC_16_layers.caffemodel.sha256' says); move it away and run again" in spoilt.output
    assert "1 of 1 not downloaded: vgg16" in spoilt.output
    assert path.read_bytes() == b"scribbled over"


def test_the_public_address_is_asked_after_the_mirror(server, tmp_path, monkeypatch, run):
    one = SourceFile("a.bin", "weights", (f"{server.url}/public/a.bin",))
    monkeypatch.setitem(SOURCES, "toy", Source("toy", "a toy", (one,), "none"))
    server.pages["/public/a.bin"] = server.Page(b"x" * 10)
    done = run("download", "toy", "--out", tmp_path, "--mirror", f"{server.url}/copy", "--wait", 0)
    assert done.exit_code == 0, done.output
    assert [path for path, *_ in server.asked] == ["/copy/weights/a.bin", "/public/a.bin"]


@pytest.mark.parametrize("option", [(), ("--keep-archives",)])
def test_archives_are_kept_on_request_or_if_they_came_by_hand(served, drawn, tmp_path, option):
    name = "VOCtrainval_25-May-2011.tar"
    archive = packed(tmp_path, drawn.voc_dir, "TrainVal/VOCdevkit/VOC2011")
    served.serve("voc2011", {name: archive})
    done = served.download("voc2011", *option)
    assert done.exit_code == 0, done.output
    kept = served.out / "archives" / name
    assert kept.exists() is bool(option)
    shutil.rmtree(served.out / "pascal")
    kept.write_bytes(archive)
    served.asked.clear()
    done = served.download("voc2011")
    assert done.exit_code == 0, done.output
    assert f"unpacked; the archive is kept as '{kept}'" in done.output
    assert kept.exists()
    assert served.asked == []


def test_an_evil_archive_is_refused_by_name(served, tmp_path):
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil/link").symlink_to("/etc")
    served.serve("voc2012", {"VOCtrainval_11-May-2012.tar": packed(tmp_path, tmp_path / "evil", "VOCdevkit/VOC2012")})
    done = served.download("voc2012")
    assert done.exit_code == 1
    assert "VOCtrainval_11-May-2012.tar', member 'VOCdevkit/VOC2012/link' is a link to '/etc'" in done.output
    assert list((served.out / "pascal").iterdir()) == []


def test_the_rest_is_downloaded_where_one_fails(served):
    served.serve("caffenet", {"bvlc_reference_caffenet.caffemodel": b"caffenet"})
    done = served.download("nyud-fcn32s-color-d", "caffenet", "--attempts", 1)
    assert done.exit_code == 1
    assert "the FCN release has no weights of this model: train it, or ask its authors" in done.output
    assert "Error: 1 of 2 not downloaded: nyud-fcn32s-color-d" in done.output
    assert (served.out / "weights/bvlc_reference_caffenet.caffemodel").read_bytes() == b"caffenet"


def test_what_must_be_got_by_hand_is_told_with_its_place(tmp_path, monkeypatch, run):
    for file in (files := SOURCES["nyud"].files):
        assert file.by_hand
    monkeypatch.setitem(
        SOURCES,
        "nyud",
        dataclasses.replace(SOURCES["nyud"], files=tuple(dataclasses.replace(one, urls=()) for one in files)),
    )
    done = run("download", "nyud", "--out", tmp_path)
    assert done.exit_code == 1
    said = " ".join(done.output.split())
    path = tmp_path / "nyud_v2" / "nyu_depth_v2_labeled.mat"
    assert "put the file (2972037809 bytes, sha256 2d724b0c0ab3" in said
    assert f"at '{path}' by hand and run again; its page is https://cs.nyu.edu/~silberman/" in said
    assert "ask for a login" in said


def test_killed_while_downloading(server, tmp_path, run):
    """SIGKILL in the middle; the next run asks for the rest only."""
    silence = threading.Event()
    content = bytes(range(256)) * 4000
    one = "weights/VGG_CNN_F.caffemodel"
    server.pages[f"/{one}"] = server.Page(content, cuts=[500_000], stall=silence, after={2: server.Page(content)})
    command = ["-m", "data_prep", "download", "vgg-cnn-f", "--out", str(tmp_path), "--mirror", server.url]
    first = subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    part = tmp_path / f"{one}.part"
    try:
        deadline = time.monotonic() + 60
        while not part.exists() or part.stat().st_size < 200_000:
            assert time.monotonic() < deadline
            assert first.poll() is None
            time.sleep(0.01)
    finally:
        first.kill()
        silence.set()
    assert first.wait() == -signal.SIGKILL
    arrived = part.stat().st_size
    assert not (tmp_path / one).exists()
    done = run(*command[2:])
    assert done.exit_code == 0, done.output
    assert (tmp_path / one).read_bytes() == content
    assert server.asked[1][1] == f"bytes={arrived}-"


def test_unknown_names_list_the_known_ones(tmp_path, run):
    done = run("download", "voc2O11", "--out", tmp_path)
    assert done.exit_code == 1
    assert "nothing to download is called 'voc2O11' (did you mean voc2011?); known: voc2007, voc2008" in done.output
    assert all(name in done.output for name in SOURCES)
    nothing = run("download")
    assert nothing.exit_code == 2
    assert "nothing named; NAME is one or more of voc2007, voc2008" in nothing.output


def test_the_lists(run):
    table = run("download", "--list")
    assert table.exit_code == 0
    assert [line.split()[0] for line in table.output.splitlines()] == ["NAME", *SOURCES]
    details = run("download", "--list", "voc-fcn8s", "nyud-fcn32s-color-d", "pascalcontext").output
    assert "http://dl.caffe.berkeleyvision.org/fcn8s-heavy-pascal.caffemodel" in details
    assert "sha1 c449ea74dd7d83751d1357d6a8c323fcf4038962" in details
    assert "no public address" in details
    assert details.index("voc2010: ") < details.index("pascalcontext: ")


@pytest.mark.parametrize("source", SOURCES.values(), ids=list(SOURCES))
def test_entries_are_well_formed(source):
    assert source.title
    assert source.terms
    assert all(name in SOURCES for name in source.needs)
    for file in source.files:
        assert re.fullmatch(r"[\w.-]+", file.name)
        assert not Path(file.into).is_absolute()
        assert ".." not in Path(file.into).parts
        assert all(re.fullmatch(r"https?://[^ ]+", url) for url in file.urls)
        assert all(re.fullmatch(rf"[0-9a-f]{{{HEX[name]}}}", value) for name, value in file.checksums.items())
        assert file.urls or file.by_hand
    paths = [file.path(Path()) for file in source.files]
    assert len(set(paths)) == len(paths)


def test_no_two_sources_share_a_file():
    paths = [file.path(Path()) for source in SOURCES.values() for file in source.files]
    assert len(set(paths)) == len(paths)


def test_every_released_model_has_an_entry():
    assert set(list(MODELS)[:15]) <= set(SOURCES)
