"""What can be downloaded: entries of the tables of public addresses, and how one is found by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from caffe_compat.errors import DataError
from caffe_compat.spelling import did_you_mean

__all__ = ["ARCHIVES", "Source", "SourceFile", "download_hint", "lookup", "with_needed"]

ARCHIVES = "archives"
"""Folder, below the folder of all data, that archives are downloaded to."""


@dataclass(frozen=True)
class SourceFile:
    """One file, with what is known about it. Sizes and checksums are given only where somebody states them.

    Args:
        name: its published name.
        into: folder that it, or what it unpacks to, belongs in; relative to the folder of all data.
        urls: addresses to try, in order; none where there is no public one.
        size: bytes.
        checksums: of its content, hexadecimal, by algorithm: md5, sha1, sha256.
        holds: of an archive: a folder in it. What lies beside that folder, and it, becomes ``into``. Empty for a file
            that is not unpacked.
        by_hand: how a person can get it where no address gives it.
    """

    name: str
    into: str
    urls: tuple[str, ...] = ()
    size: int | None = None
    checksums: Mapping[str, str] = field(default_factory=dict)
    holds: str = ""
    by_hand: str = ""

    def path(self, out: Path) -> Path:
        """Where the file itself is put, below the folder of all data."""
        return out / (ARCHIVES if self.holds else self.into) / self.name


@dataclass(frozen=True)
class Source:
    """A dataset or the weights of a model.

    Args:
        name: on the command line.
        title: for people.
        files: what it consists of.
        terms: what the publisher asks of whoever uses it, or where that is written.
        needs: names of sources that it is of no use without.
        then: the command that reads it; ``{out}`` stands for the folder of all data.
    """

    name: str
    title: str
    files: tuple[SourceFile, ...]
    terms: str
    needs: tuple[str, ...] = ()
    then: str = ""


def download_hint(*names: str) -> str:
    """What gets the sources of these names, for the end of a message that misses them."""
    return f"'python -m data_prep download {' '.join(names)} --out DATA' gets it"


def lookup(table: Mapping[str, Source], name: str) -> Source:
    """The entry of that name.

    Raises:
        DataError: there is none; the message lists the known ones.
    """
    if name not in table:
        raise DataError(f"nothing to download is called '{name}'{did_you_mean(name, table)}; known: {', '.join(table)}")
    return table[name]


def with_needed(table: Mapping[str, Source], names: tuple[str, ...]) -> list[Source]:
    """The entries of those names, each after what it needs and none twice.

    Raises:
        DataError: a name is unknown.
    """
    found: dict[str, Source] = {}
    for name in names:
        source = lookup(table, name)
        for one in (*with_needed(table, source.needs), source):
            found.setdefault(one.name, one)
    return list(found.values())
