"""What the data layers refuse, and how they say so."""

import lmdb
import numpy as np
import pytest

from caffe_compat.errors import DataError, LayerError
from caffe_compat.layer.blob import Blob
from caffe_compat.proto import caffe_pb2 as pb
from caffe_compat.proto.datum import array_to_datum
from data_prep.labels import encode_label
from data_prep.layers import LMDBSegDataLayer, VOCSegDataLayer
from data_prep.lists import write_list
from data_prep.lmdb_writer import write_lmdbs
from data_prep.records import PairLoader
from data_prep.voc import VOCFolder


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


def test_optional_parameters_may_be_none(drawn, layer_run):
    run = layer_run(VOCSegDataLayer, voc_dir=str(drawn.voc_dir), split="val", seed=None, randomize=None, classes=None)
    run.next()


def test_a_wrong_folder_or_split_says_what_is_there(drawn, tmp_path, layer_run):
    with pytest.raises(
        DataError, match=r"list '.*vall\.txt' is not there; the lists in '.*': seg11valid, val; name one"
    ):
        layer_run(VOCSegDataLayer, voc_dir=str(drawn.voc_dir), split="vall")
    with pytest.raises(
        DataError, match=r"list '.*' is not there; nor is its folder '.*'; correct the dataset's folder"
    ):
        layer_run(VOCSegDataLayer, voc_dir=str(tmp_path), split="val")


def test_wrong_tops_and_bottoms_are_refused():
    layer = VOCSegDataLayer()
    with pytest.raises(LayerError, match=r"\(Python\): 1 tops given; it makes two: data and label"):
        layer.setup([], [Blob()])
    with pytest.raises(LayerError, match="1 bottoms given; a data layer takes none; remove them"):
        layer.setup([Blob()], [Blob(), Blob()])


def test_a_label_outside_the_classes_names_file_value_and_pixel(drawn, layer_run):
    voc = VOCFolder(drawn.voc_dir)
    label = voc.read_label(drawn.val[0]).copy()
    label[5, 6] = 40
    voc.label_path(drawn.val[0]).write_bytes(encode_label(label))
    wanted = rf"label '.*{drawn.val[0]}\.png': value 40 at row 5, column 6 is outside the classes 0 to 20"
    with pytest.raises(DataError, match=wanted):
        layer_run(VOCSegDataLayer, voc_dir=str(drawn.voc_dir), split="val")
    assert 40 in layer_run(VOCSegDataLayer, voc_dir=str(drawn.voc_dir), split="val", classes=41).next()[1]


def test_a_stored_label_outside_the_classes_names_key_value_and_pixel(drawn, tmp_path, layer_run):
    label = np.zeros_like(VOCFolder(drawn.voc_dir).read_label(drawn.val[1]))
    label[5, 6] = 40
    VOCFolder(drawn.voc_dir).label_path(drawn.val[1]).write_bytes(encode_label(label))
    write_lmdbs(tmp_path / "db", drawn.val, PairLoader(VOCFolder(drawn.voc_dir, classes=41)))
    paths = {f"{kind}_lmdb": str(tmp_path / f"db/{kind}_lmdb") for kind in ("image", "label")}
    run = layer_run(LMDBSegDataLayer, split="val", **paths)
    run.next()
    wanted = rf"label '.*label_lmdb, key 00000001_{drawn.val[1]}': value 40 at row 5, column 6 is outside the classes"
    with pytest.raises(DataError, match=wanted):
        run.next()


def stored(folder, datums):
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
        ({"a": IMAGE}, {"a": IMAGE}, "label, key a' has 3 channels; wanted 1; check that databases are not exchanged"),
        ({"a": LABEL}, {"a": LABEL}, "image, key a' has 1 channels; wanted 3; check that"),
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
            r"label '.*key a' is 6 x 4 pixels \(width x height\) but image '.*key a' is 5 x 4; they must be equal",
        ),
        (
            {"a": IMAGE},
            {"a": array_to_datum(np.full((1, 4, 5), 0.5, np.float32))},
            "label '.*key a' holds values that are not whole numbers from 0 to 255",
        ),
    ],
)
def test_databases_that_do_not_fit_are_refused(tmp_path, images, labels, message, layer_run):
    paths = {"image_lmdb": stored(tmp_path / "image", images), "label_lmdb": stored(tmp_path / "label", labels)}
    with pytest.raises(DataError, match=message):
        layer_run(LMDBSegDataLayer, split="val", **paths)


def test_a_chosen_key_that_is_not_there_is_named(databases, tmp_path, layer_run):
    write_list(tmp_path / "chosen.txt", ["2009_000001"])
    with pytest.raises(
        DataError, match=r"list '.*' names '2009_000001', which is not in '.*' \(7 records, the first 00"
    ):
        layer_run(LMDBSegDataLayer, split="val", keys=str(tmp_path / "chosen.txt"), **databases)


def test_a_missing_lmdb_is_named(databases, tmp_path, layer_run):
    with pytest.raises(DataError, match="nowhere: there is no such LMDB folder"):
        layer_run(LMDBSegDataLayer, split="val", **{**databases, "label_lmdb": str(tmp_path / "nowhere")})
