"""Records of a net, made by the script for the real Caffe and by the real Caffe itself, against this package."""

import ast
import re
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import caffe_compat.tools
from caffe_compat import TEST, TRAIN, Net
from caffe_compat.errors import DataError
from caffe_compat.layer import python_layer
from caffe_compat.tools.compare import differences

SCRIPT = Path(caffe_compat.tools.__file__).with_name("record_with_caffe.py")
DEPLOY = """
    name: "deploy"
    layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [2, 3, 8, 9] } } }
    layer { name: "early" type: "ReLU" bottom: "data" top: "data" }
    layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
            convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" }
                                bias_filler { type: "constant" value: 0.5 } } }
    layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
    layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { kernel_size: 2 stride: 2 } }
    layer { name: "ip/1" type: "InnerProduct" bottom: "pool" top: "ip/1"
            inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
    layer { name: "prob" type: "Softmax" bottom: "ip/1" top: "prob" }
"""
TRAINED = """
    layer { name: "x" type: "HDF5Data" top: "x" top: "label" hdf5_data_param { source: "list" batch_size: 3 } }
    layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
            inner_product_param { num_output: 4 weight_filler { type: "gaussian" std: 1 } } }
    layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" include { phase: TRAIN } }
    layer { name: "accuracy" type: "Accuracy" bottom: "ip" bottom: "label" top: "accuracy" include { phase: TEST } }
"""


@pytest.fixture
def record(verb, tmp_path, monkeypatch):
    """Runs the script under this package's alias: record(*ARGS) makes ``r.h5`` of ``net`` and ``w.caffemodel``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(python_layer, "_import_any", False)
    modules = set(sys.modules)

    def run(text, phase, *args):
        (tmp_path / "net").write_text(text)
        if not (tmp_path / "w.caffemodel").exists():
            net = Net("net", phase)
            net.save("w.caffemodel")
            net.close()
        done = verb("run", SCRIPT, "net", "w.caffemodel", "r.h5", *args)
        assert done.code == 0, done.err
        return done

    yield run
    for name in set(sys.modules) - modules:
        if name.partition(".")[0] == "caffe":
            del sys.modules[name]


@pytest.fixture
def data(tmp_path):
    """The data file of TRAINED."""
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x"] = np.random.default_rng(0).standard_normal((6, 7)).astype(np.float32)
        file["label"] = np.arange(6, dtype=np.float32) % 4
    (tmp_path / "list").write_text("data.h5\n")


def test_the_script_needs_no_package_of_ours():
    tree = ast.parse(SCRIPT.read_text(), feature_version=(3, 7))
    imports = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imports |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imports == {"__future__", "argparse", "importlib", "os", "re", "tempfile", "typing", "h5py", "numpy"}


def test_a_deploy_net_agrees_with_its_record(verb, record):
    record(DEPLOY, TEST)
    with h5py.File("r.h5") as file:
        assert dict(file.attrs) == {"phase": "TEST", "force_backward": True, "diffs": True}
        assert file["inputs/data"][()].min() < -100  # as it was before the in-place ReLU
        assert file["blobs/data/data"][()].min() == 0
        assert file["seeds/prob"].shape == (2, 5)
        assert np.abs(file["blobs/data/diff"][()]).max() > 0
        assert np.abs(file["params/ip/1/0/diff"][()]).max() > 0
    done = verb("compare", "net", "w.caffemodel", "r.h5")
    assert done.code == 0, done.out + done.err
    names = [line.split(None, 1)[1] for line in done.out.splitlines()[:-1]]
    assert names == [
        *("conv[0]", "conv[1]", "ip/1[0]", "ip/1[1]", "data", "conv", "pool", "ip/1", "prob"),
        *("prob diff", "ip/1 diff", "pool diff", "conv diff", "data diff"),
        *("conv[0] diff", "conv[1] diff", "ip/1[0] diff", "ip/1[1] diff"),
    ]
    assert done.out.splitlines()[-1] == "all 18 agree within 0.0001"


def test_a_given_input_of_another_size_and_thinned_values(verb, record, tmp_path):
    pixels = np.random.default_rng(1).uniform(-5, 5, (1, 3, 8, 9)).astype(np.float32)
    np.save(tmp_path / "pixels.npy", pixels)
    record(DEPLOY, TEST, "--input", "data=pixels.npy", "--most", "50")
    with h5py.File("r.h5") as file:
        assert np.array_equal(file["inputs/data"], pixels)
        conv = file["blobs/conv/data"]
        assert tuple(conv.attrs["shape"]) == (1, 4, 6, 7)
        assert conv.attrs["stride"] % 2 == 1
        assert 25 < len(conv) <= 50
    assert verb("compare", "net", "w.caffemodel", "r.h5").code == 0


def test_a_training_net_needs_its_data_only_to_be_recorded(verb, record, data, tmp_path):
    record(TRAINED, TRAIN, "--phase", "TRAIN")
    for name in ("list", "data.h5"):
        (tmp_path / name).unlink()
    done = verb("compare", "net", "w.caffemodel", "r.h5")
    assert done.code == 0, done.out + done.err
    assert re.search(r"^ .*  loss$", done.out, re.M)
    assert re.search(r"^ .*  ip\[0\] diff$", done.out, re.M)
    with h5py.File("r.h5") as file:
        assert np.abs(file["params/ip/0/diff"][()]).max() > 0
        assert not file.attrs["force_backward"]
        assert not len(file["seeds"])


def test_no_diffs_where_caffe_would_abort(verb, record, data):
    done = record(TRAINED, TEST)
    assert "no diffs: the net has no loss and one of Accuracy" in done.out
    done = verb("compare", "net", "w.caffemodel", "r.h5")
    assert done.code == 0
    assert "diff" not in done.out


def test_the_first_divergence_comes_first(verb, record):
    record(DEPLOY, TEST)
    with h5py.File("r.h5", "r+") as file:
        for key, factor in (("blobs/prob/data", 1.5), ("blobs/pool/data", 1.01), ("params/conv/0/diff", 1.001)):
            values = file[key][()]
            file[key][...] = values * factor
    done = verb("compare", "net", "w.caffemodel", "r.h5")
    assert done.code == 1
    lines = done.out.splitlines()
    assert [line.split(None, 1)[1] for line in lines[:4]] == [
        *("pool  DIVERGED", "prob  DIVERGED", "conv[0] diff  DIVERGED", "conv[0]"),
    ]
    assert [float(line.split()[0]) for line in lines[:3]] == pytest.approx([0.01 / 1.01, 0.5 / 1.5, 0.001], rel=0.02)
    assert lines[-1] == "3 of 18 differ by more than 0.0001; first: pool"
    assert verb("compare", "-tolerance=0.4", "net", "w.caffemodel", "r.h5").code == 0


def test_other_weights_show_in_the_parameters(verb, record, tmp_path):
    record(DEPLOY, TEST)
    Net("net", TEST).save("other.caffemodel")
    done = verb("compare", "net", "other.caffemodel", "r.h5")
    assert done.code == 1
    assert done.out.splitlines()[-1].endswith("first: conv[0]")


def test_shapes_and_nan(record):
    record(DEPLOY, TEST)
    with h5py.File("r.h5", "r+") as file:
        file["blobs/pool/data"].attrs["shape"] = np.array([1, 2])
        file["blobs/conv/data"][0] = np.nan
        del file["blobs/prob/data"]
    found = {one.name: one for one in differences("net", "w.caffemodel", "r.h5")}
    assert found["pool"].note == "shape (2, 4, 3, 4), recorded (1, 2)"
    assert found["conv"].note == "NaN at 0 places, recorded 1"
    assert found["prob"].note == "is not in the record"
    assert {found[name].relative for name in ("pool", "conv", "prob")} == {np.inf}


@pytest.mark.parametrize(
    ("name", "prototxt", "model"),
    [
        ("lenet_v1", "everpeace_lenet_v1/lenet.prototxt", "everpeace_lenet_v1/lenet_iter_10000.caffemodel"),
        ("det1", "kpzhang93_mtcnn/det1.prototxt", "kpzhang93_mtcnn/det1.caffemodel"),
    ],
)
def test_recordings_of_the_real_caffe(realdata, tmp_path, name, prototxt, model):
    """Their npz files, put into the form of a record, agree; a changed one does not."""
    folder = realdata / "caffemodels"
    with np.load(folder / f"recorded/{name}.npz") as file:
        recorded = dict(file)
    with h5py.File(tmp_path / "r.h5", "w") as file:
        file.attrs["phase"] = "TEST"
        file["inputs/data"] = recorded["in/data"]
        for key, values in recorded.items():
            made = file.create_dataset(f"blobs/{key.partition('/')[2]}/data", data=values.reshape(-1))
            made.attrs["shape"] = values.shape
    found = list(differences(str(folder / prototxt), str(folder / model), str(tmp_path / "r.h5")))
    compared = [one for one in found if one.note != "is not in the record"]
    assert {one.name for one in compared} == {key.partition("/")[2] for key in recorded}
    assert max(one.relative for one in compared) <= 1e-4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "r.h5: no such file; make it with record_with_caffe.py"),
        (lambda path: path.write_bytes(b"no HDF5"), "cannot be read as HDF5"),
        (lambda path: h5py.File(path, "w").close(), "is no record of a net; make it with record_with_caffe.py"),
    ],
)
def test_what_is_no_record(tmp_path, make, message):
    make(tmp_path / "r.h5")
    with pytest.raises(DataError, match=message):
        list(differences("net", "w", str(tmp_path / "r.h5")))


def test_a_record_of_another_net(record, tmp_path):
    record(DEPLOY, TEST)
    (tmp_path / "net").write_text(DEPLOY.replace('"data"', '"image"'))
    with pytest.raises(DataError, match="holds no input 'image' of layer 'image'; it is a record of another net"):
        list(differences("net", "w.caffemodel", "r.h5"))


def test_an_unknown_input(verb, record, tmp_path):
    record(DEPLOY, TEST)
    done = verb("run", SCRIPT, "net", "w.caffemodel", "r.h5", "--input", "image=x.npy")
    assert done.code == 1
    assert "--input image=x.npy: the net has no input 'image'; it has: data" in done.out + done.err
