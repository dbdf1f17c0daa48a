"""The loss as the log shows it: the mean of the last ``average_loss`` iterations."""

import numpy as np

__all__ = ["SmoothedLoss"]


class SmoothedLoss:
    """A running mean in float32, updated as Caffe updates it, so that the log shows the same digits.

    Source: BVLC/caffe src/caffe/solver.cpp (UpdateSmoothedLoss).

    Args:
        size: average_loss, how many losses are averaged; 1 or more.
        losses: the losses in the buffer, to go on from.
        value: their mean as it stood.
        position: where the next loss goes once the buffer is full.
    """

    def __init__(self, size: int, losses: list[float] | None = None, value: float = 0.0, position: int = 0) -> None:
        self._size = size
        self._losses = [np.float32(loss) for loss in losses or []]
        self._value = np.float32(value)
        self._position = position

    @property
    def value(self) -> float:
        """The mean so far; 0 before the first loss."""
        return float(self._value)

    def add(self, loss: float) -> None:
        """Take in the loss of one iteration."""
        new = np.float32(loss)
        with np.errstate(all="ignore"):
            if len(self._losses) < self._size:
                self._losses.append(new)
                count = np.float32(len(self._losses))
                self._value = (self._value * (count - 1) + new) / count
            else:
                self._value += (new - self._losses[self._position]) / np.float32(self._size)
                self._losses[self._position] = new
        self._position = (self._position + 1) % self._size

    def state(self) -> dict[str, object]:
        """The arguments that make an equal one."""
        losses = [float(loss) for loss in self._losses]
        return {"size": self._size, "losses": losses, "value": self.value, "position": self._position}
