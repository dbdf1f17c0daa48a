"""Requests by signal: SIGINT (Ctrl-C) and SIGHUP ask the solver to stop or to snapshot between two iterations.

Source: BVLC/caffe src/caffe/util/signal_handler.cpp.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from caffe_compat.errors import SolverError

__all__ = ["EFFECTS", "SignalRequests"]

EFFECTS = ("none", "snapshot", "stop")


class SignalRequests:
    """While entered, notes the signals that come, for the solver to take when it is ready.

    Outside the block the handlers are what they were. Entering again inside the block changes nothing.

    Args:
        sigint: what SIGINT asks for: ``stop``, ``snapshot`` or ``none``.
        sighup: the same for SIGHUP (ignored on systems without it).

    Raises:
        SolverError: an unknown effect.
    """

    def __init__(self, sigint: str = "stop", sighup: str = "snapshot") -> None:
        for name, effect in (("sigint_effect", sigint), ("sighup_effect", sighup)):
            if effect not in EFFECTS:
                raise SolverError(f"solver: unknown {name} '{effect}'; choose one of: {', '.join(EFFECTS)}")
        self._effects = {signal.SIGINT: sigint}
        if hasattr(signal, "SIGHUP"):
            self._effects[signal.SIGHUP] = sighup
        self._came: list[int] = []
        self._before: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}
        self._depth = 0

    def __enter__(self) -> "SignalRequests":
        """Install the handlers.

        Raises:
            SolverError: not in the main thread, where alone Python handles signals.
        """
        if self._depth == 0:
            if threading.current_thread() is not threading.main_thread():
                raise SolverError(
                    "solver: signals can be handled in the main thread only; call step() or solve() there"
                )
            self._came.clear()
            self._before = {number: signal.signal(number, self._note) for number in self._effects}
        self._depth += 1
        return self

    def __exit__(self, *_: object) -> None:
        """Put back the handlers that were there."""
        self._depth -= 1
        if self._depth == 0:
            for number, handler in self._before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
            self._before = {}

    def _note(self, number: int, _: FrameType | None) -> None:
        if number not in self._came:
            self._came.append(number)

    def take(self) -> str:
        """The next request, ``none`` when there is no other; SIGHUP's before SIGINT's, as in Caffe."""
        while self._came:
            number = max(self._came, key=lambda came: came != signal.SIGINT)
            self._came.remove(number)
            if (effect := self._effects[signal.Signals(number)]) != "none":
                return effect
        return "none"
