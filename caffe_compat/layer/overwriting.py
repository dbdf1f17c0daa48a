"""Parameters whose diff a backward writes over, where the diffs of all others add up until they are cleared.

Where iter_size is above 1, or the parameter is shared, only the last backward counts for them.
"""

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from caffe_compat.layer.blob import Blob

__all__ = ["overwriting"]


def overwriting(values: torch.Tensor, blob: Blob) -> torch.Tensor:
    """The blob's values as they are, through which a backward clears its diff before the new one is added."""
    return _Overwriting.apply(values, blob) if values.requires_grad else values


class _Overwriting(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, blob: Blob) -> torch.Tensor:
        ctx.blob = blob
        return values.view_as(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        ctx.blob.clear_diff()
        return grad, None
