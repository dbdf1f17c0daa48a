"""oneDNN's matrix product, which on AMD processors is about twice as fast as torch.mm.

The operators have private names in torch: where they are missing or compute something else, ``usable`` is False and
callers leave the work to the layers.
"""

import functools

import torch

__all__ = ["packed", "times_transpose", "usable"]

Tensor = torch.Tensor


def times_transpose(x: Tensor, y: Tensor, bias: Tensor | None = None) -> Tensor:
    """X (M x K) times the transpose of y (N x K, in any layout or packed), plus a bias (N): M x N."""
    return torch.ops.mkldnn._linear_pointwise(x, y, bias, "none", [], "")


def packed(y: Tensor, rows: int) -> Tensor:
    """The second factor in oneDNN's own order, for first factors of about so many rows."""
    return torch.ops.mkldnn._reorder_linear_weight(y, rows)


@functools.cache
def usable() -> bool:
    """Whether torch has the product, also of transposed and packed factors, and it computes what it should."""
    stream = torch.Generator().manual_seed(0)
    x, y = torch.randn((8, 12), generator=stream), torch.randn((10, 12), generator=stream)
    try:
        found = [times_transpose(x, packed(y, 8)), times_transpose(x.T.contiguous().T, y.T.contiguous().T)]
    except (AttributeError, RuntimeError, TypeError):
        return False
    plain = x @ y.T
    return all(bool((one - plain).abs().max() <= 1e-5 * plain.abs().max()) for one in found)
