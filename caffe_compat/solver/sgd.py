"""SGD with momentum, and Nesterov's form of it."""

from collections.abc import Sequence

import torch

from caffe_compat.solver.registry import register
from caffe_compat.solver.solver import Solver

__all__ = ["NesterovSolver", "SGDSolver"]


@register
class SGDSolver(Solver):
    """Stochastic gradient descent with momentum: V = momentum V + rate g, w -= V.

    The rate is inside the history, so a change of rate does not rescale what has been gathered.

    Source: BVLC/caffe src/caffe/solvers/sgd_solver.cpp; history: one blob per parameter, V.
    """

    type = "SGD"
    rests_at_zero_rate = True

    def update_value(self, grad: torch.Tensor, history: Sequence[torch.Tensor], rate: float) -> None:
        """See ``UpdateRule.update_value``."""
        (velocity,) = history
        velocity.mul_(self.momentum).add_(grad, alpha=rate)
        grad.copy_(velocity)


@register
class NesterovSolver(Solver):
    """Nesterov's accelerated gradient: V' = momentum V + rate g, w -= (1 + momentum) V' - momentum V.

    Source: BVLC/caffe src/caffe/solvers/nesterov_solver.cpp; history: one blob per parameter, V.
    """

    type = "Nesterov"
    rests_at_zero_rate = True

    def update_value(self, grad: torch.Tensor, history: Sequence[torch.Tensor], rate: float) -> None:
        """See ``UpdateRule.update_value``."""
        (velocity,) = history
        before = velocity.clone()
        velocity.mul_(self.momentum).add_(grad, alpha=rate)
        torch.mul(velocity, 1 + self.momentum, out=grad)
        grad.sub_(before, alpha=self.momentum)
