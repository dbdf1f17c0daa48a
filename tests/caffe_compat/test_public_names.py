"""What ``import caffe_compat`` offers, exactly, and what it costs."""

import ast
import inspect
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import caffe_compat

PYCAFFE = {
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "Classifier",
    "Detector",
    "Layer",
    "NCCL",
    "NesterovSolver",
    "Net",
    "NetSpec",
    "RMSPropSolver",
    "SGDSolver",
    "TEST",
    "TRAIN",
    "Timer",
    "get_solver",
    "has_nccl",
    "init_log",
    "layer_type_list",
    "layers",
    "log",
    "params",
    "set_device",
    "set_mode_cpu",
    "set_mode_gpu",
    "set_multiprocess",
    "set_random_seed",
    "set_solver_count",
    "set_solver_rank",
    "solver_count",
    "solver_rank",
    "to_proto",
}
OURS = {
    "AliasError",
    "Blob",
    "CaffeError",
    "DataError",
    "DeviceError",
    "LayerError",
    "NetError",
    "ParseError",
    "Solver",
    "SolverError",
    "WeightsError",
    "allow_python_layers",
    "install_as_caffe",
    "multiprocess",
}


def test_all_is_exact():
    assert sorted(caffe_compat.__all__) == sorted(PYCAFFE | OURS)
    assert len(set(caffe_compat.__all__)) == len(caffe_compat.__all__)
    for name in caffe_compat.__all__:
        assert getattr(caffe_compat, name) is not None


def test_nothing_public_is_left_out_of_all():
    there = {name for name in dir(caffe_compat) if not name.startswith("_")} - {"Any", "TYPE_CHECKING"}
    assert {name for name in there if not inspect.ismodule(getattr(caffe_compat, name))} == set(caffe_compat.__all__)


def test_names_are_imported_from_where_a_type_checker_sees_them():
    """The module has its later imports twice: as imports for type checkers, and as a table."""
    tree = ast.parse(Path(caffe_compat.__file__).read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    seen = {alias.asname or alias.name: (node.module, alias.name) for node in block.body for alias in node.names}
    table = {
        name: (module, caffe_compat._NAME_THERE.get(name, name)) for name, module in caffe_compat._MODULE_OF.items()
    }
    assert table == seen
    for name, (module, there) in seen.items():
        assert getattr(caffe_compat, name) is getattr(sys.modules[module], there)


def test_every_name_comes_by_star():
    got = {}
    exec("from caffe_compat import *", got)
    assert {name: got[name] for name in caffe_compat.__all__} == {
        name: getattr(caffe_compat, name) for name in caffe_compat.__all__
    }


def test_classes_can_be_pickled():
    for name in caffe_compat.__all__:
        value = getattr(caffe_compat, name)
        if inspect.isclass(value):
            assert pickle.loads(pickle.dumps(value)) is value


def fresh(code):
    """The words that a new process prints, which runs the code beside the packages."""
    root = Path(caffe_compat.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("place", ["caffe_compat", "caffe_compat.layer.registry"])
def test_all_layer_types_are_listed_before_any_net_was_built(place):
    listed = set(fresh(f"import {place}; print(*{place}.layer_type_list())"))
    assert {"Convolution", "Python", "SoftmaxWithLoss"} <= listed


def test_torch_waits_until_a_name_needs_it():
    code = """
import sys, caffe_compat
dir(caffe_compat)
from caffe_compat import TEST, DataError, NetSpec, install_as_caffe, io, layers, log, proto, solver_rank
print("torch" in sys.modules)
caffe_compat.Net
print("torch" in sys.modules)
"""
    assert fresh(code) == ["False", "True"]


def test_any_submodule_is_an_attribute_without_an_import_of_its_own():
    code = "import caffe_compat; print(caffe_compat.device.device(), caffe_compat.solver.Solver.__name__)"
    assert fresh(code) == ["cpu", "Solver"]


def test_phases_are_caffes_numbers():
    assert (caffe_compat.TRAIN, caffe_compat.TEST) == (0, 1)


@pytest.mark.parametrize(
    "name", ["io", "net_spec", "coord_map", "draw", "classifier", "detector", "proto", "pycaffe", "_caffe"]
)
def test_pycaffes_submodules_are_attributes(name):
    assert inspect.ismodule(getattr(caffe_compat, name))


def test_an_unknown_attribute_is_an_attribute_error():
    for name in ("nope", "no.pe", "_nope"):
        with pytest.raises(AttributeError, match=f"module 'caffe_compat' has no attribute '{name}'"):
            getattr(caffe_compat, name)


def test_import_brings_in_no_slow_package():
    code = (
        "import sys, torch; before = set(sys.modules); import caffe_compat; caffe_compat.Net;"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    brought = set(fresh(code))
    assert "caffe_compat" in brought
    slow = {"PIL", "click", "cv2", "h5py", "lmdb", "matplotlib", "pandas", "pydot", "scipy", "skimage", "tqdm"}
    assert not brought & slow
