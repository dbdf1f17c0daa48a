"""Snapshots: ``{prefix}_iter_{n}.caffemodel`` and ``.solverstate``, or their ``.h5`` forms, as Caffe's.

The weights are written first, then the state that names them; each file appears under its name whole or not at all.
Source: BVLC/caffe src/caffe/solver.cpp (Snapshot), src/caffe/solvers/sgd_solver.cpp (SnapshotSolverState, Restore).
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from caffe_compat import glog
from caffe_compat.errors import SolverError, WeightsError
from caffe_compat.proto.caffe_pb2 import SolverParameter
from caffe_compat.proto.weights import SolverState, read_solverstate, write_solverstate, write_solverstate_h5

if TYPE_CHECKING:
    from caffe_compat.solver.solver import Solver

__all__ = ["restore_snapshot", "snapshot_name", "write_snapshot"]


def snapshot_name(solver: "Solver", extension: str) -> str:
    """The name of a file of the present iteration: prefix, iteration, extension (with its dot)."""
    return f"{solver.param.snapshot_prefix}_iter_{solver.iter}{extension}"


def write_snapshot(solver: "Solver") -> tuple[str, str]:
    """Write weights and state of a solver.

    Returns:
        Path of the weights and path of the state.

    Raises:
        WeightsError: a file cannot be written.
    """
    hdf5 = solver.param.snapshot_format == SolverParameter.HDF5
    kind, suffix = ("HDF5", ".h5") if hdf5 else ("binary proto", "")
    model, state_path = snapshot_name(solver, f".caffemodel{suffix}"), snapshot_name(solver, f".solverstate{suffix}")
    glog.info("solver.cpp:474" if hdf5 else "solver.cpp:464", f"Snapshotting to {kind} file {model}")
    save = solver.net.save_hdf5 if hdf5 else solver.net.save
    save(model, with_diffs=solver.param.snapshot_diff)
    state = SolverState(solver.iter, model, solver.current_step, _history_arrays(solver))
    glog.info(
        "sgd_solver.cpp:296" if hdf5 else "sgd_solver.cpp:284",
        f"Snapshotting solver state to {kind} file {state_path}",
    )
    (write_solverstate_h5 if hdf5 else write_solverstate)(state_path, state)
    return model, state_path


def _history_arrays(solver: "Solver") -> list[np.ndarray]:
    """History in Caffe's order; what is not there yet is zero (and takes no memory)."""
    params = solver.net.learnable_params
    arrays = []
    for i, held in enumerate(solver.history):
        shape = params[i % len(params)].shape
        arrays.append(np.broadcast_to(np.float32(0), shape) if held is None else held.cpu().numpy())
    return arrays


def restore_snapshot(solver: "Solver", path: str | os.PathLike[str]) -> None:
    """Put iteration, history and the weights that the state names back; see ``Solver.restore``."""
    source = os.fspath(path)
    state = read_solverstate(source)
    _check_history(solver, state, source)
    if state.learned_net:
        solver.net.copy_from(_find_weights(state.learned_net, source))
    glog.info("sgd_solver.cpp:336", "SGDSolver: restoring history")
    params = solver.net.learnable_params
    for i, array in enumerate(state.history):
        solver.history[i] = torch.from_numpy(np.array(array, np.float32)).reshape(params[i % len(params)].shape)
    solver.iter, solver.current_step = state.iter, state.current_step


def _check_history(solver: "Solver", state: SolverState, source: str) -> None:
    params = solver.net.learnable_params
    if len(state.history) != len(solver.history):
        raise SolverError(
            f"{source}: holds {len(state.history)} history blobs, but solver type {solver.type} of this net "
            f"({len(params)} parameters) has {len(solver.history)}; restore the state of the same solver type and net"
        )
    for i, array in enumerate(state.history):
        shape = params[i % len(params)].shape
        legacy = (1,) * (4 - len(shape)) + shape  # files of Caffe's first years pad shapes to four axes
        if array.shape not in (shape, legacy):
            raise SolverError(
                f"{source}: history blob {i} has shape {array.shape}, but its parameter has {shape}; "
                "restore the state of the same net"
            )
    if state.iter < 0 or state.current_step < 0:
        raise SolverError(
            f"{source}: iteration {state.iter}, step {state.current_step}; both must be 0 or more: the file is damaged"
        )


def _find_weights(learned_net: str, source: str) -> str:
    """The weights that a state names: relative to the current folder, or else beside the state."""
    if Path(learned_net).is_file():
        return learned_net
    beside = Path(source).parent / Path(learned_net).name
    if not beside.is_file():
        raise WeightsError(
            f"{source}: its weights '{learned_net}' are neither at that path (from the current folder) nor at "
            f"'{beside}'; put the caffemodel at one of them"
        )
    glog.warning(f"{source}: its weights are not at '{learned_net}'; taking '{beside}', which is beside it")
    return os.fspath(beside)
