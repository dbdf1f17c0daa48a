"""oneDNN's matrix products, which on AMD processors are more than twice as fast as torch's.

Many products of one shape at a time are a 1 x 1 convolution in groups. The operators have private names in torch: where
they are missing or compute something else, ``usable`` is False and callers leave the work to the layers.
"""

import functools
from collections.abc import Sequence

import torch

__all__ = ["have_one_order", "pack", "pack_many", "times_many", "times_transpose", "usable"]

Tensor = torch.Tensor


def times_transpose(x: Tensor, y: Tensor, bias: Tensor | None = None) -> Tensor:
    """X (M x K) times the transpose of y (N x K, in any layout or packed), plus a bias (N): M x N."""
    return torch.ops.mkldnn._linear_pointwise(x, y, bias, "none", [], "")


def pack(y: Tensor, rows: int) -> Tensor:
    """The second factor in oneDNN's own order, for first factors of about so many rows."""
    return torch.ops.mkldnn._reorder_linear_weight(y, rows)


def times_many(x: Tensor, y: Tensor, count: int, bias: Tensor | None = None) -> Tensor:
    """So many products at once, each of a part of x's columns with the transpose of a part of y's rows.

    Args:
        x: M x (count K).
        y: (count N) x K as ``pack_many`` gives it.
        count: how many.
        bias: count N values.

    Returns:
        M x (count N).
    """
    bottom = x.T[None, :, :, None]  # 1 x (count K) x M x 1, channels last
    top = torch.ops.mkldnn._convolution_pointwise(bottom, y, bias, (0, 0), (1, 1), (1, 1), count, "none", [], "")
    return top[0, :, :, 0].T


def pack_many(y: Tensor, count: int, rows: int) -> Tensor:
    """The second factors of ``times_many``, (count N) x K, in oneDNN's own order.

    Args:
        y: the factors, one below the other.
        count: how many.
        rows: of the first factors. The order may depend on it: with another number of rows ``times_many`` then has to
            put them in order again, and takes many times longer (see ``have_one_order``).
    """
    size = (1, count * y.shape[1], rows, 1)
    return torch.ops.mkldnn._reorder_convolution_weight(y[:, :, None, None], [0, 0], [1, 1], [1, 1], count, size)


def have_one_order(shape: tuple[int, int], count: int, rows: Sequence[int]) -> bool:
    """Whether ``pack_many`` gives second factors of this shape the same order for each of these numbers of rows."""
    return _have_one_order(shape, count, tuple(rows), torch.get_num_threads())


@functools.cache
def _have_one_order(shape: tuple[int, int], count: int, rows: tuple[int, ...], threads: int) -> bool:
    try:
        describe = torch.ops.mkldnn._get_mkldnn_serialized_md
    except AttributeError:
        return False
    factors = torch.zeros(shape)
    first, *others = [describe(pack_many(factors, count, number)) for number in rows]
    return all(torch.equal(first, other) for other in others)


@functools.cache
def usable() -> bool:
    """Whether torch has the products, also of transposed and packed factors, and they compute what they should."""
    stream = torch.Generator().manual_seed(0)
    x, y = torch.randn((8, 12), generator=stream), torch.randn((10, 12), generator=stream)
    halves = torch.cat([x[:, :6] @ y[:5, :6].T, x[:, 6:] @ y[5:, :6].T], 1)
    plain = x @ y.T
    try:
        pairs = [
            (times_transpose(x, pack(y, 8)), plain),
            (times_transpose(x.T.contiguous().T, y.T.contiguous().T), plain),
            (times_many(x, pack_many(y[:, :6].contiguous(), 2, 8), 2), halves),
        ]
    except (AttributeError, RuntimeError, TypeError):
        return False
    return all(bool((found - wanted).abs().max() <= 1e-5 * wanted.abs().max()) for found, wanted in pairs)
