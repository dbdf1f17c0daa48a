"""Depth in MATLAB files: to HHA images, and what is refused."""

import h5py
import numpy as np
import pytest
import scipy.io
from PIL import Image

from caffe_compat.errors import DataError
from data_prep.hha import Camera, encode_hha
from data_prep.hha.folder import read_depth_m


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_depth_in_matlab_files(depths, tmp_path, version, run):
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
