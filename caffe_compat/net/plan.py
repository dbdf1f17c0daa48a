"""Exact rewrites that make a lean net's forward faster; what comes out is the same up to fp32 rounding.

- channels_last: 2-D convolution weights are kept once more in channels-last layout, which makes their outputs, and so
  the maps between them, channels-last too: the layout that CPU and GPU convolutions are fastest in.
- diagonal Deconvolution: FCN's interpolation layers hold one kernel per channel on the diagonal and zeros elsewhere;
  the zeros are not multiplied (a transposed convolution with one group per channel).

Prepared weights are re-made when their blob may have changed, and bypassed while an array of it is held.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from caffe_compat.device import device
from caffe_compat.layer.contract import Context
from caffe_compat.layer.vision.deconvolution import Deconvolution
from caffe_compat.net.graph import Node

__all__ = ["Plan"]

Tensor = torch.Tensor


@dataclass
class _Prepared:
    """A layer's parameters, ready for its forward, and the blobs' stamps and the device they were made at."""

    stamps: list[int]
    device: torch.device
    blobs: list[Tensor]
    diagonal: bool


class Plan:
    """Runs a node's forward without gradients, by the fastest equal way it knows.

    Args:
        enabled: False runs every layer plainly.
    """

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self._prepared: dict[int, _Prepared] = {}

    def forward(self, node: Node, bottoms: Sequence[Tensor], context: Context) -> list[Tensor]:
        """The node's tops for these bottoms."""
        layer = node.layer
        if not self.enabled or layer.type not in ("Convolution", "Deconvolution"):
            return layer.forward(bottoms, [blob.tensor() for blob in layer.blobs], context)
        prepared = self._prepare(node)
        if prepared.diagonal and isinstance(layer, Deconvolution):
            return [_depthwise(layer, bottom, prepared.blobs) for bottom in bottoms]
        return layer.forward(bottoms, prepared.blobs, context)

    def _prepare(self, node: Node) -> _Prepared:
        stamps = [blob.stamp() for blob in node.layer.blobs]
        held = self._prepared.get(node.index)
        if held is None or held.stamps != stamps or held.device != device():
            self._prepared.pop(node.index, None)
            weight, *bias = [blob.tensor() for blob in node.layer.blobs]
            diagonal = _is_diagonal(node, weight)
            if diagonal:
                weight = weight.diagonal().permute(2, 0, 1).unsqueeze(1).contiguous()
            elif weight.dim() == 4:
                weight = weight.contiguous(memory_format=torch.channels_last)
            held = _Prepared(stamps, device(), [weight, *bias], diagonal)
            if not any(blob.leased for blob in node.layer.blobs):
                self._prepared[node.index] = held
        return held


def _is_diagonal(node: Node, weight: Tensor) -> bool:
    """Whether a Deconvolution maps each channel to itself only."""
    layer = node.layer
    if not isinstance(layer, Deconvolution) or layer.group != 1 or layer.channel_axis != 1:
        return False
    if weight.dim() != 4 or weight.shape[0] != weight.shape[1]:
        return False
    rest = weight.abs().sum((2, 3))
    return bool((rest - torch.diag(rest.diagonal())).count_nonzero() == 0)


def _depthwise(layer: Deconvolution, bottom: Tensor, blobs: Sequence[Tensor]) -> Tensor:
    weight, *bias = blobs
    return F.conv_transpose2d(
        bottom,
        weight,
        bias[0] if bias else None,
        stride=layer.window.stride,
        padding=layer.window.pad,
        dilation=layer.window.dilation,
        groups=weight.shape[0],
    )
