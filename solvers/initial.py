"""Starting weights: from a file through surgery, with interpolation set; and layers that could never learn, found."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from caffe_compat.errors import WeightsError
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import LayerParameter
from caffe_compat.proto.weights import read_caffemodel
from data_prep.sources_weights import weights_hint
from nets.surgery import Report, Transfer, interp, transplant, widen
from solvers.recipe import Recipe

__all__ = [
    "StuckLayers",
    "WeightsFile",
    "check_covered",
    "check_there",
    "find_stuck",
    "interpolated_layers",
    "start_fused",
    "start_recipe",
    "start_from",
]

_WEIGHTED = ("Convolution", "Deconvolution", "InnerProduct")


@dataclass(frozen=True)
class _Stored:
    """A blob of a file, as surgery reads it."""

    data: np.ndarray


class WeightsFile:
    """A caffemodel as something that surgery can take weights from.

    Args:
        path: binary or HDF5.

    Raises:
        WeightsError: it is not there or cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        check_there(path)
        self.params: Mapping[str, Sequence[_Stored]] = {
            layer.name: [_Stored(blob) for blob in layer.blobs if blob is not None]
            for layer in read_caffemodel(path)
            if layer.blobs
        }


def check_there(path: str | os.PathLike[str]) -> None:
    """See that a file of weights is there, before nets are built and data is opened for it.

    Raises:
        WeightsError: it is not; of released weights the message says where they are.
    """
    if not Path(path).exists():
        raise WeightsError(f"weights '{path}' are not there; correct the path{weights_hint(Path(path).name)}")


def interpolated_layers(net: Net) -> list[str]:
    """The Deconvolutions that the solver does not touch: they interpolate, or they are silent."""
    return [
        layer.name
        for layer in net.layers
        if layer.type == "Deconvolution" and layer.param.param and layer.param.param[0].lr_mult == 0
    ]


def start_from(
    net: Net, path: str | os.PathLike[str], *, suffix: str = "", widens: Mapping[str, str] | None = None
) -> Report:
    """Copy a file's weights into the layers of the same names, then set the interpolation.

    Fully-connected weights become convolutions where the counts are equal.

    Args:
        net: receives the weights.
        path: a caffemodel.
        suffix: ends the layers' names in the net, for one stream of several.
        widens: layer of the net -> layer of the file that reads fewer channels (``nets.surgery.widen``); where the file
            has the net's own layer, as a snapshot of its training does, that one is taken.

    Raises:
        WeightsError: the file cannot be read, or lacks a layer that is to be widened.
    """
    weights = WeightsFile(path)
    report = transplant(net, weights, suffix, echo=None)
    for layer, narrow in (widens or {}).items():
        if layer not in weights.params:
            widen(net, layer, weights, narrow)
            report.untouched.remove(layer)
            for place, transfer in enumerate(report.transfers):
                if transfer.source == narrow and transfer.target_shape is None:
                    shape = tuple(net.params[layer][transfer.index].data.shape)
                    report.transfers[place] = replace(transfer, target=layer, target_shape=shape, why_dropped="")
    interp(net, interpolated_layers(net))
    return report


def start_fused(net: Net, paths: Mapping[str, str | os.PathLike[str]]) -> Report:
    """Fill a net of several streams, each from a trained net of its own, then set the interpolation.

    Args:
        net: receives the weights.
        paths: suffix of a stream's layers -> caffemodel.

    Returns:
        What became of the blobs of all files, and the layers that none of them filled.

    Raises:
        WeightsError: a file cannot be read, or fits no layer of its stream.
    """
    transfers: list[Transfer] = []
    untouched = set(net.params)
    for suffix, path in paths.items():
        report = start_from(net, path, suffix=suffix)
        if not report.copied and not report.coerced:
            raise WeightsError(f"{path}: none of its layers is in the net with '{suffix}' added; is it another net's?")
        transfers.extend(report.transfers)
        untouched &= set(report.untouched)
    return Report(transfers, [name for name in net.params if name in untouched])


def start_recipe(net: Net, recipe: Recipe, paths: Sequence[str | os.PathLike[str]]) -> Report:
    """Fill a recipe's net from what was given: a file for each stream that it fuses, or one file.

    Raises:
        WeightsError: a file cannot be read or has none of the net's layers, or there are too many files.
    """
    if len(paths) > 1 and len(paths) != len(recipe.fuses):
        wanted = f"{len(recipe.fuses)} ({', '.join(recipe.fuses)})" if recipe.fuses else "1"
        raise WeightsError(f"{recipe.model}: {len(paths)} files to start from; wanted {wanted}")
    if len(paths) > 1:
        return start_fused(net, dict(zip(recipe.fuses, paths, strict=True)))
    report = start_from(net, paths[0], widens=recipe.widens)
    fixed = interpolated_layers(net)  # set anew, whatever a file holds
    if all(transfer.target in fixed for transfer in (*report.copied, *report.coerced)):
        streams = " and ".join(recipe.fuses.values())
        asked = f"; give --init for each of {streams}" if streams else "; is it another net's?"
        raise WeightsError(f"{paths[0]}: none of its layers is in {recipe.model}{asked}")
    return report


def check_covered(net: Net, path: str | os.PathLike[str]) -> None:
    """See that a file gave weights to every layer that would be silent without, before the net is scored or used.

    Raises:
        WeightsError: a Convolution or Deconvolution is at zero and the file does not have it.
    """
    zero = [layer.name for layer in net.layers if layer.type in _WEIGHTED and not layer.blobs[0].tensor().any()]
    lacking = [name for name in zero if name not in WeightsFile(path).params] if zero else []
    if lacking:
        raise WeightsError(
            f"{path}: has no weights for {', '.join(lacking)}, which would stay at zero and score nothing; "
            "give the weights of a training of this model"
        )


@dataclass(frozen=True)
class StuckLayers:
    """Layers whose weights are all zero.

    Attributes:
        waiting: zero now, and they will learn: the way from them to the loss is open (score layers at their start).
        stuck: zero for good: another silent layer stands between them and the loss, so no gradient comes.
        silent: interpolating Deconvolutions at zero, which nothing will ever change.
    """

    waiting: list[str]
    stuck: list[str]
    silent: list[str]

    @property
    def hopeless(self) -> list[str]:
        """Those that must be mended before training."""
        return [*self.silent, *self.stuck]


def find_stuck(net: Net) -> StuckLayers:
    """Look for layers that are at zero weights and say which of them can still learn."""
    zero = {layer.name for layer in net.layers if layer.type in _WEIGHTED and not layer.blobs[0].tensor().any()}
    frozen = set(interpolated_layers(net))
    open_blobs: set[str] = set()  # those from which a gradient can come back
    reached: dict[str, bool] = {}
    for name, layer in reversed(net.layer_dict.items()):
        open_above = layer.is_loss or any(top in open_blobs for top in net.top_names[name])
        reached[name] = open_above
        if open_above and name not in zero:
            open_blobs.update(_differentiated(layer.param, net.bottom_names[name]))
    return StuckLayers(
        waiting=[n for n in net.params if n in zero - frozen and reached[n]],
        stuck=[n for n in net.params if n in zero - frozen and not reached[n]],
        silent=[n for n in net.params if n in zero & frozen],
    )


def _differentiated(param: LayerParameter, bottoms: Sequence[str]) -> Sequence[str]:
    """The bottoms that a layer gives a gradient to."""
    return bottoms[:1] if param.type in ("Crop", "InfogainLoss", "SoftmaxWithLoss") else bottoms
