"""The layer contract: what a class must say and do to be a Caffe layer here.

The net calls, in order:

1. ``Layer(param, phase, top_count)``   counts are checked against ``bottoms`` and ``tops``.
2. ``setup(bottom_shapes)``             once: check the parameters, make ``self.blobs`` with ``add_blob``.
3. ``reshape(bottom_shapes)``           before the first forward and whenever a bottom's shape changed: the top shapes,
                                        or None where they depend on the data (Filter); check what shapes must satisfy.
4. ``forward(bottoms, blobs, context)`` the tops. Plain torch operations on the tensors given: the net runs it under
                                        autograd where gradients are needed, in any float type, on any device.

Gradients are autograd's. Where Caffe's differ from torch's, the layer brings a ``torch.autograd.Function`` of its own.
Tops are fresh tensors: only Split, Reshape and Flatten, whose tops share their bottom's memory in Caffe, return views
of a bottom. (With ``context.in_place`` a layer may overwrite bottom 0 with an in-place torch operation.)

A layer that must see Blobs rather than tensors (Python) is a ``BlobLayer``; one that reads data is a ``SourceLayer``.

Source: BVLC/caffe include/caffe/layer.hpp.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from caffe_compat.errors import LayerError, NetError
from caffe_compat.layer.blob import Blob, Shape, check_count
from caffe_compat.layer.filler import fill
from caffe_compat.proto import caffe_pb2 as pb

__all__ = ["BlobLayer", "Context", "Count", "Layer", "SourceLayer"]


@dataclass(frozen=True)
class Count:
    """How many bottoms or tops a layer takes: at least ``least``, at most ``most`` (None: no limit)."""

    least: int
    most: int | None

    @classmethod
    def exactly(cls, n: int) -> "Count":
        """Exactly n."""
        return cls(n, n)

    @classmethod
    def at_least(cls, n: int) -> "Count":
        """N or more."""
        return cls(n, None)

    def __contains__(self, n: int) -> bool:
        return self.least <= n and (self.most is None or n <= self.most)

    def __str__(self) -> str:
        if self.most is None:
            return f"at least {self.least}"
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"


@dataclass
class Context:
    """What a forward may know beyond its inputs.

    Attributes:
        phase: pb.TRAIN or pb.TEST.
        generator: the random stream of the device the tensors are on.
        state: this layer's own memory between calls (Dropout's mask, for one); lives as long as the net.
        replay: the call re-makes a graph for backward: the answer must be that of the last real forward, without
            drawing, counting, reading on or touching statistics.
        in_place: the layer may overwrite the memory of bottom 0 and give it back as top 0.
        same_blob: top 0 is bottom 0 in the prototxt. Some of Caffe's layers then take their gradient from overwritten
            values, and so must ours (Power, for one).
    """

    phase: int
    generator: torch.Generator
    state: dict[str, Any] = field(default_factory=dict)
    replay: bool = False
    in_place: bool = False
    same_blob: bool = False


class Layer:
    """Base of every layer type. Subclasses set ``type`` and are registered under it.

    Args:
        param: the layer's message.
        phase: pb.TRAIN or pb.TEST.
        top_count: how many tops the net gives it (some layers have optional ones).

    Raises:
        LayerError: wrong number of bottoms or tops.
    """

    type: ClassVar[str]
    bottoms: ClassVar[Count] = Count.exactly(1)
    tops: ClassVar[Count] = Count.exactly(1)
    equal_counts: ClassVar[bool] = False  # as many tops as bottoms
    top_is_free: ClassVar[bool] = False  # top 0 is fresh and autograd holds no part of it: it may be overwritten
    is_loss: ClassVar[bool] = False  # top 0 has loss weight 1 unless told, and is made where the prototxt names none

    def __init__(self, param: pb.LayerParameter, phase: int, top_count: int | None = None) -> None:
        self.param = param
        self.name = param.name
        self.phase = phase
        self.top_count = len(param.top) if top_count is None else top_count
        self.blobs: list[Blob] = []
        n = len(param.bottom)
        if n not in self.bottoms:
            raise self.error(f"{n} bottoms given; it takes {self.bottoms}; correct the layer's bottom lines")
        if self.top_count not in self.tops:
            raise self.error(f"{self.top_count} tops given; it makes {self.tops}; correct the layer's top lines")
        if self.equal_counts and n != self.top_count:
            raise self.error(f"{n} bottoms but {self.top_count} tops; it makes one top for each bottom")

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Check the parameters once and make the blobs."""

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape] | None:
        """Top shapes for these bottom shapes; None where only the data tells."""
        raise NotImplementedError

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """The tops for these bottoms; ``blobs`` are this layer's parameters as tensors, in order."""
        raise NotImplementedError

    def allows_force_backward(self, bottom: int) -> bool:
        """Whether force_backward reaches this bottom; a loss's label is left out."""
        return not (self.is_loss and bottom == 1)

    def default_loss_weight(self, top: int) -> float:
        """Weight of a top in the net's loss where the prototxt gives none."""
        return 1.0 if self.is_loss and top == 0 else 0.0

    def state_dict(self) -> dict[str, Any]:
        """What a bit-equal resume needs beyond the blobs, such as a data position; plain values and arrays."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what ``state_dict`` gave."""

    # -- for subclasses ------------------------------------------------------------------------------------------------

    def error(self, message: str) -> LayerError:
        """An error that begins with this layer's name and type."""
        return LayerError(self.name, self.type, message)

    def add_blob(self, shape: Sequence[int], filler: pb.FillerParameter) -> Blob:
        """Append a parameter blob, filled as the filler says."""
        try:
            check_count(shape, f"blob {len(self.blobs)}")
            blob = Blob(shape)
            fill(blob, filler)
        except NetError as error:
            raise self.error(str(error)) from error
        self.blobs.append(blob)
        return blob

    def axis(self, index: int, axes: int, field_name: str) -> int:
        """An axis index that may count from the end, made non-negative.

        Args:
            index: as given, -axes to axes - 1.
            axes: number of axes of the blob it belongs to.
            field_name: the prototxt field, for the message.
        """
        if not -axes <= index < axes:
            raise self.error(
                f"{field_name} {index} is out of range for a bottom of {axes} axes; use {-axes} to {axes - 1}"
            )
        return index % axes


class SourceLayer(Layer):
    """A layer that takes no bottoms and brings in data; ``reshape`` before the first forward may read one record."""

    bottoms: ClassVar[Count] = Count.exactly(0)
    tops: ClassVar[Count] = Count.at_least(1)

    def allows_force_backward(self, bottom: int) -> bool:
        """Data gets no gradient."""
        return False

    def close(self) -> None:
        """Stop background work and close files."""


class BlobLayer(Layer):
    """A layer that works on Blobs and brings its own backward, as pycaffe's Python layers do.

    The net calls ``setup_blobs`` once, ``reshape_blobs`` before every forward, then ``forward_blobs``;
    ``backward_blobs`` reads the tops' diffs and writes the bottoms'.
    """

    def setup_blobs(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Check the parameters once and make the blobs."""
        raise NotImplementedError

    def reshape_blobs(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Give the tops their shapes."""
        raise NotImplementedError

    def forward_blobs(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Write the tops' data."""
        raise NotImplementedError

    def backward_blobs(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        """Write the bottoms' diffs where propagate_down says so, and add to the parameters' diffs."""
        raise NotImplementedError
