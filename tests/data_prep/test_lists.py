"""List files, and the paper's own lists."""

import pytest

from caffe_compat.errors import DataError
from data_prep.lists import (
    PUBLISHED_SIZES,
    check_seg11valid,
    list_digest,
    merged_train,
    read_list,
    val_without,
    write_list,
)
from data_prep.prepare import list_of, seg11valid
from data_prep.sbd import SBDFolder
from data_prep.voc import VOCFolder


@pytest.fixture
def released(realdata):
    return read_list(realdata / "lists" / "seg11valid.txt")


def folders(tmp_path, val, train):
    """A VOC and an SBD that consist of a list each."""
    voc, sbd = tmp_path / "VOC2011", tmp_path / "dataset"
    (voc / "ImageSets" / "Segmentation").mkdir(parents=True)
    sbd.mkdir()
    write_list(voc / "ImageSets" / "Segmentation" / "val.txt", val)
    write_list(sbd / "train.txt", train)
    return VOCFolder(voc), SBDFolder(sbd)


def whole(released):
    """Lists of the published sizes: VOC2011's val holds seg11valid and 375 images of SBD's train."""
    train = [f"2008_{n:06d}x" for n in range(8498)]
    return sorted(released + train[:375]), train


def test_a_list_keeps_its_order_and_loses_blank_lines(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"b\r\n\r\na \nb\n")
    assert read_list(tmp_path / "a.txt") == ["b", "a", "b"]


def test_a_list_of_paths_gives_the_ids(tmp_path):
    (tmp_path / "aug.txt").write_text("/JPEGImages/2007_000032.jpg /SegmentationClassAug/2007_000032.png\n/i/b.c.jpg\n")
    assert read_list(tmp_path / "aug.txt") == ["2007_000032", "b.c"]


def test_real_lists_have_their_published_sizes(realdata):
    lists = {name: read_list(realdata / "lists" / f"{name}.txt") for name in ("voc12_train", "voc12_val")}
    aug = read_list(realdata / "lists" / "voc12_train_aug.txt")
    assert len(lists["voc12_train"]) == PUBLISHED_SIZES["voc2012", "train"]
    assert len(lists["voc12_val"]) == PUBLISHED_SIZES["voc2012", "val"]
    assert len(set(aug)) == len(aug) == PUBLISHED_SIZES["voc2012", "train_aug"]
    assert set(lists["voc12_train"]) < set(aug)
    assert not set(lists["voc12_val"]) & set(aug)
    assert set(read_list(realdata / "lists" / "seg11valid.txt")) < set(lists["voc12_val"])
    for split in ("trainval", "test"):
        ids = read_list(realdata / "lists" / f"sift-flow_{split}.txt")
        assert len(set(ids)) == len(ids) == PUBLISHED_SIZES["siftflow", split]


def test_fcns_lists_of_nyud_divide_the_official_training_frames(realdata):
    """trainval is train and val; with test, which is the official one, they are all 1,449 frames."""
    train, val, test = (read_list(realdata / "lists" / f"nyud_{split}.txt") for split in ("train", "val", "test"))
    sizes = [PUBLISHED_SIZES["nyud", split] for split in ("train", "val", "test")]
    assert [len(train), len(val), len(test)] == sizes
    assert sizes[0] + sizes[1] == PUBLISHED_SIZES["nyud", "trainval"]
    assert sorted(train + val + test) == [str(5001 + frame) for frame in range(1449)]
    official = [1, 2, 9, 14, 15, 16, 17, 18, 21, 28, 29, 30]  # how testNdxs of splits.mat begins
    assert sorted(test)[:12] == [str(5000 + frame) for frame in official]


def test_the_merged_list_is_the_published_train_aug(realdata):
    """Of lists of the published sizes: which of SBD's two an image is in does not matter."""
    train, val, aug = (read_list(realdata / "lists" / f"voc12_{name}.txt") for name in ("train", "val", "train_aug"))
    more = sorted(set(aug) - set(train))
    shared = (train + val)[: 8498 + 2857 - len(more)]
    sbd = more + shared
    assert merged_train(train, val, sbd[:8498], sbd[8498:]) == aug
    other = [*more[:-1], "2011_999999", *shared]
    with pytest.raises(DataError, match="together give 10582 images, but not the published train_aug"):
        merged_train(train, val, other[:8498], other[8498:])
    assert merged_train(["b", "a"], ["c"], ["c", "d"], ["a"]) == ["a", "b", "d"]


def test_val_without_train_keeps_the_order_of_val():
    assert val_without(["d", "a", "c"], ["a", "z"]) == ["d", "c"]


def test_seg11valid_of_whole_lists_is_the_papers(tmp_path, released):
    val, train = whole(released)
    assert len(val) == 1111
    assert seg11valid(*folders(tmp_path, val, train)) == released


def test_seg11valid_of_other_lists_of_those_sizes_is_refused(tmp_path, released):
    val, train = whole(released)
    val[val.index(released[5])] = "2007_999999"
    with pytest.raises(DataError, match="736 images, but not those of seg11valid"):
        seg11valid(*folders(tmp_path, val, train))
    val[val.index(released[6])] = train[400]
    (tmp_path / "second").mkdir()
    with pytest.raises(DataError, match="735 images, but seg11valid has 736; compute it from VOC2011's val"):
        seg11valid(*folders(tmp_path / "second", val, train))


def test_seg11valid_cannot_be_told_from_voc2012(tmp_path, released):
    val, train = whole(released)
    val += [f"2009_{n:06d}y" for n in range(1449 - 1111)]
    with pytest.raises(DataError, match="is VOC2012, whose val without SBD's train has 1074 images; give VOC2011, or"):
        seg11valid(*folders(tmp_path, val, train))


def test_seg11valid_of_a_small_set_is_what_is_left(tmp_path):
    assert seg11valid(*folders(tmp_path, ["a", "b", "c"], ["b", "x"])) == ["a", "c"]


def test_seg11valid_of_nothing_is_an_error(tmp_path):
    with pytest.raises(DataError, match="is in .*, so nothing is left for seg11valid"):
        seg11valid(*folders(tmp_path, ["a"], ["a", "b"]))


def test_the_released_list_is_taken_as_seg11valid_and_a_changed_one_is_not(tmp_path, realdata, released):
    assert list_of(realdata / "lists" / "seg11valid.txt") == ("seg11valid", released)
    check_seg11valid(released[::-1], "reversed")
    write_list(tmp_path / "seg11valid.txt", ["2007_000032", *released[1:]])
    with pytest.raises(DataError, match=r"list '.*seg11valid\.txt': 736 images, but not those of seg11valid"):
        list_of(tmp_path / "seg11valid.txt")


def test_the_order_counts_in_a_digest():
    assert list_digest(["a", "b"]) != list_digest(["b", "a"]) != list_digest(["ba"])


def test_a_missing_list_names_those_that_are_there(tmp_path):
    write_list(tmp_path / "train.txt", ["a"])
    with pytest.raises(
        DataError, match=r"list '.*valid\.txt' is not there; the lists in '.*': train; name one of them"
    ):
        read_list(tmp_path / "valid.txt")
    with pytest.raises(DataError, match="nor is its folder '.*nowhere'; correct the dataset's folder"):
        read_list(tmp_path / "nowhere" / "valid.txt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "names no images"),
        (b"2007_000033 1\n", r"line 1: '2007_000033 1' holds 2 words; wanted one image id to a line"),
        (b"\xff\xfe\x00", "cannot be read as text"),
    ],
)
def test_a_file_that_is_no_list_is_refused(tmp_path, content, message):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_list(tmp_path / "a.txt")
