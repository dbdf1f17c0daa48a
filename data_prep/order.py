"""The order in which a data layer takes its samples: at random with replacement, or one after the other."""

import random
from typing import Any

from caffe_compat.errors import DataError
from data_prep.lists import list_digest

__all__ = ["SampleOrder"]


class SampleOrder:
    """Which sample is next.

    At random: ``random.Random(seed).randint(0, count - 1)`` for the first and for each that follows, so there are no
    epochs; the order is that of the released layers under Python 3, whose draws come from the global ``random``.
    Otherwise 0, 1, 2, ... and again from 0.

    Args:
        ids: the samples' names, in the list's order.
        randomize: draw at random.
        seed: of the draws; None takes one from the operating system.

    Attributes:
        index: the sample to give now, 0 to len(ids) - 1.
    """

    def __init__(self, ids: list[str], randomize: bool, seed: int | None) -> None:
        self.ids = ids
        self.randomize = randomize
        self._random = random.Random(seed)
        self.index = self._draw() if randomize else 0

    @property
    def current(self) -> str:
        """Name of the sample to give now."""
        return self.ids[self.index]

    def advance(self) -> None:
        """Go on to the next sample."""
        self.index = self._draw() if self.randomize else (self.index + 1) % len(self.ids)

    def _draw(self) -> int:
        return self._random.randint(0, len(self.ids) - 1)

    def state_dict(self) -> dict[str, Any]:
        """Position and random state, as values that JSON can hold."""
        version, numbers, gauss = self._random.getstate()
        return {
            "index": self.index,
            "count": len(self.ids),
            "list": list_digest(self.ids),
            "randomize": self.randomize,
            "random": [version, list(numbers), gauss],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where ``state_dict`` was taken.

        Raises:
            DataError: the state belongs to another list or way of drawing, or is damaged; nothing is changed then.
        """
        try:
            index, count, digest, randomize = state["index"], state["count"], state["list"], state["randomize"]
            version, numbers, gauss = state["random"]
            restored = random.Random()
            restored.setstate((int(version), tuple(int(n) for n in numbers), gauss))
            index = int(index)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"data position cannot be restored: {error!r}; the state is damaged") from error
        if digest != list_digest(self.ids):
            raise DataError(
                f"data position is of another list ({count} images; this one has {len(self.ids)}); "
                "go on with the list that the run began with, or start a new run"
            )
        if bool(randomize) != self.randomize or not 0 <= index < len(self.ids):
            raise DataError(
                f"data position {index} (randomize {bool(randomize)}) does not fit this layer "
                f"({len(self.ids)} images, randomize {self.randomize}); go on with the settings the run began with"
            )
        self._random, self.index = restored, index
