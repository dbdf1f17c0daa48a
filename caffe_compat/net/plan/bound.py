"""How large a chain's values can get, from its bottom's values and its weights: below the bound nothing overflows.

The rewrites treat NaN and infinity otherwise than the layers do (oneDNN's ReLU turns NaN into 0, what is cached knows
nothing of them). From a finite bottom they can only come by overflow or from the weights; the bound rules both out.
"""

import math
from collections.abc import Sequence

import torch

from caffe_compat.layer.vision.convolution import Convolution
from caffe_compat.net.graph import Node
from caffe_compat.net.plan.stage import Stage

__all__ = ["Bounds"]

_LIMIT = 1e34  # far below the largest float: Winograd's transforms multiply by some hundreds


class Bounds:
    """Remembers, per Convolution, the largest sum of |weights| of an output and the largest |bias|."""

    def __init__(self) -> None:
        self._norms: dict[int, tuple[list[int], float, float]] = {}

    def holds(self, bottom: torch.Tensor, stages: Sequence[Stage]) -> bool:
        """Whether every value and partial sum of these stages is a number, and none is near overflow."""
        if bottom.numel() == 0:
            return False
        low, high = torch.aminmax(bottom)
        bound = max(abs(float(low)), abs(float(high)))
        if math.isnan(float(low)) or math.isnan(float(high)):
            return False
        for stage in stages:
            if not stage.pools:
                weight, bias = self.norm(stage.node)
                bound = bound * weight + bias
            if not bound < _LIMIT:
                return False
        return True

    def norm(self, node: Node) -> tuple[float, float]:
        """A Convolution's largest sum of |weights| of an output, and its largest |bias|."""
        assert isinstance(node.layer, Convolution)
        blobs = node.layer.blobs
        stamps = [blob.stamp() for blob in blobs]
        held = self._norms.get(node.index)
        if held is None or held[0] != stamps:
            weight, *bias = [blob.tensor() for blob in blobs]
            norm = float(torch.linalg.vector_norm(weight, 1, (1, 2, 3)).max())
            held = (stamps, norm, float(bias[0].abs().max()) if bias else 0.0)
            self._norms[node.index] = held
        return held[1], held[2]
