"""Statistics of samples beside the means of the released nets: what a net's inputs and labels are, in numbers.

Samples are read one after the other and only sums are kept, in float64; several processes give the same numbers as one.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

import numpy as np

from data_prep.contents import Contents
from data_prep.jobs import Fault, run_ordered
from data_prep.labels import pixel_counts
from data_prep.means import RELEASED_MEANS
from data_prep.samples import Samples

__all__ = ["CHANNELS", "Moments", "measure_samples"]

CHANNELS = {
    "image": ("blue", "green", "red"),
    "hha": ("disparity", "height", "angle"),
    "depth": ("depth_mm",),
    "raw depth": ("depth_mm",),
}
"""Names of the channels, by what a part of a sample holds."""

_LOG = "log_depth"
_SAME_MEANS = {"sbd": "voc", "folder": "voc", None: "voc"}  # nets for one's own data start from VOC's, or ImageNet's


@dataclass(frozen=True)
class Moments:
    """Count, mean, sum of squared distances from the mean, least and greatest of some values."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    least: float = float("inf")
    greatest: float = float("-inf")

    @classmethod
    def of(cls, values: np.ndarray) -> "Moments":
        """Those of an array, in float64; of bytes exact."""
        if not values.size:
            return cls()
        least, greatest = float(values.min()), float(values.max())
        if values.dtype == np.uint8:
            counts, levels = np.bincount(values.ravel(), minlength=256), np.arange(256)
            count, total, squared = values.size, int(counts @ levels), int(counts @ levels**2)
            return cls(count, total / count, (count * squared - total * total) / count, least, greatest)
        wide = values.astype(np.float64)
        mean = float(wide.mean())
        return cls(values.size, mean, float(np.square(wide - mean).sum()), least, greatest)

    def __add__(self, other: "Moments") -> "Moments":
        """Those of both together."""
        if not self.count or not other.count:
            return self if self.count else other
        count, apart = self.count + other.count, other.mean - self.mean
        return Moments(
            count,
            self.mean + apart * (other.count / count),
            self.squares + other.squares + apart * apart * (self.count * (other.count / count)),
            min(self.least, other.least),
            max(self.greatest, other.greatest),
        )

    def as_json(self) -> dict[str, Any]:
        """Mean, standard deviation (of all values, not of a draw from them), min and max; None of no values."""
        if not self.count:
            return dict.fromkeys(("mean", "std", "min", "max"))
        return {"mean": self.mean, "std": sqrt(self.squares / self.count), "min": self.least, "max": self.greatest}


@dataclass
class _Part:
    """What was found of one part of the samples."""

    channels: dict[str, Moments] = field(default_factory=dict)
    pixels: Counter[int] = field(default_factory=Counter)
    samples: Counter[int] = field(default_factory=Counter)

    def add(self, other: "_Part") -> None:
        """Take the next sample in."""
        for name, moments in other.channels.items():
            self.channels[name] = self.channels.get(name, Moments()) + moments
        self.pixels.update(other.pixels)
        self.samples.update(other.samples)


@dataclass(frozen=True)
class _Measure:
    """Reads a sample and measures its parts."""

    read: Callable[[str], dict[str, np.ndarray]]
    contents: dict[str, Contents]

    def __call__(self, key: str) -> dict[str, _Part]:
        return {part: _measure(self.contents[part].holds, values) for part, values in self.read(key).items()}


def _measure(holds: str, values: np.ndarray) -> _Part:
    if holds == "label":
        counts = Counter(pixel_counts(values.astype(np.uint8)))
        return _Part(pixels=counts, samples=Counter(list(counts)))
    if holds == "raw depth":
        values = values[values > 0][np.newaxis]  # 0 is missing
    part = _Part({name: Moments.of(channel) for name, channel in zip(CHANNELS[holds], values, strict=True)})
    if holds == "depth":
        part.channels[_LOG] = Moments.of(np.log(values.astype(np.float64)))
    return part


def measure_samples(
    samples: Samples, jobs: int = 1, progress: Callable[[int], Any] = lambda done: None
) -> tuple[dict[str, Any], list[Fault]]:
    """The statistics of a list's samples.

    Args:
        samples: see samples.py.
        jobs: processes.
        progress: told 1 after each sample.

    Returns:
        Values that JSON can hold, and what is wrong with the samples that could not be counted. By part: of images,
        HHA and depth each channel's ``mean``, ``std``, ``min`` and ``max`` over all pixels, the ``released`` mean and
        the ``difference`` from it; of labels the pixels of each class and the samples that show it.
    """
    parts = {part: _Part() for part in samples.contents}
    faults: list[Fault] = []
    for _, result in run_ordered(_Measure(samples.read, samples.contents), list(enumerate(samples.keys)), jobs):
        if isinstance(result, Fault):
            faults.append(result)
        else:
            for name, found in result.items():
                parts[name].add(found)
        progress(1)
    report = {
        "folder": str(samples.path),
        "dataset": samples.dataset,
        "samples": len(samples.keys) - len(faults),
        "faults": len(faults),
        "parts": {name: _described(samples, name, part) for name, part in parts.items()},
    }
    return report, faults


def _described(samples: Samples, name: str, part: _Part) -> dict[str, Any]:
    held = samples.contents[name]
    if held.holds == "label":
        values = sorted(part.pixels)
        return {
            **held.as_json(),
            "names": list(samples.names.get(name, ())),
            "pixels": {str(value): part.pixels[value] for value in values},
            "samples": {str(value): part.samples[value] for value in values},
        }
    described: dict[str, Any] = {
        "holds": held.holds,
        "pixels": max((one.count for one in part.channels.values()), default=0),
    }
    channels = {channel: moments.as_json() for channel, moments in part.channels.items()}
    described["channels"] = channels
    family = _SAME_MEANS.get(samples.dataset, samples.dataset or "")
    released = RELEASED_MEANS.get(family, {}).get(held.holds)
    if released is not None and channels:
        beside = [channels[_LOG]] if held.holds == "depth" else list(channels.values())
        described["released_of"] = family
        for channel, value in zip(beside, released, strict=True):
            channel |= {"released": value, "difference": channel["mean"] - value}
        if held.holds == "image" and _nearer_in_reverse([one["mean"] for one in beside], released):
            described["note"] = (
                f"the means released for {family} are nearer to these in reverse, as R, G, B; the released nets take "
                "them off B, G, R as they stand, so keep them with released weights"
            )
    return described


def _nearer_in_reverse(means: Sequence[float], released: Sequence[float]) -> bool:
    def away(others: Sequence[float]) -> float:
        return sum(abs(one - other) for one, other in zip(means, others, strict=True))

    return away(released[::-1]) < away(released)
