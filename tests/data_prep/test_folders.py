"""Finding a VOC and an SBD, reading their pairs, and what is said about the wrong folder or a damaged file."""

import shutil

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from PIL import Image

from caffe_compat.errors import DataError
from data_prep.download_command import SOURCES
from data_prep.labels import encode_label
from data_prep.nyud import find_nyud
from data_prep.pascalcontext import find_pascalcontext
from data_prep.sbd import LabelPNGs, SBDFolder, decode_gtcls, encode_gtcls, find_sbd
from data_prep.siftflow import find_siftflow
from data_prep.voc import VOCFolder, find_voc


def test_the_voc_is_found_from_every_level(realdata):
    voc = find_voc(realdata / "VOCdevkit" / "VOC2012")
    assert voc.name == "voc2012"
    assert voc.root == find_voc(realdata / "VOCdevkit").root == find_voc(realdata).root
    assert voc.splits() == ["sbd_only", "train", "val"]


def test_real_pairs_are_read_as_pillow_reads_them(realdata):
    voc = find_voc(realdata)
    for image_id in voc.ids("train") + voc.ids("val") + voc.ids("sbd_only"):
        pair = voc.read_pair(image_id)
        with Image.open(voc.image_path(image_id)) as image, Image.open(voc.label_path(image_id)) as label:
            np.testing.assert_array_equal(pair.image, np.array(image))
            np.testing.assert_array_equal(pair.label, np.array(label))


@pytest.mark.parametrize("up", [0, 1, 2])
def test_sbd_is_found_from_every_level(drawn, tmp_path, up):
    release = tmp_path / "unpacked" / "benchmark_RELEASE"
    shutil.copytree(drawn.sbdd_dir, release / "dataset")
    sbd = find_sbd([release / "dataset", release, release.parent][up])
    assert sbd.root == release / "dataset"
    assert sbd.ids("train") == drawn.train


def test_the_release_layout_below_one_folder_is_found(drawn, tmp_path):
    assert find_sbd(tmp_path / "data").root == drawn.sbdd_dir
    assert find_voc(tmp_path / "data").root == drawn.voc_dir


def test_gtcls_reads_back():
    label = np.random.RandomState(0).randint(0, 21, (30, 40)).astype(np.uint8)
    np.testing.assert_array_equal(decode_gtcls(encode_gtcls(label), "x"), label)


def test_a_published_label_file_is_read_whole(tmp_path):
    """A struct of Boundaries (sparse, 20 x 1), Segmentation and CategoriesPresent, as SBD's cls files are."""
    label = np.array([[0, 0, 15], [0, 15, 15]], np.uint8)
    boundaries = np.empty((20, 1), object)
    for i in range(20):
        boundaries[i, 0] = scipy.sparse.csc_array(np.eye(2, 3) * (i == 14))
    content = {"Boundaries": boundaries, "Segmentation": label, "CategoriesPresent": np.array([[15]], np.uint8)}
    scipy.io.savemat(tmp_path / "a.mat", {"GTcls": content}, do_compression=True)
    np.testing.assert_array_equal(decode_gtcls((tmp_path / "a.mat").read_bytes(), "a"), label)


def test_labels_become_pngs_that_are_read_in_place_of_the_mats(drawn, tmp_path):
    sbd = SBDFolder(drawn.sbdd_dir)
    labels = {one: sbd.read_label(one) for one in drawn.train}
    write = LabelPNGs(sbd, drawn.sbdd_dir / "cls")
    assert [write(one) for one in drawn.train] == ["written"] * 7
    assert write(drawn.train[0]) == "kept"
    (drawn.sbdd_dir / "cls" / f"{drawn.train[0]}.mat").write_bytes(encode_gtcls(np.ones_like(labels[drawn.train[0]])))
    assert (sbd.read_label(drawn.train[0]) == 1).all(), "a .mat comes first"
    assert write(drawn.train[0]) == "written"
    for one in drawn.train[1:]:
        (drawn.sbdd_dir / "cls" / f"{one}.mat").unlink()
        with Image.open(sbd.label_path(one)) as image:
            assert image.getpalette()[3:6] == [128, 0, 0]
            np.testing.assert_array_equal(np.array(image), labels[one])
        np.testing.assert_array_equal(sbd.read_pair(one).label, labels[one])


def test_a_merged_voc_takes_its_own_files_first(drawn):
    sbd = SBDFolder(drawn.sbdd_dir)
    voc = VOCFolder(drawn.voc_dir, sbd=sbd)
    for one in drawn.val:
        assert voc.label_path(one).parent.name == "SegmentationClass"
    one = drawn.train[0]
    np.testing.assert_array_equal(voc.read_pair(one).image, sbd.read_pair(one).image)
    np.testing.assert_array_equal(voc.read_pair(one).label, sbd.read_label(one))
    shutil.copy(sbd.image_path(one), drawn.voc_dir / "JPEGImages")
    assert voc.image_path(one).parent.name == "JPEGImages"
    (drawn.voc_dir / "SegmentationClassAug").mkdir()
    LabelPNGs(sbd, drawn.voc_dir / "SegmentationClassAug")(one)
    assert voc.label_path(one).parent.name == "SegmentationClassAug"
    np.testing.assert_array_equal(VOCFolder(drawn.voc_dir).read_pair(one).label, sbd.read_label(one))
    with pytest.raises(DataError, match=r"label '.*SegmentationClass/2011_000002.png' is missing"):
        VOCFolder(drawn.voc_dir).read_label(drawn.train[1])


def test_a_folder_without_voc_says_what_was_looked_for_and_found(drawn, tmp_path):
    wanted = (
        r"no VOC dataset at '.*dataset': looked for .*JPEGImages.*; found 'cls', 'img', 'train\.txt'; give the folder"
    )
    with pytest.raises(DataError, match=wanted):
        find_voc(drawn.sbdd_dir)
    with pytest.raises(DataError, match="found no such folder; give"):
        find_voc(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="found an empty folder; give"):
        find_voc(tmp_path / "empty")
    with pytest.raises(DataError, match="found a file, not a folder; give"):
        find_voc(drawn.sbdd_dir / "train.txt")


def test_the_missing_part_of_a_voc_is_named(drawn):
    shutil.rmtree(drawn.voc_dir / "SegmentationClass")
    with pytest.raises(DataError, match=r"VOC2011' lacks SegmentationClass; found 'ImageSets', 'JPEGImages'; unpack"):
        find_voc(drawn.voc_dir)


def test_one_of_several_years_must_be_named(drawn):
    shutil.copytree(drawn.voc_dir, drawn.voc_dir.with_name("VOC2007"))
    with pytest.raises(DataError, match="several VOC datasets at '.*': voc2007, voc2011; name one with --year"):
        find_voc(drawn.voc_dir.parent)
    assert find_voc(drawn.voc_dir.parent, 2011).root == drawn.voc_dir
    with pytest.raises(DataError, match="no VOC2012 dataset at .*; found voc2007, voc2011;"):
        find_voc(drawn.voc_dir.parent, 2012)


def test_a_folder_without_sbd_says_what_was_looked_for_and_found(drawn):
    with pytest.raises(
        DataError, match=r"no SBD dataset at .*img, cls and train\.txt.*found 'ImageSets', 'JPEGImages'"
    ):
        find_sbd(drawn.voc_dir)
    (drawn.sbdd_dir / "train.txt").unlink()
    with pytest.raises(DataError, match=r"SBD dataset '.*' lacks train\.txt; found 'cls', 'img'; unpack"):
        find_sbd(drawn.sbdd_dir)


@pytest.mark.parametrize(
    ("find", "name"),
    [
        (find_voc, "voc2011"),
        (find_sbd, "sbd"),
        (find_nyud, "nyud"),
        (find_siftflow, "siftflow"),
        (find_pascalcontext, "pascalcontext"),
    ],
)
def test_what_is_not_there_can_be_downloaded(tmp_path, find, name):
    with pytest.raises(DataError, match=rf"; 'python -m data_prep download {name} --out DATA' gets it$"):
        find(tmp_path)
    assert name in SOURCES


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not matlab", r"label 'a\.mat' is damaged or not a MATLAB file"),
        (encode_gtcls(np.zeros((9, 9), np.uint8))[:150], r"label 'a\.mat' is damaged or not a MATLAB file"),
        ({"GTinst": {"Segmentation": np.zeros((2, 2), np.uint8)}}, r"label 'a\.mat' has no GTcls\.Segmentation"),
        ({"GTcls": np.zeros((2, 2))}, r"label 'a\.mat' has no GTcls\.Segmentation"),
        ({"GTcls": {"Segmentation": np.zeros((2, 2))}}, r"GTcls\.Segmentation is 2-D float64; wanted an H x W array"),
        ({"GTcls": {"Segmentation": np.array([[1, 300]], np.int32)}}, "values 1 to 300; wanted class numbers"),
    ],
    ids=["garbage", "cut off", "inst", "no struct", "float", "above 255"],
)
def test_a_mat_that_is_no_sbd_label_is_refused(tmp_path, content, message):
    if isinstance(content, dict):
        scipy.io.savemat(tmp_path / "a.mat", content)
        content = (tmp_path / "a.mat").read_bytes()
    with pytest.raises(DataError, match=message):
        decode_gtcls(content, "a.mat")


def test_faults_of_a_pair_name_the_file(drawn):
    voc, one = VOCFolder(drawn.voc_dir), drawn.val[0]
    image = voc.image_path(one).read_bytes()
    voc.image_path(one).write_bytes(image[: len(image) // 2])
    with pytest.raises(DataError, match=rf"image '.*{one}\.jpg' is damaged or not an image"):
        voc.read_pair(one)
    voc.image_path(one).unlink()
    with pytest.raises(DataError, match=rf"image '.*{one}\.jpg' is missing; unpack PASCAL VOC again"):
        voc.read_pair(one)
    voc.image_path(one).write_bytes(image)
    height, width = voc.read_label(one).shape
    voc.label_path(one).write_bytes(encode_label(np.zeros((height, width + 1), np.uint8)))
    wanted = rf"label '.*{one}\.png' is {width + 1} x {height} pixels .* but image '.*{one}\.jpg' is {width} x {height}"
    with pytest.raises(DataError, match=wanted):
        voc.read_pair(one)
    voc.label_path(one).write_bytes(encode_label(np.full((height, width), 21, np.uint8)))
    with pytest.raises(DataError, match=rf"label '.*{one}\.png': value 21 at row 0, column 0 is outside the classes 0"):
        voc.read_pair(one)
    assert VOCFolder(drawn.voc_dir, classes=22).read_pair(one).label.max() == 21


def test_sbd_labels_are_held_against_the_classes(drawn):
    sbd, one = SBDFolder(drawn.sbdd_dir), drawn.train[0]
    label = sbd.read_label(one).copy()
    label[3, 4] = 77
    sbd.label_path(one).write_bytes(encode_gtcls(label))
    with pytest.raises(DataError, match=rf"label '.*{one}\.mat': value 77 at row 3, column 4 is outside the classes 0"):
        sbd.read_label(one)
