"""Timer: pycaffe's stopwatch.

    timer = caffe_compat.Timer()
    timer.start()
    net.forward()
    timer.stop()
    timer.ms            # milliseconds

Source: BVLC/caffe src/caffe/util/benchmark.cpp, python/caffe/_caffe.cpp.
"""

import time

import torch

from caffe_compat import glog
from caffe_compat.device import device

__all__ = ["Timer"]


class Timer:
    """Wall-clock time between ``start`` and ``stop``; in GPU mode both wait for the work given to the GPU.

    A start while it runs and a stop while it does not change nothing, as in Caffe.
    """

    def __init__(self) -> None:
        self._began: float | None = None  # while it runs, seconds
        self._ms: float | None = None

    def start(self) -> None:
        """Begin."""
        if self._began is None:
            self._began = _now()

    def stop(self) -> None:
        """End."""
        if self._began is not None:
            self._ms = (_now() - self._began) * 1e3
            self._began = None

    @property
    def ms(self) -> float:
        """Milliseconds of the last run; stops a running timer; 0 and a warning in the log if it never ran."""
        self.stop()
        if self._ms is None:
            glog.warning("Timer has never been run before reading time.")
            return 0.0
        return self._ms


def _now() -> float:
    on = device()
    if on.type == "cuda":
        torch.cuda.synchronize(on)
    return time.perf_counter()
