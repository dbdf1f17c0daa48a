"""``parse_log LOG [FOLDER]``: tables of the losses, outputs and learning rates in a training log.

Writes LOG's name with ``.train`` and ``.test`` into the folder: CSV with the columns NumIters, Seconds (since
training began), LearningRate, and one for each output of the net. A table without rows is not written.

As in Caffe's script, the rate in a row is the one logged last before it, and the first row takes that of the second.
Where we differ: in a log without the line "Solving" (that of a script which calls ``solver.step``, or of ``solve.py``)
training begins at the first line that tells an iteration; values nan and inf are kept, a table may have a single row,
and the prefix may have a year (``I20261122``, as newer glog writes it) or not (``I1122``).

Source: BVLC/caffe tools/extra/parse_log.py, extract_seconds.py.
"""

import csv
import io
import re
from datetime import datetime
from pathlib import Path

import click

from caffe_compat.errors import DataError
from caffe_compat.proto.whole_file import replacing
from caffe_compat.tools.flags import FlagCommand, flag, switch

__all__ = ["Table", "parse_log", "read_log"]

Table = list[dict[str, float]]
"""Rows of one kind, each column name to value; the first three columns are NumIters, Seconds, LearningRate."""

_PREFIX = re.compile(r"[IWEF](\d{4})??(\d\d)(\d\d) +(\d\d):(\d\d):(\d\d)\.(\d{6})")
_ITERATION = re.compile(r"Iteration (\d+)")
_RATE = re.compile(r"lr = ([-+]?[0-9]*\.?[0-9]+(?:[eE]?[-+]?[0-9]+)?)")
_OUTPUT = r" net output #\d+: (\S+) = ([-+]?(?:[.\d]+(?:[eE][-+]?\d+)?|nan|inf))"


@click.command(cls=FlagCommand)
@click.argument("logfile_path", metavar="LOG")
@click.argument("output_dir", metavar="[FOLDER]", default=".")
@switch("verbose", "Say what is written.")
@flag("delimiter", "What separates the columns.", ",")
def parse_log(logfile_path: str, output_dir: str, verbose: bool, delimiter: str) -> None:
    """Write the losses, outputs and learning rates in a training log to LOG.train and LOG.test in FOLDER, as CSV."""
    if len(delimiter) != 1:
        raise click.UsageError(f"-delimiter={delimiter!r}: give a single character")
    if not Path(output_dir).is_dir():
        raise click.UsageError(f"{output_dir}: there is no such folder; make it first")
    for table, suffix in zip(read_log(logfile_path), ("train", "test"), strict=True):
        target = Path(output_dir, f"{Path(logfile_path).name}.{suffix}")
        if not table:
            click.echo(f"no {suffix} outputs in {logfile_path}; {target} is not written")
            continue
        _write(target, table, delimiter)
        if verbose:
            click.echo(f"wrote {target}")


def _write(target: Path, table: Table, delimiter: str) -> None:
    columns = list(dict.fromkeys(name for row in table for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, delimiter=delimiter)
    writer.writeheader()
    writer.writerows(table)
    try:
        with replacing(target) as temporary:
            temporary.write_bytes(text.getvalue().encode())
    except OSError as error:
        raise DataError(f"{target}: cannot be written: {error.strerror or error}") from error


def read_log(path: str) -> tuple[Table, Table]:
    """The rows of the train net's and of the test nets' outputs in a log.

    Raises:
        DataError: the file cannot be read, or is not the log of a training.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
        year = datetime.fromtimestamp(Path(path).stat().st_mtime).year
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; the log of a training was expected") from None
    clock = _Clock(year)
    rows = _Rows("Train"), _Rows("Test")
    begins = re.compile("Solving") if any("Solving" in line for line in lines) else _ITERATION
    start: datetime | None = None
    iteration: float | None = None
    rate = float("nan")
    for line in lines:
        now = clock.read(line)
        if now is None:
            continue
        if start is None:
            if not begins.search(line):
                continue
            start = now
        if found := _ITERATION.search(line):
            iteration = float(found[1])
        if iteration is None:
            continue
        if found := _RATE.search(line):
            rate = float(found[1])
        for kind in rows:
            kind.take(line, {"NumIters": iteration, "Seconds": (now - start).total_seconds(), "LearningRate": rate})
    if start is None:
        raise DataError(f"{path}: has no line with 'Solving' or 'Iteration'; give the log of a training")
    return rows[0].finished(), rows[1].finished()


class _Clock:
    """Times of lines; where the prefix has no year, it goes up when the dates go back."""

    def __init__(self, year: int) -> None:
        self._year = year
        self._last: datetime | None = None

    def read(self, line: str) -> datetime | None:
        found = _PREFIX.match(line)
        if found is None:
            return None
        year = found[1]
        month, day, hour, minute, second, microsecond = map(int, found.groups()[1:])
        try:
            now = datetime(int(year or self._year), month, day, hour, minute, second, microsecond)
            if year is None and self._last is not None and now.month < self._last.month:
                self._year += 1
                now = now.replace(year=self._year)
        except ValueError:  # no such date
            return None
        self._last = now
        return now


class _Rows:
    """Collects the rows of one kind; a row is finished when it has as many columns as the first."""

    def __init__(self, kind: str) -> None:
        self._output = re.compile(kind + _OUTPUT)
        self._rows: Table = []
        self._open: dict[str, float] = {}

    def take(self, line: str, begin: dict[str, float]) -> None:
        found = self._output.search(line)
        if not found:
            return
        if self._open.get("NumIters") != begin["NumIters"]:
            if self._open:
                self._rows.append(self._open)
            self._open = begin
        self._open[found[1]] = float(found[2])
        if self._rows and len(self._open) == len(self._rows[0]):
            self._rows.append(self._open)
            self._open = {}

    def finished(self) -> Table:
        if self._open and not self._rows:
            self._rows.append(self._open)
        if len(self._rows) > 1:
            self._rows[0]["LearningRate"] = self._rows[1]["LearningRate"]
        return self._rows
