"""Records of databases: read by key, decoded by what the database holds, and checked."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from caffe_compat.errors import DataError
from caffe_compat.layer.data.lmdb_source import LMDBReader
from caffe_compat.proto.datum import datum_to_array, parse_datum
from data_prep.contents import Contents, check_sizes, check_values
from data_prep.labels import decode_label
from data_prep.png_files import decode_depth

__all__ = ["decode_record", "decode_sample", "read_record", "record_bytes", "record_title", "shown_key"]


def record_bytes(reader: LMDBReader, key: bytes) -> bytes:
    """The bytes of an open database's record.

    Raises:
        DataError: the database is damaged, or has no such key.
    """
    try:
        data = reader.get(key)
    except DataError as error:
        raise DataError(f"'{reader.path}', key {shown_key(key)}: {error}") from error
    if data is None:
        raise DataError(f"'{reader.path}' lacks key {shown_key(key)}; it was changed since its keys were read")
    return data


def read_record(database: Path, key: str) -> bytes:
    """A record's bytes; the database stays open in this process, and is opened again where its file is another.

    Raises:
        DataError: the database is missing or damaged, or has no such key.
    """
    status = (database / "data.mdb").stat()
    reader = _opened(database, (status.st_ino, status.st_mtime_ns, status.st_size))
    return record_bytes(reader, key.encode("utf-8", "surrogateescape"))


@lru_cache(maxsize=8)
def _opened(database: Path, stamp: tuple[int, int, int]) -> LMDBReader:
    return LMDBReader(database)


def decode_record(held: Contents, data: bytes, title: str) -> tuple[np.ndarray, bool]:
    """The values of a Datum, C x H x W, and whether they were encoded as a picture.

    Args:
        held: what it should be, to which its values are held.
        data: the Datum's bytes.
        title: database and key, for messages.

    Returns:
        Labels are uint8, in-painted depth is above 0.

    Raises:
        DataError: it is no Datum, cannot be decoded, or holds other values, as ``check_values`` says.
    """
    name = f"{held.holds} '{title}'"
    datum = parse_datum(data, name)
    if datum.encoded and held.holds == "label":
        values = decode_label(datum.data, title)[np.newaxis]
    elif datum.encoded and held.holds in ("depth", "raw depth"):
        values = decode_depth(datum.data, title)[np.newaxis]
    else:
        values = datum_to_array(datum, source=name)
    check_values(held, values, title)
    return values.astype(np.uint8, copy=False) if held.holds == "label" else values, datum.encoded


def decode_sample(
    contents: Mapping[str, Contents], data: Mapping[str, bytes], titles: Mapping[str, str]
) -> dict[str, tuple[np.ndarray, bool]]:
    """What ``decode_record`` gives of each part of a sample, all of one height and width.

    Args:
        contents: what each part should be, by name.
        data: the Datums' bytes, likewise.
        titles: for messages, likewise.

    Raises:
        DataError: as ``decode_record``; two parts differ in size.
    """
    decoded = {part: decode_record(held, data[part], titles[part]) for part, held in contents.items()}
    check_sizes({f"{contents[part].holds} '{titles[part]}'": one.shape[1:] for part, (one, _) in decoded.items()})
    return decoded


def record_title(database: Path, key: bytes) -> str:
    """Which record that is, for messages: ``DATABASE, key KEY``."""
    return f"{database}, key {shown_key(key)}"


def shown_key(key: bytes) -> str:
    """A key as text, for messages."""
    return key.decode("utf-8", "backslashreplace")
