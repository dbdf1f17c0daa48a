"""Very large weights of a lean net updated while their gradient comes, a few rows at a time.

fc6's gradient is 411 MB, which would be written, read once and thrown away. Its rows are used as soon as they are
there: the weight is not needed any more, since the layer's other gradients have been made. What comes out is the same;
only the weight's diff is gone.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch

from caffe_compat.layer.blob import Blob
from caffe_compat.layer.contract import Layer
from caffe_compat.net.net import Net
from caffe_compat.net.plan.products import LARGE
from caffe_compat.solver.update import ParameterUpdate

__all__ = ["EarlyUpdate"]

_WHY = (
    "layer '{}': the diff of blob {} was used up while it came: a lean solver updates very large weights in the "
    "backward; build the solver without keep=, or give it a callback by add_callback, to read it"
)


class EarlyUpdate:
    """One iteration's updates of a net's very large weights during its backward.

    Args:
        net: a lean training net.
        update: the solver's, with iter_size 1 and no clipping.
        rate: learning rate.

    Attributes:
        done: the parameters that have been updated.
    """

    def __init__(self, net: Net, update: ParameterUpdate, rate: float) -> None:
        self.done: set[Blob] = set()
        self._net = net
        self._update = update
        self._rate = rate

    def __enter__(self) -> "EarlyUpdate":
        numbers = {blob: i for i, blob in enumerate(self._update.params)}
        takers: dict[Blob, Callable[[int, torch.Tensor], None]] = {}
        for layer, index, blob in _large_and_used_once(self._net.layers):
            if blob in numbers and not blob.diff_leased:
                takers[blob] = partial(self._take, blob, numbers[blob], _WHY.format(layer, index))
        self._net.give_gradients(takers)
        return self

    def __exit__(self, *_: object) -> None:
        self._net.give_gradients({})

    def _take(self, blob: Blob, index: int, why: str, first: int, rows: torch.Tensor) -> None:
        self.done.add(blob)
        self._update.apply_rows(index, self._rate, first, rows)
        blob.free_diff(why)


def _large_and_used_once(layers: Sequence[object]) -> list[tuple[str, int, Blob]]:
    """Layer, number and blob of the very large parameters that no other layer shares."""
    found = [
        (layer.name, index, blob)
        for layer in layers
        if isinstance(layer, Layer)
        for index, blob in enumerate(layer.blobs)
    ]
    large = [one for one in found if one[2].count >= LARGE]
    return [one for one in large if sum(one[2].shares_data(other) for _, _, other in found) == 1]
