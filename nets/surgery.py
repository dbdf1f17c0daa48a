"""Net surgery: weights from one net into another, and weights that are set instead of learned.

Works on any net with pycaffe's ``params``: layer name -> list of blobs with ``data``.

Source: shelhamer/fcn.berkeleyvision.org surgery.py. Where we differ: weights of another count are dropped and reported
instead of being cut or repeated to fit; ``interp`` clears what lies off the diagonal; ``expand_score`` takes a bias of
any number of axes.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from caffe_compat.errors import WeightsError

__all__ = ["Report", "Transfer", "expand_score", "interp", "transplant", "upsample_filt", "widen"]

Shape = tuple[int, ...]


class HasParams(Protocol):
    """A net: pycaffe's, or ours."""

    @property
    def params(self) -> Mapping[str, Sequence[Any]]:
        """Layer name -> blobs."""


@dataclass(frozen=True)
class Transfer:
    """What became of one blob.

    Args:
        source: the layer it came from.
        index: which of its blobs; 0 is the weight, 1 the bias.
        target: the layer it was meant for.
        shape: in the source.
        target_shape: in the target; None where there is no such blob.
        why_dropped: empty if it was copied or coerced.
    """

    source: str
    index: int
    target: str
    shape: Shape
    target_shape: Shape | None
    why_dropped: str = ""

    @property
    def action(self) -> str:
        """``copied``, ``coerced`` (same values, another shape) or ``dropped``."""
        if self.why_dropped:
            return "dropped"
        return "copied" if self.shape == self.target_shape else "coerced"

    def __str__(self) -> str:
        name = self.source if self.source == self.target else f"{self.source} -> {self.target}"
        if self.action == "copied":
            return f"copied   {name} [{self.index}] {self.shape}"
        if self.action == "coerced":
            return f"coerced  {name} [{self.index}] {self.shape} to {self.target_shape}"
        return f"dropped  {name} [{self.index}] {self.shape}: {self.why_dropped}"


@dataclass(frozen=True)
class Report:
    """What ``transplant`` did, blob by blob.

    Args:
        transfers: one for each blob of the source net, in its order.
        untouched: layers of the target net that have parameters and received none.
    """

    transfers: list[Transfer] = field(default_factory=list)
    untouched: list[str] = field(default_factory=list)

    def _of(self, action: str) -> list[Transfer]:
        return [transfer for transfer in self.transfers if transfer.action == action]

    @property
    def copied(self) -> list[Transfer]:
        """Blobs of equal shape."""
        return self._of("copied")

    @property
    def coerced(self) -> list[Transfer]:
        """Blobs whose values were kept and whose shape was changed."""
        return self._of("coerced")

    @property
    def dropped(self) -> list[Transfer]:
        """Blobs that found no place."""
        return self._of("dropped")

    def __str__(self) -> str:
        lines = [str(transfer) for transfer in self.transfers]
        if self.untouched:
            lines.append(f"untouched in the new net: {', '.join(self.untouched)}")
        return "\n".join(lines)


def transplant(
    new_net: HasParams,
    net: HasParams,
    suffix: str = "",
    *,
    coerce: bool = True,
    names: Mapping[str, str] | None = None,
    echo: Callable[[str], object] | None = print,
) -> Report:
    """Copy the parameters of ``net`` into the layers of the same names in ``new_net``.

    Args:
        new_net: receives the weights.
        net: gives them.
        suffix: ends the names in ``new_net``: weights of ``conv1`` go to ``conv1color`` with suffix ``color``.
        coerce: let weights of an equal count but another shape in, in the order of memory. A fully-connected layer's
            O x I weights are those of its convolution, O x I/(h*w) x h x w. If False they are dropped.
        names: layers of ``net`` that go to a layer of another name than theirs plus the suffix.
        echo: receives the report's text; None for silence.

    Returns:
        What was copied, coerced and dropped, and which layers of ``new_net`` received nothing.

    Raises:
        WeightsError: ``names`` names a layer that one of the nets does not have.
    """
    for source, target in (names or {}).items():
        _blobs(net, source)
        _blobs(new_net, target)
    report = Report()
    for source in net.params:
        target = (names or {}).get(source, source + suffix)
        for index, blob in enumerate(net.params[source]):
            places = new_net.params[target] if target in new_net.params else None
            place = places[index] if places is not None and index < len(places) else None
            shape, target_shape = tuple(blob.data.shape), None if place is None else tuple(place.data.shape)
            why = _why_not(target, index, shape, target_shape, places is not None, coerce)
            if place is not None and not why:
                place.data[...] = blob.data.reshape(place.data.shape)
            report.transfers.append(Transfer(source, index, target, shape, target_shape, why))
    received = {transfer.target for transfer in report.transfers if transfer.action != "dropped"}
    report.untouched.extend(name for name in new_net.params if name not in received)
    if echo is not None:
        echo(str(report))
    return report


def _why_not(target: str, index: int, shape: Shape, target_shape: Shape | None, has_layer: bool, coerce: bool) -> str:
    """Why a blob cannot go to its place; empty if it can."""
    if not has_layer:
        return f"the new net has no layer '{target}' with parameters"
    if target_shape is None:
        return f"'{target}' has no blob {index} in the new net"
    if shape == target_shape:
        return ""
    if math.prod(shape) != math.prod(target_shape):
        return f"the new net has {target_shape}, which is {math.prod(target_shape)} values, not {math.prod(shape)}"
    if not coerce:
        return f"the new net has {target_shape}; coerce=True would take the same values in that shape"
    if _outputs(shape).isdisjoint(_outputs(target_shape)):
        return f"the new net has {target_shape}: as many values, but not as many outputs"
    return ""


def _outputs(shape: Shape) -> set[int]:
    """What may be the number of outputs: the first dimension, or the first after the ones that old files begin with."""
    return {shape[0], next((size for size in shape if size != 1), 1)} if shape else {1}


def upsample_filt(size: int) -> np.ndarray:
    """The bilinear kernel for upsampling by ``(size + 1) // 2``: size x size, float64, largest in the middle."""
    factor = (size + 1) // 2
    center = factor - 1 if size % 2 == 1 else factor - 0.5
    line = 1 - np.abs(np.arange(size) - center) / factor
    return np.outer(line, line)


def interp(net: HasParams, layers: Iterable[str]) -> None:
    """Make Deconvolutions interpolate: the bilinear kernel from each channel to itself, zero from all others.

    Args:
        net: receives the weights.
        layers: names of Deconvolutions, square in channels or with one group per channel, and square in space.

    Raises:
        WeightsError: there is no such layer, or its weights (in x out/group x h x w) are not of that kind.
    """
    for name in layers:
        weight = _blobs(net, name)[0].data
        if weight.ndim != 4:
            raise WeightsError(f"interp: layer '{name}' has weights of shape {weight.shape}; wanted in x out x h x w")
        channels_in, channels_out, height, width = weight.shape
        if channels_out not in (channels_in, 1):
            raise WeightsError(
                f"interp: layer '{name}' has {channels_in} input and {channels_out} output channels; "
                "wanted equal numbers, or group = number of channels"
            )
        if height != width:
            raise WeightsError(f"interp: layer '{name}' has a {height} x {width} kernel; wanted a square one")
        weight[...] = 0
        weight[range(channels_in), range(channels_out)] = upsample_filt(height)


def expand_score(new_net: HasParams, new_layer: str, net: HasParams, layer: str) -> None:
    """Copy a score layer into one with more classes: the first classes are the old ones, the rest stays as it is.

    Raises:
        WeightsError: there is no such layer, the new one has fewer classes, or their inputs differ.
    """
    pairs = list(zip(_blobs(new_net, new_layer), _blobs(net, layer), strict=False))
    new_shape, old_shape = (tuple(blob.data.shape) for blob in pairs[0])
    if new_shape[0] < old_shape[0] or new_shape[1:] != old_shape[1:]:
        raise WeightsError(
            f"expand_score: layer '{new_layer}' has weights of shape {new_shape} and '{layer}' {old_shape}; "
            "wanted at least as many classes (first) and equal inputs (the rest)"
        )
    classes = old_shape[0]
    for index, (new_blob, old_blob) in enumerate(pairs):
        if index == 0:
            new_blob.data[:classes] = old_blob.data
        else:  # a bias: 1-D now, 1 x 1 x 1 x N in old files
            new_blob.data.reshape(-1)[:classes] = old_blob.data.reshape(-1)


def widen(new_net: HasParams, new_layer: str, net: HasParams, layer: str) -> None:
    """Copy a convolution into one that reads more channels; each further channel takes the mean of the old kernels.

    So color and depth begin, ``conv1_1_bgrd`` from ``conv1_1``: B, G and R as they were, depth as their mean.

    Raises:
        WeightsError: there is no such layer, or they differ in more than a larger number of input channels.
    """
    pairs = list(zip(_blobs(new_net, new_layer), _blobs(net, layer), strict=False))
    new_shape, old_shape = (tuple(blob.data.shape) for blob in pairs[0])
    if (
        len(new_shape) != 4
        or len(old_shape) != 4
        or new_shape[1] < old_shape[1]
        or _but_inputs(new_shape) != (_but_inputs(old_shape))
    ):
        raise WeightsError(
            f"widen: layer '{new_layer}' has weights of shape {new_shape} and '{layer}' {old_shape}; "
            "wanted out x in x h x w, with at least as many inputs and the rest equal"
        )
    new_weight, old_weight = (np.asarray(blob.data) for blob in pairs[0])
    new_weight[:, : old_shape[1]] = old_weight
    new_weight[:, old_shape[1] :] = old_weight.mean(axis=1, keepdims=True)
    for new_blob, old_blob in pairs[1:]:
        new_blob.data[...] = old_blob.data.reshape(new_blob.data.shape)


def _but_inputs(shape: Shape) -> Shape:
    return shape[:1] + shape[2:]


def _blobs(net: HasParams, layer: str) -> Sequence[Any]:
    if layer not in net.params:
        raise WeightsError(f"no layer '{layer}' with parameters in the net; it has {', '.join(net.params) or 'none'}")
    return net.params[layer]
