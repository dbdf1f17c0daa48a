"""One lean net through images of many sizes, and the same net at one size only."""

import time
from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np

from caffe_compat import Net
from engines.images import images
from engines.ours import begin, lean_net
from engines.work import Work
from measuring.own_process import peak_bytes, resident_bytes
from measuring.timing import time_calls

__all__ = ["GRID_PX", "time_fixed", "time_stream"]

GRID_PX = 8
"""Scores are compared at each so many rows and columns."""


def time_stream(work: dict[str, Any], sizes: Sequence[Sequence[int]], passes: int, scores: str) -> dict[str, Any]:
    """Seconds of each image, pass after pass, and the memory held after each.

    Args:
        work: the fields of a Work, its folder with net.caffemodel; the net is warmed up at its size.
        sizes: height and width of each image.
        passes: how often the stream is run through.
        scores: path of an .npz file that takes, for each size, the scores of its first image on a grid.
    """
    given = Work(**work)
    begin(given)
    net = lean_net(given)
    for image in images(given.shape, 2):
        _forward(net, image)
    seconds: list[list[float]] = []
    resident = [resident_bytes()]
    kept: dict[str, np.ndarray] = {}
    for _ in range(passes):
        seconds.append([])
        seen: Counter[tuple[int, int]] = Counter()
        for height, width in sizes:
            image = images((given.batch, 3, height, width))[seen[height, width] % 3]
            seen[height, width] += 1
            started = time.perf_counter()
            score = _forward(net, image)
            seconds[-1].append(time.perf_counter() - started)
            if seen[height, width] == 1:
                kept[f"{height}x{width}"] = score[:, :, ::GRID_PX, ::GRID_PX].copy()
        resident.append(resident_bytes())
    found = {"seconds": seconds, "resident": resident, "bytes": peak_bytes()}
    np.savez(scores, **kept)
    return found


def time_fixed(work: dict[str, Any], repeats: int, scores: str) -> dict[str, Any]:
    """Seconds of an image where the net has seen this size only; ``scores`` takes those of the first, on the grid."""
    given = Work(**work)
    begin(given)
    net = lean_net(given)
    shown = images(given.shape)
    seconds = time_calls(lambda image: _forward(net, image), shown, repeats)
    found = {"seconds": median(seconds), "bytes": peak_bytes()}
    np.save(scores, _forward(net, shown[0])[:, :, ::GRID_PX, ::GRID_PX])
    return found


def _forward(net: Net, image: np.ndarray) -> np.ndarray:
    """The scores, as solve.py's scoring has them: the net is reshaped to each image."""
    net.blobs["data"].reshape(*image.shape)
    net.blobs["data"].data[...] = image
    return net.forward()["score"]
