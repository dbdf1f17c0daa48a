"""Interrupted builds: killed, without room, meddled with; and what a run that follows makes of them."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import lmdb
import pytest

from caffe_compat.errors import DataError
from caffe_compat.layer.data.lmdb_source import LMDBReader
from caffe_compat.proto.datum import datum_to_array, parse_datum
from data_prep import lmdb_build
from data_prep.labels import encode_label
from data_prep.lmdb_writer import write_lmdbs
from data_prep.records import PairLoader
from data_prep.sbd import SBDFolder
from data_prep.voc import VOCFolder

ROOT = Path(__file__).resolve().parents[2]


def records(path):
    return dict(LMDBReader(path).items())


def content(folder):
    return {name: records(folder / name) for name in ("image_lmdb", "label_lmdb")}


@pytest.fixture
def voc(drawn):
    return VOCFolder(drawn.voc_dir)


SLOW_RUN = """
    import sys, time
    from pathlib import Path
    from data_prep import lmdb_build
    from data_prep.lmdb_writer import write_lmdbs
    from data_prep.records import PairLoader
    from data_prep.sbd import SBDFolder

    class Slow(PairLoader):
        def load(self, image_id):
            time.sleep(0.05)
            return super().load(image_id)

    lmdb_build._MOST_RECORDS = 2
    folder = SBDFolder(Path(sys.argv[1]))
    ids = folder.ids("train") * 40
    write_lmdbs(Path(sys.argv[2]), ids, Slow(folder), progress=lambda done: print(done, flush=True))
"""


def test_a_killed_run_goes_on_where_it_was(drawn, tmp_path):
    sbd = SBDFolder(drawn.sbdd_dir)
    ids = drawn.train * 40
    for least in (6, 12):  # killed twice
        run = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SLOW_RUN), str(drawn.sbdd_dir), str(tmp_path / "db")],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        for _ in range(least):
            assert run.stdout.readline()
        time.sleep(0.02)
        run.send_signal(signal.SIGKILL)
        run.stdout.close()
        assert run.wait() == -signal.SIGKILL
        assert not (tmp_path / "db").exists()
    loaded = []

    class Counting(PairLoader):
        def load(self, image_id):
            loaded.append(image_id)
            return super().load(image_id)

    outcome = write_lmdbs(tmp_path / "db", ids, Counting(sbd))
    assert outcome.state == "written"
    assert 8 <= outcome.kept < len(ids)
    assert len(loaded) == len(ids) - outcome.kept
    write_lmdbs(tmp_path / "unbroken", ids, PairLoader(sbd))
    assert content(tmp_path / "db") == content(tmp_path / "unbroken")
    for name in ("manifest.json", "list.txt", "samples.jsonl"):
        assert (tmp_path / "db" / name).read_text() == (tmp_path / "unbroken" / name).read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "db", "unbroken"]


def interrupted(folder, ids, loader, after):
    """Leave an unfinished folder, as an interrupted run does."""

    class Interrupted(PairLoader):
        def load(self, image_id):
            if image_id == ids[after]:
                raise KeyboardInterrupt
            return super().load(image_id)

    with pytest.raises(KeyboardInterrupt):
        write_lmdbs(folder, ids, Interrupted(loader.folder, loader.images, loader.labels))


def test_a_cut_off_line_does_not_spoil_those_after_it(drawn, voc, tmp_path, monkeypatch):
    monkeypatch.setattr(lmdb_build, "_MOST_RECORDS", 1)
    interrupted(tmp_path / "db", drawn.val, PairLoader(voc), 1)
    with (tmp_path / "db.partial/samples.jsonl").open("a") as journal:
        journal.write('{"key": "00000')
    interrupted(tmp_path / "db", drawn.val, PairLoader(voc), 3)
    assert write_lmdbs(tmp_path / "db", drawn.val, PairLoader(voc)).kept == 3


def test_sources_that_changed_meanwhile_are_read_again(drawn, voc, tmp_path, monkeypatch):
    monkeypatch.setattr(lmdb_build, "_MOST_RECORDS", 1)
    interrupted(tmp_path / "db", drawn.val, PairLoader(voc), 3)
    label = voc.read_label(drawn.val[1]).copy()
    label[:] = 7
    voc.label_path(drawn.val[1]).write_bytes(encode_label(label))
    outcome = write_lmdbs(tmp_path / "db", drawn.val, PairLoader(voc))
    assert outcome.kept == 2
    assert set(datum_to_array(parse_datum(list(records(tmp_path / "db/label_lmdb").values())[1], "x")).flat) == {7}


@pytest.mark.parametrize("change", ["shorter list", "other settings"])
def test_what_no_longer_belongs_is_taken_out(drawn, voc, tmp_path, monkeypatch, change):
    monkeypatch.setattr(lmdb_build, "_MOST_RECORDS", 1)
    interrupted(tmp_path / "db", drawn.val, PairLoader(voc), 3)
    ids = drawn.val[1:] if change == "shorter list" else drawn.val
    loader = PairLoader(voc, labels="png") if change == "other settings" else PairLoader(voc)
    assert write_lmdbs(tmp_path / "db", ids, loader).kept == 0
    write_lmdbs(tmp_path / "fresh", ids, loader)
    assert content(tmp_path / "db") == content(tmp_path / "fresh")


def test_a_record_that_only_one_database_has_is_written_again(drawn, voc, tmp_path, monkeypatch):
    monkeypatch.setattr(lmdb_build, "_MOST_RECORDS", 1)
    interrupted(tmp_path / "db", drawn.val, PairLoader(voc), 3)
    with lmdb.open(str(tmp_path / "db.partial/label_lmdb")) as environment, environment.begin(write=True) as change:
        assert change.delete(f"00000001_{drawn.val[1]}".encode())
    assert write_lmdbs(tmp_path / "db", drawn.val, PairLoader(voc)).kept == 2
    assert len(records(tmp_path / "db/label_lmdb")) == len(drawn.val)


def test_a_cut_off_unfinished_database_is_an_error_not_a_crash(drawn, voc, tmp_path, monkeypatch):
    monkeypatch.setattr(lmdb_build, "_MOST_RECORDS", 1)
    interrupted(tmp_path / "db", drawn.val, PairLoader(voc, "raw"), 3)
    os.truncate(tmp_path / "db.partial/image_lmdb/data.mdb", 3 * 4096)
    with pytest.raises(DataError, match=r"the unfinished '.*image_lmdb' is damaged .*; delete '.*db\.partial' and run"):
        write_lmdbs(tmp_path / "db", drawn.val, PairLoader(voc, "raw"))


def test_a_full_disk_is_named_and_the_run_goes_on_later(drawn, voc, tmp_path):
    code = f"""
        import resource, signal
        from pathlib import Path
        from data_prep.lmdb_writer import write_lmdbs
        from data_prep.records import PairLoader
        from data_prep.voc import VOCFolder
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        folder = VOCFolder(Path({str(drawn.voc_dir)!r}))
        write_lmdbs(Path({str(tmp_path / "db")!r}), folder.ids("val"), PairLoader(folder, "raw"))
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 1
    assert "image_lmdb' cannot be written" in run.stderr
    assert "make room or correct the permissions and run again: it goes on where it stopped" in run.stderr
    assert not (tmp_path / "db").exists()
    assert write_lmdbs(tmp_path / "db", drawn.val, PairLoader(voc, "raw")).state == "written"


def test_a_second_run_at_the_same_time_is_refused(drawn, voc, tmp_path):
    class Meddling(PairLoader):
        def load(self, image_id):
            with pytest.raises(DataError, match=r"another run is writing '.*db\.partial'; wait for it, or end it"):
                write_lmdbs(tmp_path / "db", drawn.val, PairLoader(voc))
            return super().load(image_id)

    assert write_lmdbs(tmp_path / "db", drawn.val, Meddling(voc)).state == "written"
