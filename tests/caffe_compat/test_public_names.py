"""What ``import caffe_compat`` offers, exactly, and what it costs."""

import inspect
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
    ours = {
        name
        for name, value in vars(caffe_compat).items()
        if not name.startswith("_") and not inspect.ismodule(value) and getattr(value, "__module__", "") != "typing"
    }
    assert ours == set(caffe_compat.__all__)


def test_phases_are_caffes_numbers():
    assert (caffe_compat.TRAIN, caffe_compat.TEST) == (0, 1)


@pytest.mark.parametrize(
    "name", ["io", "net_spec", "coord_map", "draw", "classifier", "detector", "proto", "pycaffe", "_caffe"]
)
def test_pycaffes_submodules_are_attributes(name):
    assert inspect.ismodule(getattr(caffe_compat, name))


def test_an_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'caffe_compat' has no attribute 'nope'"):
        _ = caffe_compat.nope


def test_import_brings_in_no_slow_package():
    root = Path(caffe_compat.__file__).parents[1]
    code = (
        "import sys, torch; before = set(sys.modules); import caffe_compat;"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    brought = set(done.stdout.split())
    assert "caffe_compat" in brought
    slow = {"PIL", "click", "cv2", "h5py", "lmdb", "matplotlib", "pandas", "pydot", "scipy", "skimage", "tqdm"}
    assert not brought & slow
