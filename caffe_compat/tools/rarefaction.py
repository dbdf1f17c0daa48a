"""Filter rarefaction: a net whose layers no longer stride, and whose filters are dilated instead.

What it gives at every position is what the net gives there for an image that is shifted so that one of its own
positions falls on it. Only Caffe's layers are used: where the image's positions have become denser than a pooling
window's steps, the window's taps are read by dilated convolutions of one channel each, with fixed weights, and MAX is
their Eltwise MAX, rows first and then columns; AVE is one such convolution.

Source: CVPR 2015, section 3.2 (filter rarefaction, the a trous algorithm).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from caffe_compat.errors import NetError
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST, EltwiseParameter, LayerParameter, NetParameter, PoolingParameter

__all__ = ["Axis", "Rarefied", "rarefied"]

_POINTWISE = {
    *("AbsVal", "BNLL", "BatchNorm", "Bias", "Clip", "Dropout", "ELU", "Eltwise", "Exp", "Log", "PReLU", "Power"),
    *("ReLU", "Scale", "Sigmoid", "Softmax", "Swish", "TanH", "Threshold"),
}
_SIDES = ("h", "w")


@dataclass(frozen=True)
class Axis:
    """Where the positions of a blob lie along the image's height or width.

    Args:
        full_stride_px: image pixels from one position to the next in the given net.
        stride_px: the same in the rarefied net.
        first_px: the first pixel that position 0 sees; negative where padding is on the way.
        extent_px: how many pixels a position sees.
    """

    full_stride_px: int = 1
    stride_px: int = 1
    first_px: int = 0
    extent_px: int = 1

    @property
    def dilation(self) -> int:
        """How many of the rarefied net's positions lie between two that a filter reads."""
        return self.full_stride_px // self.stride_px

    def through(self, kernel: int, stride: int, pad: int, dilation: int, largest_px: int) -> "Axis":
        """After a window; it keeps striding as long as positions are not further apart than ``largest_px``."""
        kept = self.stride_px * stride
        return Axis(
            self.full_stride_px * stride,
            kept if kept <= largest_px else self.stride_px,
            self.first_px - pad * self.full_stride_px,
            self.extent_px + (kernel - 1) * dilation * self.full_stride_px,
        )


Axes = tuple[Axis, Axis]


@dataclass(frozen=True)
class Rarefied:
    """A rarefied net.

    Args:
        param: its message.
        net: itself, with weights.
        blob: what it gives.
        axes: where the blob's positions lie, along height and width.
    """

    param: NetParameter
    net: Net
    blob: str
    axes: Axes


@dataclass(frozen=True)
class _Window:
    """A filter's or pooling window along one axis."""

    kernel: int
    stride: int
    pad: int
    dilation: int = 1


def rarefied(net: Net, blob: str, largest_px: int = 1) -> Rarefied:
    """The net up to a blob with its strides removed and its filters dilated.

    Args:
        net: a net in the TEST phase whose first input is N x C x H x W, of layers that keep positions: convolutional.
        blob: what is wanted of it.
        largest_px: strides are kept up to this distance of positions, pixels; 1 removes them all.

    Raises:
        NetError: there is no such blob, or a layer on the way to it does not keep positions.
    """
    if blob not in net.blobs:
        raise NetError(f"net '{net.name}': no blob '{blob}' in it; it has {', '.join(net.blobs)}")
    made = NetParameter(name=net.name)
    places: dict[str, Axes] = {}
    taps: dict[str, np.ndarray] = {}
    for param in _way_to(net, blob):
        new = LayerParameter()
        new.CopyFrom(param)
        new.ClearField("blobs")
        if not param.bottom:
            made.layer.append(new)
            places |= dict.fromkeys(param.top, (Axis(), Axis()))
            continue
        before = _common(param, [places[bottom] for bottom in param.bottom])
        layers, after = _changed(net, new, before, largest_px, taps)
        made.layer.extend(layers)
        places |= dict.fromkeys(param.top, after)
    twin = Net(made, TEST)
    for name, blobs in twin.params.items():
        if name in taps:
            blobs[0].data[...] = taps[name]
            continue
        for mine, theirs in zip(blobs, net.params[name], strict=True):
            mine.data[...] = theirs.data
    return Rarefied(made, twin, blob, places[blob])


def _way_to(net: Net, blob: str) -> list[LayerParameter]:
    """The messages of the layers that a blob hangs on, without the runtime's own Splits."""
    origin: dict[str, str] = {}
    params = []
    for layer in net.layers:
        if layer.type == "Split":
            origin |= dict.fromkeys(layer.param.top, layer.param.bottom[0])
            continue
        param = LayerParameter()
        param.CopyFrom(layer.param)
        param.bottom[:] = [origin.get(name, name) for name in layer.param.bottom]
        params.append(param)
    wanted = {origin.get(blob, blob)}
    way = []
    for param in reversed(params):
        if wanted.intersection(param.top):
            wanted.update(param.bottom)
            way.append(param)
    return way[::-1]


def _common(layer: LayerParameter, places: Sequence[Axes]) -> Axes:
    """Where a layer's bottoms lie; several must have one stride, and what they see adds up."""
    strides = [[(axis.full_stride_px, axis.stride_px) for axis in axes] for axes in places]
    if any(one != strides[0] for one in strides):
        raise NetError(
            f"layer '{layer.name}' ({layer.type}): its bottoms have different strides; end the net before it with -blob"
        )
    return _union([axes[0] for axes in places]), _union([axes[1] for axes in places])


def _union(axes: Sequence[Axis]) -> Axis:
    first = min(axis.first_px for axis in axes)
    return replace(axes[0], first_px=first, extent_px=max(axis.first_px + axis.extent_px for axis in axes) - first)


def _changed(
    net: Net, layer: LayerParameter, before: Axes, largest_px: int, taps: dict[str, np.ndarray]
) -> tuple[list[LayerParameter], Axes]:
    """The layers that stand for a layer, and where its tops lie; the weights of new ones go to ``taps``."""
    if layer.type == "Convolution":
        windows = _convolution_windows(layer)
        after = _after(before, windows, largest_px)
        _dilate(layer, windows, before, after)
        return [layer], after
    if layer.type == "Pooling" and not layer.pooling_param.global_pooling:
        windows = _pooling_windows(layer.pooling_param)
        after = _after(before, windows, largest_px)
        channels = net.blobs[layer.bottom[0]].shape[1]
        return _pooling(layer, windows, before, after, channels, taps), after
    if layer.type in _POINTWISE or _is_across_channels(layer):
        return [layer], before
    raise NetError(
        f"layer '{layer.name}' ({layer.type}): what it makes has no positions that could become denser; "
        "convolutionalize a classifier first, or end the net before it with -blob"
    )


def _is_across_channels(layer: LayerParameter) -> bool:
    if layer.type == "LRN":
        return bool(layer.lrn_param.norm_region == layer.lrn_param.ACROSS_CHANNELS)
    return layer.type == "Concat" and bool(layer.concat_param.axis == 1)


def _after(before: Axes, windows: Sequence[_Window], largest_px: int) -> Axes:
    height, width = (
        axis.through(one.kernel, one.stride, one.pad, one.dilation, largest_px)
        for axis, one in zip(before, windows, strict=True)
    )
    return height, width


def _convolution_windows(layer: LayerParameter) -> list[_Window]:
    settings = layer.convolution_param
    values: Mapping[str, list[int]] = {
        name: _pair(list(getattr(settings, field)), settings, f"{name}_", default)
        for name, field, default in (("kernel", "kernel_size", 0), ("stride", "stride", 1), ("pad", "pad", 0))
    }
    dilation = _pair(list(settings.dilation), None, "", 1)
    return [
        _Window(values["kernel"][side], values["stride"][side], values["pad"][side], dilation[side]) for side in (0, 1)
    ]


def _pair(repeated: list[int], settings: object, prefix: str, default: int) -> list[int]:
    """Height and width of a setting: from ``x_h`` and ``x_w``, one number for both, or one each."""
    if settings is not None and (settings.HasField(f"{prefix}h") or settings.HasField(f"{prefix}w")):  # type: ignore[attr-defined]
        return [getattr(settings, f"{prefix}{side}") for side in _SIDES]
    return (repeated or [default]) * (1 if len(repeated) == 2 else 2)


def _pooling_windows(settings: PoolingParameter) -> list[_Window]:
    def sides(name: str, both: str) -> list[int]:
        single = [getattr(settings, f"{name}_{side}") for side in _SIDES]
        given = settings.HasField(f"{name}_h") or settings.HasField(f"{name}_w")
        return single if given else [getattr(settings, both)] * 2

    kernel, stride, pad = sides("kernel", "kernel_size"), sides("stride", "stride"), sides("pad", "pad")
    return [_Window(kernel[side], stride[side], pad[side]) for side in (0, 1)]


def _dilate(layer: LayerParameter, windows: Sequence[_Window], before: Axes, after: Axes) -> None:
    """Write a Convolution's stride, pad and dilation for denser bottoms."""
    settings = layer.convolution_param
    for field in ("stride", "stride_h", "stride_w", "pad", "pad_h", "pad_w", "dilation"):
        settings.ClearField(field)
    for window, old, new in zip(windows, before, after, strict=True):
        settings.stride.append(new.stride_px // old.stride_px)
        settings.pad.append(window.pad * old.dilation)
        settings.dilation.append(window.dilation * old.dilation)


def _pooling(
    layer: LayerParameter, windows: Sequence[_Window], before: Axes, after: Axes, channels: int,
    taps: dict[str, np.ndarray],
) -> list[LayerParameter]:  # fmt: skip
    """Pooling over denser bottoms: as it is but for the stride, or through the taps of its window."""
    if all(old.dilation == 1 for old in before):
        settings = layer.pooling_param
        settings.ClearField("stride")
        settings.stride_h, settings.stride_w = (
            new.stride_px // old.stride_px for new, old in zip(after, before, strict=True)
        )
        return [layer]
    kernel = [window.kernel for window in windows]
    if layer.pooling_param.pool == PoolingParameter.AVE:
        taps[layer.name] = np.full((channels, 1, *kernel), 1 / math.prod(kernel), np.float32)
        return [_tap(layer.name, layer.bottom[0], layer.top[0], windows, before, (0, 1), channels)]
    if layer.pooling_param.pool != PoolingParameter.MAX:
        raise NetError(
            f"layer '{layer.name}' (Pooling): only MAX and AVE pooling have positions that can become denser"
        )
    layers: list[LayerParameter] = []
    bottom = layer.bottom[0]
    for side, word in enumerate(("row", "column")):
        reads = []
        for position in range(kernel[side]):
            name = f"{layer.name}_{word}{position}"
            shape = [channels, 1, 1, 1]
            shape[2 + side] = kernel[side]
            weight = np.zeros(shape, np.float32)
            weight[(slice(None), 0, position, 0) if side == 0 else (slice(None), 0, 0, position)] = 1
            taps[name] = weight
            layers.append(_tap(name, bottom, name, windows, before, (side,), channels))
            reads.append(name)
        top = layer.top[0] if side == 1 else f"{layer.name}_rows"
        if len(reads) == 1:
            layers[-1].top[0] = top
        else:
            largest = LayerParameter(name=f"{layer.name}_{word}s", type="Eltwise", bottom=reads, top=[top])
            largest.eltwise_param.operation = EltwiseParameter.MAX
            layers.append(largest)
        bottom = top
    return layers


def _tap(
    name: str, bottom: str, top: str, windows: Sequence[_Window], before: Axes, sides: Sequence[int], channels: int
) -> LayerParameter:
    """A dilated Convolution of each channel by itself, with the window's extent on some sides and 1 on the others."""
    layer = LayerParameter(name=name, type="Convolution", bottom=[bottom], top=[top])
    layer.param.add(lr_mult=0, decay_mult=0)
    settings = layer.convolution_param
    settings.num_output = settings.group = channels
    settings.bias_term = False
    for side, (window, axis) in enumerate(zip(windows, before, strict=True)):
        there = side in sides
        settings.kernel_size.append(window.kernel if there else 1)
        settings.pad.append(window.pad * axis.dilation if there else 0)
        settings.dilation.append(axis.dilation if there else 1)
    return layer
