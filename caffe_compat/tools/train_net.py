"""``train -solver FILE``: train a net as ``caffe train`` does.

    caffe-compat train -solver solver.prototxt -weights vgg16.caffemodel
    caffe-compat train -solver solver.prototxt -snapshot snap/fcn_iter_4000.solverstate

Ctrl-C stops after a snapshot, SIGHUP takes one and goes on; -sigint_effect and -sighup_effect change that.

Source: BVLC/caffe tools/caffe.cpp (train).
"""

import click
import torch

from caffe_compat import glog
from caffe_compat.device import set_device, set_mode_cpu, set_mode_gpu
from caffe_compat.errors import DeviceError
from caffe_compat.net.build_log import logging_builds
from caffe_compat.proto.caffe_pb2 import SolverParameter
from caffe_compat.proto.text import read_solver
from caffe_compat.solver import get_solver
from caffe_compat.tools.device_flags import chosen_gpus, precision_flag, stages_of, state_flags
from caffe_compat.tools.flags import FlagCommand, flag

__all__ = ["train"]


@click.command(cls=FlagCommand)
@flag("solver", "The solver prototxt; needed.")
@flag("snapshot", "A .solverstate to resume from.")
@flag("weights", "Caffemodels to begin with, separated by commas; not together with -snapshot.")
@state_flags
@precision_flag
@flag("sigint_effect", "What Ctrl-C does: stop, snapshot or none.", "stop")
@flag("sighup_effect", "What SIGHUP does: snapshot, stop or none.", "snapshot")
def train(
    solver: str,
    snapshot: str,
    weights: str,
    gpu: str,
    level: int,
    stage: str,
    precision: str,
    sigint_effect: str,
    sighup_effect: str,
) -> None:
    """Train a net, as caffe train does.

    Paths in the solver are relative to the current folder. Without -gpu, the solver's solver_mode and device_id decide;
    a solver that does not set solver_mode runs on the GPU if there is one.
    """
    if not solver:
        raise click.UsageError("-solver is missing: need a solver definition to train")
    if snapshot and weights:
        raise click.UsageError("-snapshot and -weights are both given; give one: resume from a snapshot, or begin anew")
    param = read_solver(solver)
    param.train_state.level = level
    param.train_state.stage.extend(stages_of(stage))
    if weights:
        del param.weights[:]
        param.weights.append(weights)
    _choose_device(param, gpu, solver)
    with logging_builds():
        made = get_solver(param, keep=None if param.debug_info else [], precision=precision)
    made.handle_signals(sigint_effect, sighup_effect)
    if snapshot:
        glog.info("caffe.cpp:235", f"Resuming from {snapshot}")
        made.restore(snapshot)
    glog.info("caffe.cpp:239", "Starting Optimization")
    made.solve()
    glog.info("caffe.cpp:250", "Optimization Done.")


def _choose_device(param: SolverParameter, gpu: str, solver: str) -> None:
    gpus = chosen_gpus(gpu)
    if len(gpus) > 1:
        raise DeviceError(
            f"-gpu={gpu}: {len(gpus)} devices, but one process trains on one; give one number, or start a program for "
            "each with torchrun (README.md shows one)"
        )
    if not gpu and param.solver_mode == SolverParameter.GPU:
        if torch.cuda.is_available():
            gpus = [param.device_id]
        elif param.HasField("solver_mode"):
            raise DeviceError(
                f"{solver}: solver_mode is GPU, but this PyTorch ({torch.__version__}) finds no CUDA device; set "
                "solver_mode: CPU"
            )
    if not gpus:
        glog.info("caffe.cpp:197", "Use CPU.")
        set_mode_cpu()
        return
    set_device(gpus[0])
    set_mode_gpu()
    param.device_id = gpus[0]
    glog.info("caffe.cpp:204", f"Using GPUs {gpus[0]}")
    glog.info("caffe.cpp:209", f"GPU {gpus[0]}: {torch.cuda.get_device_name(gpus[0])}")
