"""``upgrade_net_proto_text``, ``upgrade_net_proto_binary``, ``upgrade_solver_proto_text``: old files to current form.

    caffe-compat upgrade_net_proto_text IN OUT

Exit status, as Caffe's tools have it: 0 written; 1 written, but with something left out that could not be carried over
(the log says what); 2 IN cannot be read; 134 refused, nothing written (Caffe aborts there, which a shell shows so).

Source: BVLC/caffe tools/upgrade_*.cpp, src/caffe/util/upgrade_proto.cpp.
"""

import logging
import os
from collections.abc import Callable, Sequence
from typing import TypeVar

import click
from google.protobuf.message import Message

from caffe_compat import glog
from caffe_compat.errors import CaffeError, ParseError, WeightsError
from caffe_compat.proto.blob_scan import BlobScan
from caffe_compat.proto.blobs import is_hdf5, map_file
from caffe_compat.proto.caffe_pb2 import NetParameter, SolverParameter
from caffe_compat.proto.text import read_text, write_text
from caffe_compat.proto.upgrade import UpgradeReport, upgrade_net, upgrade_solver
from caffe_compat.proto.weights import LayerWeights, write_caffemodel
from caffe_compat.tools.blob_shapes import current_shapes
from caffe_compat.tools.flags import FlagCommand

__all__ = ["upgrade_net_proto_binary", "upgrade_net_proto_text", "upgrade_solver_proto_text"]

CANNOT_READ, REFUSED = 2, 134
_M = TypeVar("_M", bound=Message)
_log = logging.getLogger(__name__)

# What Caffe logs of each old form: where, what it calls the form before and after the upgrade.
_FORMS = {
    "V0 layers": ("input file specified using deprecated V0LayerParameter", "V0LayerParameter"),
    "data transformation fields": (
        "input file specified using deprecated transformation parameters",
        "data transformation parameters.",
    ),
    "V1 layers": ("input file specified using deprecated V1LayerParameter", "V1LayerParameter"),
    "input fields": ("input file specified using deprecated input fields", "input fields."),
    "BatchNorm parameters": ("batch norm layers using deprecated params", "batch norm layers"),
    "solver_type": (
        "input file specified using deprecated 'solver_type' field (enum)'",
        "'solver_type' field (enum) to 'type' field (string).",
    ),
}


def _tell(report: UpgradeReport, source: str) -> None:
    if not report.changes and not report.problems:
        _log.error("File already in latest proto format: %s", source)
    for change in report.changes:
        before, after = _FORMS[change]
        glog.info("upgrade_proto.cpp:31", f"Attempting to upgrade {before}: {source}")
        if change == "V0 layers" and report.problems:
            for problem in report.problems:
                _log.error("%s", problem)
        elif change == "BatchNorm parameters":
            glog.info("upgrade_proto.cpp:88", f"Successfully upgraded {after} using deprecated params.")
        else:
            glog.info("upgrade_proto.cpp:36", f"Successfully upgraded file specified using deprecated {after}")
    if report.problems:
        _log.error("Encountered error(s) while upgrading prototxt; see details above.")


def _stop(error: CaffeError, status: int) -> click.exceptions.Exit:
    click.echo(f"Error: {error}", err=True)
    return click.exceptions.Exit(status)


def _upgrade_text(
    source: str, target: str, message: _M, upgrade: Callable[[_M, str], UpgradeReport], place: str
) -> None:
    """Read, upgrade, write; ends with the exit status."""
    try:
        read_text(source, message)
    except ParseError as error:
        raise _stop(error, CANNOT_READ) from None
    try:
        report = upgrade(message, source)
    except ParseError as error:
        raise _stop(error, REFUSED) from None
    _tell(report, source)
    write_text(target, message)
    glog.info(place, f"Wrote upgraded {type(message).__name__} text proto to {target}")
    raise click.exceptions.Exit(1 if report.problems else 0)


@click.command(cls=FlagCommand)
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT")
def upgrade_net_proto_text(source: str, target: str) -> None:
    """Write the net prototxt IN in the current form to OUT.

    Old forms are V0 and V1 layers, data transformation fields, input fields and BatchNorm parameters. Exit status:
    0 done, 1 done but with something left out, 2 IN cannot be read, 134 refused.
    """
    _upgrade_text(source, target, NetParameter(), upgrade_net, "upgrade_net_proto_text.cpp:49")


@click.command(cls=FlagCommand)
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT")
def upgrade_solver_proto_text(source: str, target: str) -> None:
    """Write the solver prototxt IN in the current form (type for solver_type) to OUT.

    A net inside the solver is left as it is. Exit status: 0 done, 2 IN cannot be read, 134 refused.
    """
    _upgrade_text(source, target, SolverParameter(), upgrade_solver, "upgrade_solver_proto_text.cpp:45")


@click.command(cls=FlagCommand)
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT")
def upgrade_net_proto_binary(source: str, target: str) -> None:
    """Write the binary caffemodel IN in the current form to OUT.

    Blobs of the old four-axis form get the shape that their layer's type has now (a bias of 1 x 1 x 1 x N becomes N);
    their values stay as they are. Exit status: 0 done, 1 done but with something left out, 2 IN cannot be read, 134
    refused.
    """
    try:
        buffer = map_file(source, "a caffemodel")
        if is_hdf5(buffer):
            raise WeightsError(f"{source}: is HDF5, which has no old forms; a binary caffemodel was expected")
        scan = BlobScan(buffer, source, "a caffemodel")
        net = scan.read(NetParameter)
    except WeightsError as error:
        raise _stop(error, CANNOT_READ) from None
    try:
        report = upgrade_net(net, source)
    except ParseError as error:
        raise _stop(error, REFUSED) from None
    _tell(report, source)
    write_caffemodel(target, net.name, _layers(net, scan), net)
    glog.info("upgrade_net_proto_binary.cpp:44", f"Wrote upgraded NetParameter binary proto to {os.fspath(target)}")
    raise click.exceptions.Exit(1 if report.problems else 0)


def _layers(net: NetParameter, scan: BlobScan) -> Sequence[LayerWeights]:
    layers = []
    for layer in net.layer:
        found = [scan.blobs[blob.num] for blob in layer.blobs]
        diffs = [blob.diff for blob in found] if any(blob.diff is not None for blob in found) else []
        layers.append(current_shapes(LayerWeights(layer.name, layer.type, [b.data for b in found], layer, diffs)))
    return layers
