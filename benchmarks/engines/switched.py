"""Our lean nets with some of the plan's rewrites off."""

from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np

from caffe_compat.net.plan.plan import REWRITES
from engines.images import images
from engines.ours import begin, lean_net, training_solver
from engines.work import Work
from measuring.own_process import peak_bytes
from measuring.timing import time_calls

__all__ = ["rewrites", "time_switched"]


def rewrites() -> dict[str, Any]:
    """Their names, in the plan's order."""
    return {"names": list(REWRITES)}


def time_switched(task: str, work: dict[str, Any], on: Sequence[str], repeats: int, scores: str) -> dict[str, Any]:
    """Seconds and peak memory.

    Args:
        task: ``forward`` or ``step``.
        work: the fields of a Work; for a forward its folder has net.caffemodel.
        on: names of the rewrites that are used.
        repeats: timed calls.
        scores: path of an .npy file that takes the first image's scores; of a step nothing.
    """
    given = Work(**work)
    begin(given)
    made = training_solver(given) if task == "step" else None
    net = lean_net(given) if made is None else made.net
    net._engine.plan.on = set(on)

    def run(image: np.ndarray) -> Any:
        net.blobs["data"].data[...] = image
        return net.forward()["score"] if made is None else made.step(1)

    shown = images(given.shape)
    seconds = time_calls(run, shown, repeats)
    found = {"seconds": median(seconds), "all_seconds": seconds, "bytes": peak_bytes()}
    if made is None:
        np.save(scores, run(shown[0]))
    return found
