"""What an engine is to compute."""

import os
from dataclasses import dataclass

__all__ = ["Work", "available_threads", "parse_size"]


def available_threads() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parse_size(text: str) -> tuple[int, int]:
    """Height and width in pixels, from ``375x500``."""
    height, width = (int(side) for side in text.split("x"))
    return height, width


@dataclass(frozen=True)
class Work:
    """voc-fcn8s at one size.

    Args:
        height: of the images, pixels.
        width: of the images, pixels.
        batch: images per call.
        channels: fraction of the trunk's channels; 1 is the released net.
        threads: for every engine.
        precision: ``fp32`` or ``bf16``.
        device: ``cpu``, or ``cuda:0``, which ours and PyTorch have.
        folder: where the net's files are, for the engines that read files.
    """

    height: int
    width: int
    batch: int = 1
    channels: float = 1.0
    threads: int = 1
    precision: str = "fp32"
    device: str = "cpu"
    folder: str = ""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """N x 3 x H x W of the images."""
        return self.batch, 3, self.height, self.width

    @property
    def label_shape(self) -> tuple[int, int, int, int]:
        """N x 1 x H x W of the labels."""
        return self.batch, 1, self.height, self.width
