"""How near an HHA image is to another program's, per channel."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from caffe_compat.errors import DataError

__all__ = ["CHANNELS", "LEVELS", "Agreement", "compare_hha"]

CHANNELS: tuple[str, ...] = ("disparity", "height", "angle")
"""HHA's channels, red, green and blue of its PNG."""

LEVELS: tuple[int, ...] = (0, 1, 2, 5)
"""The differences, of 256 levels, whose shares of pixels are told."""


@dataclass(frozen=True)
class Agreement:
    """Differences between two HHA images, or between many pairs of them.

    Attributes:
        counts: 3 x 256, how many pixels of each channel differ by 0, 1, ... 255 levels.
    """

    counts: np.ndarray

    def __add__(self, other: "Agreement") -> "Agreement":
        return Agreement(self.counts + other.counts)

    def within(self, levels: int) -> tuple[float, ...]:
        """Share of pixels, 0 to 1, that differ by at most so many levels, for each channel."""
        near = self.counts[:, : levels + 1].sum(axis=1)
        return tuple(float(share) for share in near / self.counts.sum(axis=1))

    @property
    def largest(self) -> tuple[int, ...]:
        """The largest difference of each channel, levels."""
        return tuple(int(np.flatnonzero(row)[-1]) for row in self.counts)

    def lines(self) -> Iterable[str]:
        """A table: a line for each channel, a column for each of LEVELS, and the largest difference."""
        yield (
            "channel    " + "".join(f"{'equal' if one == 0 else f'within {one}':>11}" for one in LEVELS) + "   largest"
        )
        for channel, name in enumerate(CHANNELS):
            shares = "".join(f"{self.within(one)[channel]:>11.4%}" for one in LEVELS)
            yield f"{name:<11}{shares}{self.largest[channel]:>10}"


def compare_hha(ours: np.ndarray, reference: np.ndarray, name: str = "reference") -> Agreement:
    """Compare two HHA images.

    Args:
        ours: H x W x 3 uint8: disparity, height, angle.
        reference: the same of another program.
        name: of the reference, for the message.

    Raises:
        DataError: the shapes differ or are not H x W x 3.
    """
    if ours.ndim != 3 or ours.shape[2] != len(CHANNELS) or ours.shape != reference.shape:
        raise DataError(
            f"HHA has shape {ours.shape} and '{name}' {reference.shape}; wanted H x W x 3, both alike: compare images "
            "of the same depth, both cropped or both whole"
        )
    apart = np.abs(ours.astype(np.int16) - reference.astype(np.int16))
    return Agreement(np.stack([np.bincount(apart[..., one].ravel(), minlength=256) for one in range(len(CHANNELS))]))
