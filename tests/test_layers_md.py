"""LAYERS.md is equal to the registry, names tests and recordings that are there, and its examples run."""

import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import caffe_compat
from caffe_compat.errors import LayerError
from caffe_compat.layer import registry
from caffe_compat.layer.registry import layer_class, layer_type_list
from caffe_compat.net.net import Net
from caffe_compat.proto import caffe_pb2 as pb
from caffe_compat.proto.text import parse, read_net
from caffe_compat.solver import get_solver

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "LAYERS.md").read_text()
CASES = ROOT / "tests" / "reference" / "layers"
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")]
ROWS = [row for row in ROWS if row[0] != "Type"]
CODE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
PROTOTXT = re.findall(r"```\n(layer .*?)```", PAGE, re.DOTALL)

CAFFE_1_0 = """
AbsVal Accuracy ArgMax BNLL BatchNorm BatchReindex Bias Clip Concat ContrastiveLoss Convolution Crop Data
Deconvolution Dropout DummyData ELU Eltwise Embed EuclideanLoss Exp Filter Flatten HDF5Data HDF5Output HingeLoss
Im2col ImageData InfogainLoss InnerProduct Input LRN LSTM LSTMUnit Log MVN MemoryData MultinomialLogisticLoss PReLU
Parameter Pooling Power Python RNN ReLU Reduction Reshape SPP Scale Sigmoid SigmoidCrossEntropyLoss Silence Slice
Softmax SoftmaxWithLoss Split Swish TanH Threshold Tile WindowData
""".split()


def test_every_type_of_caffe_is_registered():
    assert len(CAFFE_1_0) == 61
    assert layer_type_list() == sorted(CAFFE_1_0)


def test_the_tables_are_the_registry():
    assert sorted(row[0] for row in ROWS) == layer_type_list()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row(row):
    type_, does, axes, _, test, _ = row
    assert does
    assert axes
    source = (ROOT / "tests" / "caffe_compat" / "layer" / test.strip("`")).read_text()
    assert re.search(rf"\b{type_}\b", source), f"{test} does not name {type_}"
    assert (layer_class("l", type_).__doc__ or "").strip()


def test_the_recordings_of_each_type_are_named():
    used: dict[str, set[str]] = {type_: set() for type_ in layer_type_list()}
    for file in CASES.glob("*.prototxt"):
        for layer in read_net(file).layer:
            used[layer.type].add(file.stem)
    named = {row[0]: set(re.findall(r"`([^`]*)`", row[5])) for row in ROWS}
    for type_, cases in used.items():
        if type_ != "Input":  # which is in all of them
            assert {case for case in named[type_] if not case.startswith("transform/")} == cases


def test_the_recordings_beside_the_checkout_are_named(realdata):
    named = {}
    for row in ROWS:
        for pattern in re.findall(r"`transform/([^`]*)`", row[5]):
            found = {file.stem for file in (realdata / "transform").glob(f"{pattern}.prototxt")}
            assert found, pattern
            for case in found:
                types_ = {layer.type for layer in read_net(realdata / "transform" / f"{case}.prototxt").layer}
                assert row[0] in types_, case
                named[case] = row[0]
    assert set(named) == {file.stem for file in (realdata / "transform").glob("*.prototxt")}


@pytest.fixture
def own_layer(monkeypatch):
    """The page's two examples, run; what they register is gone after the test."""
    monkeypatch.setattr(registry, "_classes", dict(registry._classes))
    module = types.ModuleType("my_layers")
    monkeypatch.setitem(sys.modules, "my_layers", module)
    for code in CODE:
        exec(code, module.__dict__)


def net_of(layer: str, more: str = "") -> Net:
    data = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 4 } } }'
    return Net(parse(f"force_backward: true {data} {layer} {more}", pb.NetParameter(), "own.prototxt"), pb.TRAIN)


def test_the_example_of_a_registered_type(own_layer):
    net = net_of(PROTOTXT[0])
    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    net.blobs["x"].data[...] = x
    np.testing.assert_allclose(net.forward()["y"], np.sin(2 * x), rtol=1e-5, atol=1e-6)
    net.blobs["y"].diff[...] = 1
    net.backward()
    np.testing.assert_allclose(net.blobs["x"].diff, 2 * np.cos(2 * x), rtol=1e-5, atol=1e-6)
    slope = (x * np.cos(2 * x)).sum((0, 2))
    np.testing.assert_allclose(net.params["wave"][0].diff, slope, rtol=1e-5, atol=1e-5)
    flat = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 5 } } }'
    bad = parse(f"{flat} {PROTOTXT[0]}", pb.NetParameter(), "own.prototxt")
    with pytest.raises(LayerError, match=r"layer 'wave' \(Wave\): bottom\[0\] has shape \(5,\); it needs 2 axes"):
        Net(bad, pb.TRAIN)


def test_a_registered_type_is_trained_and_saved(own_layer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = """
    layer { name: "in" type: "DummyData" top: "x" top: "z" dummy_data_param {
      shape { dim: 4 dim: 3 dim: 5 } data_filler { type: "gaussian" std: 0.3 } data_filler { value: 0 } } }
    """
    loss = 'layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "z" top: "loss" }'
    (tmp_path / "net.prototxt").write_text(data + PROTOTXT[0] + loss)
    (tmp_path / "solver.prototxt").write_text(
        "net: 'net.prototxt' base_lr: 0.5 lr_policy: 'fixed' snapshot_prefix: 'own'"
    )
    caffe_compat.set_random_seed(1)
    solver = get_solver("solver.prototxt")
    solver.step(40)
    trained = solver.net.params["wave"][0].data.copy()
    assert np.abs(trained).max() < 0.01  # from 2: sin(w x) is smallest for w = 0
    solver.snapshot()
    again = Net("net.prototxt", "own_iter_40.caffemodel", pb.TEST)
    np.testing.assert_array_equal(again.params["wave"][0].data, trained)


def test_the_example_of_a_python_layer(own_layer):
    net = net_of(PROTOTXT[1])
    net.blobs["x"].data[...] = 3
    assert (net.forward()["y"] == 1.5).all()
    net.blobs["y"].diff[...] = 1
    net.backward()
    assert (net.blobs["x"].diff == 0.5).all()


def test_the_error_of_an_unknown_type_shows_both_ways():
    with pytest.raises(LayerError) as error:
        net_of('layer { name: "mine" type: "MyOwn" bottom: "x" top: "y" }')
    message = str(error.value)
    assert message.startswith("layer 'mine' (MyOwn): unknown layer type; known types: AbsVal, ")
    for word in ("caffe_compat.layer.contract.Layer", "caffe_compat.layer.registry.register", "Python layer"):
        assert word in message
        assert word in PAGE or word == "Python layer"
    assert "LAYERS.md" in message
