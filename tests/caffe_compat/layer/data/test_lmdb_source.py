"""LMDBReader against the lmdb library, and on files that would end a process that trusts them."""

import random
from pathlib import Path

import lmdb
import pytest

from caffe_compat.errors import DataError
from caffe_compat.layer.data.lmdb_source import LMDBReader


def write_lmdb(folder: Path, records: dict[bytes, bytes], per_transaction: int = 1000) -> Path:
    with lmdb.open(str(folder), map_size=1 << 26, lock=False) as env:
        items = list(records.items())
        for start in range(0, max(len(items), 1), per_transaction):
            with env.begin(write=True) as txn:
                for key, value in items[start : start + per_transaction]:
                    txn.put(key, value)
    return folder


def some_records(count: int, sizes: tuple[int, int], seed: int = 0) -> dict[bytes, bytes]:
    draw = random.Random(seed)
    return {
        b"%08d_%s" % (draw.randrange(10**8), b"x" * draw.randrange(40)): draw.randbytes(draw.randint(*sizes))
        for _ in range(count)
    }


@pytest.mark.parametrize(
    ("count", "sizes"),
    [(0, (0, 0)), (1, (10, 10)), (3, (5000, 20000)), (300, (0, 3000)), (9000, (0, 30)), (200, (2000, 2100))],
)
def test_records_are_those_of_the_lmdb_library(tmp_path, count, sizes):
    folder = write_lmdb(tmp_path / "db", some_records(count, sizes), per_transaction=100)
    with lmdb.open(str(folder), readonly=True, lock=False) as env, env.begin() as txn:
        wanted = list(txn.cursor())
        depth = env.stat()["depth"]
    assert count < 9000 or depth >= 3
    reader = LMDBReader(folder)
    assert reader.keys_count == count
    assert list(reader.items()) == wanted
    assert list(reader.keys()) == [key for key, _ in wanted]
    for start in {0, count // 3, max(count - 1, 0), count}:
        assert list(reader.items(start)) == wanted[start:]
    for key, value in wanted[:: max(count // 50, 1)]:
        assert reader.get(key) == value
        assert reader.get(key + b"!") is None
    assert reader.get(b"") is None
    assert reader.get(b"\xff") is None


def test_records_deleted_and_written_again(tmp_path):
    records = some_records(500, (0, 6000))
    folder = write_lmdb(tmp_path / "db", records)
    with lmdb.open(str(folder), map_size=1 << 26, lock=False) as env:
        for key in list(records)[::3]:
            with env.begin(write=True) as txn:
                txn.delete(key)
            del records[key]
    assert dict(LMDBReader(folder).items()) == records


def test_two_readers_and_the_library_at_once(tmp_path):
    folder = write_lmdb(tmp_path / "db", {b"a": b"1", b"b": b"2"})
    one, two = LMDBReader(folder), LMDBReader(folder)
    with lmdb.open(str(folder), readonly=True, lock=False):
        pairs = list(zip(one.items(), two.items(), strict=True))
    assert pairs == [((b"a", b"1"), (b"a", b"1")), ((b"b", b"2"), (b"b", b"2"))]


def test_closing(tmp_path):
    reader = LMDBReader(write_lmdb(tmp_path / "db", {b"a": b"1"}))
    reader.close()
    reader.close()
    with pytest.raises(DataError, match=r"db: read after close\(\)"):
        reader.get(b"a")


def test_a_record_number_out_of_range(tmp_path):
    reader = LMDBReader(write_lmdb(tmp_path / "db", {b"a": b"1"}))
    with pytest.raises(DataError, match="record 2 asked for; there are 1, numbered from 0"):
        next(reader.items(2))


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"none_lmdb: there is no such LMDB folder; correct the path"):
        LMDBReader(tmp_path / "none_lmdb")


def test_a_folder_without_a_database(tmp_path):
    with pytest.raises(DataError, match="holds no data.mdb"):
        LMDBReader(tmp_path)


def test_a_file_instead_of_a_folder(tmp_path):
    folder = write_lmdb(tmp_path / "db", {b"a": b"1"})
    with pytest.raises(DataError, match="is a file; name the folder that holds data.mdb"):
        LMDBReader(folder / "data.mdb")


def test_a_leveldb_says_how_to_convert(tmp_path):
    (tmp_path / "CURRENT").write_text("MANIFEST-000001\n")
    with pytest.raises(DataError, match="is a LevelDB, which is not read here; copy its keys and values into an LMDB"):
        LMDBReader(tmp_path)


@pytest.mark.parametrize("content", [b"", b"garbage", bytes(10000), b"garbage " * 2000])
def test_a_garbage_file(tmp_path, content):
    (tmp_path / "data.mdb").write_bytes(content)
    with pytest.raises(DataError, match=rf"data.mdb \({len(content)} bytes\) is not an LMDB"):
        LMDBReader(tmp_path)


@pytest.mark.parametrize("kept", [3 / 4, 1 / 2, 0.999])
def test_a_truncated_file_gives_both_sizes(tmp_path, kept):
    file = write_lmdb(tmp_path / "db", some_records(300, (100, 5000))) / "data.mdb"
    whole = file.read_bytes()
    found = int(len(whole) * kept)
    file.write_bytes(whole[:found])
    with pytest.raises(DataError, match=rf"db: data.mdb is cut off: {len(whole)} bytes expected, {found} found"):
        LMDBReader(tmp_path / "db")


def test_a_file_cut_inside_its_meta_pages(tmp_path):
    file = write_lmdb(tmp_path / "db", {b"a": b"1"}) / "data.mdb"
    file.write_bytes(file.read_bytes()[:4196])
    with pytest.raises(DataError, match="second meta page, bytes 4096 to 8192, is not there; 4196 bytes found"):
        LMDBReader(tmp_path / "db")


def test_a_file_cut_off_while_it_is_open(tmp_path):
    folder = write_lmdb(tmp_path / "db", some_records(300, (100, 5000)))
    reader = LMDBReader(folder)
    with (folder / "data.mdb").open("r+b") as file:
        file.truncate(3 * 4096)
    with pytest.raises(DataError, match="is damaged at page"):
        list(reader.items())


def test_duplicate_keys_are_refused(tmp_path):
    with lmdb.open(str(tmp_path / "db"), max_dbs=1, lock=False) as env:
        env.open_db(b"inner")
    with pytest.raises(DataError, match="key b'inner' is a database within the database"):
        list(LMDBReader(tmp_path / "db").items())


def test_damage_anywhere_is_an_error_or_harmless(tmp_path):
    """Bytes overwritten at random: DataError or some records, never anything else and never an endless walk."""
    records = some_records(400, (0, 3000))
    file = write_lmdb(tmp_path / "db", records) / "data.mdb"
    whole = file.read_bytes()
    draw = random.Random(1)
    errors = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(draw.choice([1, 4, 40])):
            at = draw.randrange(len(damaged)) if draw.random() < 0.5 else draw.randrange(0, len(damaged), 4096)
            patch = draw.randbytes(draw.choice([1, 2, 8, 64]))
            damaged[at : at + len(patch)] = patch
        file.write_bytes(damaged[: len(whole)])
        try:
            reader = LMDBReader(tmp_path / "db")
            assert sum(1 for _ in reader.items()) <= len(records)
            reader.get(next(iter(records)))
        except DataError:
            errors += 1
    assert errors > 100
