"""Labels as losses read them: floats cut to whole numbers, checked against the classes, some of them ignored."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from caffe_compat.errors import DataError
from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Layer

__all__ = ["check_batch", "class_index", "ignored_label", "label_shape", "without_gradient"]


def check_batch(layer: Layer, bottom_shapes: Sequence[Shape]) -> None:
    """Scores and labels of a loss must have the same first axis, whatever their class axis is.

    Raises:
        LayerError: they have not, or one of them has no axes.
    """
    scores, labels = bottom_shapes[:2]
    if not scores or scores[:1] != labels[:1]:
        raise layer.error(
            f"bottom[0] has shape {scores} and bottom[1] {labels}; their first axes must be equal: reshape the labels"
        )


def without_gradient(
    layer: Layer, tops: Sequence[torch.Tensor], bottoms: Sequence[torch.Tensor], *indices: int
) -> list[torch.Tensor]:
    """The tops, so that a backward that asks for the gradient of one of these bottoms is an error, as in Caffe.

    Without it what makes the labels would get zeros, and would seem to be trained.
    """
    first = tops[0]
    for i in indices:
        if i < len(bottoms) and bottoms[i].requires_grad:
            first = _NoGradient.apply(first, bottoms[i], layer, i)
    return [first, *tops[1:]]


class _NoGradient(torch.autograd.Function):
    """The loss, through which the gradient of a bottom cannot be had."""

    @staticmethod
    def forward(ctx: Any, loss: torch.Tensor, bottom: torch.Tensor, layer: Layer, index: int) -> torch.Tensor:
        ctx.layer, ctx.index = layer, index
        return loss.view_as(loss)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        if ctx.needs_input_grad[1]:
            name = ctx.layer.param.bottom[ctx.index]
            raise ctx.layer.error(
                f"it cannot backpropagate to bottom[{ctx.index}] '{name}', but what makes '{name}' has something to "
                "learn; set lr_mult: 0 there, or give propagate_down for this layer"
            )
        return grad, None, None, None


def label_shape(layer: Layer, bottom_shapes: Sequence[Shape], axis: int) -> Shape:
    """The shape of bottom[0] with size 1 along the class axis; bottom[1] must have as many labels.

    Raises:
        LayerError: bottom[1] has another count.
    """
    scores, labels = bottom_shapes[:2]
    wanted = (*scores[:axis], 1, *scores[axis + 1 :])
    if np.prod(labels, dtype=np.int64) != np.prod(wanted, dtype=np.int64):
        raise layer.error(
            f"bottom[1] of shape {labels} does not hold one label for each position of bottom[0] of shape {scores} "
            f"with classes along axis {axis}; it should have shape {wanted}"
        )
    return wanted


def ignored_label(layer: Layer) -> int | None:
    """loss_param.ignore_label where the prototxt sets it."""
    param = layer.param.loss_param
    return param.ignore_label if param.HasField("ignore_label") else None


def class_index(
    layer: Layer, label: torch.Tensor, classes: int, shape: Shape, ignore: int | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Labels as indices into the classes.

    Args:
        layer: whose bottom[1] they are, for the message.
        label: floats, as many as ``shape`` has.
        classes: labels must be 0 to classes - 1.
        shape: the scores' shape with size 1 along the class axis.
        ignore: the label that is left out, or None.

    Returns:
        (index, valid): int64 of ``shape``, 0 where ignored; and a mask of the labels that count, or None: all do.

    Raises:
        DataError: a label is neither a class nor ignored; names value and position.
    """
    values = label.detach().reshape(shape)
    valid = None
    if ignore is not None:
        valid = values.to(torch.int64) != ignore
        values = values.where(valid, 0)
    if values.numel():
        low, high = torch.stack(torch.aminmax(values)).tolist()
        if not (low > -1 and high < classes):  # a NaN label fails too
            raise _out_of_range(layer, values, classes, ignore)
    return values.to(torch.int64), valid


def _out_of_range(layer: Layer, values: torch.Tensor, classes: int, ignore: int | None) -> DataError:
    """The error for the first bad label in C order."""
    flat = values.reshape(-1)
    first = int((~((flat > -1) & (flat < classes))).nonzero()[0])
    value = f"{flat[first].item():g}"
    place = tuple(int(i) for i in np.unravel_index(first, values.shape))
    if values.ndim == 4 and values.shape[1] == 1:
        where = f"(n, y, x) = {(place[0], *place[2:])}"
    else:
        where = f"position {place} of {tuple(values.shape)}"
    accuracy = layer.type == "Accuracy"
    field = "accuracy_param.ignore_label" if accuracy else "loss_param.ignore_label"
    if ignore is not None:
        advice = f"only {field} {ignore} is left out; correct the labels or the number of classes"
    else:
        advice = f"if it marks what is to be left out, set {field}: {value}, else correct the labels"
    return DataError(
        f"layer '{layer.name}' ({layer.type}): label {value} of bottom '{layer.param.bottom[1]}' at {where} "
        f"is outside the classes 0 to {classes - 1}; {advice}"
    )
