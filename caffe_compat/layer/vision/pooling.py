"""Pooling: maximum, average or a random draw over windows of each channel."""

import math
from collections.abc import Sequence

import torch
from torch.nn import functional as F

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Count, Layer
from caffe_compat.layer.registry import register
from caffe_compat.layer.vision.layout import fast_layout
from caffe_compat.proto import caffe_pb2 as pb

__all__ = ["Pooling"]

FLT_MAX = torch.finfo(torch.float32).max
Pair = tuple[int, int]


@register
class Pooling(Layer):
    """The maximum, the mean or a randomly drawn value of every window, channel by channel.

    Windows may hang over the right and lower edge: H' rounds up unless round_mode is FLOOR. Only where there is padding
    is a last window that would begin beyond the image and its left padding left out.
    MAX: of equal values the first in reading order wins and gets the whole gradient; padding and NaN are never taken;
    a window without any number above -FLT_MAX gives -FLT_MAX, mask -1 and no gradient.
    AVE: padding counts as zeros, but what hangs over beyond the padding is not counted.
    STOCHASTIC: in TRAIN a value is drawn with probability proportional to it (values are taken to be 0 or more); in
    TEST sum(x^2) / sum(x), or 0 where the sum is not above 0. Caffe has it on the GPU only; here it works everywhere.

    Bottoms:  N x C x H x W.
    Tops:     y: N x C x H' x W', H' = ceil((H + 2 pad - kernel) / stride) + 1;
              with MAX optionally mask: the same shape, index h W + w of the maximum within its H x W map, or -1.
    Params:   pooling_param.pool; kernel_size or kernel_h and kernel_w; stride (1) and pad (0) likewise, pixels;
              global_pooling: the window is the whole map, whatever its size; round_mode: CEIL or FLOOR.
    Raises:   LayerError: not 4 axes; kernel missing, 0 or given twice; stride 0; pad not below the kernel; padding with
              STOCHASTIC; global_pooling with kernel, pad or stride; a second top without MAX; an empty top.
    Source:   BVLC/caffe src/caffe/layers/pooling_layer.cpp, pooling_layer.cu.
    """

    type = "Pooling"
    tops = Count(1, 2)

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Read and check kernel, stride and pad."""
        p = self.param.pooling_param
        if self.top_count == 2 and p.pool != p.MAX:
            raise self.error("2 tops given; only pool: MAX makes a mask as its second top; remove it")
        self.pad = self._pair("pad")
        self.stride = self._pair("stride")
        self.kernel = (0, 0) if p.global_pooling else self._pair("kernel")
        if p.global_pooling:
            given = [f for f in ("kernel_size", "kernel_h", "kernel_w") if p.HasField(f)]
            if given or self.pad != (0, 0) or self.stride != (1, 1):
                raise self.error(
                    f"global_pooling takes no kernel, no pad and stride 1; found {', '.join(given) or 'no kernel'}, "
                    f"pad {self.pad}, stride {self.stride}; remove these fields or global_pooling"
                )
            return
        if 0 in self.kernel or 0 in self.stride:
            raise self.error(
                f"kernel {self.kernel} and stride {self.stride} (height, width) must be 1 or more; "
                "correct pooling_param"
            )
        if self.pad != (0, 0) and p.pool == p.STOCHASTIC:
            raise self.error(f"pad {self.pad} with pool: STOCHASTIC; only MAX and AVE can pad; remove pad")
        if any(pad >= kernel for pad, kernel in zip(self.pad, self.kernel, strict=True) if pad):
            raise self.error(f"pad {self.pad} must be below kernel {self.kernel} (height, width); lower pad")

    def _pair(self, stem: str) -> Pair:
        """(height, width) of kernel, stride or pad: either the square field or both _h and _w."""
        p = self.param.pooling_param
        square = "kernel_size" if stem == "kernel" else stem
        sides = [p.HasField(f"{stem}_h"), p.HasField(f"{stem}_w")]
        if any(sides) and (p.HasField(square) or not all(sides)):
            raise self.error(f"give either {square} or both {stem}_h and {stem}_w")
        if all(sides):
            return (getattr(p, f"{stem}_h"), getattr(p, f"{stem}_w"))
        if stem == "kernel" and not p.HasField(square):
            raise self.error("kernel is missing; give kernel_size, or both kernel_h and kernel_w, or global_pooling")
        return (getattr(p, square), getattr(p, square))

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """N x C x H' x W' for every top."""
        shape = bottom_shapes[0]
        if len(shape) != 4:
            raise self.error(f"bottom[0] has shape {shape}; it must have 4 axes: N x C x H x W")
        p = self.param.pooling_param
        if p.global_pooling:
            self.kernel = (shape[2], shape[3])
        rounded = math.floor if p.round_mode == p.FLOOR else math.ceil
        out = [
            rounded((n + 2 * pad - k) / s) + 1
            for n, pad, k, s in zip(shape[2:], self.pad, self.kernel, self.stride, strict=True)
        ]
        if self.pad != (0, 0):
            for i in range(2):
                if (out[i] - 1) * self.stride[i] >= shape[2 + i] + self.pad[i]:
                    out[i] -= 1
        if min(out) < 1 or 0 in shape[2:]:
            raise self.error(
                f"kernel {self.kernel}, stride {self.stride} and pad {self.pad} leave nothing of bottom[0] of shape "
                f"{shape}; lower the kernel or raise the input size"
            )
        self.out: Pair = (out[0], out[1])
        return [(*shape[:2], *self.out)] * self.top_count

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """Pool by the chosen method."""
        x, p = fast_layout(bottoms[0]), self.param.pooling_param
        if p.pool == p.MAX:
            return self._max(x)
        if p.pool == p.AVE:
            return [self._average(x)]
        return [self._draw(x, context) if context.phase == pb.TRAIN else self._expected(x)]

    # -- windows -------------------------------------------------------------------------------------------------------

    def torch_ceil_mode(self, x: torch.Tensor) -> bool | None:
        """The ceil_mode with which torch's pooling gives Caffe's windows here; None if it has none."""
        if any(2 * pad > k for pad, k in zip(self.pad, self.kernel, strict=True)):
            return None
        wants = self.param.pooling_param.round_mode != pb.PoolingParameter.FLOOR
        for i in range(2):
            n, pad, k, s = x.shape[2 + i], self.pad[i], self.kernel[i], self.stride[i]
            span = n + 2 * pad - k
            if span < 0:
                return None
            out = (span + (s - 1 if wants else 0)) // s + 1
            if wants and (out - 1) * s >= n + pad:
                out -= 1
            if out != self.out[i]:
                return None
        return wants

    def _padded(self, x: torch.Tensor, value: float) -> torch.Tensor:
        """The map that exactly the windows cover: pad on the left, whatever they need (or a cut) on the right."""
        (h, w), (ph, pw) = x.shape[2:], self.pad
        need = [(o - 1) * s + k for o, s, k in zip(self.out, self.stride, self.kernel, strict=True)]
        return F.pad(x, (pw, need[1] - w - pw, ph, need[0] - h - ph), value=value)

    # -- methods -------------------------------------------------------------------------------------------------------

    def _max(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Maximum, and the mask if there is a top for it."""
        masked = self.top_count == 2
        lowest = max(-FLT_MAX, torch.finfo(x.dtype).min)
        ceil = self.torch_ceil_mode(x)
        if ceil is not None:
            if masked:
                y, index = F.max_pool2d(x, self.kernel, self.stride, self.pad, 1, ceil, return_indices=True)
                tops = [y, index.to(x.dtype)]
            else:
                tops = [F.max_pool2d(x, self.kernel, self.stride, self.pad, 1, ceil)]
            # torch takes NaN and -inf, Caffe neither; amin is NaN if any value is, and then the comparison is false
            if tops[0].numel() == 0 or bool(tops[0].detach().amin() > lowest):
                return tops
        numbers = torch.where(x > lowest, x, lowest)  # gradient only where x is a number
        y, index = F.max_pool2d(
            self._padded(numbers, -math.inf), self.kernel, self.stride, 0, 1, False, return_indices=True
        )
        empty = y <= lowest
        y = torch.where(empty, lowest, y)
        if not masked:
            return [y]
        width = (self.out[1] - 1) * self.stride[1] + self.kernel[1]
        index = (index // width - self.pad[0]) * x.shape[3] + index % width - self.pad[1]
        return [y, torch.where(empty, -1, index).to(x.dtype)]

    def _average(self, x: torch.Tensor) -> torch.Tensor:
        """Mean over the window, counting padding but nothing beyond it."""
        if self.param.pooling_param.global_pooling:
            return x.mean((2, 3), keepdim=True)
        ceil = self.torch_ceil_mode(x)
        if ceil is not None:
            return F.avg_pool2d(x, self.kernel, self.stride, self.pad, ceil, count_include_pad=True)
        total = F.avg_pool2d(self._padded(x, 0.0), self.kernel, self.stride, divisor_override=1)
        counted = []
        for i in range(2):
            start = torch.arange(self.out[i], device=x.device, dtype=x.dtype) * self.stride[i] - self.pad[i]
            counted.append((start + self.kernel[i]).clamp(max=x.shape[2 + i] + self.pad[i]) - start)
        return total / torch.outer(counted[0], counted[1])

    def _windows(self, x: torch.Tensor) -> torch.Tensor:
        """N x C x H' x W' x kh kw: the values of every window in reading order, 0 where it hangs over."""
        view = self._padded(x, 0.0).unfold(2, self.kernel[0], self.stride[0]).unfold(3, self.kernel[1], self.stride[1])
        return view.flatten(4)

    def _draw(self, x: torch.Tensor, context: Context) -> torch.Tensor:
        """One value per window, drawn in proportion to its size; a replay takes the last draw again."""
        windows = self._windows(x)
        if not context.replay or "drawn" not in context.state:
            sums = windows.detach().cumsum(-1)
            shape, generator = sums.shape[:-1], context.generator
            drawn = torch.rand(shape, dtype=sums.dtype, device=sums.device, generator=generator)
            level = (1 - drawn) * sums[..., -1]  # above 0, up to the sum, as Caffe's
            below = (sums < level[..., None]).sum(-1, keepdim=True)
            context.state["drawn"] = below.clamp(max=sums.shape[-1] - 1)
        return windows.gather(-1, context.state["drawn"]).squeeze(-1)

    def _expected(self, x: torch.Tensor) -> torch.Tensor:
        """The draw's expectation: sum(x^2) / sum(x), 0 where the sum is not above 0."""
        windows = self._windows(x)
        total = windows.sum(-1)
        positive = total > 0
        return torch.where(positive, windows.square().sum(-1) / torch.where(positive, total, 1), 0)
