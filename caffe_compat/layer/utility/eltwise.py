"""Eltwise."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Count, Layer
from caffe_compat.layer.registry import register
from caffe_compat.proto import caffe_pb2 as pb

__all__ = ["Eltwise"]


@register
class Eltwise(Layer):
    """The product, weighted sum or maximum of its bottoms, element by element; nothing is broadcast.

    MAX gives the gradient of a tie to one bottom: to bottom 1 if it ties with bottom 0, else to the first of the
    largest. PROD's gradient is the product of the others; with stable_prod_grad false it is y / x, NaN where x is 0.

    Bottoms:  two or more of one shape.
    Tops:     y: that shape.
    Params:   eltwise_param.operation: PROD, SUM or MAX; .coeff: SUM's factors, none (all 1) or one for each bottom;
              .stable_prod_grad.
    Raises:   LayerError: shapes differ; coeff with PROD; another number of coeff than bottoms.
    Source:   BVLC/caffe src/caffe/layers/eltwise_layer.cpp.
    """

    type = "Eltwise"
    bottoms = Count.at_least(2)
    top_is_free = True

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Check coeff."""
        param = self.param.eltwise_param
        if param.coeff and param.operation == pb.EltwiseParameter.PROD:
            raise self.error("eltwise_param.coeff was given with PROD, which takes none; only SUM uses it")
        if param.coeff and len(param.coeff) != len(bottom_shapes):
            raise self.error(
                f"{len(param.coeff)} eltwise_param.coeff for {len(bottom_shapes)} bottoms; give one for each, or none"
            )

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """The shape that all bottoms have."""
        for i, shape in enumerate(bottom_shapes):
            if shape != bottom_shapes[0]:
                raise self.error(
                    f"bottom[{i}] has shape {shape} but bottom[0] has {bottom_shapes[0]}; "
                    "Eltwise does not broadcast: crop or reshape one of them"
                )
        return [bottom_shapes[0]]

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """The combination of all bottoms."""
        param = self.param.eltwise_param
        if param.operation == pb.EltwiseParameter.SUM:
            return [self._sum(bottoms, context.in_place)]
        if param.operation == pb.EltwiseParameter.MAX:
            return [_maximum(bottoms)]
        if not param.stable_prod_grad:
            return [_QuotientGradientProduct.apply(*bottoms)]
        return [_product(bottoms)]

    def _sum(self, bottoms: Sequence[torch.Tensor], in_place: bool) -> torch.Tensor:
        first, second = bottoms[:2]
        coeff = list(self.param.eltwise_param.coeff) or [1.0] * len(bottoms)
        if coeff[0] != 1:
            y = (first.mul_(coeff[0]) if in_place else first * coeff[0]).add_(second, alpha=coeff[1])
        else:
            y = first.add_(second, alpha=coeff[1]) if in_place else torch.add(first, second, alpha=coeff[1])
        for bottom, factor in zip(bottoms[2:], coeff[2:], strict=True):
            y.add_(bottom, alpha=factor)
        return y


def _product(bottoms: Sequence[torch.Tensor]) -> torch.Tensor:
    y = bottoms[0] * bottoms[1]
    for bottom in bottoms[2:]:
        y = y * bottom
    return y


def _maximum(bottoms: Sequence[torch.Tensor]) -> torch.Tensor:
    """The largest values; ``where`` passes the gradient to the one that was taken."""
    y = torch.where(bottoms[0] > bottoms[1], bottoms[0], bottoms[1])
    for bottom in bottoms[2:]:
        y = torch.where(bottom > y, bottom, y)
    return y


class _QuotientGradientProduct(torch.autograd.Function):
    """The product with Caffe's quick gradient, y / x."""

    @staticmethod
    def forward(ctx: Any, *bottoms: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(*bottoms)
        return _product(bottoms)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, ...]:
        bottoms = ctx.saved_tensors
        y = _product(bottoms)
        return tuple(grad * (y / x) for x in bottoms)
