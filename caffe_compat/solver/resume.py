"""What a bit-equal resume needs beyond Caffe's snapshot: data positions, random states, the averaged loss.

Caffe's solver states do not hold it, so it goes to a file of its own beside them, ``{prefix}_iter_{n}.resume``. A
restore without it behaves as Caffe: data starts from the beginning, random draws from the seed.
"""

import os
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
_ARRAY = "numpy dtype"
_KEYS = {"format", "iter", "train_layers", "test_layers", "streams", "python_random", "numpy_random", "loss"}


def resume_name(solver: "Solver") -> str:
    """The file of the present iteration."""
    return snapshot_name(solver, ".resume")


def capture_extra(solver: "Solver") -> dict[str, Any]:
    """The present state, as plain values, arrays and tensors: random streams (ours, Python's and NumPy's), layers' own
    state (data positions and the like) of train and test nets, the loss average.
    """
    return {
        "format": _FORMAT,
        "iter": solver.iter,
        "train_layers": solver.net.layers_state(),
        "test_layers": [net.layers_state() for net in solver.test_nets],
        "streams": random_state(),
        "python_random": random.getstate(),
        "numpy_random": np.random.get_state(legacy=True),
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
    states = list(zip([solver.net, *solver.test_nets], [extra["train_layers"], *extra["test_layers"]], strict=True))
    for net, state in states:
        if unknown := sorted(set(state) - set(net.layer_dict)):
            raise SolverError(
                f"resume data is of other nets: net '{net.name}' has no layer {', '.join(unknown)}; "
                "use the nets that it was written with"
            )
    load_random_state(extra["streams"])
    for net, state in states:
        net.load_layers_state(state)
    random.setstate(extra["python_random"])
    np.random.set_state(extra["numpy_random"])
    if extra["loss"]["size"] == solver.param.average_loss:
        solver.continue_loss(SmoothedLoss(**extra["loss"]))


def save_extra(solver: "Solver", path: str | os.PathLike[str] | None = None) -> str:
    """Write the present state to its file (``resume_name`` unless told); it appears whole or not at all.

    Raises:
        SolverError: it cannot be written, or a layer's state holds something that is no plain value.
    """
    path = resume_name(solver) if path is None else os.fspath(path)
    state = _plain(capture_extra(solver), path)
    try:
        with replacing(path) as temporary:
            torch.save(state, temporary)
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
    except Exception as error:  # the unpickler meets damaged bytes with any of a dozen types
        found = (str(error) or type(error).__name__).splitlines()[0]
        raise SolverError(f"{source}: is not a .resume file, or damaged: {found}") from None
    if not isinstance(extra, dict) or set(extra) != _KEYS:
        raise SolverError(f"{source}: is not a .resume file; a file that save_extra wrote was expected")
    return _restored(extra)


def _plain(value: Any, where: str) -> Any:
    """The same with arrays as tensors of their bytes: what loads again without running any code."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        memory = torch.from_numpy(np.frombuffer(value.tobytes(), np.uint8).copy())
        return {_ARRAY: value.dtype.str, "shape": list(value.shape), "bytes": memory}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {key: _plain(inner, f"{where}: {key}") for key, inner in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_plain(inner, f"{where}: {i}") for i, inner in enumerate(value))
    if value is None or isinstance(value, (bool, int, float, str, bytes, torch.Tensor)):
        return value
    raise SolverError(
        f"{where}: a {type(value).__name__} cannot be saved; a layer's state holds plain values and arrays"
    )


def _restored(value: Any) -> Any:
    """The reverse of ``_plain``."""
    if isinstance(value, dict) and _ARRAY in value:
        return np.frombuffer(value["bytes"].numpy().tobytes(), value[_ARRAY]).reshape(value["shape"]).copy()
    if isinstance(value, dict):
        return {key: _restored(inner) for key, inner in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_restored(inner) for inner in value)
    return value
