"""``python -m data_prep hha``: a folder of depth to HHA images, by cameras, resumed, and what is refused."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from caffe_compat.errors import DataError
from data_prep.hha import CAMERAS, Camera, camera_for, encode_hha, parse_camera
from data_prep.png_files import write_png

ROOT = Path(__file__).resolve().parents[2]


def written(output):
    """How many images the summary says were written, and how many kept."""
    row = next(line.split() for line in output.splitlines() if line.startswith("hha "))
    return int(row[1]) - int(row[3]), int(row[3])


def arguments(folder, *more):
    raw = ("--raw", folder / "raw")
    return ("hha", "--depth", folder / "depth", *raw, "--out", folder / "out", "--camera", "60,61,40,30", *more)


def test_as_a_module_on_the_real_picture(realdata, tmp_path):
    recorded = realdata / "nyud/hha_matlab"
    for kind in ("depth", "rawdepth"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "img_5001.png").symlink_to(recorded / f"img_5001_{kind}.png")
    command = [sys.executable, "-m", "data_prep", "hha", "--depth", tmp_path / "depth", "--raw", tmp_path / "rawdepth"]
    done = subprocess.run(
        [*map(str, command), "--out", str(tmp_path / "out"), "--camera", "color"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert written(done.stdout) == (1, 0)
    assert "hha: 100%" in done.stderr
    ours = np.array(Image.open(tmp_path / "out/img_5001.png")).astype(int)
    theirs = np.array(Image.open(recorded / "img_5001_hha.png"))
    assert (np.abs(ours - theirs) <= 1).mean((0, 1)).tolist() == [1, 1, pytest.approx(0.9977, abs=3e-4)]


@pytest.mark.parametrize("jobs", [1, 2])
def test_files_get_the_encoding_of_their_depth(depths, tmp_path, jobs, run):
    done = run(*arguments(tmp_path, "--jobs", jobs))
    assert done.exit_code == 0, done.output
    assert written(done.stdout) == (2, 0)
    for seed, (depth, raw) in depths.items():
        image = Image.open(tmp_path / "out" / f"img_{seed}.png")
        assert image.mode == "RGB"
        np.testing.assert_array_equal(np.array(image), encode_hha(depth / 1000, raw == 0, Camera(60, 61, 40, 30)))


def test_what_is_made_is_kept_unless_depth_or_settings_changed(depths, tmp_path, run):
    assert run(*arguments(tmp_path)).exit_code == 0
    assert written(run(*arguments(tmp_path)).stdout) == (0, 2)
    depth, raw = depths[1]
    write_png(tmp_path / "raw/img_1.png", np.where(depth > 2000, raw, 0).astype(np.uint16))
    assert written(run(*arguments(tmp_path)).stdout) == (1, 1)
    out = tmp_path / "out/img_2.png"
    out.write_bytes(out.read_bytes()[:-1])
    assert written(run(*arguments(tmp_path)).stdout) == (1, 1)
    assert written(run(*arguments(tmp_path, "--camera", "60,61,40,31")).stdout) == (2, 0)
    assert written(run(*arguments(tmp_path, "--per-metre", "2000")).stdout) == (2, 0)


def test_arrays_of_metres_and_a_depth_that_is_raw_itself(depths, tmp_path, run):
    (tmp_path / "npy").mkdir()
    metres = np.where(depths[1][1] == 0, np.nan, depths[1][1] / 1000)
    np.save(tmp_path / "npy/a.npy", metres)
    np.save(tmp_path / "npy/b.npy", depths[1][1])
    done = run("hha", "--depth", tmp_path / "npy", "--out", tmp_path / "out", "--camera", "60,61,40,30")
    assert done.exit_code == 0, done.output
    a, b = (np.array(Image.open(tmp_path / f"out/{name}.png")) for name in "ab")
    there = depths[1][1] > 0
    np.testing.assert_array_equal(a[there], b[there])
    assert (a[~there][:, 1] == 0).all()


def test_the_camera_goes_by_the_size():
    assert camera_for(425, 560, "a") == CAMERAS["color-cropped"] == parse_camera("color-cropped")
    assert camera_for(480, 640, "a") == CAMERAS["color"]
    assert parse_camera("1,2,3.5,-4") == Camera(1, 2, 3.5, -4)
    with pytest.raises(DataError, match=r"depth 'a' is 640 x 425 pixels .*; a camera is known only for 640 x 480 and"):
        camera_for(425, 640, "a")
    with pytest.raises(DataError, match="camera 'kinect' is not known; name one of color, color-cropped, depth, depth"):
        parse_camera("kinect")
    with pytest.raises(DataError, match="camera 0,1,2,3: wanted four finite numbers"):
        parse_camera("0,1,2,3")
    with pytest.raises(DataError, match="camera 1,1,nan,3: wanted four finite numbers"):
        parse_camera("1,1,nan,3")


def test_faults_are_collected_and_strict_stops(depths, tmp_path, run):
    write_png(tmp_path / "depth/img_0.png", np.zeros((60, 80), np.uint8))
    write_png(tmp_path / "depth/img_3.png", depths[1][0])
    write_png(tmp_path / "depth/img_4.png", depths[1][0])
    write_png(tmp_path / "raw/img_4.png", depths[1][0][:-1])
    write_png(tmp_path / "depth/img_5.png", np.zeros((60, 80), np.uint16))
    write_png(tmp_path / "raw/img_5.png", np.zeros((60, 80), np.uint16))
    np.save(tmp_path / "depth/img_6.npy", np.full((2, 2), -1.0))
    np.save(tmp_path / "depth/img_7.npy", np.ones((2, 2, 2)))
    (tmp_path / "depth/img_8.npy").write_bytes(b"x")
    (tmp_path / "depth/img_9.png").write_bytes(b"x")
    for seed in (0, 6, 7, 8, 9):
        write_png(tmp_path / f"raw/img_{seed}.png", depths[1][1])
    done = run(*arguments(tmp_path))
    assert done.exit_code == 1
    for message in (
        "img_0.png' is an image of mode L; wanted one channel of 16 bits",
        "img_3.png' is missing; add it, or take its id out",
        "img_4.png' is 80 x 59 pixels (width x height) but depth",
        "img_5.png': no square of the depth holds a pixel that is not missing",
        "img_6.npy' has 4 values below 0; 0 marks missing ones",
        "img_7.npy' has shape (2, 2, 2) of float64; wanted H x W numbers",
        "img_8.npy' is damaged or no array of numbers",
        "img_9.png' is damaged or not an image",
        "8 faulty samples; repair the files or shorten the lists, and run again",
    ):
        assert message in done.output
    assert written(done.stdout) == (2, 0)
    report = (tmp_path / "out/faults.txt").read_text().splitlines()
    assert [line.partition("img_")[2][0] for line in report] == list("03456789")
    assert f"hha: every fault is listed in '{tmp_path / 'out/faults.txt'}'" in done.stderr
    assert not (tmp_path / "out/manifest.json").exists()
    strict = run(*arguments(tmp_path, "--strict"))
    assert strict.exit_code == 1
    assert "img_0.png'" in strict.output
    assert "img_3.png'" not in strict.output


def test_folders_that_cannot_be(depths, tmp_path, run):
    (tmp_path / "empty").mkdir()
    done = run("hha", "--depth", tmp_path / "empty", "--out", tmp_path / "out")
    assert "no depth in '" in done.output
    done = run("hha", "--depth", tmp_path / "depth", "--raw", tmp_path / "gone", "--out", tmp_path / "out")
    assert "gone' is no folder; give --raw the folder of raw depth" in done.output
    done = run("hha", "--depth", tmp_path / "depth", "--out", tmp_path / "depth")
    assert "holds the depth itself, which HHA files would overwrite; give another --out" in done.output
    (tmp_path / "file").write_text("x")
    done = run("hha", "--depth", tmp_path / "depth", "--out", tmp_path / "file")
    assert done.exit_code == 1
    assert "file' cannot be written" in done.output
    np.save(tmp_path / "depth/img_1.npy", np.ones((2, 2)))
    done = run(*arguments(tmp_path))
    assert "holds 'img_1.npy' and 'img_1.png', both for 'img_1.png'; move one away" in done.output
