"""One array of a blob: a tensor that layers read and write, and the live NumPy arrays handed out of it.

Arrays are live, as in pycaffe: one handed out stays the blob's, writes through it count, and it shows the next
forward's values. A NumPy write leaves no trace in torch, so handing an array out is a lease, held by weak reference to
the flat array that every handed-out view is based on. While the lease lives, new values are copied into the leased
memory instead of replacing it, and ``stamp`` never repeats itself, so nothing derived from the values can be reused by
mistake.

The values may be held in another form alone, such as oneDNN's order of weights (``packed``), or as something that was
derived from them (``replaced``), if they can be read again where they came from; reading them brings them back.

On the CPU the handed-out array and the tensor are the same memory. On another device (or with ``mirrored``) there are
two, kept equal by Caffe's head state: handing out an array copies device to host and moves the head to the host; the
layer's next read copies host to device.

Source: BVLC/caffe src/caffe/syncedmem.cpp (head states); the lease is ours.
"""

import itertools
import math
import weakref
from collections.abc import Callable, Hashable
from typing import Any, Protocol

import numpy as np
import torch

from caffe_compat.errors import NetError

__all__ = ["Origin", "ReadRows", "SyncedMemory"]

Shape = tuple[int, ...]
ReadRows = Callable[[int, int], torch.Tensor]
_clock = itertools.count(1)  # one for all memories: a blob that takes over another's memory is seen to have changed


class Origin(Protocol):
    """Where values came from and can be read again."""

    def is_there(self) -> bool:
        """Whether they can still be read."""

    def read(self, first: int, last: int) -> np.ndarray:
        """The values from the first up to, and without, the last: a new flat array."""


class SyncedMemory:
    """Values of one blob's data or diff: zeros until written, at most one tensor per side.

    Args:
        dtype: element type, float32 as in Caffe's usual build.
        mirrored: keep the host copy apart from the tensor even on the CPU, as on a GPU (for tests of that path).
    """

    def __init__(self, dtype: torch.dtype = torch.float32, mirrored: bool = False) -> None:
        self.dtype = dtype
        self._mirrored = mirrored
        self._tensor: torch.Tensor | None = None  # what layers read; any layout, any device
        self._host: torch.Tensor | None = None  # flat, contiguous, CPU: what arrays are views of
        self._host_is_head = False  # the host copy is newer than the tensor
        self._packed: tuple[Hashable, Any] | None = None  # the values in another form, in the tensor's place
        self._unpacked: Callable[[], torch.Tensor] | None = None  # gives them back
        self._origin: Origin | None = None  # where the very same values can be read
        self._lease: weakref.ref[np.ndarray] | None = None
        self._lease_seen = False
        self._lease_turn = 0  # when a lease was last seen to let values change unnoticed
        self.generation = next(_clock)  # when the runtime last replaced or wrote the values
        self._dropped: str | None = None
        self._may_add_in_place = False  # the tensor is a sum made here, not one that a layer may still hold
        self._room: torch.Tensor | None = None  # memory of values that were cleared
        self._keeps_room = False

    # -- state ---------------------------------------------------------------------------------------------------------

    @property
    def written(self) -> bool:
        """Whether there is a value; without one, reading gives zeros."""
        return self._tensor is not None or self._host_is_head or self._packed is not None

    @property
    def leased(self) -> bool:
        """Whether an array that was handed out is still alive somewhere."""
        return self._lease is not None and self._lease() is not None

    def stamp(self) -> int:
        """A number that stays the same only while the values certainly do."""
        if self.leased or self._lease_seen:
            self._lease_turn = next(_clock)
        self._lease_seen = self.leased
        return max(self.generation, self._lease_turn)

    def revive(self) -> None:
        """Let dropped values be read, as zeros, and written again."""
        self._dropped = None

    def drop(self, why: str) -> None:
        """Free the values; reading them afterwards is an error that says why."""
        self.clear()
        self._dropped = why

    def clear(self) -> None:
        """Forget the values: they read as zeros. A live array keeps its memory but no longer belongs to the blob."""
        if self._keeps_room and self._tensor is not None and not self.leased:
            self._room = self._tensor
        self._tensor = self._host = self._lease = self._packed = self._origin = None
        self._host_is_head = False
        self._dropped = None
        self.generation = next(_clock)

    def room(self, shape: Shape, memory_format: torch.memory_format) -> torch.Tensor:
        """Memory on the CPU to make the next values in, for ``set``: that of the values cleared last, if it fits.

        New memory costs more than writing to it; from the first call on, ``clear`` keeps the old for this.
        """
        room, self._room, self._keeps_room = self._room, None, True
        if room is None or room.shape != shape or room.device.type != "cpu":
            room = None
        if room is None or not room.is_contiguous(memory_format=memory_format):
            room = torch.empty(shape, dtype=self.dtype, memory_format=memory_format)
        return room

    # -- the layers' side ----------------------------------------------------------------------------------------------

    def tensor(self, shape: Shape, device: torch.device) -> torch.Tensor:
        """The values as a tensor of this shape on this device (detached; may have any memory layout)."""
        if self._dropped:
            raise NetError(self._dropped)
        self._unpack()
        count = math.prod(shape)
        if self._host is not None and (self._host_is_head or (self._too_small(count) and self._host.numel() >= count)):
            held = self._host[:count].view(shape)
            self._tensor = held.to(device, copy=True) if self._apart(device) else held
            self._host_is_head = False
        if self._too_small(count):
            self._tensor, self._host = torch.zeros(shape, dtype=self.dtype, device=device), None
        assert self._tensor is not None
        if self._tensor.device != device:
            self._move(device)
        if self._tensor.shape != shape:
            self._tensor = self._tensor.reshape(-1)[:count].reshape(shape)
        return self._tensor

    def set(self, value: torch.Tensor) -> None:
        """Take new values from a layer; without a lease the tensor itself is kept, not copied."""
        value = value.detach()
        self.generation = next(_clock)
        self._dropped = self._packed = self._origin = None
        self._host_is_head = self._may_add_in_place = False
        if self._apart(value.device):
            self._tensor = value
        elif self.leased and self._host is not None and self._host.numel() >= value.numel():
            held = self._host[: value.numel()].view(value.shape)
            if held.data_ptr() != value.data_ptr() or not value.is_contiguous():
                held.data.copy_(value)  # .data: graphs that saved this memory must not see a version change
            self._tensor = held
        else:
            self._tensor, self._host = value, None

    def mark_changed(self) -> None:
        """The tensor was changed in place: it is now newer than the host copy and than anything derived from it."""
        self.generation = next(_clock)
        self._host_is_head = False
        self._origin = None

    def relayout(self, memory_format: torch.memory_format) -> None:
        """Keep the values in another memory layout from now on, unless an array of them is held or they are zeros."""
        if self._tensor is not None and not self.leased and not self._host_is_head:
            laid = self._tensor.contiguous(memory_format=memory_format)
            if laid is not self._tensor:
                self._tensor, self._host = laid, None

    def packed(
        self, key: Hashable, pack: Callable[[torch.Tensor], torch.Tensor], shape: Shape, device: torch.device
    ) -> torch.Tensor | None:
        """The values in another form, which takes the tensor's place until somebody reads that.

        Args:
            key: says which form.
            pack: makes it of the tensor; its ``to_dense`` must give the values back bit by bit.
            shape: as for ``tensor``.
            device: as for ``tensor``.

        Returns:
            The packed values; None where an array of them is held, or host and device copies are apart.
        """
        if not self._may_pack(device):
            return None
        if self._packed is None or self._packed[0] != key:
            values = pack(self.tensor(shape, device))
            self._hold(key, values, values.to_dense)
        assert self._packed is not None
        return self._packed[1]

    def replaced(
        self, key: Hashable, make: Callable[[ReadRows], Any], shape: Shape, device: torch.device
    ) -> Any | None:
        """What is derived from the values, which takes their place until somebody reads them: from their origin.

        Args:
            key: says what is derived.
            make: derives it, reading rows of the values (those from the first up to, and without, the last along axis
                0) one after the other: they are not in memory any more.
            shape: as for ``tensor``.
            device: as for ``tensor``.

        Returns:
            What ``make`` gave; None where there is no origin, or where ``packed`` gives None.
        """
        origin = self._origin
        if not self._may_pack(device) or origin is None:
            return None
        if self._packed is not None and self._packed[0] == key:
            return self._packed[1]
        if not origin.is_there():
            return None
        row = math.prod(shape[1:])

        def rows(first: int, last: int) -> torch.Tensor:
            return torch.from_numpy(origin.read(first * row, last * row)).view(last - first, *shape[1:])

        self._hold(None, None, lambda: rows(0, shape[0]))
        made = make(rows)
        self._hold(key, made, lambda: rows(0, shape[0]))
        return made

    def _may_pack(self, device: torch.device) -> bool:
        return not (self.leased or self._host_is_head or self._apart(device))

    def _hold(self, key: Hashable, values: Any, unpacked: Callable[[], torch.Tensor]) -> None:
        """Keep the values in another form alone."""
        self._packed, self._unpacked = (key, values), unpacked
        self._tensor = self._host = self._lease = None

    def _unpack(self) -> None:
        if self._packed is not None:
            assert self._unpacked is not None
            self._tensor, self._packed = self._unpacked(), None

    def write(
        self,
        value: torch.Tensor | np.ndarray,
        shape: Shape,
        device: torch.device,
        origin: Origin | None = None,
    ) -> None:
        """Copy new values into the memory that is already there (parameters: other blobs may share it).

        Args:
            value: of the same count.
            shape: as for ``tensor``.
            device: as for ``tensor``.
            origin: where these values can be read again, if anywhere.
        """
        self._packed = None  # all of it is overwritten
        held = self.tensor(shape, device) if self.written else torch.empty(shape, dtype=self.dtype, device=device)
        if isinstance(value, np.ndarray):
            if held.device.type == "cpu":
                np.copyto(held.numpy(), value.reshape(shape))
            else:
                held.data.copy_(torch.from_numpy(np.array(value)).reshape(shape))
        else:
            held.data.copy_(value.reshape(shape))
        if self.written:
            self.mark_changed()
        else:
            self.set(held)
        self._origin = None if self.leased else origin  # who holds an array may write to it

    def add(self, value: torch.Tensor, shape: Shape) -> None:
        """Add a layer's result to what is there."""
        if not self.written:
            self.set(value)
            return
        held = self.tensor(shape, value.device)
        if self._may_add_in_place or (self.leased and not self._apart(value.device)):
            held.data.add_(value)
            self.mark_changed()
        else:
            self.set(held + value.detach())
            self._may_add_in_place = True

    # -- the user's side -----------------------------------------------------------------------------------------------

    def array(self, shape: Shape) -> np.ndarray:
        """The values as a live C-contiguous array of this shape; the caller's writes through it count."""
        if self._dropped:
            raise NetError(self._dropped)
        self._unpack()
        root = self._lease() if self._lease is not None else None
        where = self._tensor.device if self._tensor is not None else torch.device("cpu")
        if self._apart(where):
            root = self._sync_to_host(shape, root)
        else:
            held = self.tensor(shape, where)
            if held.dtype != self.dtype:  # a gradient of a net that computes in bfloat16
                held = held.to(self.dtype)
            if self._host is None or self._host.data_ptr() != held.data_ptr():
                if not held.is_contiguous() or held.untyped_storage().nbytes() != held.nbytes:
                    held = held.clone(memory_format=torch.contiguous_format)  # or it is a view of another's memory
                    self.generation = next(_clock)  # graphs over the old memory will not see what is written here
                self._tensor, self._host, root = held, held.view(-1), None
            if root is None:
                root = self._host.numpy()
        self._lease = weakref.ref(root)
        self._lease_seen = True
        self._origin = None  # it may be written to
        return root[: math.prod(shape)].reshape(shape)

    def _sync_to_host(self, shape: Shape, root: np.ndarray | None) -> np.ndarray:
        """Bring the host copy up to date and make it the head, as Caffe's mutable_cpu_data."""
        count = math.prod(shape)
        if self._host is None or self._host.numel() < count:
            self._host, root = torch.zeros(count, dtype=self.dtype), None
        if not self._host_is_head:
            if self._tensor is not None:
                self._host[:count].copy_(self._tensor.reshape(-1)[:count])
            self._host_is_head = True
        return self._host.numpy() if root is None else root

    def _move(self, device: torch.device) -> None:
        """Take the tensor to another device; the host copy, and any array handed out of it, stays the blob's."""
        assert self._tensor is not None
        if self._apart(device):
            if self._tensor.device.type == "cpu" and self._host is None:
                self._lease = None
            self._tensor = self._tensor.to(device)
        elif self._host is not None and self._host.numel() >= self._tensor.numel():
            held = self._host[: self._tensor.numel()].view(self._tensor.shape)
            self._tensor = held.copy_(self._tensor)
        else:
            self._tensor, self._host, self._lease = self._tensor.to(device), None, None

    def _too_small(self, count: int) -> bool:
        return self._tensor is None or self._tensor.numel() < count

    def _apart(self, device: torch.device) -> bool:
        return self._mirrored or device.type != "cpu"
