"""``python -m data_prep hha``: a folder of depth to HHA images, by cameras, resumed, and what is refused."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from click.testing import CliRunner
from PIL import Image

from caffe_compat.errors import DataError
from data_prep.cli import main
from data_prep.hha import CAMERAS, Camera, camera_for, compare_hha, encode_hha, parse_camera
from data_prep.hha.folder import read_depth_m
from data_prep.png_files import write_png

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments):
    return CliRunner().invoke(main, [str(one) for one in arguments])


def depth_mm(seed, shape=(60, 80)):
    random = np.random.RandomState(seed)
    rows = np.arange(shape[0])[:, None] / shape[0]
    return ((3 - 1.5 * rows**2) * 1000 + random.uniform(-5, 5, shape)).astype(np.uint16)


@pytest.fixture
def depths(tmp_path):
    """Two depths with holes in their raw depth, as PNGs."""
    made = {}
    for kind in ("depth", "raw"):
        (tmp_path / kind).mkdir()
    for seed in (1, 2):
        depth = depth_mm(seed)
        raw = depth.copy()
        raw[10:20, 30:50] = 0
        write_png(tmp_path / "depth" / f"img_{seed}.png", depth)
        write_png(tmp_path / "raw" / f"img_{seed}.png", raw)
        made[seed] = (depth, raw)
    return made


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
    assert done.stdout.startswith("1 HHA images written to '")
    ours = np.array(Image.open(tmp_path / "out/img_5001.png")).astype(int)
    theirs = np.array(Image.open(recorded / "img_5001_hha.png"))
    assert (np.abs(ours - theirs) <= 1).mean((0, 1)).tolist() == [1, 1, pytest.approx(0.9977, abs=3e-4)]


@pytest.mark.parametrize("jobs", [1, 2])
def test_files_get_the_encoding_of_their_depth(depths, tmp_path, jobs):
    done = run(*arguments(tmp_path, "--jobs", jobs))
    assert done.exit_code == 0, done.output
    assert "2 HHA images written to '" in done.output
    for seed, (depth, raw) in depths.items():
        image = Image.open(tmp_path / "out" / f"img_{seed}.png")
        assert image.mode == "RGB"
        np.testing.assert_array_equal(np.array(image), encode_hha(depth / 1000, raw == 0, Camera(60, 61, 40, 30)))


def test_what_is_made_is_kept_unless_depth_or_settings_changed(depths, tmp_path):
    assert run(*arguments(tmp_path)).exit_code == 0
    assert "0 HHA images written to" in run(*arguments(tmp_path)).output
    depth, raw = depths[1]
    write_png(tmp_path / "raw/img_1.png", np.where(depth > 2000, raw, 0).astype(np.uint16))
    assert "1 HHA images written to" in run(*arguments(tmp_path)).output
    out = tmp_path / "out/img_2.png"
    out.write_bytes(out.read_bytes()[:-1])
    assert "1 HHA images written to" in run(*arguments(tmp_path)).output
    assert "2 HHA images written to" in run(*arguments(tmp_path, "--camera", "60,61,40,31")).output
    assert "2 HHA images written to" in run(*arguments(tmp_path, "--per-metre", "2000")).output


def test_arrays_of_metres_and_a_depth_that_is_raw_itself(depths, tmp_path):
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


def test_faults_are_collected_and_strict_stops(depths, tmp_path):
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
        "img_3.png' is missing; add it, or take its image out",
        "img_4.png' is 80 x 59 pixels (width x height) but depth",
        "img_5.png': no square of the depth holds a pixel that is not missing",
        "img_6.npy' has 4 values below 0; 0 marks missing ones",
        "img_7.npy' has shape (2, 2, 2) of float64; wanted H x W numbers",
        "img_8.npy' is damaged or no array of numbers",
        "img_9.png' is damaged or not an image",
        "2 HHA images written to",
        "8 faulty files; repair or remove them, and run again",
    ):
        assert message in done.output
    strict = run(*arguments(tmp_path, "--strict"))
    assert strict.exit_code == 1
    assert "img_0.png'" in strict.output
    assert "img_3.png'" not in strict.output


def test_folders_that_cannot_be(depths, tmp_path):
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


# -- another program's images ------------------------------------------------------------------------------------------


def test_the_real_image_is_compared_with_matlabs(realdata, tmp_path):
    """Per channel the shares of pixels within 0, 1, 2 and 5 levels, by both cameras."""
    source = realdata / "nyud" / "hha_matlab"
    if not source.is_dir():
        pytest.skip("no nyud/hha_matlab in ../shared/realdata")
    for kind in ("depth", "rawdepth"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "img_5001.png").write_bytes((source / f"img_5001_{kind}.png").read_bytes())
    shares = {}
    for camera in ("color", "color-cropped"):
        done = run(
            *("hha", "--depth", tmp_path / "depth", "--raw", tmp_path / "rawdepth", "--out", tmp_path / camera),
            *("--camera", camera, "--compare", source / "img_5001_hha.png"),
        )
        assert done.exit_code == 0, done.output
        heading, *rows = done.stdout.splitlines()[-4:]
        assert heading.split() == ["channel", "equal", "within", "1", "within", "2", "within", "5", "largest"]
        assert [row.split()[0] for row in rows] == ["disparity", "height", "angle"]
        shares[camera] = [[float(cell.rstrip("%")) for cell in row.split()[1:5]] for row in rows]
    assert shares["color"][0] == shares["color-cropped"][0] == [100] * 4
    assert shares["color"][1][0] > 99.8
    assert shares["color"][1][1:] == [100] * 3
    assert shares["color"][2][1] > 99.7
    assert shares["color-cropped"][1][0] < 30, "the shift of the principal point moves every height"
    assert shares["color-cropped"][2][3] > 99


def test_a_comparison_counts_over_all_images(depths, tmp_path):
    (tmp_path / "other").mkdir()
    for seed, (depth, raw) in depths.items():
        hha = encode_hha(depth / 1000, raw == 0, Camera(60, 61, 40, 30))
        hha[..., 1] ^= 2 * (seed == 1)  # by 2 levels, up or down
        hha[:6, :, 2] -= 6 * (seed == 2)
        write_png(tmp_path / "other" / f"img_{seed}.png", hha)
    done = run(*arguments(tmp_path, "--compare", tmp_path / "other"))
    assert done.exit_code == 0, done.output
    assert "pixels of 2 HHA images by" in done.output
    rows = [line.split() for line in done.stdout.splitlines()[-3:]]
    assert rows[0] == ["disparity", *["100.0000%"] * 4, "0"]
    assert rows[1] == ["height", "50.0000%", "50.0000%", "100.0000%", "100.0000%", "2"]
    assert rows[2] == ["angle", *["95.0000%"] * 4, "6"]


def test_a_comparison_that_cannot_be(depths, tmp_path):
    write_png(tmp_path / "one.png", np.zeros((60, 80, 3), np.uint8))
    several = run(*arguments(tmp_path, "--compare", tmp_path / "one.png"))
    assert "is one image, but there are 2 depth files; give --compare a folder" in several.output
    nothing = run(*arguments(tmp_path, "--compare", tmp_path / "nowhere"))
    assert "holds no image for any of the 2 depth files, such as 'img_1.png'" in nothing.output
    assert not (tmp_path / "out").exists(), "told before anything is made"
    with pytest.raises(DataError, match=r"HHA has shape \(4, 5, 3\) and 'x' \(5, 4, 3\); wanted H x W x 3, both alike"):
        compare_hha(np.zeros((4, 5, 3), np.uint8), np.zeros((5, 4, 3), np.uint8), "x")


# -- MATLAB files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_depth_in_matlab_files(depths, tmp_path, version):
    """Metres as floats and millimetres as whole numbers, in MATLAB's orientation, by either version."""
    (tmp_path / "mat").mkdir()
    for seed, (depth, _) in depths.items():
        values = {"depth": depth / 1000, "other": np.zeros(9)} if seed == 1 else {"z": depth}
        path = tmp_path / "mat" / f"img_{seed}.mat"
        if version == "5":
            scipy.io.savemat(path, values)
        else:
            with h5py.File(path, "w", userblock_size=512) as file:
                for key, value in values.items():
                    file[key] = np.atleast_2d(value).T
            with path.open("r+b") as raw:
                raw.write(b"MATLAB 7.3 MAT-file".ljust(128))
    done = run(
        *("hha", "--depth", tmp_path / "mat", "--raw", tmp_path / "raw", "--out", tmp_path / "out"),
        *("--camera", "60,61,40,30"),
    )
    assert done.exit_code == 0, done.output
    for seed, (depth, raw) in depths.items():
        want = encode_hha(depth / 1000, raw == 0, Camera(60, 61, 40, 30))
        np.testing.assert_array_equal(np.array(Image.open(tmp_path / "out" / f"img_{seed}.png")), want)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not matlab", r"depth 'a\.mat' is damaged or not a MATLAB file"),
        (b"MATLAB 7.3 MAT-file, and no more", r"depth 'a\.mat' is damaged or not a MATLAB file"),
        (
            {"a": np.ones((2, 3)), "b": np.ones((2, 3))},
            r"holds 2 H x W arrays \(a, b\); wanted one, or one called depth",
        ),
        ({"a": np.ones(3)}, r"holds 0 H x W arrays \(none\)"),
        ({"a": np.array([[1.0, -2.0], [0, 1]])}, "has 1 values below 0"),
    ],
    ids=["garbage", "no HDF5", "two", "none", "negative"],
)
def test_matlab_files_without_depth(tmp_path, content, message):
    if isinstance(content, dict):
        scipy.io.savemat(tmp_path / "a.mat", content)
        content = (tmp_path / "a.mat").read_bytes()
    with pytest.raises(DataError, match=message):
        read_depth_m(content, "a.mat")
