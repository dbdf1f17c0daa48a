"""PASCAL-Context in miniature, in its published layout: to LMDBs, and into a net from the files and from the LMDBs."""

import json
import random
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.io
from click.testing import CliRunner

import caffe_compat
from caffe_compat.errors import DataError, LayerError
from caffe_compat.layer.blob import Blob
from data_prep import layers
from data_prep.cli import main
from data_prep.layers import LMDBSegDataLayer
from data_prep.layers_pascalcontext import PASCALContextSegDataLayer
from data_prep.pascalcontext import read_mapping, read_names

TRAIN = ["2008_000002", "2008_000003", "2008_000007", "2009_000015"]
VAL = ["2010_000001", "2010_000005"]
MEAN = (104.007, 116.669, 122.679)


def run(*arguments):
    return CliRunner().invoke(main, ["pascalcontext", *map(str, arguments)])


def write_names(path, names, start=1):
    path.write_text("".join(f"{i}: {name}\n" for i, name in enumerate(names, start=start)))


@pytest.fixture
def drawn(tmp_path, draw_pascalcontext):
    """``context``, ``voc_dir`` (holds VOC2010), ``truth`` (data and label by id), ``task`` and ``kinds`` (names)."""
    context, voc = tmp_path / "data/pascal-context", tmp_path / "data/pascal/VOC2010"
    made = draw_pascalcontext(context, voc, TRAIN, VAL)
    return SimpleNamespace(context=context, voc_dir=voc.parent, voc=voc, **vars(made))


@pytest.fixture
def layer_of(drawn, layer_run):
    """Function: the released layer over a list of the miniature."""

    def run_of(split, **params):
        folders = {"voc_dir": str(drawn.voc_dir), "context_dir": str(drawn.context)}
        return layer_run(PASCALContextSegDataLayer, **folders, split=split, **params)

    return run_of


def test_three_classes_are_found_under_other_names(drawn):
    mapping = read_mapping(drawn.context)
    assert mapping.names == ("background", *drawn.task)
    kinds = {name: mapping.classes[number] for number, name in enumerate(drawn.kinds, start=1)}
    assert (kinds["table"], kinds["bedclothes"], kinds["cloth"]) == (11, 52, 28)
    assert [kinds[one] for one in ("air conditioner", "clothes tree", "unknown", "zebra")] == [0, 0, 0, 0]
    assert sorted(set(mapping.classes)) == list(range(60))


def test_the_lists_may_be_those_of_the_fcn_release(drawn):
    want = read_mapping(drawn.context)
    (drawn.context / "labels.txt").rename(drawn.context / "classes-400.txt")
    (drawn.context / "59_labels.txt").unlink()
    write_names(drawn.context / "classes-59.txt", ["background", *drawn.task], start=0)
    assert read_mapping(drawn.context) == want


@pytest.mark.parametrize("voc", ["VOC2010", "VOCdevkit", "in source"])
def test_the_verb_makes_the_databases(drawn, tmp_path, voc):
    if voc == "VOC2010":
        more = ("--source", drawn.context, "--voc", drawn.voc)
    elif voc == "VOCdevkit":
        more = ("--source", drawn.context, "--voc", drawn.voc_dir)
    else:
        more = ("--source", tmp_path / "data")
    done = run(*more, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    rows = [line.split()[:3] for line in done.stdout.splitlines()[-2:]]
    assert rows == [["train", "4", "4998"], ["val", "2", "5105"]]
    manifest = json.loads((tmp_path / "out/pascalcontext_val/manifest.json").read_text())
    assert manifest["settings"]["classes"] == 60
    assert manifest["settings"]["void"] is None
    assert manifest["settings"]["names"][11] == "diningtable"
    counts = np.bincount(np.concatenate([drawn.truth[one][1].ravel() for one in VAL]))
    assert manifest["pixels"] == {str(value): int(count) for value, count in enumerate(counts) if count}


def test_another_mapping_is_noticed(drawn, tmp_path):
    arguments = ("--source", drawn.context, "--voc", drawn.voc, "--out", tmp_path / "out", "--split", "val")
    assert run(*arguments).exit_code == 0
    write_names(drawn.context / "labels.txt", drawn.kinds[::-1])
    again = run(*arguments)
    assert again.exit_code == 1
    assert "is finished but of other content (mapping is " in again.output


def test_a_net_reads_the_same_from_files_and_databases(drawn, tmp_path, equal):
    assert run("--source", drawn.context, "--voc", drawn.voc, "--out", tmp_path / "out").exit_code == 0
    layers.register_released_names()
    database = tmp_path / "out/pascalcontext_val"
    files = {"voc_dir": str(drawn.voc_dir), "context_dir": str(drawn.context), "split": "val", "seed": 1337}
    paths = {"image_lmdb": str(database / "image_lmdb"), "label_lmdb": str(database / "label_lmdb")}
    stored = {**paths, "split": "val", "mean": MEAN, "classes": 60}
    for module, layer, params in (
        ("pascalcontext_layers", "PASCALContextSegDataLayer", files),
        ("voc_layers", "LMDBSegDataLayer", stored),
    ):
        (tmp_path / "net.prototxt").write_text(
            f"""layer {{ name: "data" type: "Python" top: "data" top: "label"
                python_param {{ module: "{module}" layer: "{layer}" param_str: "{params}" }} }}"""
        )
        net = caffe_compat.Net(str(tmp_path / "net.prototxt"), caffe_compat.TEST)
        taken = []
        for _ in range(3):
            net.forward()
            taken.append([net.blobs["data"].data.copy(), net.blobs["label"].data.copy()])
        equal(taken, [drawn.truth[one] for one in [*VAL, VAL[0]]])


def test_equal_seeds_give_equal_orders_and_a_saved_state_goes_on(drawn, tmp_path, layer_run, layer_of):
    stream = random.Random(1337)
    draws = [TRAIN[stream.randint(0, len(TRAIN) - 1)] for _ in range(9)]
    first = layer_of("train", seed=1337)
    first.gives([drawn.truth[one] for one in draws[:4]])
    state = json.loads(json.dumps(first.layer.state_dict()))
    assert run("--source", drawn.context, "--voc", drawn.voc, "--out", tmp_path / "out").exit_code == 0
    paths = {f"{kind}_lmdb": str(tmp_path / f"out/pascalcontext_train/{kind}_lmdb") for kind in ("image", "label")}
    other = layer_run(LMDBSegDataLayer, split="train", seed=3, mean=MEAN, classes=60, **paths)
    other.take(1)
    other.layer.load_state_dict(state)
    other.gives([drawn.truth[one] for one in draws[4:]])
    layer_of("train", randomize=False).gives([drawn.truth[one] for one in [*TRAIN, TRAIN[0]]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"label '.*2010_000001\.mat' is missing; unpack PASCAL-Context"),
        (b"x", r"label '.*2010_000001\.mat' is damaged or not a MATLAB file"),
        ({"Labels": np.ones((34, 40))}, r"has no variable LabelMap \(it holds Labels\)"),
        (
            {"LabelMap": np.full((34, 40), 460, np.uint16)},
            "value 460 at row 0, column 0 is outside 0 to 459; so are 1360",
        ),
        ({"LabelMap": np.ones((34, 39))}, r"is 39 x 34 pixels \(width x height\) but image '.*' is 40 x 34"),
    ],
)
def test_a_faulty_label_is_named(drawn, tmp_path, content, message, layer_of):
    file = drawn.context / "trainval" / f"{VAL[0]}.mat"
    if content is None:
        file.unlink()
    elif isinstance(content, bytes):
        file.write_bytes(content)
    else:
        scipy.io.savemat(file, content)
    with pytest.raises(DataError, match=message):
        layer_of("val")
    done = run("--source", drawn.context, "--voc", drawn.voc, "--out", tmp_path / "out", "--no-lmdb")
    assert done.exit_code == 1
    assert f"val {VAL[0]}: label '" in done.output
    assert "1 faulty sample" in done.output


def test_a_missing_image_is_named(drawn, layer_of):
    (drawn.voc / "JPEGImages" / f"{VAL[0]}.jpg").unlink()
    with pytest.raises(DataError, match=r"image '.*2010_000001\.jpg' is missing; unpack PASCAL-Context \(images: VOC2"):
        layer_of("val")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("labels.txt", None, r"has no labels\.txt or classes-400\.txt; found '59_labels\.txt', 'trainval'; put there"),
        (
            "59_labels.txt",
            None,
            r"has no 59_labels\.txt or classes-59\.txt; found 'labels\.txt', 'trainval'; put there",
        ),
        ("labels.txt", b"\xff", r"list of classes '.*labels\.txt' cannot be read"),
        ("labels.txt", b"1: a\nb\n", r"labels\.txt' line 2: 'b'; wanted 'NUMBER: NAME'"),
        ("labels.txt", b"1: a\n3: b\n", r"labels\.txt' line 2: number 3 where 2 was wanted; give the list as it is"),
        ("labels.txt", b"1: a\n\n2: b\n", r"class 'aeroplane' of '.*59_labels\.txt' is not among the 2 names of '"),
        ("59_labels.txt", b"1: wall\n", r"59_labels\.txt' names 1 classes; the task has 59"),
    ],
)
def test_wrong_lists_of_classes_are_named(drawn, file, text, message, layer_of):
    (drawn.context / file).unlink()
    if text is not None:
        (drawn.context / file).write_bytes(text)
    with pytest.raises(DataError, match=message):
        layer_of("val")


def test_spaces_in_names_do_not_count(tmp_path):
    (tmp_path / "names.txt").write_text("1: baby carriage\n2:tvmonitor\n")
    assert read_names(tmp_path / "names.txt") == ("babycarriage", "tvmonitor")


def test_wrong_folders_say_what_was_looked_for(drawn, tmp_path):
    done = run("--source", drawn.voc, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "no PASCAL-Context dataset at '" in done.output
    assert "found 'ImageSets', 'JPEGImages'; unpack the dataset's trainval.tar.gz there" in done.output
    done = run("--source", drawn.context, "--out", tmp_path / "out")
    assert "no VOC2010 at '" in done.output
    assert "PASCAL-Context labels VOC2010's images: name its folder with --voc" in done.output
    shutil.rmtree(drawn.voc / "ImageSets")
    done = run("--source", drawn.context, "--voc", drawn.voc, "--out", tmp_path / "out")
    assert "no VOC2010 at '" in done.output
    assert not (tmp_path / "out").exists()


def test_wrong_tops_and_parameters_are_refused(drawn, layer_of):
    layer = PASCALContextSegDataLayer()
    with pytest.raises(LayerError, match="3 tops given; it makes two: data and label"):
        layer.setup([], [Blob(), Blob(), Blob()])
    with pytest.raises(DataError, match="PASCALContextSegDataLayer: param_str has no key 'mean'"):
        layer_of("val", mean=MEAN)
