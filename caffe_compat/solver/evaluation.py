"""What the log shows of a net's outputs, and the average of a test net's outputs over its test iterations.

Source: BVLC/caffe src/caffe/solver.cpp (Step's display, Test).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caffe_compat import glog
from caffe_compat.net.net import Net

if TYPE_CHECKING:
    from caffe_compat.solver.solver import Solver

__all__ = ["Output", "average_outputs", "display", "run_test"]


@dataclass(frozen=True)
class Output:
    """One output blob's values, flat, with the weight by which they count as a loss (0: they do not)."""

    name: str
    values: np.ndarray
    loss_weight: float


def _read_outputs(net: Net) -> list[Output]:
    """The net's outputs as they are now, in Caffe's order."""
    return [
        Output(name, blob.tensor().reshape(-1).cpu().numpy().copy(), weight)
        for name, blob, weight in net.output_blobs()
    ]


def _log_outputs(place: str, kind: str, outputs: list[Output]) -> None:
    """One line for every element: ``    Train net output #0: loss = 1.2 (* 1 = 1.2 loss)``.

    Args:
        place: as for ``glog.info``.
        kind: ``Train`` or ``Test``.
        outputs: what to show.
    """
    index = 0
    for output in outputs:
        weight = np.float32(output.loss_weight)
        for value in output.values:
            line = f"    {kind} net output #{index}: {output.name} = {glog.number(float(value))}"
            if weight:
                line += f" (* {glog.number(float(weight))} = {glog.number(float(weight * value))} loss)"
            glog.info(place, line)
            index += 1


def average_outputs(net: Net, iterations: int, go_on: Callable[[], bool]) -> tuple[list[Output], float] | None:
    """The mean of a net's outputs, element by element, and of its loss over some forward passes.

    Args:
        net: a net in phase TEST.
        iterations: how many forwards, each of one batch.
        go_on: asked before each forward; False gives up.

    Returns:
        The means and the mean loss, or None when given up.
    """
    sums: list[Output] = []
    loss = np.float32(0)
    for i in range(iterations):
        if not go_on():
            return None
        loss += np.float32(net.forward_loss())
        found = _read_outputs(net)
        if i == 0:
            sums = found
        else:
            for total, output in zip(sums, found, strict=True):
                np.add(total.values, output.values, out=total.values)
    count = np.float32(iterations)
    for total in sums:
        np.divide(total.values, count, out=total.values)
    return sums, float(loss / count) if iterations else float("nan")


def display(solver: "Solver", seconds: float, iterations: int) -> None:
    """Log the smoothed loss and the train net's outputs.

    Args:
        solver: whose iteration it is.
        seconds: time since the last display.
        iterations: number done since then.
    """
    speed = iterations / seconds if seconds else 0.0
    glog.info(
        "solver.cpp:239",
        f"Iteration {solver.iter} ({glog.number(speed)} iter/s, {glog.number(seconds)}s/{solver.param.display} iters), "
        f"loss = {glog.number(solver.smoothed.value)}",
    )
    _log_outputs("solver.cpp:258", "Train", _read_outputs(solver.net))


def run_test(solver: "Solver", index: int, go_on: Callable[[], bool]) -> None:
    """Test one test net with the train net's weights; the means go to the log and to ``test_scores``.

    Args:
        solver: whose test net it is.
        index: which one.
        go_on: as for ``average_outputs``; when given up, the scores stay as they were.
    """
    glog.info("solver.cpp:347", f"Iteration {solver.iter}, Testing net (#{index})")
    net = solver.test_nets[index]
    net.share_with(solver.net)
    found = average_outputs(net, solver.param.test_iter[index], go_on)
    if found is None:
        glog.info("solver.cpp:396", "Test interrupted.")
        return
    solver.test_scores[index], loss = found
    if solver.param.test_compute_loss:
        glog.info("solver.cpp:401", f"Test loss: {glog.number(loss)}")
    _log_outputs("solver.cpp:414", "Test", solver.test_scores[index])
