"""``--verify`` and the verb ``verify``: the first fault in what was written, with its key."""

import json
import os
import shutil

import lmdb
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from caffe_compat.errors import DataError
from caffe_compat.proto import caffe_pb2 as pb
from data_prep.cli import main
from data_prep.contents import Contents
from data_prep.file_writer import write_files
from data_prep.hha.camera import parse_camera
from data_prep.hha.folder import HHAWriter
from data_prep.labels import VOID, encode_label
from data_prep.lmdb_writer import write_lmdbs
from data_prep.nyud import encode_segmentation
from data_prep.png_files import encode_png, write_png
from data_prep.records import PairLoader, encoded_datum, raw_datum
from data_prep.verify import verify_folder, written_folders
from data_prep.voc import VOCFolder


def run(*arguments):
    return CliRunner().invoke(main, [str(one) for one in arguments])


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


def fault(folder, message):
    with pytest.raises(DataError, match=message):
        verify_folder(folder)
    done = run("verify", folder)
    assert done.exit_code == 1
    assert "1 of 1 did not pass; see above" in done.stderr
    assert "damaged" in done.stdout


def test_what_was_written_passes(built):
    folder, keys = built
    told = []
    assert verify_folder(folder, begin=lambda title, total: told.append((title, total)) or told.append) == 4
    assert told == [("verify db", 4), 1, 1, 1, 1]
    assert verify_folder(folder, jobs=2) == 4


def test_a_lost_or_added_key_is_named(built):
    folder, keys = built
    change(folder / "label_lmdb", **{keys[2]: None})
    fault(folder, rf"'.*db/label_lmdb' lacks key {keys[2]}; delete '.*db' and build it again")
    change(folder / "image_lmdb", **{"00000001_more": b"x"})
    fault(folder, "'.*db/image_lmdb' holds key 00000001_more, which is not in the list")


def test_the_first_of_several_faults_is_told(built):
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


def test_exchanged_records_are_noticed(built):
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
def test_a_manifest_that_was_changed_is_noticed(built, changes, message):
    folder, _ = built
    edit(folder, **changes)
    fault(folder, message)


def test_a_changed_journal_or_list_is_noticed(built):
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


def test_damaged_pages_are_an_error_with_the_key(built):
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


def test_on_the_command_line_after_building_and_later(drawn, tmp_path):
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


def test_every_list_is_verified_though_one_is_damaged(drawn, tmp_path):
    command = ("voc", "--source", drawn.voc_dir, "--out", tmp_path / "out", "--split", "val", "--split", "seg11valid")
    assert run(*command).exit_code == 0
    edit(tmp_path / "out/voc2011_val", count=7)
    later = run("verify", tmp_path / "out")
    assert later.exit_code == 1
    assert "Error: 1 of 2 did not pass; see above" in later.stderr
    assert [line.split()[6] for line in later.stdout.splitlines()[1:]] == ["verified", "damaged"]


def test_a_folder_with_nothing_in_it(tmp_path):
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


# -- folders of files --------------------------------------------------------------------------------------------------


@pytest.fixture
def hha(tmp_path):
    """HHA of three depth images, and the command that makes it."""
    rows = np.arange(60)[:, None] / 60
    (tmp_path / "depth").mkdir()
    for seed in range(3):
        noise = np.random.RandomState(seed).uniform(-5, 5, (60, 80))
        write_png(tmp_path / "depth" / f"d{seed}.png", ((3 - 1.5 * rows**2) * 1000 + noise).astype(np.uint16))
    command = ("hha", "--depth", tmp_path / "depth", "--out", tmp_path / "out", "--camera", "60,61,40,30", "--verify")
    done = run(*command)
    assert done.exit_code == 0, done.output
    return tmp_path / "out", command


def test_the_manifest_of_hha_describes_it(hha):
    out, _ = hha
    manifest = json.loads((out / "manifest.json").read_text())
    images = np.stack([np.array(Image.open(out / f"d{seed}.png")) for seed in range(3)])
    held = manifest["files"]["hha"]
    assert held["mean"] == pytest.approx(images.mean((0, 1, 2)), abs=1e-6)
    assert (held["holds"], held["records"], held["shapes"]) == ("hha", 3, {"3x60x80": 3})
    camera = {"fx": 60.0, "fy": 61.0, "cx": 40.0, "cy": 30.0}
    assert manifest["settings"] == [{"version": "hha 1", "camera": camera, "per_metre": 1000.0}]
    assert set(manifest["versions"]) == {"caffe-compat", "numpy", "pillow", "lmdb"}


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: path.unlink(), "key d1: hha '.*d1.png' is missing"),
        (
            lambda path: path.write_bytes(path.read_bytes()[:-40]),
            "key d1: (image '.*d1.png' is damaged|.*but .* written)",
        ),
        (lambda path: path.write_bytes(b"x"), "key d1: image '.*d1.png' is damaged or not an image"),
        (lambda path: shutil.copy(path.with_name("d0.png"), path), "key d1: '.*d1.png': .* written"),
        (
            lambda path: write_png(path, np.zeros((5, 6, 3), np.uint8)),
            "d1.png': channels x height x width are 3 x 5 x 6",
        ),
    ],
)
def test_damaged_hha_is_named_and_made_again_on_the_next_run(hha, harm, message):
    out, command = hha
    before = (out / "d1.png").read_bytes()
    harm(out / "d1.png")
    fault(out, message)
    again = run(*command)
    assert again.exit_code == 0, again.output
    assert (out / "d1.png").read_bytes() == before


def test_a_file_that_only_looks_kept_is_made_again(hha):
    """The pixels are changed, the mark of what it was made from is not."""
    out, command = hha
    before = (out / "d2.png").read_bytes()
    with Image.open(out / "d2.png") as image:
        pixels, mark = np.array(image), image.info["made-from"]
    pixels[3, 4] ^= 1
    (out / "d2.png").write_bytes(encode_png(pixels, mark))
    fault(out, "key d2: '.*d2.png': bytes")
    assert run(*command).exit_code == 0
    assert (out / "d2.png").read_bytes() == before
    (out / "samples.jsonl").unlink()
    (out / "d1.png").write_bytes((out / "d1.png").read_bytes()[:200] + b"\0\0" + (out / "d1.png").read_bytes()[202:])
    assert run(*command).exit_code == 0


def test_hha_of_depth_that_is_no_longer_there_stays_listed_while_its_file_does(hha, tmp_path):
    out, command = hha
    (tmp_path / "depth/d1.png").unlink()
    assert run(*command).exit_code == 0
    assert json.loads((out / "manifest.json").read_text())["count"] == 3
    (out / "d1.png").unlink()
    assert run(*command).exit_code == 0
    assert json.loads((out / "manifest.json").read_text())["count"] == 2


def test_two_runs_at_once_are_refused(hha, tmp_path):
    out, command = hha

    class Meddling(HHAWriter):
        def __call__(self, name):
            with pytest.raises(DataError, match=r"another run is writing '.*out'; wait for it, or end it"):
                write(HHAWriter(self.depth, self.raw, self.out, self.camera))
            return super().__call__(name)

    def write(writer):
        return write_files(writer.files(), ["d0.png"])

    assert write(Meddling(tmp_path / "depth", None, out, parse_camera("60,61,40,30"))).state == "already there"


@pytest.fixture(scope="module")
def nyud_once(nyud_source, tmp_path_factory):
    out = tmp_path_factory.mktemp("nyud_verified") / "out"
    done = run("nyud", "--source", nyud_source.folder, "--out", out, "--no-lmdb", "--verify")
    assert done.exit_code == 0, done.output
    assert "verify out: 100%" in done.stderr
    return out


def test_the_manifest_of_nyuds_files_describes_them(nyud_once):
    manifest = json.loads((nyud_once / "manifest.json").read_text())
    assert manifest["count"] == 4
    pictures = {kind: nyud_once / "data" / kind for kind in ("images", "depth", "hha")}
    read = {kind: [np.array(Image.open(path)) for path in sorted(pictures[kind].iterdir())] for kind in pictures}
    means = {kind: manifest["files"][kind]["mean"] for kind in pictures}
    assert means["images"] == pytest.approx(np.mean(read["images"], (0, 1, 2))[::-1], abs=1e-5)
    assert means["hha"] == pytest.approx(np.mean(read["hha"], (0, 1, 2)), abs=1e-5)
    assert means["depth"] == pytest.approx([np.mean(read["depth"])], abs=1e-5)
    log_mean = np.log(np.array(read["depth"], float)).mean()
    assert manifest["files"]["depth"]["log_mean"] == pytest.approx([log_mean], abs=1e-5)
    assert manifest["files"]["segmentation"]["classes"] == 40
    assert sum(manifest["pixels"].values()) == 4 * 425 * 560


def a_depth_of_zero(path):
    with Image.open(path) as image:
        depth = np.array(image)
    depth[1, 1] = 0
    write_png(path, depth)


@pytest.mark.parametrize(
    ("file", "harm", "message"),
    [
        ("data/rawdepth/img_5002.png", lambda path: path.unlink(), "key 5002: raw depth '.*img_5002.png' is missing"),
        ("data/depth/img_5003.png", a_depth_of_zero, "key 5003: depth '.*' is 0 at 1 pixels, and nets read its log"),
        ("segmentation/img_5001.mat", lambda path: path.write_bytes(b"x" * 300), "key 5001: label '.*mat' is damaged"),
        (
            "segmentation/img_5004.mat",
            lambda path: path.write_bytes(encode_segmentation(np.ones((425, 559), np.uint8), "m")),
            r"key 5004: label '.*5004.mat' is 559 x 425 pixels \(width x height\) but image '.*5004.png' is 560 x 425",
        ),
        (
            "data/images/img_5002.png",
            lambda path: shutil.copy(path.with_name("img_5001.png"), path),
            "key 5002: '.*images/img_5002.png': .* written",
        ),
    ],
)
def test_damaged_files_of_nyud_are_named(nyud_once, tmp_path, file, harm, message):
    shutil.copytree(nyud_once, tmp_path / "out")
    harm(tmp_path / "out" / file)
    with pytest.raises(
        DataError, match=f"(?s){message}.*; run the command that wrote it again: damaged files are made"
    ):
        verify_folder(tmp_path / "out")


def test_what_a_manifest_may_say_of_contents():
    assert Contents.from_json(Contents("label", 21, VOID).as_json()) == Contents("label", 21, VOID)
    assert Contents("image").as_json() == {"holds": "image"}
    with pytest.raises(DataError, match="holds None; wanted one of image, hha, depth, raw depth, label"):
        Contents.from_json({})
    with pytest.raises(DataError, match="holds labels of None classes; wanted their number"):
        Contents.from_json({"holds": "label"})


def test_a_label_png_is_decoded_by_value(drawn, tmp_path):
    """A record of the same bytes' number and values, but as a palette PNG, has another checksum."""
    voc = VOCFolder(drawn.voc_dir)
    write_lmdbs(tmp_path / "db", drawn.val, PairLoader(voc, labels="png"))
    assert verify_folder(tmp_path / "db") == 4
    key = f"00000000_{drawn.val[0]}"
    palette = encode_label(voc.read_label(drawn.val[0]), np.zeros((256, 3), np.uint8))
    change(tmp_path / "db/label_lmdb", **{key: encoded_datum(palette).SerializeToString()})
    fault(tmp_path / "db", rf"label_lmdb', key {key}: (bytes|sha256) ")
