"""Solver types by name."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from caffe_compat.errors import SolverError
from caffe_compat.proto.caffe_pb2 import SolverParameter
from caffe_compat.solver.params import read_settings

if TYPE_CHECKING:
    from caffe_compat.solver.solver import Solver

__all__ = ["get_solver", "register", "solver_types"]

_types: dict[str, "type[Solver]"] = {}
_S = TypeVar("_S", bound="type[Solver]")


def register(solver: _S) -> _S:
    """Make a solver class known by its ``type``; a class decorator.

    Raises:
        SolverError: the type is taken.
    """
    if solver.type in _types:
        raise SolverError(f"solver type '{solver.type}' is already registered, by {_types[solver.type].__qualname__}")
    _types[solver.type] = solver
    return solver


def solver_types() -> list[str]:
    """The registered types, sorted."""
    return sorted(_types)


def get_solver(
    source: str | os.PathLike[str] | SolverParameter, keep: Sequence[str] | None = None, precision: str = "fp32"
) -> "Solver":
    """A solver of the type that the settings name.

    Args:
        source: a solver prototxt, or the message.
        keep: as for ``Solver``.
        precision: likewise.

    Raises:
        SolverError: an unknown type, or as for ``Solver``.
        ParseError: the file cannot be read.
    """
    param = read_settings(source)
    if param.type not in _types:
        raise SolverError(f"solver: unknown type '{param.type}'; set it to one of: {', '.join(solver_types())}")
    return _types[param.type](param, keep=keep, precision=precision)
