"""3 x 3 convolutions of many channels by Winograd's F(4 x 4, 3 x 3): a quarter of the multiplications.

A tile of 6 x 6 values gives 4 x 4 of the top: tile and kernel are transformed to 36 numbers each, multiplied one by
one (36 matrix products over the channels), and transformed back. Each transform is a matrix product with a Kronecker
square; tiles are taken in groups that stay in the processor's cache. The result differs from the plain convolution's
by about 1e-5 of the largest value. Transformed weights take four times the memory of the plain ones and are kept
beside them.

Source: Lavin, Gray: Fast Algorithms for Convolutional Neural Networks, 2015.
"""

import functools
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F

from caffe_compat.device import device
from caffe_compat.layer.blob import Blob
from caffe_compat.layer.vision.convolution import BaseConvolution

__all__ = ["convolve", "pays", "usable"]

Tensor = torch.Tensor
Pair = tuple[int, int]

_CHANNELS = 256  # with fewer the transforms cost what the products save
_POSITIONS = 400  # of the top; on smaller maps the products are too small to be fast
_GROUP_BYTES = 6 << 20

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

_weights: WeakKeyDictionary[Blob, tuple[int, list[Tensor]]] = WeakKeyDictionary()


@functools.cache
def usable() -> bool:
    """Whether torch has the packed matrix product, and it computes what it should."""
    stream = torch.Generator().manual_seed(0)
    x, weight = torch.randn((8, 12), generator=stream), torch.randn((10, 12), generator=stream)
    try:
        y = _product(x, torch.ops.mkldnn._reorder_linear_weight(weight, 8))
    except (AttributeError, RuntimeError, TypeError):
        return False
    plain = x @ weight.T
    return y.shape == plain.shape and bool((y - plain).abs().max() <= 1e-5 * plain.abs().max())


def pays(layer: BaseConvolution, x: Tensor, pad: Pair) -> bool:
    """Whether this convolution can be computed so, and is faster so."""
    window, channels = layer.window, layer.blobs[0].shape[:2]
    positions = (x.shape[2] + 2 * pad[0] - 2) * (x.shape[3] + 2 * pad[1] - 2)
    return (
        window.kernel == (3, 3)
        and window.stride == window.dilation == (1, 1)
        and layer.group == 1
        and min(channels) >= _CHANNELS
        and positions >= _POSITIONS
        and x.dtype == torch.float32
        and device().type == "cpu"
        and not layer.blobs[0].leased
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
    height, width = x.shape[2] + 2 * pad[0] - 2, x.shape[3] + 2 * pad[1] - 2
    weight, *rest = layer.blobs
    bias = rest[0].tensor() if rest else None
    top = torch.empty((x.shape[0], height, width, layer.num_output))
    down, across = -(-height // 4), -(-width // 4)  # tiles
    right, below = 4 * across + 2 - x.shape[3] - pad[1], 4 * down + 2 - x.shape[2] - pad[0]
    padded = F.pad(x, (pad[1], right, pad[0], below)).permute(0, 2, 3, 1).contiguous()  # N x H x W x C
    step = max(1, _GROUP_BYTES // (4 * 36 * across * max(layer.channels, layer.num_output)))
    kernels = _transformed(weight, step * across)
    for image in range(x.shape[0]):
        for first in range(0, down, step):
            count = min(step, down - first)
            y = _tiles_of_rows(padded[image, 4 * first : 4 * (first + count) + 2], count, across, kernels)
            if bias is not None:
                y += bias
            if relu:
                y.relu_()
            rows = min(4 * count, height - 4 * first)
            y = y.permute(2, 0, 3, 1, 4).reshape(4 * count, 4 * across, -1)
            top[image, 4 * first : 4 * first + rows] = y[:rows, :width]
    return top.permute(0, 3, 1, 2)


def _tiles_of_rows(x: Tensor, down: int, across: int, kernels: list[Tensor]) -> Tensor:
    """4 x 4 x down x across x O values for the (4 down + 2) x (4 across + 2) x C of x."""
    width, channels = x.shape[1:]
    line = width * channels
    tiles = x.as_strided(
        (6, 6, down, across, channels), (line, channels, 4 * line, 4 * channels, 1), x.storage_offset()
    )
    seen = torch.mm(_TILES, tiles.reshape(36, -1)).view(36, down * across, channels)
    products = torch.stack([_product(part, kernel) for part, kernel in zip(seen, kernels, strict=True)])
    return torch.mm(_BACKS, products.view(36, -1)).view(4, 4, down, across, -1)


def _product(x: Tensor, kernel: Tensor) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, kernel, None, "none", [], "")


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
        held = stamp, [torch.ops.mkldnn._reorder_linear_weight(matrix, rows) for matrix in matrices]
        _weights[weight] = held
    return held[1]
