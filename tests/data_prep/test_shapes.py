"""The drawn dataset: deterministic, checked by the same readers as a real one, and fit to learn from."""

import numpy as np
import pytest

from caffe_compat.errors import DataError
from data_prep.sbd import find_sbd
from data_prep.shapes import draw_dataset, draw_pair
from data_prep.voc import find_voc


def files(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.suffix in (".jpg", ".png")
    }


def test_it_has_the_layout_of_voc_and_sbd(drawn, tmp_path):
    voc, sbd = find_voc(tmp_path / "data"), find_sbd(tmp_path / "data")
    assert (voc.root, sbd.root) == (drawn.voc_dir, drawn.sbdd_dir)
    assert sbd.ids("train") == drawn.train
    assert voc.ids("val") == voc.ids("seg11valid") == drawn.val
    assert not set(drawn.train) & set(drawn.val)
    for folder, ids in ((sbd, drawn.train), (voc, drawn.val)):
        for one in ids:
            pair = folder.read_pair(one)
            assert all(96 <= side <= 128 for side in pair.label.shape)
            values = set(np.unique(pair.label))
            assert {0, 255} <= values <= {0, 1, 6, 8, 15, 255}
            assert len(values) > 2
    assert len({folder.read_pair(one).label.shape for one in ids}) > 1


def test_classes_are_large_and_evenly_shared():
    labels = [draw_pair(np.random.RandomState(n), (1, 6, 8, 15))[1] for n in range(80)]
    counts = np.bincount(np.concatenate([label.ravel() for label in labels]), minlength=256)
    shares = counts / counts.sum()
    assert all(0.03 < shares[number] < 0.15 for number in (1, 6, 8, 15))
    assert 0.02 < shares[255] < 0.12


def test_the_void_border_is_three_pixels_wide():
    _, label = draw_pair(np.random.RandomState(0), (8,))
    runs = [len(run) for row in label for run in "".join("v" if v == 255 else "." for v in row).split(".") if run]
    assert min(runs) == 3


def test_the_same_seed_draws_the_same(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        draw_dataset(tmp_path / name, train=2, val=1, seed=seed, classes=(3, 5))
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert files(tmp_path / "a").keys() == files(tmp_path / "c").keys()
    assert files(tmp_path / "a") != files(tmp_path / "c")


def test_what_was_drawn_stays_and_an_interrupted_drawing_is_done_again(tmp_path):
    (tmp_path / "a.partial").mkdir()
    (tmp_path / "a.partial" / "half.jpg").write_bytes(b"x")
    (tmp_path / "a").mkdir()
    first = draw_dataset(tmp_path / "a", train=2, val=1)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*")}
    assert draw_dataset(tmp_path / "a", train=2, val=1) == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*")} == times
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_with_something_else_is_refused(tmp_path):
    draw_dataset(tmp_path / "a", train=2, val=1)
    with pytest.raises(DataError, match="a' holds something else than this drawn dataset; delete it or give another"):
        draw_dataset(tmp_path / "a", train=3, val=1)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "precious.txt").write_text("x")
    with pytest.raises(DataError, match="holds something else"):
        draw_dataset(tmp_path / "b", train=3, val=1)
    assert (tmp_path / "b" / "precious.txt").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train": 0}, "train 0, val 24, classes .*; wanted at least one image each and 1 to 6 different classes"),
        ({"classes": (1, 1)}, r"classes \(1, 1\); wanted at least"),
        ({"classes": (1, 21)}, r"classes \(1, 21\); wanted VOC's, 1 to 20"),
    ],
)
def test_settings_out_of_range_are_refused(tmp_path, settings, message):
    with pytest.raises(DataError, match=message):
        draw_dataset(tmp_path / "a", **settings)
