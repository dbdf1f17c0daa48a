"""``hha --compare``: how near our HHA images are to another program's, on standard output."""

import numpy as np
import pytest

from caffe_compat.errors import DataError
from data_prep.hha import Camera, compare_hha, encode_hha
from data_prep.png_files import write_png


def compared(run, folder, reference):
    return run(
        *("hha", "--depth", folder / "depth", "--raw", folder / "raw", "--out", folder / "out"),
        *("--camera", "60,61,40,30", "--compare", reference),
    )


def table(done):
    """The rows of the comparison's table, their cells."""
    lines = done.stdout.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("channel"))
    assert lines[first].split() == ["channel", "equal", "within", "1", "within", "2", "within", "5", "largest"]
    rows = [line.split() for line in lines[first + 1 : first + 4]]
    assert [row[0] for row in rows] == ["disparity", "height", "angle"]
    return rows


def test_the_real_image_is_compared_with_matlabs(realdata, tmp_path, run):
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
        shares[camera] = [[float(cell.rstrip("%")) for cell in row[1:5]] for row in table(done)]
    assert shares["color"][0] == shares["color-cropped"][0] == [100] * 4
    assert shares["color"][1][0] > 99.8
    assert shares["color"][1][1:] == [100] * 3
    assert shares["color"][2][1] > 99.7
    assert shares["color-cropped"][1][0] < 30, "the shift of the principal point moves every height"
    assert shares["color-cropped"][2][3] > 99


def test_a_comparison_counts_over_all_images(depths, tmp_path, run):
    (tmp_path / "other").mkdir()
    for seed, (depth, raw) in depths.items():
        hha = encode_hha(depth / 1000, raw == 0, Camera(60, 61, 40, 30))
        hha[..., 1] ^= 2 * (seed == 1)  # by 2 levels, up or down
        hha[:6, :, 2] -= 6 * (seed == 2)
        write_png(tmp_path / "other" / f"img_{seed}.png", hha)
    done = compared(run, tmp_path, tmp_path / "other")
    assert done.exit_code == 0, done.output
    assert "pixels of 2 HHA images by" in done.output
    rows = table(done)
    assert rows[0] == ["disparity", *["100.0000%"] * 4, "0"]
    assert rows[1] == ["height", "50.0000%", "50.0000%", "100.0000%", "100.0000%", "2"]
    assert rows[2] == ["angle", *["95.0000%"] * 4, "6"]


def test_a_comparison_that_cannot_be(depths, tmp_path, run):
    write_png(tmp_path / "one.png", np.zeros((60, 80, 3), np.uint8))
    several = compared(run, tmp_path, tmp_path / "one.png")
    assert "is one image, but there are 2 depth files; give --compare a folder" in several.output
    nothing = compared(run, tmp_path, tmp_path / "nowhere")
    assert "holds no image for any of the 2 depth files, such as 'img_1.png'" in nothing.output
    assert not (tmp_path / "out").exists(), "told before anything is made"
    with pytest.raises(DataError, match=r"HHA has shape \(4, 5, 3\) and 'x' \(5, 4, 3\); wanted H x W x 3, both alike"):
        compare_hha(np.zeros((4, 5, 3), np.uint8), np.zeros((5, 4, 3), np.uint8), "x")
