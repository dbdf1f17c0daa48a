"""What a database or a folder of files holds, and what is measured of each of its records.

The measures go into samples.jsonl as records are written, are summed up in manifest.json (see manifest.py), and are
taken again by ``--verify``.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from caffe_compat.errors import DataError
from data_prep.labels import check_label, pixel_counts

__all__ = ["Contents", "check_sizes", "check_values", "facts_differ", "measure", "measure_bytes", "sources_digest"]

CHANNELS = {"image": 3, "hha": 3, "depth": 1, "raw depth": 1, "label": 1}
_LEVELS = 0.5  # decoders of JPEGs may differ by single levels


@dataclass(frozen=True)
class Contents:
    """What one database, or one kind of files, holds.

    Attributes:
        holds: ``image`` (BGR), ``hha`` (disparity, height, angle), ``depth`` (in-painted, millimetres), ``raw depth``
            (likewise, 0 where missing) or ``label``.
        classes: of labels: how many, from 0; None where that is not known, so that values are not held to it.
        void: of labels: the value besides, or None.
    """

    holds: str
    classes: int | None = None
    void: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The attributes, those of labels for labels only."""
        return asdict(self) if self.holds == "label" else {"holds": self.holds}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Contents":
        """What ``as_json`` gave; other keys are passed over.

        Raises:
            DataError: it says nothing that is known.
        """
        if values.get("holds") not in CHANNELS:
            raise DataError(f"holds {values.get('holds')!r}; wanted one of {', '.join(CHANNELS)}")
        if values["holds"] == "label" and not isinstance(values.get("classes"), int):
            raise DataError(f"holds labels of {values.get('classes')!r} classes; wanted their number")
        return cls(values["holds"], values.get("classes"), values.get("void"))


def check_values(contents: Contents, values: np.ndarray, name: str) -> None:
    """Hold an array against what it should be.

    Args:
        contents: what it should be.
        values: C x H x W.
        name: file, or database and key, for messages.

    Raises:
        DataError: another number of channels; a label outside the classes; in-painted depth of 0.
    """
    wanted = CHANNELS[contents.holds]
    if values.shape[0] != wanted:
        raise DataError(
            f"{contents.holds} '{name}' has {values.shape[0]} channels; wanted {wanted}; "
            "check that databases are not exchanged"
        )
    if contents.holds == "label":
        label = values[0].astype(np.uint8)
        if (label != values[0]).any():
            raise DataError(f"label '{name}' holds values that are not whole numbers from 0 to 255; build it again")
        if contents.classes is not None:
            check_label(label, name, contents.classes, contents.void)
    if contents.holds == "depth" and not (values > 0).all():
        raise DataError(
            f"depth '{name}' is 0 at {np.count_nonzero(~(values > 0))} pixels, and nets read its logarithm; "
            "wanted in-painted depth, not raw depth"
        )


def measure(contents: Contents, values: np.ndarray) -> dict[str, Any]:
    """The measures of an array, values that JSON can hold.

    Args:
        contents: what it is.
        values: C x H x W.

    Returns:
        ``shape``; of labels ``pixels``, how many hold each value; of others ``sums`` per channel, and of in-painted
        depth the ``log_sums`` of the natural logarithms besides.
    """
    facts: dict[str, Any] = {"shape": list(values.shape)}
    if contents.holds == "label":
        counts = pixel_counts(values.astype(np.uint8))
        return {**facts, "pixels": {str(value): count for value, count in counts.items()}}
    wide = np.uint64 if values.dtype.kind == "u" else np.float64
    facts["sums"] = [int(channel.sum(dtype=wide)) for channel in values]
    if contents.holds == "depth":
        facts["log_sums"] = [float(np.log(channel.astype(np.float64)).sum()) for channel in values]
    return facts


def measure_bytes(data: bytes) -> dict[str, Any]:
    """Checksum and size of a record's or a file's bytes."""
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def sources_digest(settings: object, *contents: bytes) -> str:
    """A checksum of what something is made from, 32 hexadecimal digits.

    Args:
        settings: what decides how it is made; counts by its ``repr``.
        contents: the sources.
    """
    parts = [repr(settings).encode(), *contents]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:32]


def check_sizes(sizes: Mapping[str, Sequence[int]]) -> None:
    """Hold the sizes of what belongs to one sample against each other.

    Args:
        sizes: shapes, height and width first, by what is shown of them in the message: ``label 'PATH'``.

    Raises:
        DataError: naming the first and one that differs from it.
    """
    first, *others = sizes
    height, width = sizes[first][:2]
    for name in others:
        other_height, other_width = sizes[name][:2]
        if (other_height, other_width) != (height, width):
            raise DataError(
                f"{name} is {other_width} x {other_height} pixels (width x height) but {first} is "
                f"{width} x {height}; they must be equal: replace the one that is wrong"
            )


def facts_differ(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str | None:
    """What the first difference between two sets of measures is, in words; None where they agree.

    Means may differ by half a level, as decoders of JPEGs do; the checksum holds the bytes to the last bit.
    """
    if found["shape"] != wanted.get("shape"):
        shapes = (" x ".join(map(str, one["shape"])) for one in (found, wanted))
        return "channels x height x width are {}, but {} were written".format(*shapes)
    if found.get("pixels") != wanted.get("pixels"):
        return "the pixels per class are others than were written"
    size = found["shape"][1] * found["shape"][2]
    for kind in ("sums", "log_sums"):
        for channel, (one, other) in enumerate(zip(found.get(kind, []), wanted.get(kind, []), strict=False)):
            if abs(one - other) > _LEVELS * size:
                return f"the mean of channel {channel} is {one / size:.3f}, but {other / size:.3f} was written"
    for kind in ("bytes", "sha256"):
        if found.get(kind) != wanted.get(kind):
            return f"{kind} {found.get(kind)}, but {wanted.get(kind)} were written"
    return None
