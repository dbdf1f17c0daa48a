"""Convolution, and the shape rules that it shares with Deconvolution and Im2col."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Count, Layer
from caffe_compat.layer.registry import register
from caffe_compat.layer.vision.layout import fast_layout
from caffe_compat.proto import caffe_pb2 as pb

__all__ = ["BaseConvolution", "Convolution", "Window", "read_window"]


@dataclass(frozen=True)
class Window:
    """The sliding window of a convolution: one entry per spatial axis, in pixels."""

    kernel: Shape
    stride: Shape
    pad: Shape
    dilation: Shape

    @property
    def extent(self) -> Shape:
        """Pixels from the first to the last tap, both included."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    def convolved(self, sizes: Sequence[int]) -> Shape:
        """Sizes after convolution: (size + 2 pad - extent) / stride, rounded towards zero, + 1.

        So a window that is too large by less than its stride still has one position; below 1 where it has none.
        """
        room = (n + 2 * p - e for n, p, e in zip(sizes, self.pad, self.extent, strict=True))
        return tuple((r // s if r >= 0 else -(-r // s)) + 1 for r, s in zip(room, self.stride, strict=True))

    def lacking(self, sizes: Sequence[int]) -> Shape:
        """How far the window reaches beyond the padded map at its first position, where it is too large for it."""
        return tuple(max(0, e - n - 2 * p) for n, p, e in zip(sizes, self.pad, self.extent, strict=True))

    def deconvolved(self, sizes: Sequence[int]) -> Shape:
        """Sizes after deconvolution: stride (size - 1) + extent - 2 pad."""
        return tuple(
            s * (n - 1) + e - 2 * p for n, p, e, s in zip(sizes, self.pad, self.extent, self.stride, strict=True)
        )


def read_window(layer: Layer, param: pb.ConvolutionParameter, axes: int) -> Window:
    """The window that a convolution_param describes for this many spatial axes.

    Raises:
        LayerError: a field is given both ways or a wrong number of times, or kernel, stride or dilation is 0.
    """
    window = Window(
        kernel=_per_axis(layer, param, "kernel_size", axes, None),
        stride=_per_axis(layer, param, "stride", axes, 1),
        pad=_per_axis(layer, param, "pad", axes, 0),
        dilation=_per_axis(layer, param, "dilation", axes, 1),
    )
    for name in ("kernel", "stride", "dilation"):
        if 0 in getattr(window, name):
            raise layer.error(
                f"{name} is {_by(getattr(window, name))}; it must be 1 or more on every spatial axis "
                f"(of {name}_h and {name}_w give both)"
            )
    return window


def _per_axis(layer: Layer, param: pb.ConvolutionParameter, field: str, axes: int, default: int | None) -> Shape:
    """One value per spatial axis from a repeated field or, in 2-D, from its _h and _w twins.

    ``default`` is for a field that is not given; None means that it must be. (Caffe's schema has no default for
    repeated fields: these are in its code.)
    """
    given = tuple(getattr(param, field))
    stem = field.removesuffix("_size")
    if field != "dilation" and (param.HasField(f"{stem}_h") or param.HasField(f"{stem}_w")):
        if axes != 2:
            raise layer.error(
                f"{stem}_h and {stem}_w are for 2 spatial axes and this bottom has {axes}; use {field}, once per axis"
            )
        if given:
            raise layer.error(f"{field} and {stem}_h or {stem}_w are both given; give one or the other")
        return (getattr(param, f"{stem}_h"), getattr(param, f"{stem}_w"))
    if not given and default is not None:
        return (default,) * axes
    if len(given) not in (1, axes):
        raise layer.error(
            f"{field} is given {len(given)} times for {axes} spatial axes; give it once, or once for each axis"
        )
    return given * axes if len(given) == 1 else given


def _by(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes))


class BaseConvolution(Layer):
    """What Convolution and Deconvolution share: parameters, blobs, and the checks of shapes."""

    bottoms = Count.at_least(1)
    tops = Count.at_least(1)
    equal_counts = True
    top_is_free = True

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Read the window and make weight and bias."""
        p = self.param.convolution_param
        shape = bottom_shapes[0]
        self.channel_axis = self.axis(p.axis, len(shape), "convolution_param.axis")
        self.axes = len(shape)
        self.channels = shape[self.channel_axis]
        spatial = len(shape) - self.channel_axis - 1
        if spatial > 3:
            raise self.error(
                f"bottom[0] of shape {shape} has {spatial} spatial axes after axis {self.channel_axis}; "
                "at most 3 can be convolved; raise convolution_param.axis or reshape the bottom"
            )
        self.window = read_window(self, p, spatial)
        self.num_output, self.group = p.num_output, p.group
        if self.num_output == 0:
            raise self.error("num_output is 0; give convolution_param.num_output, 1 or more")
        if self.group == 0:
            raise self.error("group is 0; give convolution_param.group, 1 or more")
        for count, what in ((self.channels, "channels of bottom[0]"), (self.num_output, "num_output")):
            if count % self.group:
                raise self.error(
                    f"{what}: {count} cannot be divided by group {self.group}; change convolution_param.group"
                )
        self.add_blob(self.weight_shape(), p.weight_filler)
        if p.bias_term:
            self.add_blob((self.num_output,), p.bias_filler)

    def weight_shape(self) -> Shape:
        """Shape of the weight blob."""
        raise NotImplementedError

    def top_sizes(self, sizes: Shape) -> Shape:
        """Spatial sizes of the top for those of the bottom."""
        raise NotImplementedError

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """Top shapes: bottom's with num_output channels and the window's spatial sizes."""
        shape = bottom_shapes[0]
        if len(shape) != self.axes:
            raise self.error(
                f"bottom[0] has {len(shape)} axes (shape {shape}) where it had {self.axes} at setup; keep their number"
            )
        if shape[self.channel_axis] != self.channels:
            raise self.error(
                f"bottom[0] has {shape[self.channel_axis]} channels (shape {shape}) but the weight was made for "
                f"{self.channels}; feed {self.channels} channels or build the net anew"
            )
        for i, other in enumerate(bottom_shapes):
            if other != shape:
                raise self.error(
                    f"bottom[{i}] has shape {other} and bottom[0] {shape}; all bottoms must have one shape"
                )
        sizes = self.top_sizes(shape[self.channel_axis + 1 :])
        return [(*shape[: self.channel_axis], self.num_output, *sizes)] * len(bottom_shapes)

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """Each bottom, convolved with the same weight."""
        weight, bias = blobs[0], blobs[1] if len(blobs) > 1 else None
        lead = self.channel_axis
        if lead == 1 and weight.ndim > 2:
            return [self.convolve(fast_layout(x), weight, bias, self.window) for x in bottoms]
        window = self.window
        if weight.ndim == 2:  # no spatial axis: give it one of size 1
            weight, window = weight[..., None], Window((1,), (1,), (0,), (1,))
        tops = []
        for x in bottoms:
            sizes = x.shape[lead + 1 :]
            flat = x.reshape(-1, self.channels, *(sizes or (1,)))  # all axes before the channels as one
            y = self.convolve(fast_layout(flat), weight, bias, window)
            tops.append(y.reshape(*x.shape[:lead], self.num_output, *(y.shape[2:] if sizes else ())))
        return tops

    def convolve(
        self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, window: Window
    ) -> torch.Tensor:
        """The operation itself, on N x C x 1 to 3 spatial axes."""
        raise NotImplementedError


@register
class Convolution(BaseConvolution):
    """Correlates the bottom with learned kernels and adds a bias.

    All bottoms go through the same weight. ``engine`` and ``force_nd_im2col`` choose between ways of computing the
    same numbers in Caffe and have no effect here. A kernel that is larger than the padded bottom, by less than its
    stride, has one position, where it sees zeros behind the end: Caffe's division rounds towards zero.

    Bottoms:  any number, all N x C x H x W (0 to 3 spatial axes; ``axis`` says which axis holds the channels).
    Tops:     one per bottom: N x num_output x H' x W',
              H' = (H + 2 pad - dilation (kernel - 1) - 1) / stride, rounded towards zero, + 1.
    Params:   convolution_param.num_output: channels of the top, a multiple of group.
              kernel_size, stride (1), pad (0), dilation (1): pixels, once or once per spatial axis; in 2-D also
              kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w. pad adds zeros on each side.
              group: channels in and out are split into this many separate convolutions.
              bias_term, weight_filler, bias_filler, axis.
    Blobs:    [0] weight: num_output x C/group x kh x kw; [1] bias: num_output.
    Raises:   LayerError: num_output, kernel, stride, dilation or group 0; a field given twice or in the wrong number;
              channels that group does not divide; channels or axes that change; a kernel without a position.
    Source:   BVLC/caffe src/caffe/layers/base_conv_layer.cpp, conv_layer.cpp.
    """

    type = "Convolution"

    def weight_shape(self) -> Shape:
        """num_output x C/group x kernel."""
        return (self.num_output, self.channels // self.group, *self.window.kernel)

    def top_sizes(self, sizes: Shape) -> Shape:
        """Spatial sizes of the top; every one must be at least 1."""
        out = self.window.convolved(sizes)
        if any(n < 1 for n in out):
            raise self.error(
                f"a kernel that spans {_by(self.window.extent)} does not fit into bottom[0] of {_by(sizes)} with pad "
                f"{_by(self.window.pad)}; lower kernel_size or dilation, or raise pad or the input size"
            )
        return out

    def convolve(
        self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, window: Window
    ) -> torch.Tensor:
        """Torch's convolution of 1, 2 or 3 spatial axes."""
        lacking = window.lacking(x.shape[2:])
        if any(lacking):
            x = F.pad(x, [zeros for end in reversed(lacking) for zeros in (0, end)])
        op = (F.conv1d, F.conv2d, F.conv3d)[x.ndim - 3]
        return op(x, weight, bias, window.stride, window.pad, window.dilation, self.group)
