"""Where NYUDv2, SIFT Flow, PASCAL-Context and finished LMDBs are looked for, and what is said where they are not."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from caffe_compat.errors import DataError
from caffe_compat.layer.blob import Blob
from caffe_compat.proto import caffe_pb2 as pb
from data_prep import layers_nyud, layers_pascalcontext, layers_siftflow
from data_prep.cli import main as data_prep
from data_prep.lists import read_list, write_list
from data_prep.png_files import write_png
from nets.catalogue import MODELS, Task, lookup
from solvers.datasets import find_splits, find_test_split

VOC, NYUD = lookup("voc-fcn8s"), lookup("nyud-fcn32s-color-hha")
SIFTFLOW, CONTEXT = lookup("siftflow-fcn8s"), lookup("pascalcontext-fcn8s")


@pytest.fixture
def data(miniatures, tmp_path):
    """Function: a dataset's miniature that the test may spoil; gives the data folder."""

    def make(dataset):
        miniatures.MAKERS[dataset](tmp_path / "data")
        return tmp_path / "data"

    return make


def prepared(*arguments):
    done = CliRunner().invoke(data_prep, [str(one) for one in arguments])
    assert done.exit_code == 0, done.output


def test_the_splits_are_those_of_the_release(data_of):
    for model, train, test in (
        (NYUD, ("trainval", ["5003", "5001", "5004"]), ("test", ["5002", "5005"])),
        (SIFTFLOW, ("trainval", ["coast_natu975", "street_par29", "forest_for114"]), ("test", None)),
        (CONTEXT, ("train", ["2008_000002", "2008_000003", "2008_000007"]), ("val", None)),
    ):
        splits = find_splits(data_of(model.dataset), model)
        assert (splits.train.name, splits.train.ids) == train
        assert (splits.test.name, splits.test.ids[0] != train[1][0]) == (test[0], True)
        assert splits.test.ids == (test[1] or splits.test.ids)
        assert splits.train.dataset == splits.test.dataset == model.dataset
        assert {splits.train.published_size, splits.test.published_size} in ({795, 654}, {2486, 200}, {4998, 5105})
        alone = find_test_split(data_of(model.dataset), model)
        assert (alone.name, alone.ids) == (splits.test.name, splits.test.ids)


def test_a_trainval_list_wins_over_train_and_val(data):
    folder = data("nyud")
    write_list(folder / "nyud" / "trainval.txt", ["5004"])
    assert find_splits(folder, NYUD).train.ids == ["5004"]


@pytest.mark.parametrize("place", [".", "lmdb", "NYUDv2"])
def test_nyud_wherever_data_prep_left_it(data, tmp_path, place):
    shutil.copytree(data("nyud") / "nyud", tmp_path / "elsewhere" / place)
    assert find_splits(tmp_path / "elsewhere", NYUD).test.ids == ["5002", "5005"]


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.name)
def test_the_data_layer_takes_off_the_model_s_means(data_of, tmp_path, model):
    """An image of all its inputs' values before and after: the difference is Model.images' mean."""
    split = find_splits(data_of(model.dataset), model).test
    layer = layer_of(split.source(model, tmp_path, 1))
    layer.setup([], tops := [Blob() for _ in (*model.images, *model.tasks)])
    layer.reshape([], tops)
    layer.forward([], tops)
    stored = {"color": "read_image", "depth": "read_depth_mm", "hha": "read_hha"}
    for top, image in zip(tops, model.images.values(), strict=False):
        pixels = getattr(split.folder, stored[image.kind])(split.ids[0]).astype(np.float64)
        if image.kind == "depth":
            pixels = np.log(pixels)[..., None]
        pixels = pixels[..., ::-1] if image.kind == "color" else pixels
        difference = pixels.transpose(2, 0, 1) - top.data[0]
        np.testing.assert_allclose(difference.mean(axis=(1, 2)), image.mean, atol=1e-3)


def layer_of(source):
    modules = {one.__name__: one for one in (layers_nyud, layers_pascalcontext, layers_siftflow)}
    module = modules.get(source.module) or __import__("data_prep.layers", fromlist=["_"])
    made = pb.LayerParameter(python_param={"param_str": str(dict(source.params))})
    return getattr(module, source.layer)(made)


# -- what is said ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            VOC,
            r"no VOC dataset at '.*': looked for .*; 'python -m data_prep download voc2011 --out DATA' gets it; "
            r"'python -m data_prep voc --source .* --out .*lmdb' makes LMDBs of what",
        ),
        (
            NYUD,
            r"no NYUDv2 dataset at '.*': looked for a folder with data/images, there and in nyud, .*; found an empty "
            r"folder; .*; 'python -m data_prep download nyud --out DATA' gets it; "
            r"'python -m data_prep nyud --source .*/nyud_v2 --out .*nyud' makes these files$",
        ),
        (
            SIFTFLOW,
            r"no SIFT Flow dataset at '.*': .*download siftflow .*'python -m data_prep siftflow --source .* --out ",
        ),
        (
            CONTEXT,
            r"no PASCAL-Context dataset at '.*': .*download pascalcontext .*'python -m data_prep pascalcontext --sou",
        ),
    ],
    ids=lambda value: getattr(value, "dataset", ""),
)
@pytest.mark.parametrize("read", ["files", "lmdb"])
def test_nothing_there(tmp_path, model, message, read):
    with pytest.raises(DataError, match=message):
        find_splits(tmp_path, model, read)
    with pytest.raises(DataError, match=message):
        find_test_split(tmp_path, model, read)


def test_a_list_that_is_missing(data):
    folder = data("siftflow")
    (folder / "sift-flow" / "trainval.txt").unlink()
    with pytest.raises(
        DataError, match=r"Dataset' has neither trainval\.txt nor TestSet1\.txt, of which .*; put there .*load siftflow"
    ):
        find_splits(folder, SIFTFLOW)
    assert find_test_split(folder, SIFTFLOW).name == "test"
    folder = data("nyud")
    (folder / "nyud" / "val.txt").unlink()
    with pytest.raises(
        DataError, match=r"list '.*trainval\.txt' is not there; the lists in '.*nyud': test, train; name"
    ):
        find_splits(folder, NYUD)


def test_siftflow_s_lists_inside_the_unpacked_archive(data):
    folder = data("siftflow")
    for name in ("trainval.txt", "test.txt"):
        (folder / "sift-flow" / name).rename(folder / "sift-flow" / "SiftFlowDataset" / name)
    assert find_splits(folder, SIFTFLOW).test.ids[0] == "coast_sun14"


@pytest.mark.parametrize("archive", ["", "sift-flow"])
def test_siftflow_s_lists_are_found_by_both_programs_alike(data, tmp_path, archive):
    """The archive unpacked into the data folder or below it, and the lists in the release's folder."""
    folder = data("siftflow")
    (folder / "sift-flow" / "SiftFlowDataset").rename(folder / archive / "SiftFlowDataset")
    prepared("siftflow", "--source", folder, "--out", tmp_path / "out", "--no-lmdb")
    splits = find_splits(folder, SIFTFLOW)
    for split in (splits.train, splits.test):
        assert split.ids == read_list(folder / "sift-flow" / f"{split.name}.txt")
        assert split.ids == read_list(tmp_path / f"out/lists/siftflow_{split.name}.txt")


def test_voc2010_is_found_by_its_name(data):
    folder = data("pascalcontext")
    for part in ("JPEGImages", "ImageSets"):
        (folder / "pascal" / "VOC2010" / part).rename(folder / part)
    with pytest.raises(DataError, match="the folder of its images is '.*data'; the data layer looks for VOC2010: give"):
        find_splits(folder, CONTEXT)


def test_a_missing_depth_is_missed_only_by_the_net_that_reads_it(data, tmp_path):
    folder = data("nyud")
    (folder / "nyud" / "data" / "depth" / "img_5002.png").unlink()
    assert find_splits(folder, NYUD).test.checker(NYUD)("5002")[0].shape == (48, 72)
    with pytest.raises(DataError, match=r"depth '.*img_5002\.png' is missing"):
        find_splits(folder, NYUD).test.checker(lookup("nyud-fcn32s-color-d"))("5002")


def test_inputs_of_several_sizes(data):
    folder = data("nyud")
    write_png(folder / "nyud" / "data" / "hha" / "img_5002.png", np.zeros((48, 60, 3), np.uint8))
    with pytest.raises(DataError, match=r"hha of 5002 is 60 x 48 .*color of 5002 is 72 x 48; they must"):
        find_splits(folder, NYUD).test.checker(NYUD)("5002")


# -- finished LMDBs ----------------------------------------------------------------------------------------------------


def test_lmdbs_alone(data, tmp_path):
    folder = data("pascalcontext")
    only = tmp_path / "only"
    prepared("pascalcontext", "--source", folder, "--out", only, "--split", "val")
    with pytest.raises(
        DataError, match=r"no PASCAL-Context .*; there are the LMDBs .*pascalcontext_val: --read lmdb reads"
    ):
        find_test_split(only, CONTEXT)
    split = find_test_split(only, CONTEXT, "lmdb")
    assert (split.dataset, split.name, split.ids, split.published_size) == (
        "pascalcontext", "val", ["2008_000008", "2008_000009"], 5105
    )  # fmt: skip
    label = split.checker(CONTEXT)("2008_000008")[0]
    assert np.array_equal(label, find_test_split(folder, CONTEXT).checker(CONTEXT)("2008_000008")[0])
    with pytest.raises(
        DataError, match=r"no PASCAL-Context .*; there are the LMDBs .*_val; 'python -m data_prep pascal"
    ):
        find_splits(only, CONTEXT, "lmdb")  # not those to train on


def test_finished_lmdbs_are_read_and_unfinished_ones_are_not(drawn, tmp_path):
    out = tmp_path / "data" / "lmdb"
    prepared("voc", "--source", drawn.voc_dir, "--out", out, "--split", "val", "--split", "seg11valid")
    prepared("sbd", "--source", drawn.sbdd_dir, "--out", out, "--split", "train")
    splits = find_splits(tmp_path / "data", VOC, "lmdb")
    assert [split.databases for split in (splits.train, splits.test)] == [out / "sbd_train", out / "voc2011_seg11valid"]
    assert splits.train.ids == read_list(drawn.sbdd_dir / "train.txt")
    assert splits.train.published_size == 8498
    assert find_splits(tmp_path / "data", VOC).train.folder.name == "sbd"
    (out / "sbd_train").rename(out / "sbd_train.partial")
    splits = find_splits(tmp_path / "data", VOC, "lmdb")
    assert splits.train.folder.name == "sbd"  # of the files, val beside it would share images with it
    assert find_test_split(tmp_path / "data", VOC, "lmdb").databases == out / "voc2011_seg11valid"


def test_labels_of_lmdbs_are_held_against_the_model_s_classes(drawn, tmp_path):
    prepared("voc", "--source", drawn.voc_dir, "--out", tmp_path / "db", "--split", "val")
    few = replace(VOC, tasks=(Task(1),))
    split = find_test_split(tmp_path / "db", few, "lmdb")
    with pytest.raises(DataError, match=r"key 00000000_.* 0 to 0"):
        [split.checker(few)(one) for one in split.ids]
