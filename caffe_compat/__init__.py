"""Caffe's nets, files, numbers and Python interface on PyTorch.

Everything that ``import caffe`` offers a script is here under the same name; ``install_as_caffe()`` makes that import
mean this package. Ours beside it: ``install_as_caffe``, ``allow_python_layers``, ``Blob``, ``Solver``, ``multiprocess``
and the errors. pycaffe's submodules (``io``, ``net_spec``, ``coord_map``, ``draw``, ...) are attributes too, imported
when first used.
"""

from typing import Any

from caffe_compat.aliases import AliasError, install_as_caffe
from caffe_compat.aliases import old_module as _old_module
from caffe_compat.classifier import Classifier
from caffe_compat.detector import Detector
from caffe_compat.device import set_device, set_mode_cpu, set_mode_gpu, set_random_seed
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
from caffe_compat.glog import init_log, log
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


def __getattr__(name: str) -> Any:
    """Pycaffe's submodules, imported at first use."""
    try:
        return _old_module(f"caffe.{name}")
    except AliasError:
        raise AttributeError(f"module 'caffe_compat' has no attribute '{name}'") from None
