"""HHA of a real picture against what MATLAB's Depth2HHA wrote for it."""

import numpy as np
import pytest
from PIL import Image

from data_prep.hha import CAMERAS, encode_hha


@pytest.fixture(scope="module")
def recorded(realdata):
    folder = realdata / "nyud" / "hha_matlab"
    if not folder.is_dir():
        pytest.skip("no nyud/hha_matlab in ../shared/realdata")
    return {kind: np.array(Image.open(folder / f"img_5001_{kind}.png")) for kind in ("depth", "rawdepth", "hha")}


def levels_apart(recorded, camera):
    ours = encode_hha(recorded["depth"] / 1000, recorded["rawdepth"] == 0, CAMERAS[camera])
    return np.abs(ours.astype(int) - recorded["hha"])


def fits_no_plane(missing, radius=3):
    """Pixels whose square has its pixels on one line: a plane through them is undetermined, rounding decides."""
    there = np.pad(~missing, radius)
    squares = np.lib.stride_tricks.sliding_window_view(there, (2 * radius + 1,) * 2)
    undetermined = np.zeros(missing.shape, bool)
    for row, column in np.argwhere(squares.sum((2, 3)) <= 2 * radius + 1):
        pixels = np.argwhere(squares[row, column])
        if len(pixels):
            undetermined[row, column] = np.linalg.matrix_rank(pixels - pixels[0]) < 2
    return undetermined


def test_the_recorded_image_is_ours_with_the_camera_of_whole_frames(recorded):
    """Depth2HHA does not shift the camera for the crop. What is left are ties of rounding, and undetermined planes."""
    apart = levels_apart(recorded, "color")
    assert not apart[:, :, 0].any()
    assert apart[:, :, 1].max() <= 1
    assert (apart[:, :, 1] == 0).mean() > 0.998
    undetermined = fits_no_plane(recorded["rawdepth"] == 0)
    assert undetermined.mean() < 0.003
    angle = apart[:, :, 2]
    assert angle[~undetermined].max() <= 1
    assert (angle[~undetermined] == 0).mean() > 0.999
    assert (angle <= 1).mean() > 0.997


def test_the_camera_of_the_crop_gives_another_image(recorded):
    """rcnn-depth's camera: the same disparity, heights and angles that differ by what the shift explains."""
    apart = levels_apart(recorded, "color-cropped")
    assert not apart[:, :, 0].any()
    assert 3 < apart[:, :, 1].max() < 15
    assert (apart[:, :, 1] == 0).mean() < 0.3
    assert (apart[:, :, 2] <= 5).mean() > 0.99
