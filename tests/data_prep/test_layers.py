"""The released data layers: what they give, in which order, from files and from LMDBs, and what they refuse."""

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
from data_prep.images import decode_image
from data_prep.labels import decode_label, encode_label
from data_prep.layers import LMDBSegDataLayer, SBDDSegDataLayer, VOCSegDataLayer
from data_prep.lists import write_list
from data_prep.lmdb_writer import write_lmdbs
from data_prep.records import PairLoader
from data_prep.sbd import SBDFolder
from data_prep.voc import VOCFolder, find_voc

MEAN = (104.00699, 116.66877, 122.67892)


class Run:
    """A layer as the net runs it: setup and reshape once, then reshape and forward for each sample."""

    def __init__(self, cls, **params):
        self.layer = cls(pb.LayerParameter(python_param={"param_str": str({"mean": MEAN, **params})}))
        self.top = [Blob(), Blob()]
        self.layer.setup([], self.top)
        self.layer.reshape([], self.top)

    def next(self):
        self.layer.reshape([], self.top)
        self.layer.forward([], self.top)
        return [blob.data.copy() for blob in self.top]

    def take(self, count):
        return [self.next() for _ in range(count)]


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


@pytest.fixture
def databases(drawn, tmp_path):
    write_lmdbs(tmp_path / "db", drawn.train, PairLoader(SBDFolder(drawn.sbdd_dir)))
    return {"image_lmdb": str(tmp_path / "db/image_lmdb"), "label_lmdb": str(tmp_path / "db/label_lmdb")}


def test_a_train_split_is_drawn_as_released(drawn):
    draws = released_draws(drawn.train, 1337, 30)
    assert len(set(draws[:7])) < 7  # with replacement
    run = Run(SBDDSegDataLayer, sbdd_dir=str(drawn.sbdd_dir), split="train", seed=1337)
    equal(run.take(30), list(released(SBDFolder(drawn.sbdd_dir), draws)))


def test_the_draws_are_those_of_the_global_random_that_the_release_seeds(drawn):
    state = random.getstate()
    random.seed(1337)
    theirs = [random.randint(0, 6) for _ in range(20)]
    random.setstate(state)
    run = Run(SBDDSegDataLayer, sbdd_dir=str(drawn.sbdd_dir), split="train", seed=1337)
    ours = []
    for _ in range(20):
        ours.append(run.layer.order.index)
        run.next()
    assert ours == theirs
    assert random.getstate() == state


def test_any_other_split_comes_in_order_and_starts_again(drawn):
    folder = VOCFolder(drawn.voc_dir)
    run = Run(VOCSegDataLayer, voc_dir=str(drawn.voc_dir), split="seg11valid", seed=1337)
    equal(run.take(6), list(released(folder, drawn.val + drawn.val[:2])))


def test_randomize_false_takes_a_train_split_in_order(drawn):
    run = Run(SBDDSegDataLayer, sbdd_dir=str(drawn.sbdd_dir), split="train", randomize=False)
    equal(run.take(8), list(released(SBDFolder(drawn.sbdd_dir), drawn.train + drawn.train[:1])))


def test_real_pairs_at_native_size(realdata):
    voc = find_voc(realdata)
    run = Run(VOCSegDataLayer, voc_dir=str(voc.root), split="val")
    samples = run.take(6)
    equal(samples, list(released(voc, voc.ids("val"))))
    assert len({data.shape for data, _ in samples}) > 1
    assert all(data.shape[2:] == label.shape[2:] for data, label in samples)


def test_a_split_may_be_a_list_file_whose_own_name_decides(drawn, tmp_path):
    folder = tmp_path / "training"
    folder.mkdir()
    write_list(folder / "part.txt", drawn.train[2:5])
    run = Run(SBDDSegDataLayer, sbdd_dir=str(drawn.sbdd_dir), split=str(folder / "part.txt"), seed=1)
    equal(run.take(4), list(released(SBDFolder(drawn.sbdd_dir), [*drawn.train[2:5], drawn.train[2]])))
    write_list(folder / "train_part.txt", drawn.train[2:5])
    run = Run(SBDDSegDataLayer, sbdd_dir=str(drawn.sbdd_dir), split=str(folder / "train_part.txt"), seed=1)
    draws = released_draws(drawn.train[2:5], 1, 5)
    equal(run.take(5), list(released(SBDFolder(drawn.sbdd_dir), draws)))


@pytest.mark.parametrize("split", ["train", "val"])
def test_an_lmdb_gives_what_the_files_give(drawn, databases, split):
    write_list(drawn.sbdd_dir / "val.txt", drawn.train)
    files = Run(SBDDSegDataLayer, sbdd_dir=str(drawn.sbdd_dir), split=split, seed=5)
    stored = Run(LMDBSegDataLayer, split=split, seed=5, **databases)
    equal(files.take(16), stored.take(16))


def test_the_real_pairs_from_lmdb_and_files_alike(realdata, tmp_path):
    voc = find_voc(realdata)
    write_lmdbs(tmp_path / "db", voc.ids("train"), PairLoader(voc, "raw", "png"))
    files = Run(VOCSegDataLayer, voc_dir=str(voc.root), split="train", seed=1337)
    paths = {f"{kind}_lmdb": str(tmp_path / f"db/{kind}_lmdb") for kind in ("image", "label")}
    equal(files.take(6), Run(LMDBSegDataLayer, split="train", seed=1337, **paths).take(6))


@pytest.mark.parametrize("by", ["id", "key"])
def test_keys_choose_records_and_their_order(drawn, databases, tmp_path, by):
    chosen = [drawn.train[4], drawn.train[1], drawn.train[4]]
    words = chosen if by == "id" else [f"{drawn.train.index(one):08d}_{one}" for one in chosen]
    write_list(tmp_path / "chosen.txt", words)
    run = Run(LMDBSegDataLayer, split="val", keys=str(tmp_path / "chosen.txt"), **databases)
    equal(run.take(3), list(released(SBDFolder(drawn.sbdd_dir), chosen)))


def test_an_lmdb_with_keys_and_palette_labels_of_ones_own_is_read(drawn, tmp_path):
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
    run = Run(LMDBSegDataLayer, image_lmdb=str(tmp_path / "image"), label_lmdb=str(tmp_path / "label"), split="val")
    equal(run.take(4), list(released(VOCFolder(drawn.voc_dir), drawn.val)))


# -- resume ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("onto", ["files", "lmdb"])
def test_a_saved_state_goes_on_bit_for_bit(drawn, databases, split, onto):
    write_list(drawn.sbdd_dir / "val.txt", drawn.train)
    first = Run(SBDDSegDataLayer, sbdd_dir=str(drawn.sbdd_dir), split=split, seed=9)
    first.take(5)
    state = json.loads(json.dumps(first.layer.state_dict()))
    rest = first.take(12)
    if onto == "files":
        second = Run(SBDDSegDataLayer, sbdd_dir=str(drawn.sbdd_dir), split=split, seed=4)
    else:
        second = Run(LMDBSegDataLayer, split=split, seed=4, **databases)
    second.take(1)
    second.layer.load_state_dict(state)
    equal(second.take(12), rest)


def test_a_state_of_another_list_is_refused_and_changes_nothing(drawn):
    def new(split, **more):
        return Run(SBDDSegDataLayer, sbdd_dir=str(drawn.sbdd_dir), split=split, seed=9, **more)

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


# -- what is refused ---------------------------------------------------------------------------------------------------


def layer_with(cls, text):
    layer = cls(pb.LayerParameter(python_param={"param_str": text}))
    layer.setup([], [Blob(), Blob()])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("__import__('os').system('true')", "is not a Python literal .*; it is never run as code: write plain values"),
        ("dict(voc_dir='a', split='val', mean=(1, 2, 3))", "is not a Python literal"),
        ("{'voc_dir': ", "is not a Python literal"),
        ("", "'' is not a Python literal"),
        ("['a']", r"is a list; wanted a dictionary \{\.\.\.\}"),
        (
            "{'split': 'val'}",
            "lacks 'voc_dir', 'mean'; it holds split; needed: voc_dir, split, mean; possible: randomize",
        ),
        (
            "{'voc_dir': 'a', 'split': 'val', 'mean': (1, 2, 3), 'sede': 1}",
            "has no key 'sede'; the known keys: voc_dir, split, mean, randomize, seed, classes",
        ),
        ("{'voc_dir': 3, 'split': 'val', 'mean': (1, 2, 3)}", "'voc_dir' is 3; wanted text"),
        ("{'voc_dir': 'a', 'split': None, 'mean': (1, 2, 3)}", "'split' is None; wanted text"),
        ("{'voc_dir': 'a', 'split': 'val', 'mean': 104}", "'mean' is 104; wanted numbers"),
        ("{'voc_dir': 'a', 'split': 'val', 'mean': (1, 2)}", "'mean' has 2 values; wanted three: blue, green, red"),
        ("{'voc_dir': 'a', 'split': 'val', 'mean': (1, 2, 3), 'seed': '7'}", "'seed' is '7'; wanted integer"),
        ("{'voc_dir': 'a', 'split': 'val', 'mean': (1, 2, 3), 'randomize': 1}", "'randomize' is 1; wanted flag"),
        ("(" * 300 + ")" * 300, "is not a Python literal"),
    ],
)
def test_param_str_is_parsed_never_run(text, message):
    with pytest.raises(DataError, match=f"VOCSegDataLayer: param_str.*{message}"):
        layer_with(VOCSegDataLayer, text)


def test_optional_parameters_may_be_none(drawn):
    run = Run(VOCSegDataLayer, voc_dir=str(drawn.voc_dir), split="val", seed=None, randomize=None, classes=None)
    run.next()


def test_a_wrong_folder_or_split_says_what_is_there(drawn, tmp_path):
    with pytest.raises(
        DataError, match=r"list '.*vall\.txt' is not there; the lists in '.*': seg11valid, val; name one"
    ):
        Run(VOCSegDataLayer, voc_dir=str(drawn.voc_dir), split="vall")
    with pytest.raises(
        DataError, match=r"list '.*' is not there; nor is its folder '.*'; correct the dataset's folder"
    ):
        Run(VOCSegDataLayer, voc_dir=str(tmp_path), split="val")


def test_wrong_tops_and_bottoms_are_refused():
    layer = VOCSegDataLayer()
    with pytest.raises(LayerError, match=r"\(Python\): 1 tops given; it makes two: data and label"):
        layer.setup([], [Blob()])
    with pytest.raises(LayerError, match="1 bottoms given; a data layer takes none; remove them"):
        layer.setup([Blob()], [Blob(), Blob()])


def test_a_label_outside_the_classes_names_file_value_and_pixel(drawn):
    voc = VOCFolder(drawn.voc_dir)
    label = voc.read_label(drawn.val[0]).copy()
    label[5, 6] = 40
    voc.label_path(drawn.val[0]).write_bytes(encode_label(label))
    wanted = rf"label '.*{drawn.val[0]}\.png': value 40 at row 5, column 6 is outside the classes 0 to 20"
    with pytest.raises(DataError, match=wanted):
        Run(VOCSegDataLayer, voc_dir=str(drawn.voc_dir), split="val")
    assert 40 in Run(VOCSegDataLayer, voc_dir=str(drawn.voc_dir), split="val", classes=41).next()[1]


def test_a_stored_label_outside_the_classes_names_key_value_and_pixel(drawn, tmp_path):
    label = np.zeros_like(VOCFolder(drawn.voc_dir).read_label(drawn.val[1]))
    label[5, 6] = 40
    VOCFolder(drawn.voc_dir).label_path(drawn.val[1]).write_bytes(encode_label(label))
    write_lmdbs(tmp_path / "db", drawn.val, PairLoader(VOCFolder(drawn.voc_dir, classes=41)))
    paths = {f"{kind}_lmdb": str(tmp_path / f"db/{kind}_lmdb") for kind in ("image", "label")}
    run = Run(LMDBSegDataLayer, split="val", **paths)
    run.next()
    wanted = rf"label '.*label_lmdb, key 00000001_{drawn.val[1]}': value 40 at row 5, column 6 is outside the classes"
    with pytest.raises(DataError, match=wanted):
        run.next()


def stored(folder, datums):
    import lmdb

    with lmdb.open(str(folder)) as environment, environment.begin(write=True) as put:
        for key, datum in datums.items():
            put.put(key.encode(), datum if isinstance(datum, bytes) else datum.SerializeToString())
    return str(folder)


IMAGE = array_to_datum(np.zeros((3, 4, 5), np.uint8))
LABEL = array_to_datum(np.zeros((1, 4, 5), np.uint8))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        ({}, {}, "image' holds no records; build it with python -m data_prep"),
        (
            {"a": IMAGE, "b": IMAGE},
            {"a": LABEL, "c": LABEL},
            r"image' \(2 records\) and '.*label' \(2 records\) are not keyed alike: key b is in '.*image', not in",
        ),
        ({"a": IMAGE}, {"a": IMAGE}, r"label, key a' has 3 channels; wanted 1; check that .* are not exchanged"),
        ({"a": LABEL}, {"a": LABEL}, r"image, key a' has 1 channels; wanted 3 \(BGR\); check that"),
        ({"a": b"\xff\xff"}, {"a": LABEL}, r"image '.*image, key a': 2 bytes that are no Datum"),
        (
            {"a": pb.Datum(encoded=True, data=b"junk")},
            {"a": LABEL},
            "image '.*key a': 4 bytes cannot be decoded as a pic",
        ),
        ({"a": IMAGE}, {"a": pb.Datum(encoded=True, data=b"junk")}, "label '.*key a' is damaged or not an image"),
        (
            {"a": IMAGE},
            {"a": array_to_datum(np.zeros((1, 4, 6), np.uint8))},
            r"label '.*key a' is 6 x 4 pixels \(width x height\) but its image '.*key a' is 5 x 4",
        ),
        (
            {"a": IMAGE},
            {"a": array_to_datum(np.full((1, 4, 5), 0.5, np.float32))},
            "label '.*key a' holds values that are not whole numbers from 0 to 255",
        ),
    ],
)
def test_databases_that_do_not_fit_are_refused(tmp_path, images, labels, message):
    paths = {"image_lmdb": stored(tmp_path / "image", images), "label_lmdb": stored(tmp_path / "label", labels)}
    with pytest.raises(DataError, match=message):
        Run(LMDBSegDataLayer, split="val", **paths)


def test_a_chosen_key_that_is_not_there_is_named(databases, tmp_path):
    write_list(tmp_path / "chosen.txt", ["2009_000001"])
    with pytest.raises(
        DataError, match=r"list '.*' names '2009_000001', which is not in '.*' \(7 records, the first 00"
    ):
        Run(LMDBSegDataLayer, split="val", keys=str(tmp_path / "chosen.txt"), **databases)


def test_a_missing_lmdb_is_named(databases, tmp_path):
    with pytest.raises(DataError, match="nowhere: there is no such LMDB folder"):
        Run(LMDBSegDataLayer, split="val", **{**databases, "label_lmdb": str(tmp_path / "nowhere")})


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


def test_files_decode_by_the_same_rules_as_the_folder(drawn):
    voc = VOCFolder(drawn.voc_dir)
    one = drawn.val[0]
    image = decode_image(voc.image_path(one).read_bytes(), one)
    label = decode_label(voc.label_path(one).read_bytes(), one)
    np.testing.assert_array_equal(voc.read_image(one), image)
    np.testing.assert_array_equal(voc.read_label(one), label)
