"""Images and labels to compute on; NumPy only."""

from collections.abc import Sequence

import numpy as np

__all__ = ["CLASSES", "images", "labels"]

CLASSES = 21
_GRAINS_PX = (1, 12, 60)  # of the noise: one image is fine, one middling, one coarse
_LOW, _HIGH = -124.0, 151.0  # BGR minus mean


def images(shape: Sequence[int], count: int = 3) -> list[np.ndarray]:
    """Different images, float32 of ``shape`` (N x 3 x H x W), BGR minus mean: noise of different grain."""
    rng = np.random.default_rng(0)
    number, channels, height, width = shape
    made = []
    for index in range(count):
        grain = _GRAINS_PX[index % len(_GRAINS_PX)]
        rows, columns = -(-height // grain), -(-width // grain)
        coarse = rng.uniform(_LOW, _HIGH, (number, channels, rows, columns)).astype(np.float32)
        image = coarse.repeat(grain, axis=2).repeat(grain, axis=3)[:, :, :height, :width]
        made.append(np.ascontiguousarray(image))
    return made


def labels(shape: Sequence[int]) -> np.ndarray:
    """Class numbers, float32 of ``shape`` (N x 1 x H x W)."""
    return np.random.default_rng(1).integers(0, CLASSES, tuple(shape)).astype(np.float32)
