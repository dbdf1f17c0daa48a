"""What a check of a published figure came to: the lines of ``solvers.regression``."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Finding", "difference"]


@dataclass(frozen=True)
class Finding:
    """One line.

    Args:
        state: ``agrees``, ``OUTSIDE`` (its tolerance), ``failed`` (could not be measured), ``measured`` (nothing to
            hold it against) or ``skipped``.
        name: what was looked at.
        text: what was found, or why it was skipped.
    """

    state: str
    name: str
    text: str

    @property
    def wrong(self) -> bool:
        """Whether the check fails."""
        return self.state in ("OUTSIDE", "failed")

    def __str__(self) -> str:
        return f"  {self.state:<8}  {self.name}: {self.text}"


def difference(measured: Mapping[str, float], published: Mapping[str, float], tolerance: float) -> tuple[str, str]:
    """State and words for figures that must all lie within a tolerance of the published ones."""
    wrong = [
        f"{name} {measured[name]:.12g} is not within {tolerance:g} of {wanted:.12g}"
        for name, wanted in published.items()
        if not abs(measured[name] - wanted) <= tolerance
    ]
    if wrong:
        return "OUTSIDE", "; ".join(wrong)
    return "agrees", ", ".join(f"{name} {value:.12g}" for name, value in measured.items())
