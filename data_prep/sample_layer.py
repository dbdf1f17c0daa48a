"""What all our data layers share: one sample at a time, in an order that can be saved and gone on with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from caffe_compat.layer.blob import Blob
from caffe_compat.layer.python_layer import PyLayer
from data_prep.order import SampleOrder

__all__ = ["SampleLayer", "draws_at_random"]


def draws_at_random(split: str, randomize: bool) -> bool:
    """Whether a split is drawn from at random: its name (of a path, the file's) contains ``train``, as released."""
    return randomize and "train" in Path(split).stem


class SampleLayer(PyLayer):
    """One sample per forward; subclasses say in ``setup`` which there are, and in ``load`` what is in one.

    Tops:     one per array that ``load`` gives: 1 x C x H x W, of the sample's own size.
    """

    order: SampleOrder
    _loaded: list[np.ndarray] | None = None

    def choose_order(self, ids: list[str], params: dict[str, Any]) -> None:
        """Draw from the ids, or take them in turn, as param_str's split, randomize and seed say."""
        randomize = draws_at_random(params["split"], params.get("randomize", True))
        self.order = SampleOrder(ids, randomize, params.get("seed"))

    def load(self, image_id: str) -> list[np.ndarray]:
        """The tops' values for a sample, each C x H x W."""
        raise NotImplementedError

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Load the sample whose turn it is, and give the tops its size."""
        for blob, values in zip(top, self._sample(), strict=True):
            blob.reshape(1, *values.shape)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Give the sample and go on to the next."""
        for blob, values in zip(top, self._sample(), strict=True):
            blob.data[...] = values
        self._loaded = None
        self.order.advance()

    def _sample(self) -> list[np.ndarray]:
        if self._loaded is None:
            self._loaded = self.load(self.order.current)
        return self._loaded

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """Data has no gradient."""

    def state_dict(self) -> dict[str, Any]:
        """The sample whose turn it is and the random state, as values that JSON can hold."""
        return self.order.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state.

        Raises:
            DataError: it belongs to another list; nothing is changed then.
        """
        self.order.load_state_dict(state)
        self._loaded = None
