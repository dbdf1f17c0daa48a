"""Building LMDBs: the records, what is kept after an interruption, what is refused."""

import hashlib
import json
import os
import shutil
import tomllib
from collections import Counter
from importlib import metadata
from pathlib import Path

import lmdb
import numpy as np
import pytest
from PIL import Image

from caffe_compat.errors import DataError
from caffe_compat.layer.data.lmdb_source import LMDBReader
from caffe_compat.proto.datum import datum_to_array, parse_datum
from data_prep import lmdb_build
from data_prep.images import encode_jpeg
from data_prep.keyed_databases import PairedLMDB
from data_prep.labels import decode_label, encode_label
from data_prep.lmdb_writer import write_lmdbs
from data_prep.manifest import read_manifest
from data_prep.records import PairLoader
from data_prep.sbd import SBDFolder
from data_prep.user_folder import user_folder
from data_prep.voc import VOCFolder, find_voc

ROOT = Path(__file__).resolve().parents[2]
FORMS = [(images, labels) for images in ("jpeg", "png", "raw") for labels in ("raw", "png")]


def records(path):
    return dict(LMDBReader(path).items())


def content(folder):
    return {name: records(folder / name) for name in ("image_lmdb", "label_lmdb")}


@pytest.fixture
def voc(drawn):
    return VOCFolder(drawn.voc_dir)


@pytest.mark.parametrize(("images", "labels"), FORMS)
def test_real_pairs_come_back_equal_and_in_order(realdata, tmp_path, images, labels):
    voc = find_voc(realdata)
    ids = voc.ids("val") + voc.ids("train") + voc.ids("sbd_only")
    assert len(ids) == 16
    outcome = write_lmdbs(tmp_path / "db", ids, PairLoader(voc, images, labels))
    assert (outcome.state, outcome.count, outcome.kept) == ("written", 16, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["db"]
    keys = [f"{i:08d}_{one}".encode() for i, one in enumerate(ids)]
    for name in ("image_lmdb", "label_lmdb"):
        assert os.listdir(tmp_path / "db" / name) == ["data.mdb"]
        assert list(records(tmp_path / "db" / name)) == keys
    pairs = PairedLMDB(str(tmp_path / "db/image_lmdb"), str(tmp_path / "db/label_lmdb"))
    assert pairs.ids == ids
    for one in ids:
        with Image.open(voc.image_path(one)) as image, Image.open(voc.label_path(one)) as label:
            stored_image, stored_label = pairs.read_pair(one)
            np.testing.assert_array_equal(stored_image, np.array(image))
            np.testing.assert_array_equal(stored_label, np.array(label))


@pytest.mark.parametrize(("images", "labels"), FORMS)
def test_records_decode_by_caffes_rules(drawn, voc, tmp_path, images, labels):
    """A Data layer knows nothing of our readers: BGR images, one channel of class numbers."""
    write_lmdbs(tmp_path / "db", drawn.val, PairLoader(voc, images, labels))
    both = content(tmp_path / "db")
    for (key, image), (label_key, label) in zip(both["image_lmdb"].items(), both["label_lmdb"].items(), strict=True):
        pair = voc.read_pair(key.decode()[9:])
        assert key == label_key
        np.testing.assert_array_equal(datum_to_array(parse_datum(image, "i")), pair.image[..., ::-1].transpose(2, 0, 1))
        np.testing.assert_array_equal(datum_to_array(parse_datum(label, "l")), pair.label[np.newaxis])


def test_jpeg_records_hold_what_convert_imageset_stored(realdata, tmp_path):
    theirs = {key.decode()[9:-4]: value for key, value in records(realdata / "lmdb" / "jpeg_asis_lmdb").items()}
    write_lmdbs(tmp_path / "db", list(theirs), PairLoader(find_voc(realdata)))
    for key, value in records(tmp_path / "db" / "image_lmdb").items():
        recorded = parse_datum(theirs[key.decode()[9:]], "recorded")
        recorded.label = 0  # theirs numbers the line
        assert value == recorded.SerializeToString()


def test_raw_records_hold_what_convert_imageset_stored(realdata, drawn, tmp_path):
    """Their labels of class numbers, 64 x 48, put into a VOC folder beside images of that size."""
    voc, theirs = VOCFolder(drawn.voc_dir), records(realdata / "lmdb" / "index_label_lmdb")
    ids = [key.decode()[9:-4] for key in theirs]
    for one in ids:
        label = decode_label((realdata / "lmdb" / "label_png" / f"{one}.png").read_bytes(), one)
        voc.label_path(one).write_bytes(encode_label(label))
        voc.image_path(one).write_bytes(encode_jpeg(np.zeros((*label.shape, 3), np.uint8)))
    write_lmdbs(tmp_path / "db", ids, PairLoader(voc))
    for value, recorded in zip(records(tmp_path / "db" / "label_lmdb").values(), theirs.values(), strict=True):
        recorded = parse_datum(recorded, "recorded")
        ours = parse_datum(value, "ours")
        recorded.label = 0
        assert ours.encoded is False
        assert ours == recorded


@pytest.fixture
def recorded(realdata, tmp_path):
    """Caffe's six pictures of 64 x 48 and their labels as a folder of one's own, and its LMDBs of them by name."""
    theirs = {name: records(realdata / "lmdb" / f"{name}_lmdb") for name in ("color_raw", "color_png", "index_label")}
    ids = [key.decode()[9:-4] for key in theirs["color_png"]]
    for part in ("images", "labels"):
        (tmp_path / "own" / part).mkdir(parents=True)
    for one, value in zip(ids, theirs["color_png"].values(), strict=True):
        (tmp_path / f"own/images/{one}.png").write_bytes(parse_datum(value, one).data)
        shutil.copy(realdata / f"lmdb/label_png/{one}.png", tmp_path / "own/labels")
    datums = {name: [parse_datum(value, name) for value in values.values()] for name, values in theirs.items()}
    return user_folder(tmp_path / "own", classes=21), ids, datums


@pytest.mark.parametrize(("images", "theirs"), [("raw", "color_raw"), ("png", "color_png")])
def test_records_equal_convert_imagesets(recorded, tmp_path, images, theirs):
    """Field by field, with the line's number, which is their label, taken out."""
    folder, ids, datums = recorded
    write_lmdbs(tmp_path / "db", ids, PairLoader(folder, images))
    for name, wanted in (("image_lmdb", datums[theirs]), ("label_lmdb", datums["index_label"])):
        ours = records(tmp_path / "db" / name)
        assert list(ours) == [f"{i:08d}_{one}".encode() for i, one in enumerate(ids)]
        for value, datum in zip(ours.values(), wanted, strict=True):
            datum.label = 0
            assert parse_datum(value, "ours") == datum
            assert parse_datum(value, "ours").HasField("encoded")


def test_the_mean_is_compute_image_means(realdata, recorded, tmp_path):
    folder, ids, _ = recorded
    manifest = write_lmdbs(tmp_path / "db", ids, PairLoader(folder, "png")).manifest
    caffes = np.load(realdata / "lmdb/color_raw_mean.npy").mean((0, 2, 3))
    assert manifest["databases"]["image_lmdb"]["mean"] == pytest.approx(caffes, abs=1e-4)
    assert manifest["databases"]["image_lmdb"]["encoded"] == 6


def test_pngs_that_caffe_takes_differently_are_encoded_anew(drawn, tmp_path):
    """Grey, a palette, transparent, 16 bits: three channels come out; a plain file stays as it is."""
    root = tmp_path / "own"
    for part in ("images", "labels"):
        (root / part).mkdir(parents=True)
    colours = np.random.RandomState(0).randint(0, 256, (6, 7, 3)).astype(np.uint8)
    plain = Image.fromarray(colours)
    kinds = {"plain": plain, "grey": plain.convert("L"), "palette": plain.quantize(8), "clear": plain.convert("RGBA")}
    for one, image in kinds.items():
        image.save(root / f"images/{one}.png")
        (root / f"labels/{one}.png").write_bytes(encode_label(np.zeros((6, 7), np.uint8)))
    folder, ids = user_folder(root, classes=2), list(kinds)
    write_lmdbs(tmp_path / "db", ids, PairLoader(folder, "png"))
    stored = [parse_datum(value, "x") for value in records(tmp_path / "db/image_lmdb").values()]
    assert stored[0].data == (root / "images/plain.png").read_bytes()
    for datum, one in zip(stored, ids, strict=True):
        assert datum.encoded
        np.testing.assert_array_equal(datum_to_array(datum), folder.read_image(one)[:, :, ::-1].transpose(2, 0, 1))


def test_files_that_readers_take_differently_are_stored_raw(drawn, voc, tmp_path):
    grey, turned, png = drawn.val[:3]
    Image.open(voc.image_path(grey)).convert("L").save(voc.image_path(grey))
    with Image.open(voc.image_path(turned)) as image:
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(voc.image_path(turned), exif=exif)
    with Image.open(voc.image_path(png)) as image:
        image.load()
        image.save(voc.image_path(png), format="PNG")
    write_lmdbs(tmp_path / "db", drawn.val, PairLoader(voc))
    encoded = [parse_datum(value, "x").encoded for value in records(tmp_path / "db/image_lmdb").values()]
    assert encoded == [False, False, False, True]
    pairs = PairedLMDB(str(tmp_path / "db/image_lmdb"), str(tmp_path / "db/label_lmdb"))
    for one in drawn.val:
        np.testing.assert_array_equal(pairs.read_pair(one)[0], voc.read_image(one))


def test_the_manifest_counts(drawn, voc, tmp_path):
    outcome = write_lmdbs(tmp_path / "db", drawn.val, PairLoader(voc))
    manifest = read_manifest(tmp_path / "db")
    assert manifest == outcome.manifest
    labels = [voc.read_label(one) for one in drawn.val]
    assert manifest["count"] == len(labels)
    counts = np.bincount(np.concatenate([label.ravel() for label in labels]), minlength=256)
    assert manifest["pixels"] == {str(v): int(n) for v, n in enumerate(counts) if n}
    assert sum(manifest["sizes"].values()) == len(labels)
    assert manifest["sizes"][f"{labels[0].shape[1]}x{labels[0].shape[0]}"] >= 1
    assert manifest["settings"] == {"images": "jpeg", "labels": "raw", "classes": 21, "void": 255}
    assert (tmp_path / "db" / "list.txt").read_text().split() == drawn.val
    rows = [json.loads(line) for line in (tmp_path / "db" / "samples.jsonl").read_text().splitlines()]
    assert [row["key"] for row in rows] == [f"{i:08d}_{one}" for i, one in enumerate(drawn.val)]


def test_the_manifest_describes_each_database(drawn, voc, tmp_path):
    manifest = write_lmdbs(tmp_path / "db", drawn.val, PairLoader(voc)).manifest
    image, label = manifest["databases"]["image_lmdb"], manifest["databases"]["label_lmdb"]
    pixels = np.concatenate([voc.read_image(one).reshape(-1, 3) for one in drawn.val])
    assert image["mean"] == pytest.approx(pixels.mean(0)[::-1], abs=1e-6)
    assert (image["holds"], image["records"], image["encoded"]) == ("image", 4, 4)
    assert image["shapes"] == dict(
        sorted(Counter("3x{}x{}".format(*voc.read_label(one).shape) for one in drawn.val).items())
    )
    stored = records(tmp_path / "db/image_lmdb")
    assert image["bytes"] == sum(map(len, stored.values()))
    lines = "".join(f"{key.decode()} {hashlib.sha256(value).hexdigest()}\n" for key, value in stored.items())
    assert image["sha256"] == hashlib.sha256(lines.encode()).hexdigest()
    assert (label["classes"], label["void"], label["encoded"]) == (21, 255, 0)
    assert label["pixels"] == manifest["pixels"]
    assert manifest["format"] == 2
    assert (
        manifest["versions"]["caffe-compat"]
        == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    )
    assert manifest["versions"]["lmdb"] == metadata.version("lmdb")


def test_transactions_are_bounded(drawn, voc, tmp_path, monkeypatch):
    """By the number of records and by their bytes; what was committed is in the journal at once."""
    sizes = []
    commit = lmdb_build.Build.commit

    def counted(build):
        sizes.append(len(build._waiting))
        commit(build)
        assert len((build.partial / "samples.jsonl").read_text().splitlines()) == sum(sizes)

    monkeypatch.setattr(lmdb_build.Build, "commit", counted)
    monkeypatch.setattr(lmdb_build, "_MOST_RECORDS", 3)
    write_lmdbs(tmp_path / "records", drawn.val, PairLoader(voc))
    assert sizes == [3, 1]
    sizes.clear()
    monkeypatch.setattr(lmdb_build, "_MOST_BYTES", 1)
    write_lmdbs(tmp_path / "bytes", drawn.val, PairLoader(voc))
    assert sizes == [1, 1, 1, 1, 0]


def test_a_list_may_name_an_image_twice(drawn, voc, tmp_path):
    ids = [drawn.val[1], drawn.val[0], drawn.val[1]]
    write_lmdbs(tmp_path / "db", ids, PairLoader(voc))
    images = list(records(tmp_path / "db/image_lmdb").values())
    assert images[0] == images[2] != images[1]
    assert len(PairedLMDB(str(tmp_path / "db/image_lmdb"), str(tmp_path / "db/label_lmdb")).ids) == 3


def test_two_jobs_write_the_same(drawn, tmp_path):
    sbd = PairLoader(SBDFolder(drawn.sbdd_dir), "raw")
    write_lmdbs(tmp_path / "one", drawn.train, sbd)
    write_lmdbs(tmp_path / "two", drawn.train, sbd, jobs=2)
    assert content(tmp_path / "one") == content(tmp_path / "two")
    assert (tmp_path / "one/manifest.json").read_text() == (tmp_path / "two/manifest.json").read_text()


def test_the_map_grows_as_needed(drawn, voc, tmp_path, monkeypatch):
    monkeypatch.setattr(lmdb_build, "_FIRST_MAP", 1 << 15)  # 32 KB; the records are 200 KB
    write_lmdbs(tmp_path / "db", drawn.val, PairLoader(voc, "raw"))
    assert (tmp_path / "db/image_lmdb/data.mdb").stat().st_size > 1 << 17
    assert len(records(tmp_path / "db/image_lmdb")) == len(drawn.val)


# -- what is there already ---------------------------------------------------------------------------------------------


def test_a_finished_folder_of_the_same_content_is_left(drawn, voc, tmp_path):
    write_lmdbs(tmp_path / "db", drawn.val, PairLoader(voc))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "db").rglob("*")}
    outcome = write_lmdbs(tmp_path / "db", drawn.val, PairLoader(voc))
    assert (outcome.state, outcome.count, outcome.kept) == ("already there", 4, 4)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "db").rglob("*")} == before


def test_a_finished_folder_of_other_content_is_refused_and_left(drawn, voc, tmp_path):
    write_lmdbs(tmp_path / "db", drawn.val, PairLoader(voc))
    before = content(tmp_path / "db")
    with pytest.raises(DataError, match=r"finished but of other content \(its list has 4 images, the wanted one 3 or"):
        write_lmdbs(tmp_path / "db", drawn.val[:3], PairLoader(voc))
    with pytest.raises(DataError, match=r"\(labels is raw, wanted png\); it is left as it is: delete or rename it, or"):
        write_lmdbs(tmp_path / "db", drawn.val, PairLoader(voc, labels="png"))
    voc.image_path(drawn.val[0]).write_bytes(voc.image_path(drawn.val[0]).read_bytes() + b"\0")
    with pytest.raises(DataError, match="the source files have changed since"):
        write_lmdbs(tmp_path / "db", drawn.val, PairLoader(voc))
    voc.image_path(drawn.val[0]).unlink()
    with pytest.raises(DataError, match=r"other content \(image '.*' is missing"):
        write_lmdbs(tmp_path / "db", drawn.val, PairLoader(voc))
    assert content(tmp_path / "db") == before


def test_a_folder_of_someone_elses_is_refused(drawn, voc, tmp_path):
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "manifest.json").write_text("[]")
    with pytest.raises(
        DataError, match=r"db' has no readable manifest\.json .* so it was not written by this tool, or"
    ):
        write_lmdbs(tmp_path / "db", drawn.val, PairLoader(voc))


def test_a_finished_database_that_lost_records_is_named(drawn, voc, tmp_path):
    write_lmdbs(tmp_path / "db", drawn.val, PairLoader(voc))
    with lmdb.open(str(tmp_path / "db/label_lmdb")) as environment, environment.begin(write=True) as change:
        change.delete(f"00000001_{drawn.val[1]}".encode())
    with pytest.raises(DataError, match=r"label_lmdb' holds 3 records instead of 4; delete '.*db' and run again"):
        write_lmdbs(tmp_path / "db", drawn.val, PairLoader(voc))


# -- faulty samples ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
def test_faults_are_collected_and_the_folder_stays_unfinished(drawn, voc, tmp_path, jobs):
    good = {voc.image_path(drawn.val[1]): None, voc.label_path(drawn.val[3]): None}
    for path in good:
        good[path] = path.read_bytes()
        path.write_bytes(b"garbage")
    outcome = write_lmdbs(tmp_path / "db", drawn.val, PairLoader(voc), jobs=jobs)
    assert (outcome.state, outcome.count, outcome.folder.name) == ("unfinished", 2, "db.partial")
    assert [fault.image_id for fault in outcome.faults] == [drawn.val[1], drawn.val[3]]
    assert not (tmp_path / "db").exists()
    report = (tmp_path / "db.partial/faults.txt").read_text().splitlines()
    assert report == [fault.message for fault in outcome.faults]
    assert all("is damaged or not an image" in line for line in report)
    for path, data in good.items():
        path.write_bytes(data)
    outcome = write_lmdbs(tmp_path / "db", drawn.val, PairLoader(voc))
    assert (outcome.state, outcome.kept) == ("written", 2)
    assert not (tmp_path / "db/faults.txt").exists()
    write_lmdbs(tmp_path / "fresh", drawn.val, PairLoader(voc))
    assert content(tmp_path / "db") == content(tmp_path / "fresh")


def test_strict_stops_at_the_first_fault_and_keeps_what_was_done(drawn, voc, tmp_path):
    for one in drawn.val[2:]:
        voc.label_path(one).unlink()
    with pytest.raises(DataError, match=rf"label '.*{drawn.val[2]}\.png' is missing"):
        write_lmdbs(tmp_path / "db", drawn.val, PairLoader(voc), strict=True)
    assert len(records(tmp_path / "db.partial/label_lmdb")) == 2
