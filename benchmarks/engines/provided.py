"""A folder with the files that engines read, for as long as they are measured."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace

from engines.work import Work
from measuring import own_process
from measuring.own_process import Unavailable
from measuring.report import Report

__all__ = ["provided"]


@contextmanager
def provided(report: Report, work: Work, kinds: Iterable[str]) -> Iterator[Work]:
    """The work with a temporary folder that has files of these kinds, each written in a process of its own.

    Args:
        report: is told what cannot be written.
        work: what is to be computed.
        kinds: as ``files.write`` knows them; empty names are ignored.
    """
    with tempfile.TemporaryDirectory() as folder:
        placed = replace(work, folder=folder)
        for kind in sorted(set(kinds) - {""}):
            try:
                own_process.call("engines.files:write", work.threads, work=asdict(placed), kinds=[kind])
            except Unavailable as error:
                report.say(f"no file of kind {kind} for the engines that read it: {error}")
        yield placed
