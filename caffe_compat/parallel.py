"""How many solvers train together and which one this process is: pycaffe's settings of these names.

Caffe trains on several GPUs with one process or thread for each, numbered by rank, that share gradients through NCCL.
The solver with rank r draws from random_seed + r, and of the records of a training database it takes every
solver_count-th, beginning with its rank. Here gradients are shared by the program, with torch.distributed in a callback
of the solver (README.md shows how): pycaffe's own NCCL class is refused, as a Caffe built without NCCL does.

Source: BVLC/caffe src/caffe/common.cpp, src/caffe/parallel.cpp, python/caffe/_caffe.cpp.
"""

from typing import Any

from caffe_compat.errors import DeviceError

__all__ = [
    "NCCL",
    "has_nccl",
    "multiprocess",
    "set_multiprocess",
    "set_solver_count",
    "set_solver_rank",
    "solver_count",
    "solver_rank",
]

_count = 1
_rank = 0
_multiprocess = False


def solver_count() -> int:
    """How many solvers train together; 1 unless told."""
    return _count


def set_solver_count(count: int) -> None:
    """Say how many solvers train together, before nets and solvers are built.

    Raises:
        DeviceError: fewer than 1.
    """
    global _count
    if count < 1:
        raise DeviceError(f"set_solver_count: {count} solvers; give 1 or more")
    _count = count


def solver_rank() -> int:
    """Which of the solvers this process is; 0 unless told."""
    return _rank


def set_solver_rank(rank: int) -> None:
    """Say which of the solvers this process is, counted from 0, before nets and solvers are built.

    Raises:
        DeviceError: below 0.
    """
    global _rank
    if rank < 0:
        raise DeviceError(f"set_solver_rank: rank {rank}; ranks are counted from 0")
    _rank = rank


def multiprocess() -> bool:
    """Whether the solvers are processes of their own; only remembered here, where they always are."""
    return _multiprocess


def set_multiprocess(value: bool) -> None:
    """Say that the solvers are processes of their own."""
    global _multiprocess
    _multiprocess = bool(value)


def has_nccl() -> bool:
    """Whether ``NCCL`` can be used: no; torch.distributed is what trains on several devices here."""
    return False


class NCCL:
    """pycaffe's class of that name, present so that scripts can be imported; ``has_nccl()`` is False.

    Raises:
        DeviceError: always, when it is to be made or used.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise _refused()

    @staticmethod
    def new_uid() -> bytes:
        """Would begin a group of solvers."""
        raise _refused()


def _refused() -> DeviceError:
    return DeviceError(
        "caffe.NCCL is not available (has_nccl() is False): start the program with torchrun, and average gradients "
        "by torch.distributed in a callback of solver.add_callback (README.md shows how)"
    )
