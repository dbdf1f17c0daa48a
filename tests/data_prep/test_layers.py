"""The released data layers: what they give, in which order, from files and from LMDBs."""

import json
import random
import sys

import numpy as np
import pytest

from caffe_compat.errors import DataError, LayerError
from caffe_compat.layer.blob import Blob
from caffe_compat.layer.python_layer import Python
from caffe_compat.proto import caffe_pb2 as pb
from caffe_compat.proto.datum import array_to_datum
from data_prep import layers
from data_prep.layers import LMDBSegDataLayer, SBDDSegDataLayer, VOCSegDataLayer
from data_prep.lists import write_list
from data_prep.lmdb_writer import write_lmdbs
from data_prep.records import PairLoader
from data_prep.sbd import SBDFolder
from data_prep.voc import VOCFolder, find_voc

MEAN = (104.00699, 116.66877, 122.67892)


def equal(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def released(folder, indices):
    """The released layers' blobs, written out: BGR minus mean, and the label."""
    for image_id in indices:
        pair = folder.read_pair(image_id)
        data = np.empty((1, 3, *pair.label.shape), np.float32)
        for channel in range(3):
            data[0, channel] = (pair.image[:, :, 2 - channel].astype(np.float64) - MEAN[channel]).astype(np.float32)
        yield [data, pair.label[np.newaxis, np.newaxis].astype(np.float32)]


def released_draws(ids, seed, count):
    """The released layers' draws: the first at setup, one more after each sample, with replacement."""
    stream = random.Random(seed)
    return [ids[stream.randint(0, len(ids) - 1)] for _ in range(count)]


def test_a_train_split_is_drawn_as_released(drawn, layer_run):
    draws = released_draws(drawn.train, 1337, 30)
    assert len(set(draws[:7])) < 7  # with replacement
    run = layer_run(SBDDSegDataLayer, sbdd_dir=str(drawn.sbdd_dir), split="train", seed=1337)
    equal(run.take(30), list(released(SBDFolder(drawn.sbdd_dir), draws)))


def test_the_draws_are_those_of_the_global_random_that_the_release_seeds(drawn, layer_run):
    state = random.getstate()
    random.seed(1337)
    theirs = [random.randint(0, 6) for _ in range(20)]
    random.setstate(state)
    run = layer_run(SBDDSegDataLayer, sbdd_dir=str(drawn.sbdd_dir), split="train", seed=1337)
    ours = []
    for _ in range(20):
        ours.append(run.layer.order.index)
        run.next()
    assert ours == theirs
    assert random.getstate() == state


def test_any_other_split_comes_in_order_and_starts_again(drawn, layer_run):
    folder = VOCFolder(drawn.voc_dir)
    run = layer_run(VOCSegDataLayer, voc_dir=str(drawn.voc_dir), split="seg11valid", seed=1337)
    equal(run.take(6), list(released(folder, drawn.val + drawn.val[:2])))


def test_randomize_false_takes_a_train_split_in_order(drawn, layer_run):
    run = layer_run(SBDDSegDataLayer, sbdd_dir=str(drawn.sbdd_dir), split="train", randomize=False)
    equal(run.take(8), list(released(SBDFolder(drawn.sbdd_dir), drawn.train + drawn.train[:1])))


def test_real_pairs_at_native_size(realdata, layer_run):
    voc = find_voc(realdata)
    run = layer_run(VOCSegDataLayer, voc_dir=str(voc.root), split="val")
    samples = run.take(6)
    equal(samples, list(released(voc, voc.ids("val"))))
    assert len({data.shape for data, _ in samples}) > 1
    assert all(data.shape[2:] == label.shape[2:] for data, label in samples)


def test_a_split_may_be_a_list_file_whose_own_name_decides(drawn, tmp_path, layer_run):
    folder = tmp_path / "training"
    folder.mkdir()
    write_list(folder / "part.txt", drawn.train[2:5])
    run = layer_run(SBDDSegDataLayer, sbdd_dir=str(drawn.sbdd_dir), split=str(folder / "part.txt"), seed=1)
    equal(run.take(4), list(released(SBDFolder(drawn.sbdd_dir), [*drawn.train[2:5], drawn.train[2]])))
    write_list(folder / "train_part.txt", drawn.train[2:5])
    run = layer_run(SBDDSegDataLayer, sbdd_dir=str(drawn.sbdd_dir), split=str(folder / "train_part.txt"), seed=1)
    draws = released_draws(drawn.train[2:5], 1, 5)
    equal(run.take(5), list(released(SBDFolder(drawn.sbdd_dir), draws)))


@pytest.mark.parametrize("split", ["train", "val"])
def test_an_lmdb_gives_what_the_files_give(drawn, databases, split, layer_run):
    write_list(drawn.sbdd_dir / "val.txt", drawn.train)
    files = layer_run(SBDDSegDataLayer, sbdd_dir=str(drawn.sbdd_dir), split=split, seed=5)
    stored = layer_run(LMDBSegDataLayer, split=split, seed=5, **databases)
    equal(files.take(16), stored.take(16))


def test_the_real_pairs_from_lmdb_and_files_alike(realdata, tmp_path, layer_run):
    voc = find_voc(realdata)
    write_lmdbs(tmp_path / "db", voc.ids("train"), PairLoader(voc, "raw", "png"))
    files = layer_run(VOCSegDataLayer, voc_dir=str(voc.root), split="train", seed=1337)
    paths = {f"{kind}_lmdb": str(tmp_path / f"db/{kind}_lmdb") for kind in ("image", "label")}
    equal(files.take(6), layer_run(LMDBSegDataLayer, split="train", seed=1337, **paths).take(6))


@pytest.mark.parametrize("by", ["id", "key"])
def test_keys_choose_records_and_their_order(drawn, databases, tmp_path, by, layer_run):
    chosen = [drawn.train[4], drawn.train[1], drawn.train[4]]
    words = chosen if by == "id" else [f"{drawn.train.index(one):08d}_{one}" for one in chosen]
    write_list(tmp_path / "chosen.txt", words)
    run = layer_run(LMDBSegDataLayer, split="val", keys=str(tmp_path / "chosen.txt"), **databases)
    equal(run.take(3), list(released(SBDFolder(drawn.sbdd_dir), chosen)))


def test_an_lmdb_with_keys_and_palette_labels_of_ones_own_is_read(drawn, tmp_path, layer_run):
    import lmdb

    pairs = {one.encode(): VOCFolder(drawn.voc_dir).read_pair(one) for one in drawn.val}
    for name in ("image", "label"):
        with lmdb.open(str(tmp_path / name)) as environment, environment.begin(write=True) as put:
            for key, pair in pairs.items():
                if name == "image":
                    datum = array_to_datum(np.ascontiguousarray(pair.image[..., ::-1].transpose(2, 0, 1)))
                else:
                    datum = pb.Datum(encoded=True, data=pair.label_bytes)
                put.put(key, datum.SerializeToString())
    run = layer_run(
        LMDBSegDataLayer, image_lmdb=str(tmp_path / "image"), label_lmdb=str(tmp_path / "label"), split="val"
    )
    equal(run.take(4), list(released(VOCFolder(drawn.voc_dir), drawn.val)))


# -- resume ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("onto", ["files", "lmdb"])
def test_a_saved_state_goes_on_bit_for_bit(drawn, databases, split, onto, layer_run):
    write_list(drawn.sbdd_dir / "val.txt", drawn.train)
    first = layer_run(SBDDSegDataLayer, sbdd_dir=str(drawn.sbdd_dir), split=split, seed=9)
    first.take(5)
    state = json.loads(json.dumps(first.layer.state_dict()))
    rest = first.take(12)
    if onto == "files":
        second = layer_run(SBDDSegDataLayer, sbdd_dir=str(drawn.sbdd_dir), split=split, seed=4)
    else:
        second = layer_run(LMDBSegDataLayer, split=split, seed=4, **databases)
    second.take(1)
    second.layer.reshape([], second.top)  # a sample that was loaded already must not be given
    second.layer.load_state_dict(state)
    equal(second.take(12), rest)


def test_a_state_of_another_list_is_refused_and_changes_nothing(drawn, layer_run):
    def new(split, **more):
        return layer_run(SBDDSegDataLayer, sbdd_dir=str(drawn.sbdd_dir), split=split, seed=9, **more)

    write_list(drawn.sbdd_dir / "part_train.txt", drawn.train[:5])
    run, twin = new("train"), new("train")
    with pytest.raises(DataError, match=r"data position is of another list \(5 images; this one has 7\)"):
        run.layer.load_state_dict(new("part_train").layer.state_dict())
    with pytest.raises(
        DataError, match=r"data position 0 \(randomize False\) does not fit this layer \(7 images, rand"
    ):
        run.layer.load_state_dict(new("train", randomize=False).layer.state_dict())
    with pytest.raises(DataError, match="data position cannot be restored: KeyError.*; the state is damaged"):
        run.layer.load_state_dict({"index": 1})
    with pytest.raises(DataError, match="data position cannot be restored"):
        run.layer.load_state_dict({**run.layer.state_dict(), "random": [3, [1, 2], None]})
    equal(run.take(5), twin.take(5))


# -- as a net sees them ------------------------------------------------------------------------------------------------


def test_the_released_prototxts_name_finds_these_layers(drawn, monkeypatch):
    monkeypatch.delitem(sys.modules, "voc_layers", raising=False)
    params = {"sbdd_dir": str(drawn.sbdd_dir), "seed": 1337, "split": "train", "mean": MEAN}
    python_param = {"module": "voc_layers", "layer": "SBDDSegDataLayer", "param_str": str(params)}
    param = pb.LayerParameter(name="data", type="Python", top=["data", "label"], python_param=python_param)
    with pytest.raises(LayerError, match="module 'voc_layers' is not imported"):
        Python(param, pb.TRAIN)
    monkeypatch.setitem(sys.modules, "voc_layers", None)
    monkeypatch.delitem(sys.modules, "voc_layers")
    layers.register_released_names()
    layer = Python(param, pb.TRAIN)
    top = [Blob(), Blob()]
    layer.setup_blobs([], top)
    layer.reshape_blobs([], top)
    layer.forward_blobs([], top)
    draws = released_draws(drawn.train, 1337, 1)
    equal([[blob.data for blob in top]], list(released(SBDFolder(drawn.sbdd_dir), draws)))
    assert layer.state_dict()["count"] == 7


def test_a_module_of_the_users_own_under_the_released_name_stays(monkeypatch):
    own = type(sys)("voc_layers")
    monkeypatch.setitem(sys.modules, "voc_layers", own)
    layers.register_released_names()
    assert sys.modules["voc_layers"] is own
