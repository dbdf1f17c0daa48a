"""What a bit-equal resume needs beyond Caffe's snapshot: data positions, random states, the averaged loss.

Caffe's solver states do not hold it, so it goes to a file of its own beside them, ``{prefix}_iter_{n}.resume``. A
restore without it behaves as Caffe: data starts from the beginning, random draws from the seed.
"""

import os
import pickle
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from caffe_compat.device import load_random_state, random_state
from caffe_compat.errors import SolverError
from caffe_compat.proto.whole_file import replacing
from caffe_compat.solver.smoothed_loss import SmoothedLoss
from caffe_compat.solver.snapshot import snapshot_name

if TYPE_CHECKING:
    from caffe_compat.solver.solver import Solver

__all__ = ["apply_extra", "capture_extra", "load_extra", "resume_name", "save_extra"]

_FORMAT = 1
_KEYS = {"format", "iter", "train_layers", "test_layers", "streams", "python_random", "numpy_random", "loss"}


def resume_name(solver: "Solver") -> str:
    """The file of the present iteration."""
    return snapshot_name(solver, ".resume")


def capture_extra(solver: "Solver") -> dict[str, Any]:
    """The present state, as plain values and tensors: random streams (ours, Python's and NumPy's), layers' own state
    (data positions and the like) of train and test nets, the loss average.
    """
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "format": _FORMAT,
        "iter": solver.iter,
        "train_layers": solver.net.layers_state(),
        "test_layers": [net.layers_state() for net in solver.test_nets],
        "streams": random_state(),
        "python_random": {"version": version, "words": torch.tensor(words), "gauss": gauss},
        "numpy_random": {
            "name": name,
            "keys": torch.from_numpy(np.array(keys, np.int64)),
            "position": int(position),
            "has_gauss": int(has_gauss),
            "cached": float(cached),
        },
        "loss": solver.smoothed.state(),
    }


def apply_extra(solver: "Solver", extra: dict[str, Any]) -> None:
    """Put back what ``capture_extra`` gave; the next ``step`` goes on averaging the loss.

    Raises:
        SolverError: it is of another iteration, of other nets, or not of this kind.
    """
    if not isinstance(extra, dict) or set(extra) != _KEYS or extra["format"] != _FORMAT:
        raise SolverError("resume data is not of the form that this version writes; resume without it")
    if extra["iter"] != solver.iter:
        raise SolverError(
            f"resume data is of iteration {extra['iter']}, the solver is at {solver.iter}; restore the solver state of "
            f"iteration {extra['iter']} first"
        )
    if len(extra["test_layers"]) != len(solver.test_nets):
        raise SolverError(
            f"resume data is of {len(extra['test_layers'])} test nets, the solver has {len(solver.test_nets)}; "
            "use the solver settings that it was written with"
        )
    for net, state in zip(solver.test_nets, extra["test_layers"], strict=True):
        net.load_layers_state(state)
    solver.net.load_layers_state(extra["train_layers"])
    load_random_state(extra["streams"])
    words = extra["python_random"]
    random.setstate((words["version"], tuple(words["words"].tolist()), words["gauss"]))
    numbers = extra["numpy_random"]
    keys = numbers["keys"].numpy().astype(np.uint32)
    np.random.set_state((numbers["name"], keys, numbers["position"], numbers["has_gauss"], numbers["cached"]))
    if extra["loss"]["size"] == solver.param.average_loss:
        solver.continue_loss(SmoothedLoss(**extra["loss"]))


def save_extra(solver: "Solver", path: str | os.PathLike[str] | None = None) -> str:
    """Write the present state to its file (``resume_name`` unless told); it appears whole or not at all.

    Raises:
        SolverError: it cannot be written.
    """
    path = resume_name(solver) if path is None else os.fspath(path)
    try:
        with replacing(path) as temporary:
            torch.save(capture_extra(solver), temporary)
    except OSError as error:
        raise SolverError(f"{path}: cannot be written: {error.strerror or error}") from error
    return path


def load_extra(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read such a file; nothing in it is executed.

    Raises:
        SolverError: it is missing, damaged or another kind of file.
    """
    source = os.fspath(path)
    try:
        extra = torch.load(source, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise SolverError(f"{source}: no such file; a .resume file was expected") from None
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise SolverError(f"{source}: is not a .resume file, or damaged: {str(error).splitlines()[0]}") from None
    if not isinstance(extra, dict) or set(extra) != _KEYS:
        raise SolverError(f"{source}: is not a .resume file; a file that save_extra wrote was expected")
    return extra
