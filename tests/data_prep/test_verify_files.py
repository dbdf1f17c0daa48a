"""``--verify`` and the verb ``verify`` over folders of files, HHA and NYUDv2: the first fault, with its key."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from caffe_compat.errors import DataError
from data_prep.file_writer import write_files
from data_prep.hha.camera import parse_camera
from data_prep.hha.folder import HHAWriter
from data_prep.nyud import encode_segmentation
from data_prep.png_files import encode_png, write_png
from data_prep.verify import verify_folder


@pytest.fixture
def hha(tmp_path, run):
    """HHA of three depth images, and the command that makes it."""
    rows = np.arange(60)[:, None] / 60
    (tmp_path / "depth").mkdir()
    for seed in range(3):
        noise = np.random.RandomState(seed).uniform(-5, 5, (60, 80))
        write_png(tmp_path / "depth" / f"d{seed}.png", ((3 - 1.5 * rows**2) * 1000 + noise).astype(np.uint16))
    command = ("hha", "--depth", tmp_path / "depth", "--out", tmp_path / "out", "--camera", "60,61,40,30", "--verify")
    done = run(*command)
    assert done.exit_code == 0, done.output
    return tmp_path / "out", command


def test_the_manifest_of_hha_describes_it(hha):
    out, _ = hha
    manifest = json.loads((out / "manifest.json").read_text())
    images = np.stack([np.array(Image.open(out / f"d{seed}.png")) for seed in range(3)])
    held = manifest["files"]["hha"]
    assert held["mean"] == pytest.approx(images.mean((0, 1, 2)), abs=1e-6)
    assert (held["holds"], held["records"], held["shapes"]) == ("hha", 3, {"3x60x80": 3})
    camera = {"fx": 60.0, "fy": 61.0, "cx": 40.0, "cy": 30.0}
    assert manifest["settings"] == [{"version": "hha 1", "camera": camera, "per_metre": 1000.0}]
    assert set(manifest["versions"]) == {"caffe-compat", "numpy", "pillow", "lmdb"}


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: path.unlink(), "key d1: hha '.*d1.png' is missing"),
        (
            lambda path: path.write_bytes(path.read_bytes()[:-40]),
            "key d1: (image '.*d1.png' is damaged|.*but .* written)",
        ),
        (lambda path: path.write_bytes(b"x"), "key d1: image '.*d1.png' is damaged or not an image"),
        (lambda path: shutil.copy(path.with_name("d0.png"), path), "key d1: '.*d1.png': .* written"),
        (
            lambda path: write_png(path, np.zeros((5, 6, 3), np.uint8)),
            "d1.png': channels x height x width are 3 x 5 x 6",
        ),
    ],
)
def test_damaged_hha_is_named_and_made_again_on_the_next_run(hha, harm, message, run, fault):
    out, command = hha
    before = (out / "d1.png").read_bytes()
    harm(out / "d1.png")
    fault(out, message)
    again = run(*command)
    assert again.exit_code == 0, again.output
    assert (out / "d1.png").read_bytes() == before


def test_a_file_that_only_looks_kept_is_made_again(hha, run, fault):
    """The pixels are changed, the mark of what it was made from is not."""
    out, command = hha
    before = (out / "d2.png").read_bytes()
    with Image.open(out / "d2.png") as image:
        pixels, mark = np.array(image), image.info["made-from"]
    pixels[3, 4] ^= 1
    (out / "d2.png").write_bytes(encode_png(pixels, mark))
    fault(out, "key d2: '.*d2.png': bytes")
    assert run(*command).exit_code == 0
    assert (out / "d2.png").read_bytes() == before
    (out / "samples.jsonl").unlink()
    (out / "d1.png").write_bytes((out / "d1.png").read_bytes()[:200] + b"\0\0" + (out / "d1.png").read_bytes()[202:])
    assert run(*command).exit_code == 0


def test_hha_of_depth_that_is_no_longer_there_stays_listed_while_its_file_does(hha, tmp_path, run):
    out, command = hha
    (tmp_path / "depth/d1.png").unlink()
    assert run(*command).exit_code == 0
    assert json.loads((out / "manifest.json").read_text())["count"] == 3
    (out / "d1.png").unlink()
    assert run(*command).exit_code == 0
    assert json.loads((out / "manifest.json").read_text())["count"] == 2


def test_two_runs_at_once_are_refused(hha, tmp_path):
    out, command = hha

    class Meddling(HHAWriter):
        def __call__(self, name):
            with pytest.raises(DataError, match=r"another run is writing '.*out'; wait for it, or end it"):
                write(HHAWriter(self.depth, self.raw, self.out, self.camera))
            return super().__call__(name)

    def write(writer):
        return write_files(writer.files(), ["d0.png"])

    assert write(Meddling(tmp_path / "depth", None, out, parse_camera("60,61,40,30"))).state == "already there"


@pytest.fixture(scope="module")
def nyud_once(nyud_source, tmp_path_factory, run):
    out = tmp_path_factory.mktemp("nyud_verified") / "out"
    done = run("nyud", "--source", nyud_source.folder, "--out", out, "--no-lmdb", "--verify")
    assert done.exit_code == 0, done.output
    assert "verify out: 100%" in done.stderr
    return out


def test_the_manifest_of_nyuds_files_describes_them(nyud_once):
    manifest = json.loads((nyud_once / "manifest.json").read_text())
    assert manifest["count"] == 4
    pictures = {kind: nyud_once / "data" / kind for kind in ("images", "depth", "hha")}
    read = {kind: [np.array(Image.open(path)) for path in sorted(pictures[kind].iterdir())] for kind in pictures}
    means = {kind: manifest["files"][kind]["mean"] for kind in pictures}
    assert means["images"] == pytest.approx(np.mean(read["images"], (0, 1, 2))[::-1], abs=1e-5)
    assert means["hha"] == pytest.approx(np.mean(read["hha"], (0, 1, 2)), abs=1e-5)
    assert means["depth"] == pytest.approx([np.mean(read["depth"])], abs=1e-5)
    log_mean = np.log(np.array(read["depth"], float)).mean()
    assert manifest["files"]["depth"]["log_mean"] == pytest.approx([log_mean], abs=1e-5)
    assert manifest["files"]["segmentation"]["classes"] == 40
    assert sum(manifest["pixels"].values()) == 4 * 425 * 560


def a_depth_of_zero(path):
    with Image.open(path) as image:
        depth = np.array(image)
    depth[1, 1] = 0
    write_png(path, depth)


@pytest.mark.parametrize(
    ("file", "harm", "message"),
    [
        ("data/rawdepth/img_5002.png", lambda path: path.unlink(), "key 5002: raw depth '.*img_5002.png' is missing"),
        ("data/depth/img_5003.png", a_depth_of_zero, "key 5003: depth '.*' is 0 at 1 pixels, and nets read its log"),
        ("segmentation/img_5001.mat", lambda path: path.write_bytes(b"x" * 300), "key 5001: label '.*mat' is damaged"),
        (
            "segmentation/img_5004.mat",
            lambda path: path.write_bytes(encode_segmentation(np.ones((425, 559), np.uint8), "m")),
            r"key 5004: label '.*5004.mat' is 559 x 425 pixels \(width x height\) but image '.*5004.png' is 560 x 425",
        ),
        (
            "data/images/img_5002.png",
            lambda path: shutil.copy(path.with_name("img_5001.png"), path),
            "key 5002: '.*images/img_5002.png': .* written",
        ),
    ],
)
def test_damaged_files_of_nyud_are_named(nyud_once, tmp_path, file, harm, message):
    shutil.copytree(nyud_once, tmp_path / "out")
    harm(tmp_path / "out" / file)
    with pytest.raises(
        DataError, match=f"(?s){message}.*; run the command that wrote it again: damaged files are made"
    ):
        verify_folder(tmp_path / "out")
