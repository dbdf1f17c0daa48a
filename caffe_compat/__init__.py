"""Caffe's nets, files, numbers and Python interface on PyTorch.

Everything that ``import caffe`` offers a script is here under the same name; ``install_as_caffe()`` makes that import
mean this package. Ours beside it: ``install_as_caffe``, ``allow_python_layers``, ``Blob``, ``Solver``, ``multiprocess``
and the errors. pycaffe's submodules (``io``, ``net_spec``, ``coord_map``, ``draw``, ...) are attributes too.

What needs PyTorch is imported when its name is first used, so that programs which only read and write Caffe's files
start without it.
"""

import importlib.util
from typing import TYPE_CHECKING, Any

from caffe_compat.aliases import MODULES as _OLD_MODULES
from caffe_compat.aliases import AliasError, install_as_caffe
from caffe_compat.aliases import old_module as _old_module
from caffe_compat.errors import (
    CaffeError,
    DataError,
    DeviceError,
    LayerError,
    NetError,
    ParseError,
    SolverError,
    WeightsError,
)
from caffe_compat.glog import init_log, log  # not later: a program that sets up its log does so after this import

if TYPE_CHECKING:
    from caffe_compat.classifier import Classifier
    from caffe_compat.detector import Detector
    from caffe_compat.device import set_device, set_mode_cpu, set_mode_gpu, set_random_seed
    from caffe_compat.layer.blob import Blob
    from caffe_compat.layer.python_layer import PyLayer as Layer
    from caffe_compat.layer.python_layer import allow_python_layers
    from caffe_compat.layer.registry import layer_type_list
    from caffe_compat.net.net import Net
    from caffe_compat.parallel import (
        NCCL,
        has_nccl,
        multiprocess,
        set_multiprocess,
        set_solver_count,
        set_solver_rank,
        solver_count,
        solver_rank,
    )
    from caffe_compat.proto.caffe_pb2 import TEST, TRAIN
    from caffe_compat.solver import (
        AdaDeltaSolver,
        AdaGradSolver,
        AdamSolver,
        NesterovSolver,
        RMSPropSolver,
        SGDSolver,
        Solver,
        get_solver,
    )
    from caffe_compat.spec.net_spec import NetSpec, layers, params, to_proto
    from caffe_compat.timer import Timer

__all__ = [
    "NCCL",
    "TEST",
    "TRAIN",
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "AliasError",
    "Blob",
    "CaffeError",
    "Classifier",
    "DataError",
    "Detector",
    "DeviceError",
    "Layer",
    "LayerError",
    "NesterovSolver",
    "Net",
    "NetError",
    "NetSpec",
    "ParseError",
    "RMSPropSolver",
    "SGDSolver",
    "Solver",
    "SolverError",
    "Timer",
    "WeightsError",
    "allow_python_layers",
    "get_solver",
    "has_nccl",
    "init_log",
    "install_as_caffe",
    "layer_type_list",
    "layers",
    "log",
    "multiprocess",
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
]

__version__ = "1.0.0"  # of the Caffe whose interface this is, as scripts that ask for it expect

_NAMES_OF = {
    "classifier": "Classifier",
    "detector": "Detector",
    "device": "set_device set_mode_cpu set_mode_gpu set_random_seed",
    "layer.blob": "Blob",
    "layer.python_layer": "Layer allow_python_layers",
    "layer.registry": "layer_type_list",
    "net.net": "Net",
    "parallel": "NCCL has_nccl multiprocess set_multiprocess set_solver_count set_solver_rank solver_count solver_rank",
    "proto.caffe_pb2": "TEST TRAIN",
    "solver": "AdaDeltaSolver AdaGradSolver AdamSolver NesterovSolver RMSPropSolver SGDSolver Solver get_solver",
    "spec.net_spec": "NetSpec layers params to_proto",
    "timer": "Timer",
}
_MODULE_OF = {name: f"{__name__}.{module}" for module, names in _NAMES_OF.items() for name in names.split()}
_NAME_THERE = {"Layer": "PyLayer"}


def __getattr__(name: str) -> Any:
    """A public name or a submodule, imported at first use."""
    if name in _MODULE_OF:
        value = getattr(importlib.import_module(_MODULE_OF[name]), _NAME_THERE.get(name, name))
        globals()[name] = value
        return value
    try:
        return _old_module(f"caffe.{name}")
    except AliasError:
        ours = f"{__name__}.{name}"
        if name.isidentifier() and not name.startswith("_") and importlib.util.find_spec(ours) is not None:
            return importlib.import_module(ours)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    """The public names, imported or not, pycaffe's submodules, and whatever else is here."""
    submodules = (name.removeprefix("caffe.") for name in _OLD_MODULES if name.count(".") == 1)
    return sorted({*globals(), *__all__, *submodules})
