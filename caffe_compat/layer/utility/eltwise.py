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

    Given in place, Caffe clears the top, and bottom 0 with it, before it reads SUM's and MAX's bottoms, and finds
    overwritten diffs in every backward. We give the numbers that Caffe gives: SUM and MAX leave bottom 0 out. For the
    combination of all bottoms, give the top a name of its own.

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
        if context.same_blob:
            return [_Overwritten.apply(param, *bottoms)]
        if param.operation == pb.EltwiseParameter.SUM:
            return [_sum(bottoms, _coefficients(param, len(bottoms)))]
        if param.operation == pb.EltwiseParameter.MAX:
            return [_maximum(bottoms)]
        if not param.stable_prod_grad:
            return [_QuotientGradientProduct.apply(*bottoms)]
        return [_product(bottoms)]


def _coefficients(param: pb.EltwiseParameter, bottoms: int) -> list[float]:
    return list(param.coeff) or [1.0] * bottoms


def _sum(bottoms: Sequence[torch.Tensor], coeff: Sequence[float]) -> torch.Tensor:
    """The weighted sum of one or more."""
    first, *others = bottoms
    if not others:
        return first * coeff[0]
    y = torch.add(first if coeff[0] == 1 else first * coeff[0], others[0], alpha=coeff[1])
    for bottom, factor in zip(others[1:], coeff[2:], strict=True):
        y.add_(bottom, alpha=factor)
    return y


def _product(bottoms: Sequence[torch.Tensor]) -> torch.Tensor:
    y = bottoms[0] * bottoms[1]
    for bottom in bottoms[2:]:
        y = y * bottom
    return y


def _maximum(bottoms: Sequence[torch.Tensor]) -> torch.Tensor:
    """The largest values of two or more; ``where`` passes the gradient to the one that was taken."""
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


class _Overwritten(torch.autograd.Function):
    """Caffe's numbers where the top is bottom 0: one memory for their data, and one for their diffs."""

    @staticmethod
    def forward(ctx: Any, param: pb.EltwiseParameter, *bottoms: torch.Tensor) -> torch.Tensor:
        others = bottoms[1:]
        if param.operation == pb.EltwiseParameter.SUM:
            y = _sum(others, _coefficients(param, len(bottoms))[1:])
        elif param.operation == pb.EltwiseParameter.PROD:
            y = _product(bottoms)
        else:
            y = others[0].clone() if len(others) == 1 else _maximum(others)
        ctx.param = param
        ctx.save_for_backward(y, *others)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        param, (y, *others) = ctx.param, ctx.saved_tensors
        held = [y, *others]  # what the bottoms' data hold by now
        coeff = _coefficients(param, len(held))
        taken = torch.stack(others).argmax(0) + 1  # the first of the largest, which MAX took
        found: list[torch.Tensor | None] = []
        for i, needed in enumerate(ctx.needs_input_grad[1:]):
            if not needed:
                found.append(None)
                continue
            if param.operation == pb.EltwiseParameter.SUM:
                diff = coeff[i] * grad
            elif param.operation == pb.EltwiseParameter.MAX:
                diff = grad * (taken == i)
            else:
                slope = _slope(held, i) if param.stable_prod_grad else y / held[i]
                diff = slope * (slope if i == 0 else grad)
            if i == 0:
                grad = diff  # it lies where the top's diff was
            found.append(diff)
        return (None, *found)


def _slope(held: Sequence[torch.Tensor], i: int) -> torch.Tensor:
    """The product of all but one."""
    first, *others = [x for j, x in enumerate(held) if j != i]
    for x in others:
        first = first * x
    return first
