"""Recipes as data: the released settings, the chain of stages, and the files that --emit-prototxt writes."""

import json

import pytest
from google.protobuf import json_format

from caffe_compat.errors import SolverError
from caffe_compat.proto.caffe_pb2 import NetParameter, SolverParameter
from caffe_compat.proto.text import read_net, read_solver
from nets.catalogue import MODELS, lookup
from solvers.published import PUBLISHED
from solvers.recipes import RECIPES, chain, recipe, recipe_text

# base_lr, momentum, max_iter, iterations that the released solve.py steps, iter_size
SETTINGS = {
    "voc-fcn32s": (1e-10, 0.99, 100000, 100000, 1),
    "voc-fcn16s": (1e-12, 0.99, 100000, 100000, 1),
    "voc-fcn8s": (1e-14, 0.99, 100000, 100000, 1),
    "voc-fcn8s-atonce": (1e-10, 0.99, 300000, 300000, 1),
    "voc-fcn-alexnet": (1e-4, 0.9, 100000, 100000, 20),
}


@pytest.fixture(scope="module")
def released(realdata):
    return json.loads((realdata / "released.json").read_text())


def emitted(solve, model, folder):
    done = solve(model, "--emit-prototxt", folder)
    assert (done.status, done.err) == (0, "")
    return {path.name: path for path in folder.iterdir()}


def test_every_model_has_a_recipe_and_published_figures():
    assert set(RECIPES) == set(MODELS) == set(PUBLISHED) == set(SETTINGS)
    assert [recipe(name).model for name in RECIPES] == list(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_the_published_settings(name):
    this = recipe(name)
    param = this.solver("train.prototxt", "val.prototxt")
    rate, momentum, max_iter, iterations, iter_size = SETTINGS[name]
    assert param.base_lr == pytest.approx(rate, rel=1e-6)
    assert param.momentum == pytest.approx(momentum, rel=1e-6)
    assert (param.max_iter, this.iterations, param.iter_size) == (max_iter, iterations, iter_size)
    assert param.weight_decay == pytest.approx(5e-4, rel=1e-6)
    assert (param.lr_policy, param.average_loss, param.display, param.snapshot) == ("fixed", 20, 20, 4000)
    assert (list(param.test_iter), param.test_interval, param.test_initialization) == ([736], 999999999, False)


def test_a_solver_without_net_files_has_no_test_iter():
    param = recipe("voc-fcn8s").solver()
    assert not param.test_iter
    assert not param.HasField("train_net")


def test_chain_to_8s_and_models_of_one_stage():
    assert [stage.model for stage in chain("voc-fcn8s")] == ["voc-fcn32s", "voc-fcn16s", "voc-fcn8s"]
    assert [stage.model for stage in chain("voc-fcn8s-atonce")] == ["voc-fcn8s-atonce"]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_command_device_time_and_result(name):
    text = recipe_text(name)
    assert f"python solve.py {name} --data DATA --init " in text
    for part in ("Device:", "Time:", "Expected:"):
        assert part in text
    readme = next(row for row in PUBLISHED[name] if row.source == "R")
    assert f"mean IU {100 * readme.mean_iu:.1f} on seg11valid (release)" in text


def test_unknown_recipe():
    with pytest.raises(
        SolverError, match=r"unknown model 'voc-fcn8' \(did you mean voc-fcn8s\?\); known: voc-fcn32s, "
    ):
        recipe("voc-fcn8")
    with pytest.raises(SolverError, match=r"unknown model 'zebra'; known: voc-fcn32s, "):
        recipe("zebra")


@pytest.mark.parametrize("name", RECIPES)
def test_emitted_files_are_the_catalogue_s(solve, name, tmp_path):
    files = emitted(solve, name, tmp_path / "new" / "folder")
    nets = lookup(name).prototxts()
    assert (
        set(files)
        == {"train.prototxt", "val.prototxt", "deploy.prototxt", "solver.prototxt"}
        == {*nets} | {"solver.prototxt"}
    )
    for file, net in nets.items():
        assert read_net(files[file]) == net
    solver = read_solver(files["solver.prototxt"])
    assert (solver.train_net, list(solver.test_net)) == ("train.prototxt", ["val.prototxt"])
    assert solver.base_lr == pytest.approx(SETTINGS[name][0], rel=1e-6)


@pytest.mark.parametrize("name", RECIPES)
def test_emitted_files_equal_the_released_ones(solve, released, name, tmp_path):
    files = emitted(solve, name, tmp_path)
    for file, message in released[name].items():
        if file == "solver.prototxt":
            assert read_solver(files[file]) == json_format.ParseDict(message, SolverParameter())
            continue
        net = json_format.ParseDict(message, NetParameter())
        if name == "voc-fcn16s":  # released with folders one level further up; see its recipe's note
            param = net.layer[0].python_param
            param.param_str = param.param_str.replace("../../data", "../data")
        assert read_net(files[file]) == net
