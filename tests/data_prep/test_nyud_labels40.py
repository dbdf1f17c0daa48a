"""labels40.mat in place of classMapping40.mat: the same files of NYU Depth V2, and what is refused."""

import shutil
import tracemalloc

import h5py
import numpy as np
import pytest
import scipy.io
from click.testing import CliRunner

from caffe_compat.errors import DataError
from data_prep.cli import main
from data_prep.nyud_labels40 import mapping_from_labels40
from data_prep.nyud_mat import LabeledMat

VERSIONS = ["5", "5 plain", "7.3"]


def mapped_frames(nyud_source):
    table = np.append(0, nyud_source.map_class)
    return np.stack([table[frame["labels"]] for frame in nyud_source.frames], axis=2).astype(np.uint8)


def write(path, values, version, name="labels40"):
    if version == "7.3":
        with h5py.File(path, "w", userblock_size=512) as file:
            file[name] = values.T
        with path.open("r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file".ljust(128))
    else:
        content = {"first": np.arange(5.0), "ab": np.uint8([[1]]), name: values}
        scipy.io.savemat(path, content, do_compression=version == "5")
    return path


@pytest.fixture
def mat(nyud_source):
    return LabeledMat(nyud_source.folder / "nyu_depth_v2_labeled.mat")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_mapping_is_learnt_back(nyud_source, mat, tmp_path, version):
    mapping = mapping_from_labels40(write(tmp_path / "labels40.mat", mapped_frames(nyud_source), version), mat)
    seen = np.unique([frame["labels"] for frame in nyud_source.frames])
    assert len(seen) > 300
    np.testing.assert_array_equal(mapping.classes[seen], np.append(0, nyud_source.map_class)[seen])
    unseen = np.setdiff1d(np.arange(len(mapping.classes)), seen)
    assert not mapping.classes[unseen].any()


def test_the_verb_takes_it_where_only_it_is_there(nyud_source, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("nyu_depth_v2_labeled.mat", "splits.mat"):
        (source / name).symlink_to(nyud_source.folder / name)
    write(source / "labels40.mat", mapped_frames(nyud_source), "5")
    (tmp_path / "few.txt").write_text("5002\n")
    arguments = [
        "nyud",
        "--source",
        source,
        "--out",
        tmp_path / "out",
        "--no-lmdb",
        "--list-file",
        tmp_path / "few.txt",
    ]
    done = CliRunner().invoke(main, [str(one) for one in arguments])
    assert done.exit_code == 0, done.output
    made = scipy.io.loadmat(tmp_path / "out/segmentation/img_5002.mat")["segmentation"]
    np.testing.assert_array_equal(made, mapped_frames(nyud_source)[45:470, 40:600, 1])
    shutil.copy(nyud_source.folder / "classMapping40.mat", source)
    done = CliRunner().invoke(main, [str(one) for one in arguments])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out/classes.txt").exists(), "classMapping40.mat, which has names, comes first"


@pytest.mark.parametrize("version", VERSIONS)
def test_it_is_read_frame_by_frame(tmp_path, version):
    """Of 300 frames (92 MB) a few are held."""
    with h5py.File(tmp_path / "small.mat", "w") as file:
        for name, channels in (("images", (3,)), ("depths", ()), ("rawDepths", ()), ("labels", ())):
            shape = (300, *channels, 640, 480)
            file.create_dataset(name, shape, np.uint16, chunks=(1, *(1 for _ in channels), 640, 480))
    path = write(tmp_path / "labels40.mat", np.zeros((480, 640, 300), np.uint8), version)
    tracemalloc.start()
    try:
        mapping = mapping_from_labels40(path, LabeledMat(tmp_path / "small.mat"))
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()
    assert mapping.classes.tolist() == [0]


def test_what_does_not_belong_to_the_frames_is_refused(nyud_source, mat, tmp_path):
    values = mapped_frames(nyud_source)
    for version in VERSIONS:
        path = write(tmp_path / "labels40.mat", values[:, :, :3], version)
        with pytest.raises(
            DataError, match=r"holds labels40 of 480 x 640 x 3; wanted 480 x 640 x 4; give classMapping40"
        ):
            mapping_from_labels40(path, mat)
        path = write(tmp_path / "labels40.mat", values, version, name="other")
        with pytest.raises(DataError, match="holds no labels40; wanted 480 x 640 x 4"):
            mapping_from_labels40(path, mat)
    exchanged = values[:, :, [1, 0, 2, 3]]
    with pytest.raises(
        DataError, match="two classes in frame 1: they do not belong together, or one is damaged; give classMapping40"
    ):
        mapping_from_labels40(write(tmp_path / "labels40.mat", exchanged, "5"), mat)
    with pytest.raises(DataError, match=r"41 in frame 1; wanted 0 \(none\) to 40"):
        mapping_from_labels40(write(tmp_path / "labels40.mat", values % 2 * 41, "5"), mat)
    with pytest.raises(DataError, match="labels40 is not stored as uint8"):
        mapping_from_labels40(write(tmp_path / "labels40.mat", values.astype(np.int16), "5"), mat)


def test_damaged_files_are_named(nyud_source, mat, tmp_path):
    path = write(tmp_path / "labels40.mat", mapped_frames(nyud_source), "5")
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], content[:-2000] + bytes(1000), b""):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"labels40\.mat' (is damaged or|is no MATLAB|gives a label .* is damaged)"):
            mapping_from_labels40(path, mat)
    with pytest.raises(DataError, match=r"gone\.mat' is damaged or cannot be read"):
        mapping_from_labels40(tmp_path / "gone.mat", mat)
