"""``compare PROTOTXT WEIGHTS RECORD``: this package against a record of the real Caffe.

    caffe-compat compare deploy.prototxt net.caffemodel net_record.h5

RECORD is made by ``record_with_caffe.py``, which stands beside this file and runs where pycaffe is. The net gets the
recorded inputs (its own data layers are not run, nor needed), and every parameter, blob, and diff is compared: the
largest difference, relative to the largest recorded value. Above the tolerance (1e-4) it counts as diverged: those come
first, in the order in which they are computed, so the first line is where to look. Exit status 1 if there are any.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import click
import h5py
import numpy as np

from caffe_compat.errors import DataError
from caffe_compat.layer.blob import Blob
from caffe_compat.net.net import Net
from caffe_compat.net.state_filter import filter_net
from caffe_compat.proto.caffe_pb2 import NetParameter, NetState
from caffe_compat.proto.text import read_net
from caffe_compat.tools.device_flags import chosen_gpus, use_one_device
from caffe_compat.tools.flags import FlagCommand, flag

__all__ = ["Difference", "compare", "differences"]


@dataclass(frozen=True)
class Difference:
    """How far one blob, parameter or diff is from its record.

    Args:
        name: what was compared, such as ``conv1`` or ``conv1[0] diff``.
        relative: the largest difference over the largest recorded value; the largest difference itself where all
            recorded values are zero; infinite where shapes or the places of NaN differ.
        note: what else there is to say.
    """

    name: str
    relative: float
    note: str = ""


@click.command(cls=FlagCommand)
@click.argument("prototxt", metavar="PROTOTXT")
@click.argument("weights", metavar="WEIGHTS")
@click.argument("record", metavar="RECORD")
@flag("tolerance", "Relative difference up to which values count as equal.", 1e-4, click.FloatRange(min=0))
@flag("gpu", "Run on this CUDA device; without it, on the CPU.")
def compare(prototxt: str, weights: str, record: str, tolerance: float, gpu: str) -> None:
    """Run a net on the inputs of a RECORD of the real Caffe, and show how far every value is from it.

    What is further off than the tolerance comes first, in the order in which it is computed. Exit status 1 if anything
    is. record_with_caffe.py, in the folder of this tool, makes the RECORD where pycaffe is.
    """
    use_one_device(chosen_gpus(gpu), "caffe.cpp:275")
    found = list(differences(prototxt, weights, record))
    diverged = [one for one in found if not one.relative <= tolerance]
    for one in diverged:
        click.echo(f"{one.relative:9.2e}  {one.name}  DIVERGED{one.note and f': {one.note}'}")
    for one in found:
        if one.relative <= tolerance:
            click.echo(f"{one.relative:9.2e}  {one.name}")
    if diverged:
        click.echo(f"{len(diverged)} of {len(found)} differ by more than {tolerance:g}; first: {diverged[0].name}")
        raise click.exceptions.Exit(1)
    click.echo(f"all {len(found)} agree within {tolerance:g}")


def differences(prototxt: str, weights: str, record: str) -> Iterator[Difference]:
    """Compare parameters, then blobs in the order of layers, then diffs in reverse.

    Raises:
        DataError: the record cannot be read, or is of another net.
        CaffeError: the net cannot be built, or the weights do not fit.
    """
    try:
        file = h5py.File(record, "r")
    except FileNotFoundError:
        raise DataError(f"{record}: no such file; make it with record_with_caffe.py") from None
    except OSError as error:
        raise DataError(f"{record}: cannot be read as HDF5 ({error}); make it with record_with_caffe.py") from None
    with file:
        if not all(isinstance(file.get(name), h5py.Group) for name in ("inputs", "blobs")) or "phase" not in file.attrs:
            raise DataError(f"{record}: is no record of a net; make it with record_with_caffe.py")
        net = Net(_with_inputs(read_net(prototxt), file, record))
        net.copy_from(weights)
        yield from _compare_params(net, file, "data")
        _forward(net, file)
        for name in _computed_order(net):
            yield _difference(file, f"blobs/{name}/data", net.blobs[name], "data", name)
        if file.attrs.get("diffs", False):
            for name, seed in _arrays(file, "seeds"):
                net.blobs[name].diff[...] = seed
            net._backward(len(net.layers) - 1, 0)
            for name in reversed(_computed_order(net)):
                yield _difference(file, f"blobs/{name}/diff", net.blobs[name], "diff", f"{name} diff")
            yield from _compare_params(net, file, "diff")


def _with_inputs(param: NetParameter, file: h5py.File, record: str) -> NetParameter:
    """The net of the record's phase, its inputs and data layers replaced by Input layers of the recorded shapes."""
    param.state.MergeFrom(NetState(phase=str(file.attrs["phase"])))
    param.force_backward |= bool(file.attrs.get("force_backward", False))
    net = filter_net(param)
    for layer in net.layer:
        layer.ClearField("include")
        layer.ClearField("exclude")
        if layer.bottom or layer.type == "Parameter":
            continue
        name, tops = layer.name, list(layer.top)
        missing = [top for top in tops if f"inputs/{top}" not in file]
        if missing:
            raise DataError(f"{record}: holds no input '{missing[0]}' of layer '{name}'; it is a record of another net")
        layer.Clear()
        layer.name, layer.type = name, "Input"
        layer.top.extend(tops)
        for top in tops:
            layer.input_param.shape.add(dim=file[f"inputs/{top}"].shape)
    return net


def _forward(net: Net, file: h5py.File) -> None:
    for name, values in _arrays(file, "inputs"):
        if name in net.inputs:
            net.blobs[name].data[...] = values
    net.forward_loss()


def _arrays(file: h5py.File, group: str) -> Iterator[tuple[str, np.ndarray]]:
    """Names and values of the datasets in a group; a slash in a name makes groups in groups."""
    found: list[tuple[str, np.ndarray]] = []

    def take(name: str, member: h5py.Dataset | h5py.Group) -> None:
        if isinstance(member, h5py.Dataset):
            found.append((name, member[()]))

    if group in file:
        file[group].visititems(take)
    return iter(found)


def _computed_order(net: Net) -> list[str]:
    """Blobs in the order in which they get their last values: an in-place layer's top counts where it is changed."""
    last = {top: index for index, tops in enumerate(net.top_names.values()) for top in tops}
    return sorted(net.blobs, key=lambda name: last[name])


def _compare_params(net: Net, file: h5py.File, side: str) -> Iterator[Difference]:
    for layer, blobs in net.params.items():
        for i, blob in enumerate(blobs):
            name = f"{layer}[{i}]" if side == "data" else f"{layer}[{i}] diff"
            yield _difference(file, f"params/{layer}/{i}/{side}", blob, side, name)


def _difference(file: h5py.File, key: str, blob: Blob, side: str, name: str) -> Difference:
    if key not in file:
        return Difference(name, 0.0 if side == "diff" else float("inf"), "is not in the record")
    dataset = file[key]
    shape = tuple(int(size) for size in dataset.attrs.get("shape", blob.shape))
    if shape != blob.shape:
        return Difference(name, float("inf"), f"shape {blob.shape}, recorded {shape}")
    tensor = blob.tensor() if side == "data" else blob.diff_tensor()
    ours = tensor.cpu().contiguous().numpy().reshape(-1)[:: int(dataset.attrs.get("stride", 1))].astype(np.float64)
    wanted = dataset[()].reshape(-1).astype(np.float64)
    if ours.shape != wanted.shape:
        return Difference(name, float("inf"), f"{ours.size} values, recorded {wanted.size}")
    if not np.array_equal(np.isnan(ours), np.isnan(wanted)):
        return Difference(
            name, float("inf"), f"NaN at {np.isnan(ours).sum()} places, recorded {np.isnan(wanted).sum()}"
        )
    same = (ours == wanted) | np.isnan(wanted)  # infinities are equal to themselves
    if same.all():
        return Difference(name, 0.0)
    off = float(np.abs(ours[~same] - wanted[~same]).max())
    largest = float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0))
    return Difference(name, off / largest if largest else off)
