"""Weights and solver states in every form that Caffe writes: binary protobuf and HDF5.

Readers tell the form by the content, writers by their name. A binary caffemodel is mapped and scanned layer by layer:
its arrays are views of the file, so reading copies nothing and writing streams each array to disk.

Source: BVLC/caffe src/caffe/net.cpp (ToProto, ToHDF5, CopyTrainedLayersFrom), src/caffe/blob.cpp (FromProto, ToProto).
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from google.protobuf.message import Message

from caffe_compat.errors import ParseError, WeightsError
from caffe_compat.proto import caffe_pb2
from caffe_compat.proto.blob_scan import BlobScan
from caffe_compat.proto.blobs import (
    INT_MAX,
    array_to_blob,
    blob_chunks,
    blob_to_array,
    is_hdf5,
    map_and_keep,
    map_file,
    read_blobproto,
    write_blobproto,
)
from caffe_compat.proto.caffe_pb2 import LayerParameter, NetParameter
from caffe_compat.proto.kept_file import KeptFile, ValuesInFile
from caffe_compat.proto.upgrade import upgrade_net
from caffe_compat.proto.whole_file import replacing
from caffe_compat.proto.wire import BYTES, fields, key

__all__ = [
    "LayerWeights",
    "SolverState",
    "array_to_blob",
    "blob_to_array",
    "read_blobproto",
    "read_caffemodel",
    "read_solverstate",
    "write_blobproto",
    "write_caffemodel",
    "write_caffemodel_h5",
    "write_solverstate",
    "write_solverstate_h5",
]


@dataclass
class LayerWeights:
    """The learned blobs of one layer, as a file has them.

    Args:
        name: the layer's name, by which a net finds its weights.
        type: the layer's type, such as ``Convolution``; empty when read from HDF5, which does not hold it.
        blobs: float32 arrays; a legacy shape gives 4 axes. Read-only and possibly unaligned views when read from a
            binary file: copy them. None stands for a blob that an HDF5 file leaves out because another layer owns it
            (shared parameters); blobs left out at the end are not in the list at all.
        param: the layer's definition, in the current form, without blobs.
        diffs: gradients beside the blobs, if the file has them (snapshot_diff); else empty.
        origins: beside the blobs, where to read each again; None where that cannot be done; empty if for none.
    """

    name: str
    type: str = ""
    blobs: list[np.ndarray | None] = field(default_factory=list)
    param: LayerParameter = field(default_factory=LayerParameter)
    diffs: list[np.ndarray | None] = field(default_factory=list)
    origins: Sequence[ValuesInFile | None] = ()


@dataclass
class SolverState:
    """What a solver needs to go on, besides the weights.

    Args:
        iter: iterations done.
        learned_net: path of the caffemodel that belongs to it, as written: relative to where the solver ran.
        current_step: lr steps taken, for lr_policy multistep.
        history: the solver's own arrays (momentum, ...), float32; a legacy shape gives 4 axes.
    """

    iter: int
    learned_net: str = ""
    current_step: int = 0
    history: list[np.ndarray] = field(default_factory=list)


def read_caffemodel(path: str | os.PathLike[str]) -> list[LayerWeights]:
    """The weights of a caffemodel, binary (V0, V1 or current form) or HDF5, told apart by content.

    Returns:
        One entry per layer, those without blobs included. Binary: in the net's order. HDF5: in alphabetical order.

    Raises:
        WeightsError: the file is missing, a directory, empty, text, cut off, damaged or another kind of file; a shape
            is impossible (more than INT_MAX values) or not filled.
    """
    source = os.fspath(path)
    buffer, file = map_and_keep(path, "a caffemodel")
    if is_hdf5(buffer):
        from caffe_compat.proto import hdf5  # h5py takes its time: only for who has such files

        return [LayerWeights(name, "", blobs, diffs=diffs) for name, blobs, diffs in hdf5.read_layers(source)]
    scan = BlobScan(buffer, source, "a caffemodel")
    net = scan.read(NetParameter)
    if not net.layer and not net.layers:
        raise WeightsError(f"{source}: holds no layers; a caffemodel was expected")
    try:
        upgrade_net(net, source)
    except ParseError as error:
        raise WeightsError(str(error)) from None
    return [_layer_weights(layer, scan, file) for layer in net.layer]


def _layer_weights(layer: LayerParameter, scan: BlobScan, file: KeptFile) -> LayerWeights:
    if not isinstance(layer.name, str) or not isinstance(layer.type, str):  # bytes where they are not UTF-8
        raise WeightsError(f"{scan.source}: layer {layer.name!r}: its name or type is not text; the file is damaged")
    found = [scan.blobs[blob.num] for blob in layer.blobs]
    layer.ClearField("blobs")
    diffs = [blob.diff for blob in found] if any(blob.diff is not None for blob in found) else []
    origins = [file.values(blob.data, scan.buffer) for blob in found]
    return LayerWeights(layer.name, layer.type, [blob.data for blob in found], layer, diffs, origins)


def write_caffemodel(
    path: str | os.PathLike[str],
    net_name: str,
    layers: Iterable[LayerWeights],
    param: NetParameter | None = None,
) -> None:
    """Write a binary caffemodel as Caffe does, byte for byte; the file appears whole or not at all.

    Args:
        path: the file.
        net_name: the net's name.
        layers: in the net's order; their ``param``, ``blobs`` and ``diffs`` are written. Arrays that are not float32
            and C-contiguous are converted one at a time, the others written from where they are.
        param: further fields of the net to write; its layers are ignored. Caffe writes none.

    Raises:
        WeightsError: a blob is None or has an impossible shape, the file would exceed protobuf's limit of INT_MAX
            bytes, or it cannot be written.
    """
    net = NetParameter()
    if param is not None:
        _check_complete(param, os.fspath(path))
        net.CopyFrom(param)
        net.ClearField("layer")
        net.ClearField("layers")
    net.name = net_name
    _write_chunks(path, _net_chunks(net, layers, os.fspath(path)))


def _net_chunks(net: NetParameter, layers: Iterable[LayerWeights], source: str) -> Iterator[bytes | memoryview]:
    yield net.SerializeToString()  # every other field has a lower number than `layer`
    for layer in layers:
        where = f"{source}: layer '{layer.name}'"
        definition = LayerParameter()
        _check_complete(layer.param, where)
        definition.CopyFrom(layer.param)
        definition.ClearField("blobs")
        definition.name = layer.name
        if layer.type:
            definition.type = layer.type
        chunks = _with_blobs(definition, 7, layer.blobs, layer.diffs, where)
        yield key(100, BYTES, sum(map(len, chunks)))
        yield from chunks


def _with_blobs(
    message: Message,
    number: int,
    blobs: Sequence[np.ndarray | None],
    diffs: Sequence[np.ndarray | None],
    where: str,
) -> list[bytes | memoryview]:
    """The message in pieces, with blobs as field ``number`` where the order of numbers wants them."""
    around = message.SerializeToString()
    buffer = np.frombuffer(around, np.uint8)
    split = next((field.key for field in fields(buffer, 0, len(buffer), where) if field.number > number), len(around))
    chunks: list[bytes | memoryview] = [around[:split]]
    for i, blob in enumerate(blobs):
        if blob is None:
            raise WeightsError(f"{where}: blobs[{i}] is left out; the binary form needs every blob")
        inner = blob_chunks(blob, diffs[i] if i < len(diffs) else None, f"{where}: blobs[{i}]")
        chunks += [key(number, BYTES, sum(map(len, inner))), *inner]
    return [*chunks, around[split:]]


def _check_complete(message: Message, where: str) -> None:
    missing: list[str] = message.FindInitializationErrors()  # type: ignore[attr-defined]  # not in the stubs
    if missing:
        raise WeightsError(f"{where}: cannot be written: required field {missing[0]} is missing; set it")


def _write_chunks(path: str | os.PathLike[str], chunks: Iterable[bytes | memoryview]) -> None:
    source = os.fspath(path)
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            total = 0
            for chunk in chunks:
                total += len(chunk)
                if total > INT_MAX:
                    raise WeightsError(f"{source}: more than {INT_MAX} bytes, protobuf's limit; save as HDF5 (.h5)")
                file.write(chunk)
    except OSError as error:
        raise WeightsError(f"{source}: cannot be written: {error.strerror or error}") from error


def write_caffemodel_h5(path: str | os.PathLike[str], layers: Iterable[LayerWeights]) -> None:
    """Write a caffemodel in HDF5 as Caffe does: /data/<layer>/<i>, and /diff/<layer>/<i> if any layer has diffs.

    A blob that is None is left out, as Caffe leaves out what another layer owns. The file appears whole or not at all.

    Raises:
        WeightsError: two layers of one name, an impossible shape, or the file cannot be written.
    """
    from caffe_compat.proto import hdf5

    hdf5.write_layers(os.fspath(path), [(layer.name, layer.blobs, layer.diffs) for layer in layers])


def read_solverstate(path: str | os.PathLike[str]) -> SolverState:
    """A solver's state, binary or HDF5, told apart by content.

    Raises:
        WeightsError: the file is missing, a directory, empty, text, cut off, damaged or another kind of file.
    """
    source = os.fspath(path)
    buffer = map_file(path, "a solverstate")
    if is_hdf5(buffer):
        from caffe_compat.proto import hdf5

        return SolverState(*hdf5.read_state(source))
    scan = BlobScan(buffer, source, "a solverstate")
    state = scan.read(caffe_pb2.SolverState)
    if not state.HasField("iter"):
        raise WeightsError(f"{source}: holds no iter; a solverstate was expected")
    if not isinstance(state.learned_net, str):
        raise WeightsError(f"{source}: learned_net is not text; the file is damaged")
    return SolverState(state.iter, state.learned_net, state.current_step, [blob.data for blob in scan.blobs])


def write_solverstate(path: str | os.PathLike[str], state: SolverState) -> None:
    """Write a binary solverstate as Caffe does, byte for byte; the file appears whole or not at all.

    Raises:
        WeightsError: a history array has an impossible shape, or the file cannot be written.
    """
    source = os.fspath(path)
    message = caffe_pb2.SolverState(iter=state.iter, learned_net=state.learned_net, current_step=state.current_step)
    _write_chunks(path, _with_blobs(message, 3, state.history, (), source))


def write_solverstate_h5(path: str | os.PathLike[str], state: SolverState) -> None:
    """Write a solverstate in HDF5 as Caffe does: iter, learned_net, current_step, history/<i>.

    Raises:
        WeightsError: as for ``write_solverstate``.
    """
    from caffe_compat.proto import hdf5

    hdf5.write_state(os.fspath(path), state.iter, state.learned_net, state.current_step, state.history)
