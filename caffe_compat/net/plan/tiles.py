"""Convolutions by tiles (Winograd's, Toom's and Cook's F(m x m, r x r)): several tops from fewer multiplications.

m x m values of the top see n x n of the bottom, n = m + r - 1. Tile and kernel are polynomials, so to say: taken at n
points on each axis, multiplied point by point (n x n matrix products over the channels) and interpolated, they give
the same as r x r taps at m x m positions, with n n instead of m m r r multiplications. Taking at points and
interpolating are products with small matrices on both axes.

The result differs from the plain convolution's by about 1e-5 of the largest value. Kernels at the points take n n / r r
of the memory of the plain ones.

Source: Lavin, Gray: Fast Algorithms for Convolutional Neural Networks, 2015; the points are usual ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from caffe_compat.net.plan.matmul import have_one_order, pack_many, times_many, times_transpose

__all__ = ["FOR_3", "FOR_7", "Form", "correlate", "is_fast", "kernel_gradient", "prepare"]

Tensor = torch.Tensor
Pair = tuple[int, int]

_GROUP_BYTES = 8 << 20  # of tiles that are computed at a time: they stay in the processor's cache
_GRADIENT_BYTES = 24 << 20  # larger: each group adds to sums as large as the kernels
_OUTPUTS = 512  # at a time, for the same reason
_ROWS = 64  # products have a multiple of half of it, and so many at least: fewer have another order (see is_fast)
_SEEN_ROWS = (64, 160, 512)
_PREPARED_OUTPUTS = 32  # at a time: little memory


@dataclass(frozen=True, eq=False)
class Form:
    """F(m x m, r x r).

    Attributes:
        tile: m.
        kernel: r.
        unit: index of the point 1, where the interpolation is 1 for every value of the top.
        seen: n x n, takes a tile to the points.
        taps: n x r, takes a kernel to the points.
        back: m x n, interpolates.
    """

    tile: int
    kernel: int
    unit: int
    seen: Tensor
    taps: Tensor
    back: Tensor

    @property
    def side(self) -> int:
        """Rows and columns of a tile of the bottom: n."""
        return self.tile + self.kernel - 1

    @property
    def count(self) -> int:
        """Number of products: n n."""
        return self.side**2


def _form(tile: int, kernel: int, points: Sequence[float]) -> Form:
    """F(m x m, r x r) with these m + r - 2 points, and infinity; 0 and powers of 2, so that little is rounded."""
    finite = np.array(points)
    others = [np.delete(finite, i) for i in range(len(finite))]
    scale = np.array([prod(p - rest) for p, rest in zip(finite, others, strict=True)])
    taps = np.vstack([np.vander(finite, kernel, increasing=True) / scale[:, None], np.eye(1, kernel, kernel - 1)])
    seen = np.vstack([np.append(np.poly(rest)[::-1], 0) for rest in others] + [np.poly(finite)[::-1]])
    back = np.hstack([np.vander(finite, tile, increasing=True).T, np.eye(tile)[:, -1:]])
    even = 2 ** np.round(np.log2(np.linalg.norm(seen, axis=1) / np.linalg.norm(taps, axis=1)) / 2)  # no rows stand out
    return Form(
        tile,
        kernel,
        list(points).index(1),
        torch.from_numpy(seen / even[:, None]).float(),
        torch.from_numpy(taps * even[:, None]).float(),
        torch.from_numpy(back).float(),
    )


FOR_3 = _form(4, 3, (0, 1, -1, 2, -2))
"""3 x 3 kernels: 36 products in place of 144."""
FOR_7 = _form(2, 7, (0, 1, -1, 2, -2, 0.5, -0.5))
"""7 x 7 kernels: 64 products in place of 196."""


def is_fast(outputs: int, channels: int, form: Form) -> bool:
    """Whether prepared kernels fit products of any number of tiles; where not, oneDNN would turn them in every call."""
    sizes = {min(outputs, _OUTPUTS), outputs % _OUTPUTS or min(outputs, _OUTPUTS)}
    return all(have_one_order((form.count * size, channels), form.count, _SEEN_ROWS) for size in sizes)


def correlate(
    x: Tensor, kernels: Sequence[Tensor], bias: Tensor | None, pad: Pair, relu: bool, form: Form = FOR_3
) -> Tensor:
    """Correlation of a map with kernels that have been prepared.

    Args:
        x: N x C x H x W, channels last.
        kernels: as ``prepare`` gives them.
        bias: O values; None: zeros.
        pad: zero rows and columns on each side.
        relu: whether negative values become 0.
        form: what they were prepared for.

    Returns:
        N x O x H' x W', H' = H + 2 pad - r + 1, channels last.
    """
    number, channels = x.shape[:2]
    height, width = (x.shape[2 + k] + 2 * pad[k] - form.kernel + 1 for k in (0, 1))
    parts = [len(kernel) // form.count for kernel in kernels]
    top = torch.empty((number, sum(parts), height, width), memory_format=torch.channels_last)
    lines = top.permute(0, 2, 3, 1)  # N x H' x W' x O, the same memory
    down, across = -(-height // form.tile), -(-width // form.tile)
    padded = _framed(x, pad, form, (down, across))
    for images, rows in _groups((number, down, across), channels, max(parts), form):
        seen = _seen(padded[images], rows, across, form)
        begin, end = form.tile * rows.start, min(form.tile * rows.stop, height)
        for outputs, kernel in zip(_slices(parts), kernels, strict=True):
            products = times_many(seen, kernel, form.count, _at_unit(bias, outputs, form))
            _interpolate(products, lines[images, begin:end, :, outputs], relu, form)
    return top


def prepare(read: Callable[[int, int], Tensor], shape: Sequence[int], form: Form) -> list[Tensor]:
    """Kernels at the points, packed, some outputs at a time.

    Args:
        read: gives the kernels of the outputs from the first up to, and without, the last: O' x C x r x r.
        shape: O x C x r x r.
        form: of size r.
    """
    total, channels = shape[:2]
    prepared = []
    for first in range(0, total, _OUTPUTS):
        last = min(total, first + _OUTPUTS)
        part = torch.empty((form.count, last - first, channels))
        for at in range(first, last, _PREPARED_OUTPUTS):
            until = min(last, at + _PREPARED_OUTPUTS)
            taps = read(at, until).permute(2, 3, 0, 1).contiguous()
            taken = _on_both_axes(form.taps, taps.view(1, form.kernel, form.kernel, -1))
            part[:, at - first : until - first] = taken.view(form.count, until - at, channels)
        prepared.append(pack_many(part.view(-1, channels), form.count, 2 * _ROWS))
    return prepared


def kernel_gradient(x: Tensor, top_diff: Tensor, pad: Pair, form: Form = FOR_3) -> Tensor:
    """The gradient of the kernels.

    Args:
        x: N x C x H x W, the bottom, channels last.
        top_diff: N x O x H' x W', the top's gradient, channels last; H' = H + 2 pad - r + 1.
        pad: zero rows and columns on each side.
        form: for kernels of r x r.

    Returns:
        O x C x r x r, channels last.
    """
    channels, (outputs, height, width) = x.shape[1], top_diff.shape[1:]
    down, across = -(-height // form.tile), -(-width // form.tile)
    padded = _framed(x, pad, form, (down, across))
    bare = F.pad(top_diff, (0, form.tile * across - width, 0, form.tile * down - height))
    diffs = bare.permute(0, 2, 3, 1).contiguous()
    step = max(1, _GRADIENT_BYTES // (4 * form.count * across * (channels + outputs)))
    sums: list[Any] = [None] * form.count
    for image in range(len(x)):
        for first in range(0, down, step):
            rows = slice(first, min(first + step, down))
            spread = _by_point(_spread(diffs[image, form.tile * rows.start : form.tile * rows.stop], form), form)
            seen = _by_point(_seen(padded[image : image + 1], rows, across, form)[: spread.shape[1]], form)
            for k, (given, part) in enumerate(zip(spread, seen, strict=True)):
                product = times_transpose(given.T, part.T)  # O x C
                sums[k] = product if sums[k] is None else sums[k].add_(product)
    points = torch.stack(sums).view(1, form.side, form.side, -1)
    taps = _on_both_axes(form.taps.T.contiguous(), points).view(-1, outputs, channels)
    return taps.transpose(0, 1).reshape(outputs, form.kernel, form.kernel, channels).permute(0, 3, 1, 2)


# -- steps -------------------------------------------------------------------------------------------------------------


def _on_both_axes(matrix: Tensor, values: Tensor, spend: bool = False) -> Tensor:
    """T x a x a x C of the T x b x b x C values, by a matrix a x b on the rows and on the columns.

    Args:
        matrix: a x b.
        values: contiguous.
        spend: whether the result may take the memory of the values; a = b.
    """
    count, _, old, channels = values.shape
    new = len(matrix)
    rows = torch.bmm(matrix.expand(count, new, old), values.view(count, old, old * channels))
    into = values.view(count * new, new, channels) if spend else None
    both = torch.bmm(matrix.expand(count * new, new, old), rows.view(count * new, old, channels), out=into)
    return both.view(count, new, new, channels)


def _framed(x: Tensor, pad: Pair, form: Form, tiles: Pair) -> Tensor:
    """N x rows x columns x C: x in zeros, ``pad`` in front, behind it as many as the tiles reach."""
    behind = [form.tile * tiles[k] + form.kernel - 1 - pad[k] - x.shape[2 + k] for k in (0, 1)]
    return F.pad(x, (pad[1], behind[1], pad[0], behind[0])).permute(0, 2, 3, 1).contiguous()


def _groups(tiles: tuple[int, int, int], channels: int, outputs: int, form: Form) -> list[tuple[slice, slice]]:
    """Images and rows of tiles to take at a time: several images only if whole, several rows of even number."""
    number, down, across = tiles
    row = 4 * form.count * across * max(channels, outputs)
    images = max(1, _GROUP_BYTES // (row * down))
    step = -(-down // max(1, -(-(row * down) // _GROUP_BYTES)))
    return [
        (slice(image, min(number, image + images)), slice(first, min(down, first + step)))
        for image in range(0, number, images)
        for first in range(0, down, step)
    ]


def _slices(sizes: Sequence[int]) -> list[slice]:
    """Where parts of these sizes lie, one after the other."""
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]


def _seen(x: Tensor, rows: slice, across: int, form: Form) -> Tensor:
    """Rows of tiles of framed images at the points: T' x (n n C), T' at least the number of tiles, the rest zeros."""
    number, _, width, channels = x.shape
    m, n, down = form.tile, form.side, rows.stop - rows.start
    first = x[:, m * rows.start :]
    image, line = x.stride(0), width * channels
    windows = first.as_strided(
        (number, down, across, n, n * channels), (image, m * line, m * channels, line, 1), first.storage_offset()
    )
    count = number * down * across
    padded = max(_ROWS, -(-count // (_ROWS // 2)) * (_ROWS // 2))
    tiles = x.new_empty((padded, n, n, channels))
    tiles[:count].view(number, down, across, n, n * channels).copy_(windows)
    tiles[count:] = 0
    return _on_both_axes(form.seen, tiles, spend=True).view(padded, -1)


def _at_unit(bias: Tensor | None, outputs: slice, form: Form) -> Tensor | None:
    """A bias for the products that adds up to the bias of every value of the top."""
    if bias is None:
        return None
    part = bias[outputs]
    points = part.new_zeros((form.side, form.side, len(part)))
    points[form.unit, form.unit] = part
    return points.view(-1)


def _interpolate(products: Tensor, lines: Tensor, relu: bool, form: Form) -> None:
    """Write the tops of tiles.

    Args:
        products: T' x (n n O), the tiles of the images, one row after the other, and perhaps more.
        lines: N x rows x W' x O, where to.
        relu: whether negative values become 0.
        form: the tiles'.
    """
    number, height, width, outputs = lines.shape
    m, n = form.tile, form.side
    down, across = -(-height // m), -(-width // m)
    points = products.view(-1, n, n, outputs)[: number * down * across]
    tiles = _on_both_axes(form.back, points).view(number, down, across, m, m, outputs).transpose(2, 3)
    for rows, whole_rows, up in _edges(height, m):
        for columns, whole_columns, left in _edges(width, m):
            part = tiles[:, whole_rows, :up, whole_columns, :left]
            into = lines[:, rows, columns].unflatten(2, (-1, left)).unflatten(1, (-1, up))
            if relu:
                torch.clamp_min(part, 0, out=into)
            else:
                into.copy_(part)


def _edges(size: int, tile: int) -> list[tuple[slice, slice, int]]:
    """What the whole tiles of an axis make, and what one that hangs over makes: positions, tiles, size of each tile."""
    tiles, rest = divmod(size, tile)
    edges = [(slice(0, tiles * tile), slice(0, tiles), tile)] if tiles else []
    return [*edges, (slice(tiles * tile, size), slice(tiles, tiles + 1), rest)] if rest else edges


def _spread(diffs: Tensor, form: Form) -> Tensor:
    """The gradients of products, T x (n n O), from those of the tops, rows x columns x O."""
    m = form.tile
    height, width, outputs = diffs.shape
    tiles = diffs.view(height // m, m, width // m, m, outputs).transpose(1, 2).reshape(-1, m, m, outputs)
    return _on_both_axes(form.back.T.contiguous(), tiles).view(len(tiles), -1)


def _by_point(values: Tensor, form: Form) -> Tensor:
    """T x (n n C) as n n x T x C."""
    return values.view(len(values), form.count, -1).transpose(0, 1).contiguous()
