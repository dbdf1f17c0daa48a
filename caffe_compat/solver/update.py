"""One update of all parameters: clip, normalise, regularise, compute, apply; Caffe's order, one cached piece at a time.

Parameters are walked in pieces that fit the processor's cache, and every operation runs on a piece before the next is
touched, so that values, gradients and history cross the memory bus once. Nothing as large as a parameter is allocated.
Afterwards a parameter's diff holds the update that was subtracted, as in Caffe.

Source: BVLC/caffe src/caffe/solvers/sgd_solver.cpp (ApplyUpdate, ClipGradients, Normalize, Regularize)
and net.cpp (Update).
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from caffe_compat import glog
from caffe_compat.layer.blob import Blob

__all__ = ["History", "ParameterUpdate", "UpdateRule"]

History = list[torch.Tensor | None]
_PIECE = {"cpu": 2**18}  # elements; about a megabyte each of values, gradients and history
_PIECE_ELSEWHERE = 2**26


class UpdateRule(Protocol):
    """What tells one solver type from another."""

    history_per_param: int
    rests_at_zero_rate: bool
    """Whether a parameter of rate 0 whose history is zero stays as it is, history included."""

    def update_value(self, grad: torch.Tensor, history: Sequence[torch.Tensor], rate: float) -> None:
        """Turn gradients into what is subtracted from the values, and update the history; all in place.

        Args:
            grad: gradients of a piece of one parameter, regularised.
            history: the same piece of each of the parameter's history arrays.
            rate: learning rate times lr_mult.
        """


@dataclass(frozen=True)
class ParameterUpdate:
    """The settings and parameters of a solver's update.

    Args:
        rule: the solver type's rule.
        params: learnable blobs, owners only.
        lr_mults: learning rate multiplier of each.
        decay_mults: weight decay multiplier of each.
        weight_decay: the solver's weight_decay.
        l1: whether decay is by sign (L1) or by value (L2).
        clip: largest L2 norm of all gradients together; below 0 is no limit.
        iter_size: number of backward passes that the gradients are the sum of.
        history: ``rule.history_per_param`` times as many entries as params: the first of each parameter, then the
            second of each; of the parameter's shape, best in its memory layout. None stands for zeros not yet needed.
    """

    rule: UpdateRule
    params: Sequence[Blob]
    lr_mults: Sequence[float]
    decay_mults: Sequence[float]
    weight_decay: float
    l1: bool
    clip: float
    iter_size: int
    history: History

    @torch.no_grad()
    def apply(self, rate: float, done: Collection[Blob] = ()) -> None:
        """Update every parameter by its gradients at this learning rate, but for those that are done."""
        self._own_gradients()
        scale = self._clip_scale() / self.iter_size
        for i, blob in enumerate(self.params):
            if blob in done or (not blob.has_diff and self._rests(i, rate)):
                continue
            self._update(blob.tensor().data, blob.diff_tensor(), self._history_of(i), self._rates(i, rate), scale)
            blob.mark_changed()

    @torch.no_grad()
    def apply_rows(self, index: int, rate: float, first: int, grad: torch.Tensor) -> None:
        """Update some rows of one parameter by their gradients, which become the update; no clipping, iter_size 1.

        Args:
            index: of the parameter.
            rate: the learning rate.
            first: row.
            grad: from that row on; in the parameter's memory layout.
        """
        rows = slice(first, first + len(grad))
        history = [held[rows] for held in self._history_of(index)]
        self._update(self.params[index].tensor().data[rows], grad, history, self._rates(index, rate), 1.0)
        self.params[index].mark_changed()

    def _rates(self, index: int, rate: float) -> tuple[float, float]:
        """Learning rate and weight decay of a parameter."""
        local_rate = float(np.float32(rate) * np.float32(self.lr_mults[index]))
        return local_rate, float(np.float32(self.weight_decay) * np.float32(self.decay_mults[index]))

    def _slots(self, index: int) -> list[int]:
        """Where a parameter's history is."""
        return [index + k * len(self.params) for k in range(self.rule.history_per_param)]

    def _rests(self, index: int, rate: float) -> bool:
        """Whether a gradient of zero leaves a parameter and its history as they are."""
        local_rate, decay = self._rates(index, rate)
        if any(self.history[slot] is not None for slot in self._slots(index)):
            return False
        return decay == 0 or (local_rate == 0 and self.rule.rests_at_zero_rate)

    def _history_of(self, index: int) -> list[torch.Tensor]:
        """A parameter's history arrays, laid out as it is."""
        value = self.params[index].tensor().data
        history = []
        for slot in self._slots(index):
            held = self.history[slot]
            if held is None or held.device != value.device:
                held = torch.zeros_like(value) if held is None else held.to(value.device)
                self.history[slot] = held
            if held.stride() != value.stride():  # restored from a file, or the parameter was laid out anew
                held = self.history[slot] = torch.empty_like(value).copy_(held)
            history.append(held)
        return history

    def _update(
        self,
        value: torch.Tensor,
        grad: torch.Tensor,
        history: list[torch.Tensor],
        rates: tuple[float, float],
        scale: float,
    ) -> None:
        """Update values and history in place; the gradient becomes what was subtracted."""
        rate, decay = rates
        for w, g, *h in _pieces([value, grad, *history], _PIECE.get(value.device.type, _PIECE_ELSEWHERE)):
            work = g if g.is_contiguous() else torch.empty_like(g, memory_format=torch.contiguous_format).copy_(g)
            if scale != 1:
                work.mul_(scale)
            if decay:
                work.add_(w.sign() if self.l1 else w, alpha=decay)
            self.rule.update_value(work, h, rate)
            w.sub_(work)
            if work is not g:
                g.copy_(work)

    def _own_gradients(self) -> None:
        """Let no two parameters' gradients lie in one memory, nor one element stand for several: they get written."""
        seen: set[int] = set()
        for blob in self.params:
            if not blob.has_diff or not blob.count:
                continue
            grad = blob.diff_tensor()
            spread = any(stride == 0 and size > 1 for stride, size in zip(grad.stride(), grad.shape, strict=True))
            if spread or grad.data_ptr() in seen:
                grad = grad.clone(memory_format=torch.contiguous_format)
                blob.set_diff_tensor(grad)
            seen.add(grad.data_ptr())

    def _clip_scale(self) -> float:
        """What to multiply the gradients by so that their common norm, before iter_size divides it, is within clip."""
        if self.clip < 0:
            return 1.0
        norms = [torch.linalg.vector_norm(blob.diff_tensor()) for blob in self.params if blob.has_diff]
        norm = math.sqrt(sum(float(n) ** 2 for n in norms))
        if not norm > self.clip:
            return 1.0
        scale = self.clip / norm
        glog.info(
            "sgd_solver.cpp:98",
            f"Gradient clipping: scaling down gradients (L2 norm {glog.number(norm)} > {glog.number(self.clip)}) "
            f"by scale factor {glog.number(scale)}",
        )
        return scale


def _pieces(tensors: list[torch.Tensor], limit: int) -> Iterator[list[torch.Tensor]]:
    """The same part of each of several tensors of one shape, about ``limit`` elements at a time, as views."""
    first = tensors[0]
    rows = first.shape[0] if first.dim() else 1
    if all(t.is_contiguous() for t in tensors):
        tensors, step = [t.view(-1) for t in tensors], limit
    elif first.dim() == 4 and all(t.is_contiguous(memory_format=torch.channels_last) for t in tensors):
        tensors, step = [t.permute(0, 2, 3, 1).view(-1) for t in tensors], limit
    elif rows:
        step = max(1, limit * rows // max(1, first.numel()))
    else:
        return
    for start in range(0, len(tensors[0]), step):
        yield [t[start : start + step] for t in tensors]
