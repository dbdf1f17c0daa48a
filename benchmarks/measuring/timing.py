"""Seconds of calls."""

import time
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["time_calls"]


def time_calls(run: Callable[[Any], object], given: Sequence[Any], repeats: int, warm_up: int = 2) -> list[float]:
    """Seconds of ``repeats`` calls after ``warm_up`` others; each gets the next of ``given``, round and round."""
    for index in range(warm_up):
        run(given[index % len(given)])
    seconds = []
    for index in range(repeats):
        begin = time.perf_counter()
        run(given[index % len(given)])
        seconds.append(time.perf_counter() - begin)
    return seconds
