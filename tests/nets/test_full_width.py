"""Every model at full width: it builds, takes weights by name from a file, and gives scores of the image's size."""

import gc

import numpy as np
import pytest

from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST
from nets.catalogue import MODELS
from nets.classifiers import CLASSIFIERS, INPUT_SHAPE, build
from nets.sources import InputData


def written_and_read(param, path):
    """The net with weights that went through a file, by name."""
    for layer in param.layer:
        if layer.type == "Convolution":
            layer.convolution_param.weight_filler.type = "msra"
        elif layer.type == "Deconvolution":
            layer.convolution_param.weight_filler.type = "bilinear"
    source = Net(param, TEST)
    source.save(path)
    sums = {name: float(blobs[0].tensor().double().sum()) for name, blobs in source.params.items()}
    del source
    gc.collect()
    for layer in param.layer:
        if layer.type in ("Convolution", "Deconvolution"):
            layer.convolution_param.ClearField("weight_filler")
    net = Net(param, TEST, weights=path)
    assert {name: float(blobs[0].tensor().double().sum()) for name, blobs in net.params.items()} == sums
    path.unlink()
    return net


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_model(name, tmp_path):
    model = MODELS[name]
    shapes = {top: (1, shape[1], 64, 72) for top, shape in model.deploy_shapes.items()}
    net = written_and_read(model.build(InputData(shapes), classes=model.classes), tmp_path / "net.caffemodel")
    for top, shape in shapes.items():
        net.blobs[top].data[...] = np.random.default_rng(0).normal(0, 50, shape)
    net.forward()
    for task in model.tasks:
        scores = net.blobs[task.score].data
        assert scores.shape == (1, task.classes, 64, 72)
        assert np.isfinite(scores).all()
        assert scores.std() > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifier(name, tmp_path):
    net = written_and_read(build(name, InputData({"data": INPUT_SHAPE})), tmp_path / "net.caffemodel")
    net.blobs["data"].data[...] = np.random.default_rng(0).normal(0, 50, INPUT_SHAPE)
    probabilities = net.forward()["prob"]
    assert probabilities.shape == (1, 1000)
    assert probabilities.sum() == pytest.approx(1, rel=1e-4)
