"""What a benchmark found: tables on the screen, NAME.json and NAME.png in a folder."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measuring import machine

__all__ = ["Report"]


class Report:
    """Prints the machine at once, and holds what is to be written.

    Args:
        name: of the benchmark, and of its files.
        arguments: of the command line.
    """

    def __init__(self, name: str, arguments: argparse.Namespace) -> None:
        self.name = name
        self.folder: Path = arguments.out
        self.found: dict[str, Any] = {}
        self._machine = machine.describe(arguments.threads)
        self._arguments = {key: str(v) if isinstance(v, Path) else v for key, v in vars(arguments).items()}
        for line in machine.lines(self._machine):
            self.say(line)

    def say(self, line: str) -> None:
        """Print a line."""
        print(line, flush=True)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table: the first column to the left, the others to the right."""
        cells = [list(columns), *([str(cell) for cell in row] for row in rows)]
        widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
        self.say(f"\n{title}")
        for row in cells:
            rest = (cell.rjust(width + 3) for cell, width in zip(row[1:], widths[1:], strict=True))
            self.say(row[0].ljust(widths[0]) + "".join(rest))

    def plot_path(self) -> Path:
        """Where the picture goes; the folder is there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{self.name}.png"

    def save(self) -> Path:
        """Write what was found, with machine and arguments."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{self.name}.json"
        whole = {"benchmark": self.name, "machine": self._machine, "arguments": self._arguments, "found": self.found}
        path.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
        self.say(f"\nwritten: {path}")
        return path
