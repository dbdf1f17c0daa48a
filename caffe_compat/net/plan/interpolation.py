"""Deconvolutions that interpolate: FCN's hold one kernel per channel on the diagonal of the weight, zeros elsewhere.

The zeros are not multiplied (one group per channel). Where, moreover, all channels have one kernel that is a column
times a row, as the bilinear one, the rows and the columns are interpolated by a matrix each, and of a top that is
cropped right away only the window is computed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from caffe_compat.device import device
from caffe_compat.layer.vision.deconvolution import Deconvolution
from caffe_compat.net.graph import Node
from caffe_compat.net.plan.reach import Interval

__all__ = ["Interpolation", "Interpolations"]

Tensor = torch.Tensor


@dataclass
class Interpolation:
    """A diagonal Deconvolution's parameters, ready for its forward.

    Attributes:
        layer: the Deconvolution.
        kernels: C x 1 x kh x kw.
        bias: C, or None.
        factors: the column and the row whose product every channel's kernel is; None if there are none.
    """

    layer: Deconvolution
    kernels: Tensor
    bias: Tensor | None
    factors: tuple[Tensor, Tensor] | None

    def whole(self, bottom: Tensor) -> Tensor:
        """The whole top."""
        window = self.layer.window
        return F.conv_transpose2d(
            bottom,
            self.kernels,
            self.bias,
            stride=window.stride,
            padding=window.pad,
            dilation=window.dilation,
            groups=self.kernels.shape[0],
        )

    def part(self, bottom: Tensor, rows: Interval, columns: Interval) -> Tensor:
        """These rows and columns of the top, by the factors; bottom values must be finite."""
        assert self.factors is not None
        down, across = (self._matrix(k, bottom.shape[2 + k], (rows, columns)[k]) for k in (0, 1))
        top = torch.matmul(down, torch.matmul(bottom.contiguous(), across.T))  # N x C x h x W', N x C x H' x W'
        return top if self.bias is None else top.add_(self.bias.view(1, -1, 1, 1))

    def _matrix(self, axis: int, size: int, tops: Interval) -> Tensor:
        """What each top position takes of each bottom position: the factor, shifted by the stride."""
        assert self.factors is not None
        window, factor = self.layer.window, self.factors[axis]
        tap = torch.arange(*tops)[:, None] + window.pad[axis] - window.stride[axis] * torch.arange(size)
        inside = (tap >= 0) & (tap < factor.numel())
        return torch.where(inside, factor[tap.clamp(0, factor.numel() - 1)], 0.0)


class Interpolations:
    """Keeps what was found out about every Deconvolution, as long as its parameters stay."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[list[int], torch.device, Interpolation | None]] = {}

    def find(self, node: Node) -> Interpolation | None:
        """What the node's Deconvolution interpolates by; None if its weight is not diagonal."""
        layer = node.layer
        assert isinstance(layer, Deconvolution)
        stamps = [blob.stamp() for blob in layer.blobs]
        held = self._kept.get(node.index)
        if held is None or held[:2] != (stamps, device()):
            self._kept.pop(node.index, None)
            held = stamps, device(), _find(layer, [blob.tensor() for blob in layer.blobs])
            if not any(blob.leased for blob in layer.blobs):
                self._kept[node.index] = held
        return held[2]


def _find(layer: Deconvolution, blobs: Sequence[Tensor]) -> Interpolation | None:
    weight, bias = blobs[0], blobs[1] if len(blobs) > 1 else None
    if layer.group != 1 or layer.channel_axis != 1 or weight.dim() != 4 or weight.shape[0] != weight.shape[1]:
        return None
    rest = weight.abs().sum((2, 3))
    if bool((rest - torch.diag(rest.diagonal())).count_nonzero() != 0):
        return None
    kernels = weight.diagonal().permute(2, 0, 1).unsqueeze(1).contiguous()
    factors = _factors(kernels) if layer.window.dilation == (1, 1) else None
    return Interpolation(layer, kernels, bias, factors)


def _factors(kernels: Tensor) -> tuple[Tensor, Tensor] | None:
    """The column and row whose product is every kernel, to the last bits; None: there are none."""
    kernel = kernels[0, 0]
    if not bool(torch.isfinite(kernels).all()) or not bool((kernels == kernel).all()):
        return None
    largest = kernel.abs().argmax()
    row, column = int(largest) // kernel.shape[1], int(largest) % kernel.shape[1]
    if kernel[row, column] == 0:
        return None
    down, across = kernel[:, column].clone(), kernel[row] / kernel[row, column]
    off = (torch.outer(down, across) - kernel).abs().max()
    return (down, across) if bool(off <= 2e-7 * kernel.abs().max()) else None
