"""Thin copies of every recipe, through all stages and surgeries, a few iterations on made-up images of every input."""

import numpy as np
import pytest

from caffe_compat.device import set_random_seed
from caffe_compat.errors import WeightsError
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST, SolverParameter
from caffe_compat.solver import SGDSolver
from nets.catalogue import lookup
from nets.classifiers import build
from nets.sources import InputData
from solvers.initial import find_stuck, start_from, start_fused
from solvers.recipes import RECIPES, recipe

WIDTH, SIDE = 1 / 16, 64
CLASSIFIERS = {
    "VGG_ILSVRC_16_layers.caffemodel": "vgg-d",
    "VGG_ILSVRC_19_layers.caffemodel": "vgg-e",
    "bvlc_reference_caffenet.caffemodel": "caffenet",
    "bvlc_googlenet.caffemodel": "googlenet",
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Function: the caffemodel of a thin training of a recipe, after those that it starts from; each is run once."""
    folder = tmp_path_factory.mktemp("recipes")

    def classifier(file):
        path = folder / file
        if not path.exists():
            net = build(CLASSIFIERS[file], InputData({"data": (1, 3, 224, 224)}), classes=10, width=WIDTH)
            Net(net, TEST).save(path)
        return path

    def run(name):
        this, path = recipe(name), folder / f"{name}.caffemodel"
        if path.exists():
            return path
        solver = thin_solver(this)
        if this.fuses:
            report = start_fused(solver.net, {suffix: run(other) for suffix, other in this.fuses.items()})
        else:
            source = run(this.begins_from) if this.begins_from else classifier(this.ilsvrc)
            report = start_from(solver.net, source, widens=this.widens)
        check_start(solver.net, report, this)
        train(solver, this)
        solver.net.save(path)
        return path

    set_random_seed(11)
    return run


def thin_solver(this):
    model = lookup(this.model)
    shapes = {top: (1, shape[1], SIDE, SIDE) for top, shape in model.deploy_shapes.items()}
    labels = {task.label: (1, 1, SIDE, SIDE) for task in model.tasks}
    param = SolverParameter()
    param.CopyFrom(this.solver())
    param.ClearField("snapshot")
    param.ClearField("test_interval")
    param.iter_size = 1
    param.base_lr = 1e-3 if this.model in ("voc-fcn-alexnet", "voc-fcn-googlenet") else 1e-6
    param.train_net_param.CopyFrom(model.build(InputData({**shapes, **labels}), classes=model.classes, width=WIDTH))
    solver = SGDSolver(param)
    draw = np.random.default_rng(2)
    for top in shapes:
        solver.net.blobs[top].data[...] = draw.normal(0, 50, solver.net.blobs[top].shape)
    for task in model.tasks:
        label = draw.integers(0, task.classes, (1, 1, SIDE, SIDE))
        label[..., :4] = 255
        solver.net.blobs[task.label].data[...] = label
    return solver


def check_start(net, report, this):
    """Everything that is not a score, a fixed scale or an upsampling got weights; nothing is stuck."""
    assert report.copied
    assert [name for name in report.untouched if not name.startswith(("scale", "score", "upscore"))] == []
    assert find_stuck(net).hopeless == []
    if this.begins_from:
        assert any(transfer.target.startswith("score_fr") for transfer in report.copied)


def train(solver, this):
    before = {(name, i): blob.data.copy() for name, blobs in solver.net.params.items() for i, blob in enumerate(blobs)}
    solver.step(3)
    assert np.isfinite(solver.loss)
    moved = {name for (name, i), old in before.items() if (solver.net.params[name][i].data != old).any()}
    learned = {
        layer.name
        for layer in solver.net.layers
        if layer.name in solver.net.params and not (layer.param.param and layer.param.param[0].lr_mult == 0)
    }
    assert moved == learned, this.model


@pytest.mark.parametrize("name", RECIPES)
def test_a_thin_copy_trains_from_what_the_recipe_starts_from(trained, name):
    path = trained(name)
    model = lookup(name)
    shapes = {top: (1, shape[1], 80, 70) for top, shape in model.deploy_shapes.items()}
    net = Net(model.build(InputData(shapes), classes=model.classes, width=WIDTH), TEST, weights=path)
    images = np.random.default_rng(5)
    for top in shapes:
        net.blobs[top].data[...] = images.normal(0, 50, net.blobs[top].shape)
    net.forward()
    for task in model.tasks:
        scores = net.blobs[task.score].data
        assert scores.shape == (1, task.classes, 80, 70)
        assert np.isfinite(scores).all()
        assert scores.any()


def test_more_files_to_start_from_than_the_recipe_has_streams(thin, drawn_once, tmp_path):
    files = [tmp_path / "a.caffemodel", tmp_path / "b.caffemodel"]
    with pytest.raises(WeightsError, match="voc-fcn32s: 2 files to start from; wanted 1"):
        thin.thin_training(drawn_once, tmp_path / "runs", weights=files)
