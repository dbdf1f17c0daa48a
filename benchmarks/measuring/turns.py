"""Several engines in turn, round after round, so that a busy moment of the machine meets all of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from measuring.own_process import Unavailable

__all__ = ["Measured", "take_turns"]


@dataclass
class Measured:
    """One engine's rounds.

    Attributes:
        rounds: the median seconds of each round.
        peaks: bytes of each round.
    """

    rounds: list[float] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Median over rounds."""
        return median(self.rounds)

    @property
    def spread(self) -> str:
        """The fastest and the slowest round, in seconds."""
        return f"{min(self.rounds):.3f} - {max(self.rounds):.3f}"

    @property
    def peak_bytes(self) -> int:
        """The largest."""
        return max(self.peaks)

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {"seconds": self.seconds, "rounds": self.rounds, "peak_bytes": self.peak_bytes}


def take_turns(
    calls: Mapping[str, Callable[[], Mapping[str, Any]]], rounds: int, say: Callable[[str], None]
) -> dict[str, Measured]:
    """Call each in turn, ``rounds`` times; one that is unavailable here is left out, with a line that says so.

    Args:
        calls: by engine; each gives ``seconds`` and ``bytes``.
        rounds: how often.
        say: prints a line.
    """
    measured: dict[str, Measured] = {}
    missing: set[str] = set()
    for _ in range(rounds):
        for name, run in calls.items():
            if name in missing:
                continue
            try:
                found = run()
            except Unavailable as error:
                missing.add(name)
                say(f"{name}: not measured: {error}")
                continue
            one = measured.setdefault(name, Measured())
            one.rounds.append(found["seconds"])
            one.peaks.append(found["bytes"])
    return measured
