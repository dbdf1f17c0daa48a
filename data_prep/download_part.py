"""The part of a file that has arrived, with a note of where it comes from."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.run_lock import only_one
from data_prep.sources import SourceFile

__all__ = ["Part"]


@dataclass
class Part:
    """What has arrived of a file, as it is continued from one address.

    Args:
        final: name of the whole file.
        url: the address.
        file: what is wanted.
    """

    final: Path
    url: str
    file: SourceFile

    @property
    def path(self) -> Path:
        """What has arrived: ``NAME.part``."""
        return self.final.with_name(f"{self.final.name}.part")

    @property
    def note(self) -> Path:
        """Where it comes from: ``NAME.part.json``."""
        return self.final.with_name(f"{self.final.name}.part.json")

    @property
    def size(self) -> int:
        """Bytes that have arrived."""
        with suppress(FileNotFoundError):
            return self.path.stat().st_size
        return 0

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes off it; where nothing arrives, leave nothing."""
        self.path.touch()
        with only_one(self.path):
            try:
                yield
            finally:
                if not self.size:
                    self.path.unlink(missing_ok=True)
                    self.note.unlink(missing_ok=True)

    def noted(self) -> dict[str, Any]:
        """What was noted of it: url, validator, total; empty where nothing was."""
        try:
            noted = json.loads(self.note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return noted if isinstance(noted, dict) and {"url", "validator", "total"} <= noted.keys() else {}

    def origin(self) -> dict[str, Any]:
        """What its continuation must agree with, validator and total; empty where it cannot be continued."""
        noted = self.noted()
        if not noted.get("total"):
            return {}
        if noted["url"] != self.url:
            return {"validator": "", "total": noted["total"]} if self.file.checksums else {}
        return noted

    def begin(self, validator: str, total: int | None) -> None:
        """Forget what there was, and note where the new content comes from."""
        self.note.unlink(missing_ok=True)
        self.path.write_bytes(b"")
        content = {"url": self.url, "validator": validator, "total": total}
        self.note.write_text(json.dumps(content), encoding="utf-8")
