"""3 x 3 convolutions of many channels by Winograd's F(4 x 4, 3 x 3): a quarter of the multiplications.

A tile of 6 x 6 values gives 4 x 4 of the top: tile and kernel are transformed to 36 numbers each, multiplied one by
one (36 matrix products over the channels), and transformed back. Each transform is a matrix product with a Kronecker
square; tiles are taken in groups that stay in the processor's cache. The result differs from the plain convolution's
by about 1e-5 of the largest value. Transformed weights take four times the memory of the plain ones and are kept
beside them.

Source: Lavin, Gray: Fast Algorithms for Convolutional Neural Networks, 2015.
"""

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F

from caffe_compat.device import device
from caffe_compat.layer.blob import Blob
from caffe_compat.layer.vision.convolution import BaseConvolution
from caffe_compat.net.plan.matmul import packed, times_transpose, usable

__all__ = ["convolve", "correlate", "kernel_gradient", "learns", "pays", "transform"]

Tensor = torch.Tensor
Pair = tuple[int, int]

_CHANNELS = 256  # with fewer the transforms cost what the products save
_POSITIONS = 400  # of the top; on smaller maps the products are too small to be fast
_LEARNED_POSITIONS = 1600  # the same where the kernels change in every step and are transformed anew
_GROUP_BYTES = 12 << 20
_GRADIENT_BYTES = 24 << 20  # larger: each group adds to sums as large as four times the kernels

_TILE = torch.tensor(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    dtype=torch.float64,
)
_KERNEL = torch.tensor(
    [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], dtype=torch.float64
) / torch.tensor([[24.0]])
_BACK = torch.tensor(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], dtype=torch.float64
)
_TILES = torch.kron(_TILE, _TILE).float()  # 36 x 36
_BACKS = torch.kron(_BACK, _BACK).float()  # 16 x 36

_KERNELS = torch.kron(_KERNEL, _KERNEL)  # 36 x 9
_SPREAD = _BACKS.T.contiguous()  # 36 x 16
_GATHER = _KERNELS.T.float().contiguous()  # 9 x 36

_weights: WeakKeyDictionary[Blob, tuple[int, list[Tensor]]] = WeakKeyDictionary()


def pays(layer: BaseConvolution, x: Tensor, pad: Pair) -> bool:
    """Whether this convolution can be computed so, and is faster so, with kernels that are kept."""
    return _positions(x, pad) >= _POSITIONS and not layer.blobs[0].leased and _can(layer, x)


def learns(layer: BaseConvolution, x: Tensor) -> bool:
    """Whether this convolution and its gradients can be computed so, and are faster so."""
    pad = layer.window.pad
    return max(pad) <= 2 and _can(layer, x) and _positions(x, (pad[0], pad[1])) >= _LEARNED_POSITIONS


def _positions(x: Tensor, pad: Pair) -> int:
    return (x.shape[2] + 2 * pad[0] - 2) * (x.shape[3] + 2 * pad[1] - 2)


def _can(layer: BaseConvolution, x: Tensor) -> bool:
    window, channels = layer.window, layer.blobs[0].shape[:2]
    return (
        window.kernel == (3, 3)
        and window.stride == window.dilation == (1, 1)
        and layer.group == 1
        and min(channels) >= _CHANNELS
        and x.dtype == torch.float32
        and device().type == "cpu"
        and usable()
    )


def convolve(layer: BaseConvolution, x: Tensor, pad: Pair, relu: bool) -> Tensor:
    """A 3 x 3 Convolution's top for one bottom, with zero padding of its own, and a ReLU if wanted.

    Args:
        layer: one that pays.
        x: N x C x H x W, channels last.
        pad: zero rows and columns on each side, in place of the layer's.
        relu: whether negative values become 0.
    """
    weight, *rest = layer.blobs
    across = -(-(x.shape[3] + 2 * pad[1] - 2) // 4)
    kernels = _transformed(weight, _rows_of_tiles(across, layer.channels, layer.num_output) * across)
    return correlate(x, kernels, rest[0].tensor() if rest else None, pad, relu)


def correlate(x: Tensor, kernels: Sequence[Tensor], bias: Tensor | None, pad: Pair, relu: bool = False) -> Tensor:
    """Correlation of a map with 3 x 3 kernels that have been transformed.

    Args:
        x: N x C x H x W, channels last.
        kernels: 36 matrices O x C, plain or packed.
        bias: O values; None: zeros.
        pad: zero rows and columns on each side.
        relu: whether negative values become 0.

    Returns:
        N x O x H' x W', H' = H + 2 pad - 2, channels last.
    """
    height, width = x.shape[2] + 2 * pad[0] - 2, x.shape[3] + 2 * pad[1] - 2
    outputs = kernels[0].shape[0]
    top = torch.empty((x.shape[0], outputs, height, width), memory_format=torch.channels_last)
    lines = top.permute(0, 2, 3, 1)  # N x H' x W' x O, the same memory
    down, across = -(-height // 4), -(-width // 4)  # tiles
    padded = _framed(x, pad, 4 * down + 2, 4 * across + 2)
    step = _rows_of_tiles(across, x.shape[1], outputs)
    for image in range(x.shape[0]):
        for first in range(0, down, step):
            count = min(step, down - first)
            seen = _seen(padded[image, 4 * first : 4 * (first + count) + 2], count, across)
            products = torch.stack([times_transpose(part, kernel) for part, kernel in zip(seen, kernels, strict=True)])
            y = _times(_BACKS, products.view(36, -1)).view(4, 4, count, across, -1)
            if bias is not None:
                y += bias
            if relu:
                y.relu_()
            rows = min(4 * count, height - 4 * first)
            y = y.permute(2, 0, 3, 1, 4).reshape(4 * count, 4 * across, -1)
            lines[image, 4 * first : 4 * first + rows] = y[:rows, :width]
    return top


def kernel_gradient(x: Tensor, top_diff: Tensor, pad: Pair) -> Tensor:
    """The gradient of 3 x 3 kernels.

    Args:
        x: N x C x H x W, the bottom, channels last.
        top_diff: N x O x H' x W', the top's gradient, channels last; H' = H + 2 pad - 2.
        pad: zero rows and columns on each side.

    Returns:
        O x C x 3 x 3, channels last.
    """
    channels, (outputs, height, width) = x.shape[1], top_diff.shape[1:]
    down, across = -(-height // 4), -(-width // 4)
    padded = _framed(x, pad, 4 * down + 2, 4 * across + 2)
    diffs = _framed(top_diff, (0, 0), 4 * down, 4 * across)
    step = max(1, _GRADIENT_BYTES // (4 * 36 * across * (channels + outputs)))
    sums: list[Any] = [None] * 36
    for image in range(x.shape[0]):
        for first in range(0, down, step):
            count = min(step, down - first)
            seen = _seen(padded[image, 4 * first : 4 * (first + count) + 2], count, across)
            tiles = diffs[image, 4 * first : 4 * (first + count)].view(count, 4, across, 4, outputs)
            spread = _times(_SPREAD, tiles.permute(1, 3, 0, 2, 4).reshape(16, -1)).view(36, count * across, outputs)
            for k, (given, part) in enumerate(zip(spread, seen, strict=True)):
                product = times_transpose(given.T, part.T)  # O x C
                sums[k] = product if sums[k] is None else sums[k].add_(product)
    taps = _times(_GATHER, torch.stack(sums).view(36, -1)).view(9, outputs, channels)
    return taps.transpose(0, 1).reshape(outputs, 3, 3, channels).permute(0, 3, 1, 2)


def transform(kernels: Tensor) -> Tensor:
    """The 36 matrices O x C of O x C x 3 x 3 kernels, in one tensor."""
    taps = kernels.permute(2, 3, 0, 1).reshape(9, -1)
    return _times(_KERNELS.float(), taps).view(36, *kernels.shape[:2])


def _rows_of_tiles(across: int, channels: int, outputs: int) -> int:
    """How many rows of tiles are taken at a time."""
    return max(1, _GROUP_BYTES // (4 * 36 * across * max(channels, outputs)))


def _framed(x: Tensor, before: Pair, rows: int, columns: int) -> Tensor:
    """N x rows x columns x C: x with ``before`` zero rows and columns in front and as many as it takes behind."""
    below, right = rows - before[0] - x.shape[2], columns - before[1] - x.shape[3]
    return F.pad(x, (before[1], right, before[0], below)).permute(0, 2, 3, 1).contiguous()


def _seen(x: Tensor, down: int, across: int) -> Tensor:
    """36 x (down across) x C: the transformed tiles of the (4 down + 2) x (4 across + 2) x C of x."""
    width, channels = x.shape[1:]
    line = width * channels
    tiles = x.as_strided(
        (6, 6, down, across, channels), (line, channels, 4 * line, 4 * channels, 1), x.storage_offset()
    )
    return _times(_TILES, tiles.reshape(36, -1)).view(36, down * across, channels)


def _times(matrix: Tensor, values: Tensor) -> Tensor:
    """A small matrix times a very wide one."""
    return times_transpose(matrix, values.T)


def _transformed(weight: Blob, rows: int) -> list[Tensor]:
    """The 36 matrices of a weight blob, packed; made anew when its values may have changed."""
    stamp = weight.stamp()
    held = _weights.get(weight)
    if held is None or held[0] != stamp:
        _weights.pop(weight, None)
        values = weight.tensor()  # O x C x 3 x 3
        matrices = torch.empty((36, *values.shape[:2]))
        for part, into in zip(values.split(32), matrices.split(32, 1), strict=True):  # little memory at a time
            taps = part.reshape(-1, 9).T.double()  # 9 x (32 C)
            into.copy_(torch.mm(_KERNELS, taps).view_as(into))
        held = stamp, [packed(matrix, rows) for matrix in matrices]
        _weights[weight] = held
    return held[1]
