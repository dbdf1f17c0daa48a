"""Log lines in Caffe's form: a glog prefix, then the texts that Caffe's parse_log and its users' scripts read.

    I1122 17:12:00.123456  1234 solver.cpp:239] Iteration 10 (5.2 iter/s, 1.9s/10 iters), loss = 1.49285

The prefix is level and date, time of day, thread and place. Lines that Caffe has too carry the place where Caffe
writes them, since scripts select by it; our own carry the Python file and line.

Everything goes through Python's logger ``caffe_compat``. As in pycaffe, lines appear on stderr unless told otherwise:
``GLOG_minloglevel`` in the environment (0 INFO, 1 WARNING, 2 ERROR) or ``init_log`` sets the least level. A program
that configures Python's root logger gets the lines there, in its own form, and none on stderr from here.

The module is not called ``log`` because ``caffe_compat.log`` is pycaffe's function.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

__all__ = ["GlogFormatter", "info", "init_log", "log", "log_to_file", "number", "warning"]

_logger = logging.getLogger("caffe_compat")
_LEVELS = {0: logging.INFO, 1: logging.WARNING, 2: logging.ERROR, 3: logging.CRITICAL}
_PLACE = "caffe_place"


class GlogFormatter(logging.Formatter):
    """A record as glog writes it; only the first line of a message has the prefix."""

    def format(self, record: logging.LogRecord) -> str:
        """The whole line, without the newline at its end."""
        moment = time.localtime(record.created)
        letter = "F" if record.levelno >= logging.CRITICAL else record.levelname[0]
        place = getattr(record, _PLACE, f"{record.filename}:{record.lineno}")
        microseconds = int(record.created % 1 * 1e6)
        prefix = f"{letter}{time.strftime('%m%d %H:%M:%S', moment)}.{microseconds:06d} {threading.get_native_id():5d}"
        text = f"{prefix} {place}] {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class _StderrHandler(logging.StreamHandler):
    """Writes to what ``sys.stderr`` is at the time, unless the program has handlers of its own on the root logger."""

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers:
            self.stream = sys.stderr
            super().emit(record)


def init_log(level: int = 0) -> None:
    """Let lines of this level and above through, as pycaffe's ``init_log``.

    Args:
        level: 0 INFO, 1 WARNING, 2 ERROR, 3 FATAL.
    """
    _logger.setLevel(_LEVELS.get(level, logging.INFO if level < 0 else logging.CRITICAL))


def log(message: str) -> None:
    """Log a line of one's own at level INFO, as pycaffe's ``log``."""
    _logger.info("%s", message, stacklevel=2)


def info(place: str, message: str) -> None:
    """Log a line that Caffe logs too.

    Args:
        place: where Caffe writes it, such as ``solver.cpp:239``.
        message: Caffe's text.
    """
    _logger.info("%s", message, extra={_PLACE: place})


def warning(message: str) -> None:
    """Log a warning of ours."""
    _logger.warning("%s", message, stacklevel=2)


@contextmanager
def log_to_file(path: str | os.PathLike[str], level: int | None = None) -> Iterator[None]:
    """Append the lines to a file too while the block runs.

    Args:
        path: the file.
        level: least level of its lines, as for ``init_log``, even where stderr shows fewer; None: as stderr.
    """
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(GlogFormatter())
    before = _logger.level
    if level is not None:
        handler.setLevel(_LEVELS[level])
        _logger.setLevel(min(before, _LEVELS[level]))
    others = [(other, other.level) for other in _logger.handlers]
    for other, least in others:
        other.setLevel(max(before, least))
    _logger.addHandler(handler)
    try:
        yield
    finally:
        _logger.removeHandler(handler)
        _logger.setLevel(before)
        for other, least in others:
            other.setLevel(least)
        handler.close()


def number(value: float) -> str:
    """A float as C++ streams print it: float32, six significant digits."""
    return f"{float(np.float32(value)):g}"


def _install() -> None:
    if any(isinstance(handler, _StderrHandler) for handler in _logger.handlers):
        return
    handler = _StderrHandler()
    handler.setFormatter(GlogFormatter())
    _logger.addHandler(handler)
    if _logger.level == logging.NOTSET:
        wanted = os.environ.get("GLOG_minloglevel", "0").strip()
        init_log(int(wanted) if wanted.lstrip("-").isdigit() else 0)


_install()
