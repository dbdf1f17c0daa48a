"""What became of a run on one list or folder."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep.jobs import Fault

__all__ = ["Outcome"]


@dataclass
class Outcome:
    """What became of a run.

    Attributes:
        folder: the finished folder, or the ``.partial`` one where there are faults.
        state: ``written``, ``already there``, ``unfinished``, ``checked``, ``verified`` or ``damaged``.
        count: samples in it.
        kept: of these, how many were there before.
        faults: what is wrong with the other samples.
        manifest: content of manifest.json; empty where unfinished.
        report: file that the faults were written to, if there are any.
        damage: the first fault that ``--verify`` found; empty if none.
    """

    folder: Path
    state: str
    count: int
    kept: int = 0
    faults: list[Fault] = field(default_factory=list)
    manifest: dict[str, Any] = field(default_factory=dict)
    report: Path | None = None
    damage: str = ""
