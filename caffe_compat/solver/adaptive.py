"""The solvers that scale each element's rate by what its gradients were: AdaGrad, RMSProp, AdaDelta, Adam.

``delta`` is added to the root, not under it (AdaDelta: under it).
"""

import math
from collections.abc import Sequence

import numpy as np
import torch

from caffe_compat.errors import SolverError
from caffe_compat.proto.caffe_pb2 import SolverParameter
from caffe_compat.solver.registry import register
from caffe_compat.solver.solver import Solver

__all__ = ["AdaDeltaSolver", "AdaGradSolver", "AdamSolver", "RMSPropSolver"]


def _refuse_momentum(param: SolverParameter) -> None:
    if param.momentum:
        raise SolverError(f"solver: {param.type} takes no momentum, found {param.momentum:g}; delete momentum")


@register
class AdaGradSolver(Solver):
    """AdaGrad: H += g^2, w -= rate g / (sqrt(H) + delta).

    Source: BVLC/caffe src/caffe/solvers/adagrad_solver.cpp; history: one blob per parameter, H.
    """

    type = "AdaGrad"

    @classmethod
    def check(cls, param: SolverParameter) -> None:
        """See ``Solver.check``; momentum is refused."""
        _refuse_momentum(param)

    def update_value(self, grad: torch.Tensor, history: Sequence[torch.Tensor], rate: float) -> None:
        """See ``UpdateRule.update_value``."""
        (squares,) = history
        squares.addcmul_(grad, grad)
        grad.div_(squares.sqrt().add_(self.param.delta)).mul_(rate)


@register
class RMSPropSolver(Solver):
    """RMSProp: H = rms_decay H + (1 - rms_decay) g^2, w -= rate g / (sqrt(H) + delta).

    Source: BVLC/caffe src/caffe/solvers/rmsprop_solver.cpp; history: one blob per parameter, H.
    """

    type = "RMSProp"

    @classmethod
    def check(cls, param: SolverParameter) -> None:
        """See ``Solver.check``; momentum is refused, rms_decay must be in [0, 1)."""
        _refuse_momentum(param)
        if not 0 <= param.rms_decay < 1:
            raise SolverError(f"solver: rms_decay is {param.rms_decay:g}; it must be at least 0 and below 1")

    def update_value(self, grad: torch.Tensor, history: Sequence[torch.Tensor], rate: float) -> None:
        """See ``UpdateRule.update_value``."""
        (squares,) = history
        keep = self.param.rms_decay
        squares.mul_(keep).addcmul_(grad, grad, value=float(1 - np.float32(keep)))
        grad.div_(squares.sqrt().add_(self.param.delta)).mul_(rate)


@register
class AdaDeltaSolver(Solver):
    """AdaDelta: G = m G + (1 - m) g^2, u = g sqrt((U + delta) / (G + delta)), U = m U + (1 - m) u^2, w -= rate u.

    m is ``momentum``. Source: BVLC/caffe src/caffe/solvers/adadelta_solver.cpp; history: G of every parameter, then U
    of every parameter.
    """

    type = "AdaDelta"
    history_per_param = 2

    def update_value(self, grad: torch.Tensor, history: Sequence[torch.Tensor], rate: float) -> None:
        """See ``UpdateRule.update_value``."""
        squares, updates = history
        keep, delta = self.momentum, self.param.delta
        take = float(1 - np.float32(keep))
        squares.mul_(keep).addcmul_(grad, grad, value=take)
        grad.mul_((updates + delta).div_(squares + delta).sqrt_())
        updates.mul_(keep).addcmul_(grad, grad, value=take)
        grad.mul_(rate)


@register
class AdamSolver(Solver):
    """Adam: M = b1 M + (1 - b1) g, V = b2 V + (1 - b2) g^2, w -= rate c M / (sqrt(V) + delta).

    c = sqrt(1 - b2^t) / (1 - b1^t); b1 is ``momentum``, b2 ``momentum2``, t the iteration counted from 1. Unlike
    torch's, delta is not corrected for bias. Source: BVLC/caffe src/caffe/solvers/adam_solver.cpp; history: M of every
    parameter, then V of every parameter.
    """

    type = "Adam"
    history_per_param = 2

    @classmethod
    def check(cls, param: SolverParameter) -> None:
        """See ``Solver.check``; momentum must be in [0, 1), momentum2 in [0, 1]."""
        if not 0 <= param.momentum < 1:
            raise SolverError(f"solver: Adam's momentum is {param.momentum:g}; it must be at least 0 and below 1")
        if not 0 <= param.momentum2 <= 1:
            raise SolverError(f"solver: Adam's momentum2 is {param.momentum2:g}; it must be in 0 to 1")

    def update_value(self, grad: torch.Tensor, history: Sequence[torch.Tensor], rate: float) -> None:
        """See ``UpdateRule.update_value``."""
        means, squares = history
        beta1, beta2, t = self.momentum, self.param.momentum2, self.iter + 1
        correction = math.sqrt(1 - beta2**t) / (1 - beta1**t)
        means.mul_(beta1).add_(grad, alpha=float(1 - np.float32(beta1)))
        squares.mul_(beta2).addcmul_(grad, grad, value=float(1 - np.float32(beta2)))
        torch.div(means, squares.sqrt().add_(self.param.delta), out=grad)
        grad.mul_(rate * correction)
