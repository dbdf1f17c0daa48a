"""``--verify`` and the verb ``verify``: the first fault in what was written, with its key."""

import json
import os
import shutil

import lmdb
import numpy as np
import pytest

from caffe_compat.errors import DataError
from caffe_compat.proto import caffe_pb2 as pb
from data_prep.contents import Contents
from data_prep.labels import VOID, encode_label
from data_prep.lmdb_writer import write_lmdbs
from data_prep.records import PairLoader, encoded_datum, raw_datum
from data_prep.verify import verify_folder, written_folders
from data_prep.voc import VOCFolder


@pytest.fixture(scope="module")
def built_once(drawn_once, tmp_path_factory):
    """Databases of four pairs, raw images: ``db``, and its ids."""
    folder = tmp_path_factory.mktemp("verify") / "db"
    voc = VOCFolder(drawn_once / "pascal/VOC2011")
    write_lmdbs(folder, voc.ids("val"), PairLoader(voc, "raw"))
    return folder, voc.ids("val")


@pytest.fixture
def built(built_once, tmp_path):
    folder, ids = built_once
    shutil.copytree(folder, tmp_path / "db")
    return tmp_path / "db", [f"{i:08d}_{one}" for i, one in enumerate(ids)]


def change(database, **values):
    """Put or (None) delete records."""
    with lmdb.open(str(database), map_size=1 << 27) as environment, environment.begin(write=True) as transaction:
        for key, value in values.items():
            done = transaction.delete(key.encode()) if value is None else transaction.put(key.encode(), value)
            assert done


def value_of(database, key):
    with lmdb.open(str(database), readonly=True, lock=False) as environment, environment.begin() as transaction:
        return bytes(transaction.get(key.encode()))


def datum_of(database, key):
    return pb.Datum.FromString(value_of(database, key))


def label(array):
    return raw_datum(np.asarray(array, np.uint8)[None]).SerializeToString()


def test_what_was_written_passes(built):
    folder, keys = built
    told = []
    assert verify_folder(folder, begin=lambda title, total: told.append((title, total)) or told.append) == 4
    assert told == [("verify db", 4), 1, 1, 1, 1]
    assert verify_folder(folder, jobs=2) == 4


def test_a_lost_or_added_key_is_named(built, fault):
    folder, keys = built
    change(folder / "label_lmdb", **{keys[2]: None})
    fault(folder, rf"'.*db/label_lmdb' lacks key {keys[2]}; delete '.*db' and build it again")
    change(folder / "image_lmdb", **{"00000001_more": b"x"})
    fault(folder, "'.*db/image_lmdb' holds key 00000001_more, which is not in the list")


def test_the_first_of_several_faults_is_told(built, fault):
    folder, keys = built
    for key in keys[1:3]:
        change(folder / "label_lmdb", **{key: b"\xff\xff"})
    fault(folder, rf"'.*label_lmdb, key {keys[1]}': 2 bytes that are no Datum")


def altered(array, at, value):
    array = array.copy()
    array[at] = value
    return array


@pytest.mark.parametrize(
    ("database", "make", "message"),
    [
        (
            "label_lmdb",
            lambda a: label(altered(a[0], (2, 3), 21)),
            r"value 21 at row 2, column 3 is outside the classe",
        ),
        (
            "label_lmdb",
            lambda a: label(a[0][:-1]),
            r"' is \d+ x \d+ pixels \(width x height\) but image '.*db/image_lmdb, key",
        ),
        ("label_lmdb", lambda a: label(altered(a[0], (0, 0), 20)), "the pixels per class are others than were written"),
        ("label_lmdb", lambda a: label(a[0][:, ::-1]), "sha256 [0-9a-f]{64}, but [0-9a-f]{64} were written"),
        ("label_lmdb", lambda a: encoded_datum(b"x").SerializeToString(), "is damaged or not an image"),
        (
            "label_lmdb",
            lambda a: raw_datum(a.astype(float) + 0.5).SerializeToString(),
            "not whole numbers from 0 to 255",
        ),
        ("image_lmdb", lambda a: label(a[0]), "' has 1 channels; wanted 3"),
        ("image_lmdb", lambda a: raw_datum(a[:, :, ::-1]).SerializeToString(), "sha256 .* were written"),
        ("image_lmdb", lambda a: raw_datum(a // 2).SerializeToString(), r"mean of channel 0 is [\d.]+, but [\d.]+ was"),
        ("image_lmdb", lambda a: encoded_datum(b"\xff\xd8").SerializeToString(), "cannot be decoded as a picture"),
        ("image_lmdb", lambda a: raw_datum(a).SerializeToString()[:-9], "bytes that are no Datum"),
    ],
    ids=range(11),
)
def test_a_changed_record_is_named(built, database, make, message):
    folder, keys = built
    datum = datum_of(folder / database, keys[1])
    values = np.frombuffer(datum.data, np.uint8).reshape(datum.channels, datum.height, datum.width)
    change(folder / database, **{keys[1]: make(values)})
    with pytest.raises(DataError, match=rf"(?s)db/{database}'?, key {keys[1]}.*{message}"):
        verify_folder(folder)


def test_the_first_fault_is_the_first_with_two_processes_too(built):
    folder, keys = built
    for key in reversed(keys[1:]):
        change(folder / "label_lmdb", **{key: label(np.zeros((3, 4)))})
    with pytest.raises(DataError, match=rf"label_lmdb, key {keys[1]}' is 4 x 3 pixels"):
        verify_folder(folder, jobs=2)


def test_exchanged_records_are_noticed(built, fault):
    folder, keys = built
    both = [value_of(folder / "image_lmdb", key) for key in keys[:2]]
    change(folder / "image_lmdb", **dict(zip(keys[:2], reversed(both), strict=True)))
    wanted = r"label_lmdb, key {0}' is 105 x 117 pixels \(width x height\) but image '.*db, key {0}' is 123 x 98"
    fault(folder, wanted.format(keys[0]))


def edit(folder, **changes):
    manifest = json.loads((folder / "manifest.json").read_text())
    for path, value in changes.items():
        *way, last = path.split("__")
        target = manifest
        for one in way:
            target = target[one]
        target[last] = value
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": 5}, "manifest.json says of count 5, but by samples.jsonl it is 4"),
        ({"pixels": {"0": 1}}, r'manifest.json says of pixels {"0": 1}, but by'),
        ({"sizes": {}}, "manifest.json says of sizes {}, but by"),
        ({"databases__image_lmdb__mean": [1, 2, 3]}, r"of image_lmdb: mean \[1, 2, 3\], but by"),
        ({"databases__label_lmdb__sha256": "0"}, r'of label_lmdb: sha256 "0", but by'),
        ({"databases__image_lmdb__records": 3}, "of image_lmdb: records 3, but by"),
        ({"databases__image_lmdb__holds": "film"}, "image_lmdb holds 'film'; wanted one of image, hha, depth"),
        ({"list_sha256": "0"}, r"list.txt' \(4 ids\) is not the list that manifest.json was made of"),
        ({"format": 1}, r"is of format 1, which has no checksums to verify by \(this is format 2\); it can be read as"),
    ],
)
def test_a_manifest_that_was_changed_is_noticed(built, changes, message, fault):
    folder, _ = built
    edit(folder, **changes)
    fault(folder, message)


def test_a_changed_journal_or_list_is_noticed(built, fault):
    folder, keys = built
    lines = (folder / "samples.jsonl").read_text().splitlines(keepends=True)
    (folder / "samples.jsonl").write_text("".join(lines[:2] + lines[3:]))
    fault(folder, rf"samples.jsonl' has no line of key {keys[2]}")
    (folder / "samples.jsonl").write_text("".join([*lines[:3], f'{{"key": "{keys[3]}"}}\n']))
    fault(folder, "samples.jsonl' has a damaged line")
    (folder / "samples.jsonl").write_text("".join(lines))
    assert verify_folder(folder) == 4
    (folder / "list.txt").write_text("a\n")
    fault(folder, r"list.txt' \(1 ids\) is not the list")


def test_damaged_pages_are_an_error_with_the_key(built, fault):
    folder, keys = built
    file = folder / "image_lmdb/data.mdb"
    data = bytearray(file.read_bytes())
    at = data.index(pb.Datum.FromString(value_of(folder / "image_lmdb", keys[2])).data[:64])
    page = at // 4096 * 4096
    data[page : page + 16] = bytes(16)
    file.write_bytes(bytes(data))
    fault(folder, rf"image_lmdb', key {keys[2]}: .*damaged at page")
    os.truncate(file, 8192)
    fault(folder, "image_lmdb: data.mdb is cut off")


def test_on_the_command_line_after_building_and_later(drawn, tmp_path, run):
    command = ("voc", "--source", drawn.voc_dir, "--out", tmp_path / "out", "--split", "val", "--images", "png")
    first = run(*command, "--verify")
    assert first.exit_code == 0, first.output
    assert "verify voc2011_val: 100%" in first.stderr
    assert "verified" in first.stdout
    folder = tmp_path / "out/voc2011_val"
    change(folder / "label_lmdb", **{f"00000001_{drawn.val[1]}": None})
    later = run(*command, "--verify")
    assert later.exit_code == 1
    assert f"val: '{folder / 'label_lmdb'}' lacks key 00000001_{drawn.val[1]}; delete '{folder}' and" in later.stderr
    assert "damaged" in later.stdout
    assert "Error: 1 of 1 did not pass; see above" in later.stderr
    nothing = run(*command, "--verify", "--no-lmdb")
    assert nothing.exit_code == 2
    assert "--verify reads again what is written, and --no-lmdb writes nothing; leave one out" in nothing.stderr


def test_every_list_is_verified_though_one_is_damaged(drawn, tmp_path, run):
    command = ("voc", "--source", drawn.voc_dir, "--out", tmp_path / "out", "--split", "val", "--split", "seg11valid")
    assert run(*command).exit_code == 0
    edit(tmp_path / "out/voc2011_val", count=7)
    later = run("verify", tmp_path / "out")
    assert later.exit_code == 1
    assert "Error: 1 of 2 did not pass; see above" in later.stderr
    assert [line.split()[6] for line in later.stdout.splitlines()[1:]] == ["verified", "damaged"]


def test_a_folder_with_nothing_in_it(tmp_path, run):
    done = run("verify", tmp_path)
    assert done.exit_code == 1
    assert "holds nothing that this tool wrote (no manifest.json there or one level below)" in done.stderr
    with pytest.raises(DataError, match="nowhere' holds nothing"):
        written_folders(tmp_path / "nowhere")


def test_a_finished_folder_of_the_first_format_is_still_taken(built_once, drawn_once, tmp_path):
    """Its manifest has a list of databases and no checksums."""
    folder, ids = built_once
    shutil.copytree(folder, tmp_path / "db")
    manifest = json.loads((folder / "manifest.json").read_text())
    kept = {key: manifest[key] for key in ("settings", "count", "list_sha256", "sources_sha256", "sizes", "pixels")}
    old = {"format": 1, "databases": list(manifest["databases"]), **kept}
    (tmp_path / "db/manifest.json").write_text(json.dumps(old))
    loader = PairLoader(VOCFolder(drawn_once / "pascal/VOC2011"), "raw")
    assert write_lmdbs(tmp_path / "db", ids, loader).state == "already there"


def test_an_unfinished_folder_of_the_first_format_is_made_again(built_once, drawn_once, tmp_path):
    folder, ids = built_once
    shutil.copytree(folder, tmp_path / "db.partial")
    rows = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    for row in rows:
        row["pixels"] = row.pop("databases")["label_lmdb"]["pixels"]
    (tmp_path / "db.partial/samples.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    outcome = write_lmdbs(tmp_path / "db", ids, PairLoader(VOCFolder(drawn_once / "pascal/VOC2011"), "raw"))
    assert (outcome.state, outcome.kept) == ("written", 0)
    assert verify_folder(tmp_path / "db") == 4


def test_what_a_manifest_may_say_of_contents():
    assert Contents.from_json(Contents("label", 21, VOID).as_json()) == Contents("label", 21, VOID)
    assert Contents("image").as_json() == {"holds": "image"}
    with pytest.raises(DataError, match="holds None; wanted one of image, hha, depth, raw depth, label"):
        Contents.from_json({})
    with pytest.raises(DataError, match="holds labels of None classes; wanted their number"):
        Contents.from_json({"holds": "label"})


def test_a_label_png_is_decoded_by_value(drawn, tmp_path, fault):
    """A record of the same bytes' number and values, but as a palette PNG, has another checksum."""
    voc = VOCFolder(drawn.voc_dir)
    write_lmdbs(tmp_path / "db", drawn.val, PairLoader(voc, labels="png"))
    assert verify_folder(tmp_path / "db") == 4
    key = f"00000000_{drawn.val[0]}"
    palette = encode_label(voc.read_label(drawn.val[0]), np.zeros((256, 3), np.uint8))
    change(tmp_path / "db/label_lmdb", **{key: encoded_datum(palette).SerializeToString()})
    fault(tmp_path / "db", rf"label_lmdb', key {key}: (bytes|sha256) ")
