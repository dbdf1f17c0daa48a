"""Copying weights into a net, by layer name, and saving them, as Caffe does.

Everything is checked before the first value is written: a failed load leaves the net as it was.

Source: BVLC/caffe src/caffe/net.cpp, CopyTrainedLayersFrom, ShareTrainedLayersWith, ToProto, ToHDF5.
"""

import logging
import os
from collections.abc import Iterable, Sequence

import numpy as np

from caffe_compat.errors import WeightsError
from caffe_compat.layer.blob import Blob, Shape
from caffe_compat.net.graph import Graph
from caffe_compat.proto.blobs import release
from caffe_compat.proto.kept_file import ValuesInFile
from caffe_compat.proto.weights import LayerWeights, read_caffemodel, write_caffemodel, write_caffemodel_h5

__all__ = ["copy_from", "load", "save", "save_hdf5", "share_with"]

_log = logging.getLogger(__name__)


def load(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Copy weights from a caffemodel, binary or HDF5.

    Raises:
        WeightsError: the file cannot be read, or a layer's blobs differ in number or shape from the net's.
    """
    source = os.fspath(path)
    copy_from(graph, read_caffemodel(path), source)


def copy_from(graph: Graph, layers: Iterable[LayerWeights], source: str) -> None:
    """Copy weights into the layers of the same name; layers that only one side has are left out.

    Args:
        graph: the net.
        layers: what the file holds.
        source: where it comes from, for messages.
    """
    targets: dict[str, Sequence[Blob]] = {}
    for node in graph.nodes:
        targets.setdefault(node.layer.name, node.layer.blobs)
    writes: list[tuple[Blob, np.ndarray, ValuesInFile | None]] = []
    for layer in layers:
        if layer.name not in targets:
            _log.info("%s: layer '%s' is not in the net; ignored", source, layer.name)
            continue
        blobs = targets[layer.name]
        given = [*layer.blobs, *[None] * (len(blobs) - len(layer.blobs))] if not layer.type else layer.blobs
        if len(given) != len(blobs):
            raise WeightsError(
                f"{source}: layer '{layer.name}' has {len(given)} blobs, the net's has {len(blobs)}; "
                "rename the layer in the net to leave it out"
            )
        origins = [*layer.origins, *[None] * (len(given) - len(layer.origins))]
        for i, (array, origin, blob) in enumerate(zip(given, origins, blobs, strict=True)):
            if array is None:
                _check_left_out(graph, layer.name, i, source)
                continue
            if not _same_shape(array.shape, blob.shape):
                raise WeightsError(_mismatch(source, layer.name, i, array.shape, blob.shape))
            writes.append((blob, array, origin))
    for blob, array, origin in writes:
        blob.write(array, origin)
        release(array)


def _check_left_out(graph: Graph, layer: str, index: int, source: str) -> None:
    """HDF5 files hold owners only: a blob may be missing where another layer owns it."""
    if (layer, index) in graph.params.owned:
        raise WeightsError(f"{source}: layer '{layer}' has no blob {index}, and no other layer owns it")


def _same_shape(found: Shape, wanted: Shape) -> bool:
    """Equal, or equal once the old four-axis form's leading ones are dropped (a bias of 1 x 1 x 1 x N)."""
    if tuple(found) == wanted:
        return True
    return len(found) == 4 and len(wanted) < 4 and tuple(found) == (1,) * (4 - len(wanted)) + wanted


def _mismatch(source: str, layer: str, index: int, found: Shape, wanted: Shape) -> str:
    hint = "rename the layer in the net to learn it from scratch"
    if np.prod(found) == np.prod(wanted):
        hint += (
            ", or, as the counts are equal, copy it with nets.surgery.transplant(..., coerce=True), which turns "
            "fully-connected weights into convolutions"
        )
    return f"{source}: layer '{layer}' blob {index} has shape {tuple(found)}, the net's is {tuple(wanted)}; {hint}"


def share_with(graph: Graph, other: Graph) -> None:
    """Make parameters one with those of another net's layers of the same name.

    Raises:
        WeightsError: a layer's blobs differ in number or shape.
    """
    others = {node.layer.name: node.layer.blobs for node in other.nodes}
    pairs: list[tuple[Blob, Blob]] = []
    for node in graph.nodes:
        theirs = others.get(node.layer.name)
        if theirs is None:
            continue
        ours = node.layer.blobs
        if len(ours) != len(theirs) or any(a.shape != b.shape for a, b in zip(ours, theirs, strict=True)):
            raise WeightsError(
                f"layer '{node.layer.name}' cannot share its parameters: here {[b.shape for b in ours]}, "
                f"in the other net {[b.shape for b in theirs]}; make the two nets' layers equal"
            )
        pairs.extend(zip(ours, theirs, strict=True))
    for mine, their in pairs:
        mine.share_data(their)


def save(graph: Graph, path: str | os.PathLike[str], with_diffs: bool = False) -> None:
    """Write a binary caffemodel: every layer with all its blobs. It appears whole or not at all."""
    write_caffemodel(path, graph.name, _layers(graph, with_diffs, owners_only=False))


def save_hdf5(graph: Graph, path: str | os.PathLike[str], with_diffs: bool = False) -> None:
    """Write an HDF5 caffemodel: every parameter once, at its owner. It appears whole or not at all."""
    write_caffemodel_h5(path, _layers(graph, with_diffs, owners_only=True))


def _layers(graph: Graph, with_diffs: bool, owners_only: bool) -> list[LayerWeights]:
    layers = []
    for node in graph.nodes:
        blobs, name = node.layer.blobs, node.layer.name
        owned = [not owners_only or (name, i) in graph.params.owned for i in range(len(blobs))]
        layers.append(
            LayerWeights(
                name,
                node.layer.type,
                [_values(b) if mine else None for b, mine in zip(blobs, owned, strict=True)],
                node.layer.param,
                [b.diff if mine else None for b, mine in zip(blobs, owned, strict=True)] if with_diffs else [],
            )
        )
    return layers


def _values(blob: Blob) -> np.ndarray:
    """A blob's values for reading, without a lease."""
    return blob.tensor().cpu().contiguous().numpy()
