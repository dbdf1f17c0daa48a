"""Our lean net with some of the plan's rewrites off."""

from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np
import torch

from caffe_compat.net.plan.plan import REWRITES
from engines.images import images
from engines.ours import lean_net
from engines.work import Work
from measuring.own_process import peak_bytes
from measuring.timing import time_calls

__all__ = ["rewrites", "time_switched"]


def rewrites() -> dict[str, Any]:
    """Their names, in the plan's order."""
    return {"names": list(REWRITES)}


def time_switched(work: dict[str, Any], on: Sequence[str], repeats: int, scores: str) -> dict[str, Any]:
    """Seconds and peak memory of a forward.

    Args:
        work: the fields of a Work.
        on: names of the rewrites that are used.
        repeats: timed calls.
        scores: path of an .npy file that takes the first image's scores.
    """
    given = Work(**work)
    torch.set_num_threads(given.threads)
    net = lean_net(given)
    net._engine.plan.on = set(on)

    def run(image: np.ndarray) -> np.ndarray:
        net.blobs["data"].data[...] = image
        return net.forward()["score"]

    shown = images(given.shape)
    seconds = time_calls(run, shown, repeats)
    found = {"seconds": median(seconds), "all_seconds": seconds, "bytes": peak_bytes()}
    np.save(scores, run(shown[0]))
    return found
