"""The files beside what was written: manifest.json, which describes the whole, and samples.jsonl, a line to a sample.

manifest.json
    format           2
    versions         of this package and of those that decode and encode
    databases        (or files) by name: what it holds, records, bytes, shapes, a checksum over keys and values, the
                     mean per channel, or of labels the pixels per class
    settings         what decides the content beside the sources
    count            samples
    list_sha256      of the ids, or the keys, in their order
    sources_sha256   of the checksums of the source files (databases only)
    sizes, pixels    width x height of the samples; pixels per class of the (first) label

samples.jsonl
    key, and under ``databases`` (or ``files``) by name: sha256 and bytes of the record, shape, and pixels or sums
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from math import fsum
from pathlib import Path
from typing import Any

from caffe_compat.errors import DataError
from data_prep import __version__
from data_prep.contents import Contents

__all__ = [
    "FORMAT",
    "check_agreement",
    "describe",
    "journal_lines",
    "read_manifest",
    "read_samples",
    "sizes_of",
    "tool_versions",
]

FORMAT = 2
"""Of the manifest. 1 had no checksums of the content, no means, no shapes and no versions."""


def tool_versions() -> dict[str, str]:
    """Versions of this package and of those whose work the content is."""
    return {"caffe-compat": __version__, **{name: metadata.version(name) for name in ("numpy", "pillow", "lmdb")}}


def describe(contents: Contents, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Sum up one database, or one kind of files.

    Args:
        contents: what it holds.
        rows: the keys in order, each with its record's measures.

    Returns:
        As manifest.json has it. The mean is per channel over all pixels of all records, in the channels' order (BGR;
        disparity, height, angle; millimetres); ``log_mean`` is that of the natural logarithm of depth.
    """
    facts = [row for _, row in rows]
    digest = hashlib.sha256("".join(f"{key} {row['sha256']}\n" for key, row in rows).encode()).hexdigest()
    described: dict[str, Any] = {
        **contents.as_json(),
        "records": len(rows),
        "bytes": sum(row["bytes"] for row in facts),
        "encoded": sum(bool(row.get("encoded")) for row in facts),
        "shapes": dict(sorted(Counter("x".join(map(str, row["shape"])) for row in facts).items())),
        "sha256": digest,
    }
    pixels = sum(row["shape"][1] * row["shape"][2] for row in facts)
    for name, kind in (("mean", "sums"), ("log_mean", "log_sums")):
        if facts and kind in facts[0]:
            channels = zip(*(row[kind] for row in facts), strict=True)
            described[name] = [round(fsum(channel) / pixels, 6) for channel in channels]
    if contents.holds == "label":
        counts: Counter[str] = Counter()
        for row in facts:
            counts.update(row["pixels"])
        described["pixels"] = dict(sorted(counts.items(), key=lambda item: int(item[0])))
    return described


def check_agreement(folder: Path, manifest: Mapping[str, Any], make: Callable[[], Mapping[str, Any]]) -> None:
    """Hold a folder's manifest.json and samples.jsonl against each other.

    Args:
        folder: that holds them.
        manifest: as it was read.
        make: makes it of samples.jsonl anew.

    Raises:
        DataError: a line is damaged, or the two do not agree.
    """
    try:
        made = make()
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DataError(f"'{folder / 'samples.jsonl'}' has a damaged line ({error!r})") from error
    difference = _first_difference(made, manifest)
    if difference is not None:
        raise DataError(f"'{folder}': {difference}")


def _first_difference(made: Mapping[str, Any], found: Mapping[str, Any]) -> str | None:
    """What manifest.json says that the samples do not, in words; None where they agree.

    Args:
        made: the manifest as made of samples.jsonl now; versions are not compared.
        found: the manifest that was read.
    """
    for name, value in made.items():
        if name in ("databases", "files") and isinstance(found.get(name), dict):
            for part, described in value.items():
                for key, one in described.items():
                    if found[name].get(part, {}).get(key) != one:
                        return _says(f"{part}: {key}", found[name].get(part, {}).get(key), one)
        elif name != "versions" and found.get(name) != value:
            return _says(name, found.get(name), value)
    return None


def _says(name: str, found: Any, wanted: Any) -> str:
    return f"manifest.json says of {name} {_short(found)}, but by samples.jsonl it is {_short(wanted)}"


def _short(value: Any, most: int = 80) -> str:
    text = json.dumps(value)
    return text if len(text) <= most else f"{text[:most]}..."


def sizes_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many samples there are of each size, ``WIDTHxHEIGHT``."""
    return dict(sorted(Counter(f"{row['width']}x{row['height']}" for row in rows).items()))


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a finished folder, of this or an older format.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if not isinstance(manifest.get("databases", manifest.get("files")), (list, dict)):
            raise KeyError("databases")
        if not isinstance(manifest["count"], int):
            raise KeyError("count")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"'{folder}' has no readable manifest.json ({error!r}), so it was not written by this tool, or is damaged; "
            "move it away or give another --out"
        ) from error
    return dict(manifest)


def read_samples(path: Path) -> dict[str, dict[str, Any]]:
    """The journal samples.jsonl by key, the last line of a key counting; a line that was cut off says nothing."""
    samples: dict[str, dict[str, Any]] = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return samples
    for line in lines:
        try:
            row = json.loads(line)
            samples[str(row["key"])] = row
        except (ValueError, KeyError, TypeError):
            continue
    return samples


def journal_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """The journal's text."""
    return "".join(f"{json.dumps(row)}\n" for row in rows)
