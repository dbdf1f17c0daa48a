"""What the log shows of a net's outputs, and the average of a test net's outputs over its test iterations.

Source: BVLC/caffe src/caffe/solver.cpp (Step's display, Test).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from caffe_compat import log
from caffe_compat.net.net import Net

__all__ = ["Output", "average_outputs", "log_outputs", "read_outputs"]


@dataclass(frozen=True)
class Output:
    """One output blob's values, flat, with the weight by which they count as a loss (0: they do not)."""

    name: str
    values: np.ndarray
    loss_weight: float


def read_outputs(net: Net) -> list[Output]:
    """The net's outputs as they are now, in Caffe's order."""
    return [
        Output(name, blob.tensor().reshape(-1).cpu().numpy().copy(), weight)
        for name, blob, weight in net.output_blobs()
    ]


def log_outputs(place: str, kind: str, outputs: list[Output]) -> None:
    """One line for every element: ``    Train net output #0: loss = 1.2 (* 1 = 1.2 loss)``.

    Args:
        place: as for ``log.info``.
        kind: ``Train`` or ``Test``.
        outputs: what to show.
    """
    index = 0
    for output in outputs:
        weight = np.float32(output.loss_weight)
        for value in output.values:
            line = f"    {kind} net output #{index}: {output.name} = {log.number(float(value))}"
            if weight:
                line += f" (* {log.number(float(weight))} = {log.number(float(weight * value))} loss)"
            log.info(place, line)
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
        found = read_outputs(net)
        if i == 0:
            sums = found
        else:
            for total, output in zip(sums, found, strict=True):
                np.add(total.values, output.values, out=total.values)
    count = np.float32(iterations)
    for total in sums:
        np.divide(total.values, count, out=total.values)
    return sums, float(loss / count) if iterations else float("nan")
