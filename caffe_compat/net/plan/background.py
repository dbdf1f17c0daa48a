"""What stages make of an image of zeros, kept small: away from the borders it is constant, so it stretches to any size.

A background belongs to a residue of the map's size: how windows with a stride meet the lower and right border depends
on the size modulo the strides. It is computed on the smallest map of that residue with a constant middle.
"""

import itertools
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from caffe_compat.device import device, generator
from caffe_compat.layer.contract import Context
from caffe_compat.layer.vision.pooling import Pooling
from caffe_compat.net.plan.convolution import run_convolution
from caffe_compat.net.plan.reach import Axis, Border
from caffe_compat.net.plan.stage import Stage

__all__ = ["Background", "Backgrounds", "axes_of", "run_whole", "top_size"]

Tensor = torch.Tensor
_KEPT = 128  # FCN-8s has at most 64 residues at pool3 and 4 at pool4 for each; a few hundred kB each
_serial = itertools.count()


def axes_of(stage: Stage) -> tuple[Axis, Axis]:
    """The stage's window, by rows and by columns."""
    rows, columns = zip(stage.extent, stage.stride, stage.pad, strict=True)
    return Axis(*rows), Axis(*columns)


@dataclass(eq=False)
class Background:
    """A map of an image of zeros.

    Attributes:
        values: 1 x C x h x w, small.
        borders: by rows and by columns, of ``values``.
        constants: per stage that led here, C values: what its map holds away from the borders.
        serial: differs from that of every other background.
    """

    values: Tensor
    borders: tuple[Border, Border]
    constants: list[Tensor] = field(default_factory=list)
    serial: int = field(default_factory=lambda: next(_serial))

    def stretched(self, rows: int, columns: int) -> Tensor:
        """A map of rows x columns, channels last: the middle repeated; a new tensor."""
        values = self.values
        for axis, size in enumerate((rows, columns)):
            border = self.borders[axis]
            index = torch.arange(size)
            late = index >= size - border.after
            index = torch.where(late, index + border.size - size, index.clamp(max=border.before))
            values = values.index_select(2 + axis, index)
        return values.contiguous(memory_format=torch.channels_last)


class Backgrounds:
    """Makes backgrounds and keeps the last ones, as long as the weights that made them stay."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, ...], tuple[list[int], Background]] = OrderedDict()

    def find(self, stages: Sequence[Stage], sizes: Sequence[tuple[int, int]], source: Background | None) -> Background:
        """The background after these stages.

        Args:
            stages: the first a Convolution.
            sizes: rows and columns of the bottom of the first stage, then of each stage's top.
            source: the bottom's background; None: the bottom is an image, with zeros around it.
        """
        if source is None:
            small = tuple(self._smallest(stages[1:], [size[i] for size in sizes[1:]], None, i) for i in (0, 1))
        else:
            small = tuple(self._smallest(stages, [size[i] for size in sizes], source, i) for i in (0, 1))
        key = (stages[0].node.index, stages[-1].node.index, *small, -1 if source is None else source.serial)
        stamps = [blob.stamp() for stage in stages for blob in stage.node.layer.blobs]
        held = self._kept.pop(key, None)
        if held is None or held[0] != stamps:
            held = stamps, self._make(stages, small, source)
        self._kept[key] = held
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return held[1]

    @staticmethod
    def _smallest(stages: Sequence[Stage], sizes: Sequence[int], source: Background | None, axis: int) -> int:
        """The smallest bottom size of the residue of sizes[0] with a constant middle after every stage."""
        step = 1
        for stage in stages:
            step *= stage.stride[axis]
        size = sizes[0] % step
        while size < sizes[0]:
            border = _bottom_border(size, source, axis)
            fits = border.middle[0] < border.middle[1]
            for stage in stages if fits else ():
                span = size if stage is stages[0] else border.size
                if span + 2 * stage.pad[axis] < stage.extent[axis]:
                    fits = False
                    break
                border = axes_of(stage)[axis].border(border, top_size(stage, span, axis))
                fits &= border.middle[0] < border.middle[1]
            if fits:
                return size
            size += step
        return sizes[0]

    @staticmethod
    def _make(stages: Sequence[Stage], small: Sequence[int], source: Background | None) -> Background:
        rest = list(stages)
        constants = []
        if source is None:  # zeros in, zeros around: constant
            first = rest.pop(0)
            layer = first.node.layer
            value = layer.blobs[1].tensor() if len(layer.blobs) > 1 else torch.zeros(layer.num_output)  # type: ignore[attr-defined]
            value = (value.relu() if first.relu else value.clone()).to(first.dtype)
            constants.append(value)
            x = value.view(1, -1, 1, 1).expand(1, -1, small[0], small[1])
            x = x.contiguous(memory_format=torch.channels_last)
        else:
            x = source.stretched(small[0], small[1])
        borders = [_bottom_border(small[axis], source, axis) for axis in (0, 1)]
        for stage in rest:
            x = run_whole(stage, x)
            borders = [axes_of(stage)[i].border(borders[i], x.shape[2 + i]) for i in (0, 1)]
            rows, columns = (min(max(0, border.before), border.size - 1) for border in borders)
            constants.append(x[0, :, rows, columns].clone())
        return Background(x, (borders[0], borders[1]), constants)


def _bottom_border(size: int, source: Background | None, axis: int) -> Border:
    border = source.borders[axis] if source is not None else None
    return Border(size, border.before, border.after) if border is not None else Border(size, 0, 0)


def top_size(stage: Stage, size: int, axis: int) -> int:
    """The size of a stage's top on one axis for that of its bottom."""
    layer = stage.node.layer
    if not isinstance(layer, Pooling):
        return (size + 2 * stage.pad[axis] - stage.extent[axis]) // stage.stride[axis] + 1
    p = layer.param.pooling_param
    span = size + 2 * stage.pad[axis] - stage.extent[axis]
    out = (span + (0 if p.round_mode == p.FLOOR else stage.stride[axis] - 1)) // stage.stride[axis] + 1
    if stage.pad != (0, 0) and (out - 1) * stage.stride[axis] >= size + stage.pad[axis]:
        out -= 1
    return out


def run_whole(stage: Stage, x: Tensor) -> Tensor:
    """A stage on a whole map, of any size."""
    layer = stage.node.layer
    if not isinstance(layer, Pooling):
        return run_convolution(stage, x, stage.pad)
    shaped = stage.node.bottom[0].shape
    layer.reshape([tuple(x.shape)])
    (top,) = layer.forward([x], (), Context(layer.phase, generator(device())))
    layer.reshape([shaped])  # the shape that the net knows of
    return top
