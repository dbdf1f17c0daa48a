"""Prototxt: messages from text and text from messages.

``read_net`` and ``read_solver`` do what Caffe does when it opens such a file: parse it, then upgrade old forms.
Every failure is a ParseError that begins ``file:line:column:``, or ``file:`` where there is no line.
"""

import logging
import os
import re
from pathlib import Path
from typing import TypeVar

from google.protobuf import text_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from caffe_compat.errors import ParseError
from caffe_compat.proto.caffe_pb2 import DESCRIPTOR, NetParameter, SolverParameter
from caffe_compat.proto.upgrade import UpgradeReport, upgrade_net, upgrade_solver
from caffe_compat.proto.whole_file import replacing
from caffe_compat.spelling import did_you_mean

__all__ = ["parse", "read_net", "read_solver", "read_text", "to_text", "write_text"]

_log = logging.getLogger(__name__)
_M = TypeVar("_M", bound=Message)
_UNKNOWN_FIELD = re.compile(r'Message type "([\w.]+)" has no field named "([^"]*)"')
_UNKNOWN_VALUE = re.compile(r'Enum type "([\w.]+)" has no value (?:named|with number) ([\w-]+)')
_POSITION = re.compile(r"^\d+:\d+ : (?:'.*': )?", re.DOTALL)


def parse(text: str, message: _M, source: str) -> _M:
    """Read prototxt text into ``message``.

    Args:
        text: what the file holds.
        message: where the fields go; what it held before is dropped.
        source: the file's name for error messages.

    Returns:
        ``message``.

    Raises:
        ParseError: with line and column: a syntax error, an unknown field or enum value (the message says which are
            known), a wrong type, a field given twice, a required field that is missing.
    """
    message.Clear()
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        line, column = error.GetLine(), error.GetColumn()
        where = f"{source}:{line}:{column}" if line else source
        raise ParseError(f"{where}: {_explain(str(error))}") from None
    missing: list[str] = message.FindInitializationErrors()  # type: ignore[attr-defined]  # not in the stubs
    if missing:
        raise ParseError(f"{source}: required field {missing[0]} is missing; set it")
    return message


def _explain(found: str) -> str:
    """The parser's message without its position, with the known names where one was unknown."""
    if unknown := _UNKNOWN_FIELD.search(found):
        descriptor = DESCRIPTOR.message_types_by_name[unknown[1].removeprefix(f"{DESCRIPTOR.package}.")]
        known = sorted(field.name for field in descriptor.fields)
        hint = did_you_mean(unknown[2], known) or f"; known: {', '.join(known)}"
        return f"unknown field '{unknown[2]}' in {descriptor.name}{hint}"
    if unknown := _UNKNOWN_VALUE.search(found):
        name = unknown[1].removeprefix(f"{DESCRIPTOR.package}.")
        known = _enum_names(name)
        return f"unknown value {unknown[2]} for {name}{did_you_mean(unknown[2], known)}; known: {', '.join(known)}"
    return _POSITION.sub("", found)


def _enum_names(name: str) -> list[str]:
    scope, _, enum = name.rpartition(".")
    if not scope:
        return [value.name for value in DESCRIPTOR.enum_types_by_name[enum].values]
    descriptor: Descriptor = DESCRIPTOR.message_types_by_name[scope]
    return [value.name for value in descriptor.enum_types_by_name[enum].values]


def read_text(path: str | os.PathLike[str], message: _M) -> _M:
    """Read a prototxt file into ``message`` as it stands, without upgrading old forms.

    Raises:
        ParseError: the file is missing, a directory, unreadable, empty, not text; or as for ``parse``.
    """
    source = os.fspath(path)
    wanted = f"a {type(message).__name__} in text form"
    try:
        data = Path(source).read_bytes()
    except FileNotFoundError:
        raise ParseError(f"{source}: no such file; {wanted} was expected") from None
    except IsADirectoryError:
        raise ParseError(f"{source}: is a directory; give the prototxt file inside it") from None
    except OSError as error:
        raise ParseError(f"{source}: cannot be read: {error.strerror or error}") from error
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ParseError(
            f"{source}: byte {error.start} (0x{data[error.start]:02x}) is not text; {wanted} was expected, "
            "not a binary file such as a caffemodel"
        ) from None
    parse(text, message, source)
    if not message.ListFields():
        raise ParseError(f"{source}: is empty; {wanted} was expected")
    return message


def read_net(path: str | os.PathLike[str]) -> NetParameter:
    """Read a net's prototxt and bring it up to date (V0 and V1 layers, input fields, ...), as Caffe does on loading.

    What an upgrade could not carry over is logged as an error and left out, also as Caffe does.

    Raises:
        ParseError: as for ``read_text``, or an old form that cannot be upgraded.
    """
    net = read_text(path, NetParameter())
    _report(upgrade_net(net, os.fspath(path)), os.fspath(path))
    return net


def read_solver(path: str | os.PathLike[str]) -> SolverParameter:
    """Read a solver's prototxt, upgrade ``solver_type`` to ``type`` and complete ``snapshot_prefix``, as Caffe does.

    A missing snapshot_prefix becomes the solver's path without its extension; one that is an existing directory gets
    the solver's file name without extension appended. A net inside the solver is left as it is.

    Raises:
        ParseError: as for ``read_text``, or both ``type`` and ``solver_type`` are given.
    """
    solver = read_text(path, SolverParameter())
    _report(upgrade_solver(solver, os.fspath(path)), os.fspath(path))
    if not solver.HasField("snapshot_prefix"):
        solver.snapshot_prefix = os.fspath(Path(path).with_suffix(""))
    elif Path(solver.snapshot_prefix).is_dir():
        solver.snapshot_prefix = os.path.join(solver.snapshot_prefix, Path(path).stem)
    return solver


def _report(report: UpgradeReport, source: str) -> None:
    for problem in report.problems:
        _log.error("%s: %s", source, problem)
    for change in report.changes:
        _log.info("%s: upgraded %s", source, change)


def to_text(message: Message) -> str:
    """The message as prototxt text; ``parse`` gives the same message back."""
    return text_format.MessageToString(message, as_utf8=True)


def write_text(path: str | os.PathLike[str], message: Message) -> None:
    """Write the message as a prototxt file; the file appears whole or not at all.

    Raises:
        ParseError: the file cannot be written.
    """
    try:
        with replacing(path) as temporary:
            temporary.write_text(to_text(message), encoding="utf-8")
    except OSError as error:
        raise ParseError(f"{os.fspath(path)}: cannot be written: {error.strerror or error}") from error
