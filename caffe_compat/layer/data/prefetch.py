"""Batches loaded in the background, in order, and the base of the layers that take them.

One thread loads up to ``prefetch`` batches ahead. Positions and random draws belong to the batch source alone and move
only with it, so what comes out does not depend on timing. Each batch carries the source's state after it; the layer's
state is that of the last batch that was consumed, whatever has been loaded beyond.
"""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import torch

from caffe_compat.device import device
from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, SourceLayer

__all__ = ["BatchSource", "PrefetchingLayer"]


class BatchSource(Protocol):
    """Where batches come from; used by one thread at a time."""

    def load(self) -> list[np.ndarray]:
        """The next batch: one float32 array per top, not used again by the source."""

    def state(self) -> dict[str, Any]:
        """The position of the next batch and the random stream; plain values."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where ``state`` was taken."""

    def close(self) -> None:
        """Close files."""


Loaded = tuple[list[np.ndarray], dict[str, Any]]


class _Prefetcher:
    """Keeps ``depth`` batches loaded or on their way."""

    def __init__(self, source: BatchSource, depth: int) -> None:
        self.state = source.state()
        self._source = source
        self._depth = depth
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="caffe-prefetch")
        self._queue: deque[Future[Loaded]] = deque()

    def peek(self) -> list[np.ndarray]:
        """The next batch, which stays the next."""
        while len(self._queue) < self._depth:
            self._queue.append(self._worker.submit(_load, self._source))
        try:
            return self._queue[0].result()[0]
        except Exception:
            self.restore(self.state)  # a retry reads this batch again: the cause may have been put right
            raise

    def take(self) -> list[np.ndarray]:
        """The next batch."""
        batch = self.peek()
        self.state = self._queue.popleft().result()[1]
        return batch

    def restore(self, state: dict[str, Any]) -> None:
        self._drain()
        self._source.restore(state)
        self.state = state

    def close(self) -> None:
        self._drain()
        self._worker.shutdown()
        self._source.close()

    def _drain(self) -> None:
        """Forget what is loaded, after waiting for what is being loaded."""
        while self._queue:
            future = self._queue.pop()
            if not future.cancel():
                future.exception()


def _load(source: BatchSource) -> Loaded:
    return source.load(), source.state()


class PrefetchingLayer(SourceLayer):
    """A data layer whose batches are loaded in the background; subclasses say from where.

    Loading begins when the top shapes are first asked for. What goes wrong while loading a batch is raised by the
    forward that would have given it.
    """

    _prefetcher: _Prefetcher | None = None
    _last: list[torch.Tensor]

    def open_source(self) -> tuple[BatchSource, int]:
        """Check the parameters and open the source; also how many batches to load ahead."""
        raise NotImplementedError

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Open the source."""
        source, depth = self.open_source()
        self._prefetcher = _Prefetcher(source, max(depth, 1))

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """Shapes of the next batch."""
        return [array.shape for array in self._open_prefetcher().peek()]

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """The next batch."""
        if not context.replay:
            self._last = [torch.from_numpy(array).to(device()) for array in self._open_prefetcher().take()]
        return self._last

    def state_dict(self) -> dict[str, Any]:
        """The position of the next batch to be consumed, and the random stream there."""
        return self._open_prefetcher().state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to where the state was taken."""
        self._open_prefetcher().restore(state)

    def close(self) -> None:
        """Stop loading and close the source."""
        if self._prefetcher is not None:
            self._prefetcher.close()
            self._prefetcher = None

    def _open_prefetcher(self) -> _Prefetcher:
        if self._prefetcher is None:
            raise self.error("it is closed; build the net again to read on")
        return self._prefetcher
