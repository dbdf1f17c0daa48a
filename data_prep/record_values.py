"""Single records of databases: read by key, and decoded by what the database holds."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from caffe_compat.errors import DataError
from caffe_compat.layer.data.lmdb_source import LMDBReader
from caffe_compat.proto.datum import datum_to_array, parse_datum
from data_prep.contents import Contents
from data_prep.labels import decode_label
from data_prep.png_files import decode_depth

__all__ = ["decode_record", "read_record"]


def read_record(database: Path, key: str) -> bytes:
    """A record's bytes; the database stays open in this process, and is opened again where its file is another.

    Raises:
        DataError: the database is missing or damaged, or has no such key.
    """
    try:
        data = _reader(database).get(key.encode())
    except DataError as error:
        raise DataError(f"'{database}', key {key}: {error}") from error
    if data is None:
        raise DataError(f"'{database}' lacks key {key}")
    return data


@lru_cache(maxsize=8)
def _opened(database: Path, stamp: tuple[int, int, int]) -> LMDBReader:
    return LMDBReader(database)


def _reader(database: Path) -> LMDBReader:
    status = (database / "data.mdb").stat()
    return _opened(database, (status.st_ino, status.st_mtime_ns, status.st_size))


def decode_record(held: Contents, data: bytes, title: str) -> tuple[np.ndarray, bool]:
    """The values of a Datum, C x H x W, and whether they were encoded as a picture.

    Args:
        held: what it is; its values are not checked against that.
        data: the Datum's bytes.
        title: database and key, for messages.

    Raises:
        DataError: it is no Datum, or cannot be decoded.
    """
    datum = parse_datum(data, f"'{title}'")
    if datum.encoded and held.holds == "label":
        return decode_label(datum.data, title)[np.newaxis], True
    if datum.encoded and held.holds in ("depth", "raw depth"):
        return decode_depth(datum.data, title)[np.newaxis], True
    return datum_to_array(datum, source=f"{held.holds} '{title}'"), datum.encoded
