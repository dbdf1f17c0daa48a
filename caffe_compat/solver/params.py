"""A solver's settings: reading, checking, and which nets it trains and tests.

The state of a net (phase, level, stages) is merged from three places, the later ones winning: the solver's default
phase, the net's own ``state``, and the solver's ``train_state`` or ``test_state``. Paths are relative to the current
folder. Source: BVLC/caffe src/caffe/solver.cpp (Init, InitTrainNet, InitTestNets, CheckSnapshotWritePermissions).
"""

import math
import os
from pathlib import Path

from caffe_compat.errors import SolverError
from caffe_compat.proto.caffe_pb2 import TEST, TRAIN, NetParameter, NetState, Phase, SolverParameter
from caffe_compat.proto.text import read_net, read_solver
from caffe_compat.proto.upgrade import upgrade_net, upgrade_solver
from caffe_compat.solver.lr import check_policy

__all__ = ["check_prefix", "check_settings", "net_to_train", "nets_to_test", "read_settings"]

_TRAIN_NET_FIELDS = ("net", "net_param", "train_net", "train_net_param")
_NOT_NEGATIVE = ("display", "max_iter", "snapshot", "test_interval")
_AT_LEAST_ONE = ("average_loss", "iter_size")


def read_settings(source: str | os.PathLike[str] | SolverParameter) -> SolverParameter:
    """The settings from a prototxt file, or a copy of a message, in the current form.

    Raises:
        ParseError: the file cannot be read, or gives both type and solver_type.
    """
    if not isinstance(source, SolverParameter):
        return read_solver(source)
    param = SolverParameter()
    param.CopyFrom(source)
    upgrade_solver(param, "solver message")
    return param


def check_settings(param: SolverParameter) -> None:
    """See that the settings make sense before anything is built.

    Raises:
        SolverError: a setting out of range, no train net or several, test_iter or test_state that do not match the
            test nets, test_interval missing, an unknown lr_policy or regularization_type. An lr_policy that is not set
            is an error only once a rate is needed.
    """
    if math.isnan(param.base_lr):
        raise SolverError("solver: base_lr is nan; give a number")
    for name in _NOT_NEGATIVE:
        if not getattr(param, name) >= 0:
            raise SolverError(f"solver: {name} is {getattr(param, name):g}; it must be 0 or more")
    for name in _AT_LEAST_ONE:
        if getattr(param, name) < 1:
            raise SolverError(f"solver: {name} is {getattr(param, name)}; it must be 1 or more")
    if any(count < 0 for count in param.test_iter):
        raise SolverError(f"solver: test_iter is {list(param.test_iter)}; every one must be 0 or more")
    if param.regularization_type not in ("L1", "L2"):
        raise SolverError(
            f"solver: unknown regularization_type '{param.regularization_type}'; set it to one of: L1, L2"
        )
    if param.lr_policy:
        check_policy(param)
    given = [name for name in _TRAIN_NET_FIELDS if param.HasField(name)]
    if len(given) != 1:
        found = f"{' and '.join(given)} are given" if given else "there is no train net"
        raise SolverError(f"solver: {found}; give exactly one of: {', '.join(_TRAIN_NET_FIELDS)}")
    _check_test_nets(param)


def _check_test_nets(param: SolverParameter) -> None:
    own = len(param.test_net_param) + len(param.test_net)
    generic = param.HasField("net") or param.HasField("net_param")
    tested = len(param.test_iter)
    if tested < own or (tested > own and not generic):
        raise SolverError(
            f"solver: {tested} test_iter for {own} test nets (test_net_param and test_net); give one test_iter for each"
            + ("" if tested < own else ", or a net or net_param that the others test")
        )
    if param.test_state and len(param.test_state) != tested:
        raise SolverError(
            f"solver: {len(param.test_state)} test_state for {tested} test nets; give none, or one for each test_iter"
        )
    if tested and param.test_interval < 1:
        raise SolverError("solver: there are test nets, but test_interval is not set; set it to 1 or more")


def check_prefix(param: SolverParameter) -> None:
    """See that files of this snapshot_prefix can be written, by writing one and removing it.

    Raises:
        SolverError: snapshot_prefix is missing, its folder does not exist or cannot be written.
    """
    if not param.HasField("snapshot_prefix"):
        raise SolverError("solver: snapshot is set, but snapshot_prefix is not; set snapshot_prefix")
    probe = Path(f"{param.snapshot_prefix}_iter_0.tempfile.{os.getpid()}")
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SolverError(
            f"solver: cannot write to snapshot_prefix '{param.snapshot_prefix}': {error.strerror or error}; "
            f"make sure that the folder '{probe.parent}' exists and is writable"
        ) from None


def net_to_train(param: SolverParameter) -> tuple[str, NetParameter]:
    """Where the train net comes from, and the net with its state.

    Raises:
        ParseError: a net file cannot be read.
    """
    if param.HasField("train_net_param"):
        source, net = "train_net_param", _copy(param.train_net_param, "train_net_param")
    elif param.HasField("train_net"):
        source, net = f"train_net file: {param.train_net}", read_net(param.train_net)
    elif param.HasField("net_param"):
        source, net = "net_param", _copy(param.net_param, "net_param")
    else:
        source, net = f"net file: {param.net}", read_net(param.net)
    _merge_state(net, TRAIN, param.train_state)
    return source, net


def nets_to_test(param: SolverParameter) -> list[tuple[str, NetParameter]]:
    """As ``net_to_train`` for each test net, in Caffe's order: test_net_param, test_net, then net_param or net.

    Raises:
        ParseError: a net file cannot be read.
    """
    nets = [("test_net_param", _copy(net, "test_net_param")) for net in param.test_net_param]
    nets += [(f"test_net file: {path}", read_net(path)) for path in param.test_net]
    while len(nets) < len(param.test_iter):
        if param.HasField("net_param"):
            nets.append(("net_param", _copy(param.net_param, "net_param")))
        else:
            nets.append((f"net file: {param.net}", read_net(param.net)))
    for i, (_, net) in enumerate(nets):
        _merge_state(net, TEST, param.test_state[i] if param.test_state else NetState())
    return nets


def _copy(net: NetParameter, source: str) -> NetParameter:
    copy = NetParameter()
    copy.CopyFrom(net)
    upgrade_net(copy, source)
    return copy


def _merge_state(net: NetParameter, phase: Phase, last: NetState) -> None:
    state = NetState(phase=phase)
    state.MergeFrom(net.state)
    state.MergeFrom(last)
    net.state.CopyFrom(state)
