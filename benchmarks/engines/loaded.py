"""Weights from a file to a ready net, and what that cannot be faster than."""

import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from engines.work import Work
from measuring.own_process import peak_bytes

__all__ = ["time_loading", "write_state_dict"]


def time_loading(way: str, work: dict[str, Any], repeats: int) -> dict[str, Any]:
    """Seconds of one way of loading, imports done, the file in the page cache.

    Args:
        way: ``read and copy``: the caffemodel's bytes, and one copy of them; ``ours``: Net with all blobs kept;
            ``ours (lean)``: Net with keep; ``torch.load``: a state dict into the plain twin; ``opencv``: its dnn.
        work: the fields of a Work; its folder has the files.
        repeats: how often; what was loaded goes before the next.
    """
    load = _WAYS[way](Work(**work))
    load()
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        held = load()
        seconds.append(time.perf_counter() - begin)
        del held
    return {"seconds": median(seconds), "all_seconds": seconds, "bytes": peak_bytes()}


def write_state_dict(work: dict[str, Any]) -> dict[str, Any]:
    """Write the plain twin's weights to net.pt."""
    import torch

    from engines.plain_torch import PlainFCN8s

    given = Work(**work)
    path = Path(given.folder) / "net.pt"
    torch.save(PlainFCN8s(given.channels).state_dict(), path)
    return {"bytes": path.stat().st_size}


def _read_and_copy(work: Work) -> Any:
    path = Path(work.folder) / "net.caffemodel"

    def load() -> object:
        return np.frombuffer(path.read_bytes(), np.uint8).copy()

    return load


def _ours(work: Work) -> Any:
    from caffe_compat import TEST, Net

    return lambda: Net(f"{work.folder}/net.prototxt", f"{work.folder}/net.caffemodel", TEST)


def _ours_lean(work: Work) -> Any:
    from caffe_compat import TEST, Net

    return lambda: Net(f"{work.folder}/net.prototxt", f"{work.folder}/net.caffemodel", TEST, keep=["score"])


def _torch_load(work: Work) -> Any:
    import torch

    from engines.plain_torch import PlainFCN8s

    def load() -> object:
        with torch.device("meta"):
            net = PlainFCN8s(work.channels, weights=False)
        net.load_state_dict(torch.load(f"{work.folder}/net.pt"), assign=True)
        return net

    return load


def _opencv(work: Work) -> Any:
    import cv2

    return lambda: cv2.dnn.readNetFromCaffe(f"{work.folder}/net.prototxt", f"{work.folder}/net.caffemodel")


_WAYS = {
    "read and copy": _read_and_copy,
    "ours": _ours,
    "ours (lean)": _ours_lean,
    "torch.load": _torch_load,
    "opencv": _opencv,
}
