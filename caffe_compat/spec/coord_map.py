"""Where a pixel of one blob lies on another: the offsets of Crop layers, computed from the net spec.

A map is ``(axis, scale, shift)``. Along each spatial axis, position ``x`` of a layer's bottom lies at position
``scale * x + shift`` of its top; ``axis`` is the last axis before the spatial ones (1 for N x C x H x W), or None for
a layer that leaves positions alone and does not say which axes are spatial. Scale and shift are numbers or arrays
with one entry per spatial axis.

With k the kernel's extent ``(kernel_size - 1) * dilation + 1``, s the stride and p the padding:
Convolution, Pooling and Im2col have scale ``1/s`` and shift ``(p - (k - 1)/2) / s``; Deconvolution has scale ``s`` and
shift ``(k - 1)/2 - p``; Crop has shift ``-offset``.

For FCN: 19 for voc-fcn32s; 5 and 27 for voc-fcn16s; 5, 9 and 31 for voc-fcn8s; 18 for the AlexNet form.

Source: BVLC/caffe python/caffe/coord_map.py. Where we differ: errors name the layers; rounding of scales such as
1/7 * 7 is allowed for; a path of pass-through or Crop layers alone can be cropped along; global pooling has no map;
Pooling may be given by ``pooling_param=dict(...)``.
"""

from typing import Any

import numpy as np

from caffe_compat.errors import NetError
from caffe_compat.spec.net_spec import Function, Top
from caffe_compat.spec.net_spec import layers as L

__all__ = [
    "PASS_THROUGH_LAYERS",
    "AxisMismatchException",
    "CropError",
    "UndefinedMapException",
    "UnconnectedTopsError",
    "compose",
    "conv_params",
    "coord_map",
    "coord_map_from_to",
    "crop",
    "crop_params",
    "inverse",
]

CoordMap = tuple[int | None, Any, Any]

IDENTITY: CoordMap = (None, 1, 0)

PASS_THROUGH_LAYERS = [
    "AbsVal",
    "BatchNorm",
    "Bias",
    "BNLL",
    "Dropout",
    "Eltwise",
    "ELU",
    "Log",
    "LRN",
    "Exp",
    "MVN",
    "Power",
    "ReLU",
    "PReLU",
    "Scale",
    "Sigmoid",
    "Split",
    "TanH",
    "Threshold",
]

_ONE_SIDED = ("pad_h", "pad_w", "kernel_h", "kernel_w", "stride_h", "stride_w")
_TOLERANCE = 1e-6  # pixels: what float64 rounding of scales can add up to, and far less than half a pixel


class UndefinedMapException(NetError):  # noqa: N818 - pycaffe's name
    """A layer whose top has no positions that belong to its bottom's, such as InnerProduct."""


class AxisMismatchException(NetError):  # noqa: N818 - pycaffe's name
    """Two layers on one path whose spatial axes are not the same."""


class UnconnectedTopsError(NetError):
    """Two tops with no common ancestor by layers that have a map."""


class CropError(NetError, AssertionError):
    """A crop that no Crop layer can do; an AssertionError too, as pycaffe's is."""


def conv_params(fn: Function) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """Axis, stride, kernel extent (with dilation) and padding of a Convolution, Deconvolution, Im2col or Pooling.

    Raises:
        CropError: the layer uses the ``_h``/``_w`` forms, or has no kernel_size.
    """
    params = fn.params.get("convolution_param", fn.params.get("pooling_param", fn.params))
    one_sided = [name for name in _ONE_SIDED if name in params or name in fn.params]
    if one_sided:
        raise CropError(
            f"cannot map coordinates through a {fn.type_name} with {', '.join(one_sided)}; "
            "give kernel_size, stride and pad as [h, w] lists"
        )
    if "kernel_size" not in params:
        raise CropError(f"cannot map coordinates through a {fn.type_name} without kernel_size; give its kernel_size")
    kernel = np.array(params["kernel_size"], ndmin=1)
    dilation = np.array(params.get("dilation", 1), ndmin=1)
    return (
        params.get("axis", 1),
        np.array(params.get("stride", 1), ndmin=1),
        (kernel - 1) * dilation + 1,
        np.array(params.get("pad", 0), ndmin=1),
    )


def crop_params(fn: Function) -> tuple[int, np.ndarray]:
    """First cropped axis (2 unless given) and offsets of a Crop layer."""
    params = fn.params.get("crop_param", fn.params)
    return params.get("axis", 2), np.array(params.get("offset", 0), ndmin=1)


def coord_map(fn: Function) -> CoordMap:
    """The map from the layer's bottoms to its tops.

    Raises:
        UndefinedMapException: the layer has none.
        CropError: as in ``conv_params``.
    """
    if fn.type_name in PASS_THROUGH_LAYERS:
        return IDENTITY
    if fn.type_name == "Crop":
        axis, offset = crop_params(fn)
        return axis - 1, 1, -offset
    if fn.params.get("pooling_param", fn.params).get("global_pooling", False):
        raise UndefinedMapException("global pooling has no coordinate map: every input position goes to one output")
    if fn.type_name in ("Convolution", "Pooling", "Im2col"):
        axis, stride, kernel, pad = conv_params(fn)
        return axis, 1 / stride, (pad - (kernel - 1) / 2) / stride
    if fn.type_name == "Deconvolution":
        axis, stride, kernel, pad = conv_params(fn)
        return axis, stride, (kernel - 1) / 2 - pad
    raise UndefinedMapException(f"layers of type {fn.type_name} have no coordinate map")


def compose(base_map: CoordMap, next_map: CoordMap) -> CoordMap:
    """The map that applies ``next_map`` first and ``base_map`` to its result.

    Raises:
        AxisMismatchException: both name their axis, and not the same.
    """
    base_axis, base_scale, base_shift = base_map
    next_axis, next_scale, next_shift = next_map
    if base_axis is not None and next_axis is not None and base_axis != next_axis:
        raise AxisMismatchException(
            f"coordinate maps of axis {base_axis} and axis {next_axis} meet on one path; "
            "give the layers on it the same axis"
        )
    axis = next_axis if base_axis is None else base_axis
    return axis, base_scale * next_scale, base_scale * next_shift + base_shift


def inverse(coord_map: CoordMap) -> CoordMap:
    """The map from the top back to the bottom."""
    axis, scale, shift = coord_map
    return axis, 1 / scale, -shift / scale


def _bottom_maps(top: Top, so_far: CoordMap) -> list[tuple[Top, CoordMap]]:
    """The layer's bottoms with the maps from them to where ``so_far`` leads; of Crop only the cropped one."""
    bottoms = top.fn.inputs[:1] if top.fn.type_name == "Crop" else top.fn.inputs
    if not bottoms:
        return []
    try:
        through = compose(so_far, coord_map(top.fn))
    except UndefinedMapException:
        return []
    return [(bottom, through) for bottom in bottoms]


def coord_map_from_to(top_from: Top, top_to: Top) -> CoordMap:
    """The map from positions of ``top_from`` to those of ``top_to``, by way of an ancestor of both.

    All common ancestors are taken to give the same map.

    Raises:
        UnconnectedTopsError: they have no common ancestor by layers that have a map (a RuntimeError too, as pycaffe's).
        AxisMismatchException: layers on the way differ in their axis.
        CropError: as in ``conv_params``.
    """
    from_maps = {top_from: IDENTITY}
    frontier = [top_from]
    while frontier:
        top = frontier.pop()
        for bottom, through in _bottom_maps(top, from_maps[top]):
            if bottom not in from_maps:
                from_maps[bottom] = through
                frontier.append(bottom)
    to_maps = {top_to: IDENTITY}
    frontier = [top_to]
    while frontier:
        top = frontier.pop()
        if top in from_maps:
            return compose(to_maps[top], inverse(from_maps[top]))
        for bottom, through in _bottom_maps(top, to_maps[top]):
            if bottom not in to_maps:
                to_maps[bottom] = through
                frontier.append(bottom)
    raise UnconnectedTopsError(
        f"no coordinate map from a top of {top_from.fn.type_name} to a top of {top_to.fn.type_name}: they share no "
        "ancestor by layers that keep positions; crop before InnerProduct, Flatten and the like, and from one input"
    )


def crop(top_from: Top, top_to: Top) -> Top:
    """A Crop layer that cuts ``top_from`` to the size and place of ``top_to``.

    Raises:
        CropError: their scales differ, the offset is negative (``top_from`` is the smaller) or not whole.
        UnconnectedTopsError: they have no common ancestor by layers that have a map.
        AxisMismatchException: layers on the way differ in their axis.
    """
    axis, scale, shift = coord_map_from_to(top_from, top_to)
    scale, offset = np.atleast_1d(scale), -np.atleast_1d(shift)
    who = f"crop of a top of {top_from.fn.type_name} to a top of {top_to.fn.type_name}"
    if not np.allclose(scale, 1, rtol=0, atol=_TOLERANCE):
        raise CropError(f"{who}: scale mismatch on crop (a = {scale}); bring both to one stride before the crop")
    if (offset < -_TOLERANCE).any():
        raise CropError(f"{who}: cannot crop negative width (b = {-offset}); give the first one more padding")
    whole = np.round(offset)
    if not np.allclose(whole, offset, rtol=0, atol=_TOLERANCE):
        raise CropError(
            f"{who}: cannot crop noninteger width (b = {-offset}); change a kernel_size or pad on the way by one"
        )
    first_axis = 2 if axis is None else axis + 1
    return L.Crop(top_from, top_to, crop_param={"axis": first_axis, "offset": [int(o) for o in whole]})
