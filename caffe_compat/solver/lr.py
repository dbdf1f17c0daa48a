"""The learning rate of an iteration: Caffe's seven policies.

    fixed      base_lr
    step       base_lr * gamma ^ floor(iter / stepsize)
    exp        base_lr * gamma ^ iter
    inv        base_lr * (1 + gamma * iter) ^ -power
    multistep  base_lr * gamma ^ (number of stepvalues reached)
    poly       base_lr * (1 - iter / max_iter) ^ power, zero at max_iter
    sigmoid    base_lr / (1 + exp(-gamma * (iter - stepsize)))

The result is rounded to float32, as Caffe keeps it. ``multistep`` counts the stepvalues it has passed in
``current_step``, which solver states carry, and passes at most one per iteration.
Source: BVLC/caffe src/caffe/solvers/sgd_solver.cpp (GetLearningRate).
"""

import math

import numpy as np

from caffe_compat import glog
from caffe_compat.errors import SolverError
from caffe_compat.proto.caffe_pb2 import SolverParameter

__all__ = ["POLICIES", "check_policy", "learning_rate"]

POLICIES = ("exp", "fixed", "inv", "multistep", "poly", "sigmoid", "step")


def check_policy(param: SolverParameter) -> None:
    """See that the policy is known and has what it needs.

    Raises:
        SolverError: an unknown policy; gamma below 0, stepsize or max_iter missing where the policy uses it.
    """
    policy = param.lr_policy
    if policy not in POLICIES:
        found = f"unknown lr_policy '{policy}'" if policy else "lr_policy is not set"
        raise SolverError(f"solver: {found}; set it to one of: {', '.join(POLICIES)}")
    if policy in ("step", "sigmoid") and param.stepsize < 1:
        raise SolverError(
            f"solver: lr_policy '{policy}' needs stepsize of 1 or more, found {param.stepsize}; set stepsize"
        )
    if policy not in ("fixed", "poly") and not param.gamma >= 0:
        raise SolverError(f"solver: lr_policy '{policy}' needs gamma of 0 or more, found {param.gamma:g}; change gamma")
    if policy == "poly" and param.max_iter < 1:
        raise SolverError(f"solver: lr_policy 'poly' needs max_iter of 1 or more, found {param.max_iter}; set max_iter")


def learning_rate(param: SolverParameter, iteration: int, current_step: int) -> tuple[float, int]:
    """The rate of this iteration and the step counter after it.

    Args:
        param: the solver's settings.
        iteration: number of updates done so far.
        current_step: the counter as the last call gave it or a solver state held it; 0 at first.

    Raises:
        SolverError: as for ``check_policy``.
    """
    check_policy(param)
    gamma, power = np.float32(param.gamma), np.float32(param.power)
    factor = 1.0
    match param.lr_policy:
        case "step":
            current_step = iteration // param.stepsize
            factor = _power(float(gamma), current_step)
        case "exp":
            factor = _power(float(gamma), iteration)
        case "inv":
            factor = _power(float(1 + gamma * np.float32(iteration)), -float(power))
        case "multistep":
            if current_step < len(param.stepvalue) and iteration >= param.stepvalue[current_step]:
                current_step += 1
                glog.info("sgd_solver.cpp:50", f"MultiStep Status: Iteration {iteration}, step = {current_step}")
            factor = _power(float(gamma), current_step)
        case "poly":
            factor = _power(float(1 - np.float32(iteration) / np.float32(param.max_iter)), float(power))
        case "sigmoid":
            exponent = float(-gamma * np.float32(iteration - param.stepsize))
            factor = 1 / (1 + math.exp(exponent)) if exponent < 700 else 0.0
    return float(np.float32(float(param.base_lr) * factor)), current_step


def _power(base: float, exponent: float) -> float:
    """C's pow: a result that is too large is infinite, one that does not exist is NaN."""
    with np.errstate(all="ignore"):
        return float(np.power(np.float64(base), np.float64(exponent)))
