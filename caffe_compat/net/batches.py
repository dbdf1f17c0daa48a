"""Any number of inputs through a net, a batch at a time: what Net.forward_all and forward_backward_all do.

The last batch is filled up with zeros, and what comes of the zeros is dropped.

Source: BVLC/caffe python/caffe/pycaffe.py.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from caffe_compat.errors import NetError

if TYPE_CHECKING:
    from caffe_compat.net.net import Net

__all__ = ["forward_all", "forward_backward_all"]

Arrays = Mapping[str, np.ndarray]


def forward_all(net: "Net", blobs: Sequence[str], given: Arrays) -> dict[str, np.ndarray]:
    """See Net.forward_all."""
    wanted = {*net.outputs, *blobs}
    count = _check(net, given, wanted)
    rows: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    for batch in _batches(net, given):
        _collect(rows, net.forward(blobs=blobs, **batch))
    return _joined(rows, count)


def forward_backward_all(
    net: "Net", blobs: Sequence[str], diffs: Sequence[str], given: Arrays
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """See Net.forward_backward_all."""
    wanted, wanted_diffs = {*net.outputs, *blobs}, {*net.inputs, *diffs}
    count = _check(net, given, wanted | wanted_diffs)
    rows: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    diff_rows: dict[str, list[np.ndarray]] = {name: [] for name in wanted_diffs}
    forwards = _batches(net, {name: given[name] for name in net.inputs if name in given})
    backwards = _batches(net, {name: given[name] for name in net.outputs if name in given})
    nothing: dict[str, Any] = {}
    for values, top_diffs in zip_longest(forwards, backwards, fillvalue=nothing):
        _collect(rows, net.forward(blobs=blobs, **values))
        _collect(diff_rows, net.backward(diffs=diffs, **top_diffs))
    return _joined(rows, count), _joined(diff_rows, count)


def _check(net: "Net", given: Arrays, wanted: Collection[str]) -> int:
    """How many were given, after checking that there is something to run and that results can be joined."""
    if not given or not set(given) <= {*net.inputs, *net.outputs}:
        raise NetError(
            f"a run over batches was given values for {', '.join(given) or 'nothing'}; "
            f"give values for the inputs ({', '.join(net.inputs) or 'none'})"
        )
    counts = {name: len(values) for name, values in given.items()}
    if len(set(counts.values())) > 1:
        raise NetError(f"a run over batches was given different numbers of values: {counts}; give as many for each")
    for name in wanted:
        if name not in net.blobs:
            raise NetError(f"the net has no blob '{name}'; it has: {', '.join(net.blobs)}")
        if not net.blobs[name].shape:
            raise NetError(f"blob '{name}' is a single value, which batches cannot be joined along; use forward()")
    return next(iter(counts.values()))


def _batches(net: "Net", given: Arrays) -> Iterator[dict[str, Any]]:
    """The values, as many at a time as the first blob has in its first axis; none where none were given."""
    if not given:
        return
    size = net.blobs[next(iter(given))].shape[0]
    for begin in range(0, len(next(iter(given.values()))), size):
        yield {name: _filled_up(values[begin : begin + size], size) for name, values in given.items()}


def _filled_up(values: np.ndarray, size: int) -> np.ndarray:
    short = size - len(values)
    return np.concatenate([values, np.zeros((short, *values.shape[1:]), values.dtype)]) if short else values


def _collect(rows: dict[str, list[np.ndarray]], found: Arrays) -> None:
    for name in rows:
        if name in found:  # a lean net gives only what it keeps
            rows[name].extend(found[name].copy())


def _joined(rows: Mapping[str, list[np.ndarray]], count: int) -> dict[str, np.ndarray]:
    return {name: np.asarray(values[:count]) for name, values in rows.items()}
