"""Padding that nobody sees: compute only what the image reaches, and take the rest from the background.

FCN's nets pad the image by 100 pixels; half of the first maps sees no pixel of it. There a map is its background (see
background.py). Each stage is computed on the window that the image reaches; where the next stage looks beyond the
window it finds the background's constant, which is written over the positions that a convolution with some more
padding makes there for want of a neighbour. The last stage's window is pasted into the background.

Windows of large maps are computed in strips of rows, from pooling to pooling, that stay in the processor's cache.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from caffe_compat.layer.vision.pooling import Pooling
from caffe_compat.net.plan.background import Background, Backgrounds, axes_of
from caffe_compat.net.plan.convolution import run_convolution
from caffe_compat.net.plan.reach import Border, Interval
from caffe_compat.net.plan.stage import Stage

__all__ = ["Note", "Window", "find_window", "run_window"]

Tensor = torch.Tensor
Rectangle = tuple[Interval, Interval]
Sizes = tuple[int, int]

_PAYS = 0.8  # of a convolution's positions; above, slicing and pasting cost what is saved
_STRIP_BYTES = 12 << 20


@dataclass(eq=False)
class Note:
    """What is known of a map: the rectangle that the image reaches, and its background elsewhere."""

    reached: Rectangle
    background: Background


@dataclass(eq=False)
class Window:
    """Stages to compute in part.

    Attributes:
        sizes: rows and columns of the first stage's bottom, then of each stage's top.
        reached: the rectangle that the image reaches of the same.
        needed: the rectangle that the next stage looks at, of each stage's top.
        background: of the last stage's top.
    """

    stages: list[Stage]
    sizes: list[Sizes]
    reached: list[Rectangle]
    needed: list[Rectangle]
    background: Background


def find_window(
    stages: Sequence[Stage], bottom: Sizes, tops: Sequence[Sizes], note: Note | None, backgrounds: Backgrounds
) -> Window | None:
    """The most of these stages, from the first on, that is worth computing in part; None: nothing is.

    Args:
        stages: the first a Convolution.
        bottom: rows and columns of its bottom.
        tops: rows and columns of every stage's top.
        note: what is known of the bottom; None: it is an image with zeros around it.
        backgrounds: makes and keeps them.
    """
    sizes = [bottom, *tops]
    reached: list[Rectangle] = [note.reached if note else ((0, bottom[0]), (0, bottom[1]))]
    borders = [Border(bottom[i], *((b.before, b.after) if (b := _border(note, i)) else (0, 0))) for i in (0, 1)]
    middles: list[Rectangle] = []
    best = 0
    for i, stage in enumerate(stages):
        axes = axes_of(stage)
        reached.append(_both(axes[k].reached(reached[-1][k], tops[i][k]) for k in (0, 1)))
        if any(lo >= hi for lo, hi in reached[-1]):
            break
        if i == 0 and note is None:
            borders = [Border(tops[0][k], 0, 0) for k in (0, 1)]
        else:
            borders = [axes[k].border(borders[k], tops[i][k]) for k in (0, 1)]
        if stage.pools and any(s - 1 > e // 2 for s, e in zip(stage.stride, stage.extent, strict=True)):
            break  # torch's pooling could not begin between two of its windows
        middles.append(_both(border.middle for border in borders))
        if any(lo >= hi for lo, hi in middles[-1]):
            break
        needed = _needed(stages[: i + 1], reached)
        if not all(s.pools or _within(needed[j], middles[j]) for j, s in enumerate(stages[:i])):
            break
        if stage.pools or stage.extent == (1, 1):  # too little work to begin with
            if best == i > 0:
                best = i + 1
        elif _share(reached[-1], tops[i]) <= _PAYS:
            best = i + 1
    if best == 0:
        return None
    taken = list(stages[:best])
    background = backgrounds.find(taken, sizes[: best + 1], note.background if note else None)
    return Window(taken, sizes[: best + 1], reached[: best + 1], _needed(taken, reached), background)


def _border(note: Note | None, axis: int) -> Border | None:
    return note.background.borders[axis] if note else None


def _both(pairs: Iterable[Interval]) -> Rectangle:
    rows, columns = pairs
    return rows, columns


def _within(inner: Rectangle, outer: Rectangle) -> bool:
    return all(o[0] <= i[0] and i[1] <= o[1] for i, o in zip(inner, outer, strict=True))


def _common(a: Interval, b: Interval) -> Interval:
    return max(a[0], b[0]), min(a[1], b[1])


def _share(reached: Rectangle, size: Sizes) -> float:
    (top, bottom), (left, right) = reached
    return (bottom - top) * (right - left) / (size[0] * size[1])


def _needed(stages: Sequence[Stage], reached: Sequence[Rectangle]) -> list[Rectangle]:
    """The rectangle of every stage's top that has to be there for the last one's reached rectangle."""
    needed = [reached[len(stages)]]
    for i in range(len(stages) - 1, 0, -1):
        needed.insert(0, _bottom_needed(stages[i], needed[0], reached[i + 1]))
    return needed


def _bottom_needed(stage: Stage, needed: Rectangle, reached: Rectangle) -> Rectangle:
    """What a stage looks at: a convolution computes only what is reached, a pooling all that is needed."""
    axes = axes_of(stage)
    if stage.pools:
        return _both(axes[k].seen_by(needed[k]) for k in (0, 1))
    return _both(axes[k].seen_by(_common(needed[k], reached[k])) for k in (0, 1))


# -- running -----------------------------------------------------------------------------------------------------------


def run_window(window: Window, x: Tensor, strips: bool) -> Tensor:
    """The last stage's top, whole: N x C x H' x W', channels last.

    Args:
        window: the stages and rectangles.
        x: N x C x H x W, the first stage's bottom.
        strips: whether to compute in strips of rows.
    """
    rows, columns = window.sizes[-1]
    top = window.background.stretched(rows, columns)
    if x.shape[0] > 1:
        top = top.repeat(x.shape[0], 1, 1, 1).contiguous(memory_format=torch.channels_last)
    (r0, r1), (c0, c1) = window.reached[-1]
    for image in range(x.shape[0]):
        value, begin = x[image : image + 1], (0, 0)
        for first, last in _blocks(window.stages):
            value, begin = _run_block(window, first, last, value, begin, strips)
        y = value[:, :, r0 - begin[0] : r1 - begin[0], c0 - begin[1] : c1 - begin[1]]
        top[image : image + 1, :, r0:r1, c0:c1] = y
    return top


def _blocks(stages: Sequence[Stage]) -> list[tuple[int, int]]:
    """(first, last) of the stretches that end with a Pooling or at the end."""
    blocks, first = [], 0
    for i, stage in enumerate(stages):
        if stage.pools or i == len(stages) - 1:
            blocks.append((first, i))
            first = i + 1
    return blocks


def _run_block(window: Window, first: int, last: int, x: Tensor, begin: Sizes, strips: bool) -> tuple[Tensor, Sizes]:
    """What is needed of stage last's top, and where it begins."""
    needed = window.needed[last]
    pieces = []
    start: Sizes = (0, 0)
    for low, high in _cut(window, first, last) if strips else [needed[0]]:
        rectangles = [((low, high), needed[1])]
        for i in range(last, first, -1):
            rectangles.insert(0, _bottom_needed(window.stages[i], rectangles[0], window.reached[i + 1]))
        rows, columns = _bottom_needed(window.stages[first], rectangles[0], window.reached[first + 1])
        if first > 0:  # made here, as wide as it need be: a part of the columns would be a copy
            columns = (begin[1], begin[1] + x.shape[3])
        value, at = _slice(x, begin, (rows, columns))
        for i in range(first, last + 1):
            constant = window.background.constants[i]
            value, at = _run_stage(window.stages[i], value, at, rectangles[i - first], window.reached[i + 1], constant)
        pieces.append(value)
        start = (start[0] if len(pieces) > 1 else at[0], at[1])
    return (torch.cat(pieces, 2) if len(pieces) > 1 else pieces[0]), start


def _cut(window: Window, first: int, last: int) -> list[Interval]:
    """The needed rows of a block's top, in strips; the first and the last take in the rows that are not reached."""
    (low, high), _ = window.needed[last]
    inner = _common((low, high), window.reached[last + 1][0])
    stride = 1
    widest = 0
    for i in range(last, first - 1, -1):
        columns = window.needed[i][1]
        if i < last or first == last:
            channels = window.background.constants[i].numel()
            widest = max(widest, 4 * channels * (columns[1] - columns[0]) * stride)
        stride *= window.stages[i].stride[0]
    count = -(-widest * (high - low) // _STRIP_BYTES)
    if count < 2:
        return [(low, high)]
    step = max(1, -(-(inner[1] - inner[0]) // count))
    cuts = [low, *range(inner[0] + step, inner[1], step), high]
    return list(zip(cuts[:-1], cuts[1:], strict=True))


def _slice(x: Tensor, begin: Sizes, wanted: Rectangle) -> tuple[Tensor, Sizes]:
    """These rows and columns of x, which begins at ``begin``; what lies outside is 0. Channels last."""
    pads, cut = [], []
    for k in (0, 1):
        low, high = wanted[k][0] - begin[k], wanted[k][1] - begin[k]
        size = x.shape[2 + k]
        pads.append((max(0, -low), max(0, high - size)))
        cut.append(slice(max(0, low), min(size, high)))
    y = x[:, :, cut[0], cut[1]]
    if any(pads[0]) or any(pads[1]):
        y = F.pad(y, (*pads[1], *pads[0]))
    return y.contiguous(memory_format=torch.channels_last), (wanted[0][0], wanted[1][0])


def _run_stage(
    stage: Stage, x: Tensor, begin: Sizes, needed: Rectangle, reached: Rectangle, constant: Tensor
) -> tuple[Tensor, Sizes]:
    """The needed rows, and the needed columns or more, of a stage's top, and where they begin.

    Args:
        stage: what to run.
        x: what there is of its bottom.
        begin: where x begins.
        needed: rectangle of the top to make.
        reached: rectangle of the top that the image reaches.
        constant: what a Convolution's top holds elsewhere.
    """
    axes = axes_of(stage)
    zeros = [axes[k].pads_for(begin[k], x.shape[2 + k], needed[k]) for k in (0, 1)]
    layer = stage.node.layer
    if isinstance(layer, Pooling):
        y = _pool(layer, x, (zeros[0], zeros[1]))
    else:
        y = run_convolution(stage, x, (zeros[0], zeros[1]))
    at = [(begin[k] - zeros[k] + axes[k].pad) // axes[k].stride for k in (0, 1)]
    y = y[:, :, needed[0][0] - at[0] : needed[0][1] - at[0]]
    at[0] = needed[0][0]
    if not stage.pools:
        _fill_outside(y, at, reached, constant.view(1, -1, 1, 1))
    return y, (at[0], at[1])


def _pool(layer: Pooling, x: Tensor, zeros: Sizes) -> Tensor:
    """Pool, the first window beginning ``zeros`` before x; windows that hang over give anything."""
    param = layer.param.pooling_param
    if param.pool == param.MAX:
        return F.max_pool2d(x, layer.kernel, layer.stride, zeros)
    return F.avg_pool2d(x, layer.kernel, layer.stride, zeros)


def _fill_outside(y: Tensor, at: Sequence[int], reached: Rectangle, constant: Tensor) -> None:
    """Write the constant over the rows and columns of y that are not reached."""
    for k in (0, 1):
        size = y.shape[2 + k]
        low, high = min(size, max(0, reached[k][0] - at[k])), max(0, min(size, reached[k][1] - at[k]))
        if low > 0:
            y.narrow(2 + k, 0, low).copy_(constant.expand_as(y.narrow(2 + k, 0, low)))
        if high < size:
            part = y.narrow(2 + k, high, size - high)
            part.copy_(constant.expand_as(part))
