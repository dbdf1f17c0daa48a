"""What the engine keeps of a forward for its backward, and the functions that users hang in between.

A record holds ends of autograd graphs, not the tops themselves: what a layer does not need for its gradient is freed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch.autograd.graph import GradientEdge

from caffe_compat.layer.blob import Blob

__all__ = ["Callbacks", "Record"]

Tensor = torch.Tensor


@dataclass
class Callbacks:
    """Functions of a layer index that run around each layer's forward and backward."""

    before_forward: list[Callable[[int], object]] = field(default_factory=list)
    after_forward: list[Callable[[int], object]] = field(default_factory=list)
    before_backward: list[Callable[[int], object]] = field(default_factory=list)
    after_backward: list[Callable[[int], object]] = field(default_factory=list)

    def any(self) -> bool:
        """Whether there are any: then every layer is a segment of its own."""
        return bool(self.before_forward or self.after_forward or self.before_backward or self.after_backward)


@dataclass
class Record:
    """The autograd graph of the segment first..last.

    Attributes:
        inputs: per node, the leaf tensors of its bottoms (None where no gradient is wanted) from outside the segment.
        params: per node, the leaf tensors of its parameters.
        tops: per node, where each top comes from in the graph (None: it carries no gradient).
        seen: blobs read from outside and their stamps, to know when the record has gone stale, or may have: layers
            save copies in other layouts, which a write through a held array does not reach.
    """

    first: int
    last: int
    inputs: list[list[Tensor | None]] = field(default_factory=list)
    params: list[list[Tensor | None]] = field(default_factory=list)
    tops: list[list[GradientEdge | None]] = field(default_factory=list)
    seen: list[tuple[Blob, int]] = field(default_factory=list)

    def stale(self) -> bool:
        """Whether a blob that the graph was made from has, or may have, changed since."""
        return any(blob.stamp() != stamp for blob, stamp in self.seen)
