"""The random stream of one data layer: its own, so that background loading does not disturb the net's draws."""

from typing import Any

import numpy as np
import torch

from caffe_compat.device import generator

__all__ = ["RandomStream"]


class RandomStream:
    """Draws seeded by one number from the process's stream, as Caffe's data layers seed theirs.

    So ``set_random_seed`` before the net is built fixes what is drawn, and the draws depend on nothing else.
    """

    def __init__(self) -> None:
        seed = torch.randint(2**63 - 1, (1,), generator=generator(torch.device("cpu"))).item()
        self._draws = np.random.Generator(np.random.PCG64(int(seed)))

    def below(self, n: int) -> int:
        """A whole number from 0 to n - 1, each as likely."""
        return int(self._draws.integers(n))

    def permutation(self, n: int) -> np.ndarray:
        """The numbers 0 to n - 1 in random order."""
        return self._draws.permutation(n)

    def state(self) -> dict[str, Any]:
        """Where the stream is: plain numbers."""
        return dict(self._draws.bit_generator.state)

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where ``state`` was taken."""
        self._draws.bit_generator.state = state
