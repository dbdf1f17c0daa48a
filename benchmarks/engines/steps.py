"""A deploy net as a list of steps that any engine has: each makes one array from one or two."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from caffe_compat import Net
from caffe_compat.proto.caffe_pb2 import LayerParameter, NetParameter

__all__ = ["Step", "steps_of"]


@dataclass
class Step:
    """One layer.

    Args:
        kind: convolution, deconvolution, max_pool, crop or add.
        name: of the layer, and of what it makes.
        bottoms: names of what it takes; ``data`` is the image.
        top_shape: of what it makes, N x C x H x W.
        kernel: side in pixels, of convolution, deconvolution and max_pool.
        stride: pixels.
        pad: pixels on each side; none in max_pool, which rounds sizes up.
        relu: whether negatives become zero at the end.
        offset: of crop, in N, C, H, W.
        weight: O x I x kh x kw; of deconvolution I x O x kh x kw.
        bias: O, or None.
    """

    kind: str
    name: str
    bottoms: list[str]
    top_shape: tuple[int, ...]
    kernel: int = 1
    stride: int = 1
    pad: int = 0
    relu: bool = False
    offset: tuple[int, ...] = ()
    weight: np.ndarray | None = None
    bias: np.ndarray | None = None


def steps_of(param: NetParameter, net: Net) -> list[Step]:
    """The steps of a net made from ``param``.

    Raises:
        ValueError: a layer is of a type or has settings that are not among the steps.
    """
    steps: list[Step] = []
    made_by = {"data": "data"}  # blob -> the step that last made it
    for layer in param.layer:
        bottoms = [made_by[name] for name in layer.bottom]
        if layer.type == "Input":
            continue
        if layer.type == "ReLU" and steps and bottoms == [steps[-1].name]:
            steps[-1].relu = True
        else:
            steps.append(_step(layer, bottoms, net))
        made_by[layer.top[0]] = steps[-1].name
    return steps


def _step(layer: LayerParameter, bottoms: list[str], net: Net) -> Step:
    shape = tuple(net.blobs[layer.top[0]].shape)
    if layer.type in ("Convolution", "Deconvolution"):
        settings = layer.convolution_param
        values = [blob.data for blob in net.params[layer.name]]
        if settings.group == 1 and all(value == 1 for value in settings.dilation):
            return Step(
                layer.type.lower(), layer.name, bottoms, shape,
                kernel=_one(settings.kernel_size, 1), stride=_one(settings.stride, 1), pad=_one(settings.pad, 0),
                weight=values[0], bias=values[1] if len(values) > 1 else None,
            )  # fmt: skip
    elif layer.type == "Pooling":
        pool = layer.pooling_param
        if pool.pool == pool.MAX and pool.pad == 0:
            return Step("max_pool", layer.name, bottoms, shape, kernel=pool.kernel_size, stride=pool.stride)
    elif layer.type == "Crop":
        crop = layer.crop_param
        if crop.axis == 2 and len(crop.offset) == 1:
            return Step("crop", layer.name, bottoms[:1], shape, offset=(0, 0, crop.offset[0], crop.offset[0]))
    elif layer.type == "Eltwise":
        if layer.eltwise_param.operation == layer.eltwise_param.SUM and not layer.eltwise_param.coeff:
            return Step("add", layer.name, bottoms, shape)
    raise ValueError(f"layer '{layer.name}' ({layer.type}): not one of the steps that benchmarks give other engines")


def _one(values: Sequence[int], otherwise: int) -> int:
    """The one value of a repeated field; ValueError where there are more."""
    (value,) = values or [otherwise]
    return int(value)
