"""Pictures of what was found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

__all__ = ["Curves", "draw_bars", "draw_curves"]


@dataclass(frozen=True)
class Curves:
    """One panel of curves.

    Args:
        title: above it.
        x_label: with unit.
        y_label: with unit.
        lines: by name: x and y values.
    """

    title: str
    x_label: str
    y_label: str
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]


def draw_curves(path: Path, panels: Sequence[Curves], columns: int = 2) -> None:
    """Write a PNG of panels, row by row."""
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(6 * columns, 4.2 * rows), squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    for axis, panel in zip(axes.flat, panels, strict=False):
        for name, (x, y) in panel.lines.items():
            axis.plot(x, y, marker="o" if len(x) < 40 else None, markersize=4, linewidth=1.2, label=name)
        axis.set(title=panel.title, xlabel=panel.x_label, ylabel=panel.y_label)
        axis.set_ylim(0, 1.1 * max(max(y) for _, y in panel.lines.values()))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    _write(figure, path)


def draw_bars(path: Path, panels: Mapping[str, Mapping[str, float]], unit: str) -> None:
    """Write a PNG: for each title, a bar for each name, the first one on top and in another colour."""
    longest = max(len(values) for values in panels.values())
    figure, axes = plt.subplots(
        1, len(panels), figsize=(6.5 * len(panels), 1.2 + 0.4 * longest), squeeze=False
    )  # fmt: skip
    for axis, (title, values) in zip(axes.flat, panels.items(), strict=True):
        names = list(values)[::-1]
        bars = axis.barh(names, [values[name] for name in names], color=["C0"] * (len(names) - 1) + ["C1"])
        axis.bar_label(bars, fmt="%.3g", padding=3, fontsize=8)
        axis.margins(x=0.12)
        axis.set(title=title, xlabel=unit)
    _write(figure, path)


def _write(figure: plt.Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
