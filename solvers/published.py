"""The published results, in parts of 1: what a score is printed beside.

All are on seg11valid (736 images). P's figures (see SOURCES) are as commonly cited and were not read again: expected
values, not asserted truth.
"""

from dataclasses import dataclass

__all__ = ["PUBLISHED", "SOURCES", "Row"]

SOURCES = {
    "R": "README of the release",
    "W": "released weights, scored again by others",
    "C": "CVPR 2015 paper",
    "P": "PAMI 2016 paper, as commonly cited",
}


@dataclass(frozen=True)
class Row:
    """One published result; a figure that was not published is None.

    Args:
        source: a key of SOURCES.
        pixel_accuracy: and the other three as in solvers.metrics.
        tolerance: how far from mean_iu converted released weights may score; None where the row is not for them.
    """

    source: str
    pixel_accuracy: float | None = None
    mean_accuracy: float | None = None
    mean_iu: float | None = None
    fw_iu: float | None = None
    tolerance: float | None = None


_CONVERTED = 0.0005  # 0.05 mean IU in per cent

PUBLISHED: dict[str, tuple[Row, ...]] = {
    "voc-fcn32s": (
        Row("R", mean_iu=0.636),
        Row("W", 0.90481, 0.76482, 0.63626, 0.83458, _CONVERTED),
        Row("C", 0.891, 0.733, 0.594, 0.814),
        Row("P", 0.905, 0.765, 0.636, 0.835),
    ),
    "voc-fcn16s": (
        Row("R", mean_iu=0.650),
        Row("W", 0.90997, 0.78071, 0.65005, 0.84261, _CONVERTED),
        Row("C", 0.900, 0.757, 0.624, 0.830),
        Row("P", 0.910, 0.781, 0.650, 0.843),
    ),
    "voc-fcn8s": (
        Row("R", mean_iu=0.655),
        Row("W", 0.91221, 0.77615, 0.65513, 0.84545, _CONVERTED),
        Row("C", 0.903, 0.759, 0.627, 0.832),
        Row("P", 0.912, 0.776, 0.655, 0.845),
    ),
    "voc-fcn8s-atonce": (
        Row("R", mean_iu=0.654),
        Row("W", 0.91129, 0.78498, 0.65400, 0.84433, _CONVERTED),
        Row("P", 0.911, 0.785, 0.654, 0.844),
    ),
    "voc-fcn-alexnet": (Row("R", mean_iu=0.480), Row("C", mean_iu=0.398)),
}
