"""Work on a list's samples in one or several processes, results in the list's order, faults collected."""

import multiprocessing
import multiprocessing.connection
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, TypeVar

from caffe_compat.errors import DataError
from caffe_compat.malloc import keep_freed_memory

__all__ = ["Fault", "collect_faults", "run_ordered"]

T = TypeVar("T")
Sample = tuple[int, str]
_AHEAD = 8


@dataclass(frozen=True)
class Fault:
    """A sample that cannot be used.

    Attributes:
        image_id: which.
        message: what is wrong and what to do, naming the file.
    """

    image_id: str
    message: str


def run_ordered(work: Callable[[str], T], samples: Sequence[Sample], jobs: int) -> Iterator[tuple[Sample, T | Fault]]:
    """Apply ``work`` to each sample's id.

    Args:
        work: raises DataError for a faulty sample; picklable for more than one job.
        samples: positions and ids.
        jobs: processes; 1 works in this one.

    Returns:
        Each sample with its result or its Fault, in the given order. At most a few per job are held at a time.

    Raises:
        DataError: a process died.
    """
    if jobs <= 1 or len(samples) < 2:
        for sample in samples:
            yield sample, _attempt(work, sample[1])
        return
    waiting: deque[tuple[Sample, Future[T | Fault]]] = deque()
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(jobs, len(samples)), context, initializer=_take, initargs=(work,))
    try:
        for sample in samples:
            waiting.append((sample, pool.submit(_attempt_taken, sample[1])))
            if len(waiting) >= jobs * _AHEAD:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    except BrokenProcessPool as error:
        raise DataError(
            "a worker process ended by itself, perhaps for lack of memory; run again with fewer --jobs: "
            "it goes on where it stopped"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def collect_faults(
    work: Callable[[str], object], ids: Sequence[str], jobs: int, strict: bool, progress: Callable[[int], Any]
) -> list[Fault]:
    """Apply ``work`` to each id for its own sake.

    Args:
        work: as for ``run_ordered``.
        ids: the samples, in order.
        jobs: processes.
        strict: stop at the first fault.
        progress: told 1 after each sample.

    Returns:
        The faults, in order.

    Raises:
        DataError: with ``strict``, the first fault; or a process died.
    """
    faults = []
    for _, result in run_ordered(work, list(enumerate(ids)), jobs):
        if isinstance(result, Fault):
            if strict:
                raise DataError(result.message)
            faults.append(result)
        progress(1)
    return faults


def _attempt(work: Callable[[str], T], image_id: str) -> T | Fault:
    try:
        return work(image_id)
    except DataError as error:
        return Fault(image_id, str(error))


_taken: Callable[[str], Any]


def _take(work: Callable[[str], Any]) -> None:
    """Keep the work in a process that has just been started, so that it is sent there once."""
    global _taken
    _taken = work
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_freed_memory()


def _end_with_parent() -> None:
    """End this process once the one that started it is gone: a killed one cannot tell its workers to stop."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _attempt_taken(image_id: str) -> Any:
    return _attempt(_taken, image_id)
