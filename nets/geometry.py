"""What can be said of a net from its message alone: sizes, strides, receptive fields, depth. Nothing is built.

A position ``x`` of the image, counted in pixels, lies at ``x / stride + shift`` of a blob; both are exact fractions.
Where a layer reads several blobs, the image is the first of them and the receptive field the largest.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from caffe_compat.errors import NetError
from caffe_compat.proto.caffe_pb2 import ConvolutionParameter, LayerParameter, NetParameter, PoolingParameter

__all__ = ["Place", "crop_offset", "layer_places", "places"]

_SAME_PLACE = {"Dropout", "Eltwise", "LRN", "ReLU", "Scale", "Softmax"}
_TO_NUMBERS = {"Accuracy", "SoftmaxWithLoss"}


@dataclass(frozen=True)
class Place:
    """A blob, seen from the image.

    Args:
        channels: second axis; 0 where the blob is a single number.
        size_px: height and width; None where the data layer does not say.
        stride: image pixels from one position to the next.
        shift: where image position 0 lies, in positions of the blob.
        receptive_field_px: side of the square of the image that a position sees, padding included.
        depth: Convolution and InnerProduct layers on the longest way from the image.
    """

    channels: int
    size_px: tuple[int, int] | None = None
    stride: Fraction = Fraction(1)
    shift: Fraction = Fraction(0)
    receptive_field_px: int = 1
    depth: int = 0


def places(net: NetParameter, *, data_channels: int = 3) -> dict[str, Place]:
    """Every blob's place, as its last writer leaves it.

    Args:
        net: a net whose layers are of the types that the nets here use.
        data_channels: of the first top of a data layer whose shape the message does not say; its others have 1.

    Raises:
        NetError: a layer of another type, or a size that is needed and not known.
    """
    return layer_places(net, data_channels=data_channels)[-1] if net.layer else {}


def layer_places(net: NetParameter, *, data_channels: int = 3) -> list[dict[str, Place]]:
    """The places of all blobs so far, after each layer; arguments and errors as for ``places``."""
    known: dict[str, Place] = {}
    steps = []
    for layer in net.layer:
        known = {**known, **_tops(layer, known, data_channels)}
        steps.append(known)
    return steps


def crop_offset(net: NetParameter, bottom: str, reference: str) -> int:
    """The offset of a Crop that cuts one blob to the place of another, by way of any layers, Concat included.

    Raises:
        NetError: they differ in stride, or the offset is negative or not whole.
    """
    known = places(net)
    cut, kept = known[bottom], known[reference]
    if cut.stride != kept.stride:
        raise NetError(f"crop of '{bottom}' to '{reference}': strides {cut.stride} and {kept.stride}; make them equal")
    offset = cut.shift - kept.shift
    if offset < 0 or offset.denominator != 1:
        raise NetError(
            f"crop of '{bottom}' to '{reference}': offset {offset} is not a whole number from 0 on; "
            "change a kernel_size or pad on the way"
        )
    return int(offset)


def _tops(layer: LayerParameter, known: dict[str, Place], data_channels: int) -> dict[str, Place]:
    if not layer.bottom:
        return _sources(layer, data_channels)
    bottoms = [known[name] for name in layer.bottom]
    if layer.type in _TO_NUMBERS:
        return {top: Place(0) for top in layer.top}
    return {top: _through(layer, bottoms) for top in layer.top}


def _sources(layer: LayerParameter, data_channels: int) -> dict[str, Place]:
    shapes = [tuple(shape.dim) for shape in layer.input_param.shape]
    found = {}
    for index, top in enumerate(layer.top):
        shape = shapes[min(index, len(shapes) - 1)] if shapes else (1, data_channels if index == 0 else 1)
        size = (shape[2], shape[3]) if len(shape) == 4 else None
        found[top] = Place(shape[1] if len(shape) > 1 else 1, size)
    return found


def _through(layer: LayerParameter, bottoms: Sequence[Place]) -> Place:
    """Where a layer's tops lie."""
    first = bottoms[0]
    if layer.type in _SAME_PLACE or layer.type == "Concat":
        channels = sum(one.channels for one in bottoms) if layer.type == "Concat" else first.channels
        field, depth = max(one.receptive_field_px for one in bottoms), max(one.depth for one in bottoms)
        return replace(first, channels=channels, receptive_field_px=field, depth=depth)
    if layer.type == "Crop":
        offset = layer.crop_param.offset[0] if layer.crop_param.offset else 0
        return replace(first, size_px=bottoms[1].size_px, shift=first.shift - offset)
    if layer.type == "InnerProduct":
        return replace(first, channels=layer.inner_product_param.num_output, size_px=(1, 1), depth=first.depth + 1)
    if layer.type == "Convolution":
        settings = layer.convolution_param
        moved = _slide(first, *_window(settings), ceil=False)
        return replace(moved, channels=settings.num_output, depth=first.depth + 1)
    if layer.type == "Deconvolution":
        return _spread(first, layer.convolution_param)
    if layer.type == "Pooling":
        if layer.pooling_param.global_pooling:
            return replace(first, size_px=(1, 1))
        return _slide(first, *_window(layer.pooling_param), ceil=True)
    raise NetError(
        f"layer '{layer.name}' ({layer.type}): sizes and weights of this type are not counted; add it to nets.geometry"
    )


def _window(settings: ConvolutionParameter | PoolingParameter) -> tuple[int, int, int]:
    """Extent of the kernel, stride and pad; of square windows."""
    if isinstance(settings, PoolingParameter):
        return settings.kernel_size, settings.stride, settings.pad
    dilation = settings.dilation[0] if settings.dilation else 1
    extent = (settings.kernel_size[0] - 1) * dilation + 1
    return extent, settings.stride[0] if settings.stride else 1, settings.pad[0] if settings.pad else 0


def _slide(place: Place, extent: int, stride: int, pad: int, *, ceil: bool) -> Place:
    """Through a window that slides over the blob; pooling rounds its number of positions up."""
    size = None
    if place.size_px is not None:
        height, width = (_positions(side, extent, stride, pad, ceil) for side in place.size_px)
        size = (height, width)
    return replace(
        place,
        size_px=size,
        stride=place.stride * stride,
        shift=(place.shift + pad - Fraction(extent - 1, 2)) / stride,
        receptive_field_px=place.receptive_field_px + int((extent - 1) * place.stride),
    )


def _positions(side: int, extent: int, stride: int, pad: int, ceil: bool) -> int:
    steps = Fraction(side + 2 * pad - extent, stride)
    if not ceil:
        return math.floor(steps) + 1
    count = math.ceil(steps) + 1
    return count - 1 if pad and (count - 1) * stride >= side + pad else count


def _spread(place: Place, settings: ConvolutionParameter) -> Place:
    """Through a Deconvolution."""
    extent, stride, pad = _window(settings)
    size = None
    if place.size_px is not None:
        height, width = (stride * (side - 1) + extent - 2 * pad for side in place.size_px)
        size = (height, width)
    return replace(
        place,
        channels=settings.num_output,
        size_px=size,
        stride=place.stride / stride,
        shift=place.shift * stride + Fraction(extent - 1, 2) - pad,
    )
