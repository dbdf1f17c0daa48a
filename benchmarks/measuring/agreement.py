"""How far scores are from a reference."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Agreement", "agree", "agree_files"]


@dataclass(frozen=True)
class Agreement:
    """Two arrays of scores, N x classes x H x W.

    Attributes:
        difference: the largest, relative to the largest score of the reference.
        argmax: fraction of pixels whose highest class is the same.
    """

    difference: float
    argmax: float

    def cells(self) -> list[str]:
        """For a table: difference, and pixels in percent."""
        return [f"{self.difference:.1e}", f"{100 * self.argmax:.3f} %"]

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def agree(scores: np.ndarray, reference: np.ndarray) -> Agreement:
    """Compare.

    Raises:
        ValueError: the shapes differ.
    """
    if scores.shape != reference.shape:
        raise ValueError(f"scores are {scores.shape}, the reference {reference.shape}")
    difference = float(np.abs(scores - reference).max() / np.abs(reference).max())
    return Agreement(difference, float((scores.argmax(1) == reference.argmax(1)).mean()))


def agree_files(scores: Path, reference: Path) -> Agreement:
    """Compare two .npy files."""
    return agree(np.load(scores), np.load(reference))
