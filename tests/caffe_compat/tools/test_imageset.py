"""convert_imageset and compute_image_mean against the databases and means that the real tools made."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from caffe_compat.layer.data.lmdb_source import LMDBReader
from caffe_compat.proto.blobs import read_blobproto
from caffe_compat.proto.caffe_pb2 import Datum
from caffe_compat.proto.datum import array_to_datum, decode_image
from caffe_compat.tools.lmdb_file import creating_lmdb

RECORDED = {
    "color_raw": "-resize_width=64 -resize_height=48 VOCdevkit/VOC2012/JPEGImages/ lmdb/list_color.txt",
    "color_png": "--resize_width=64 --resize_height=48 --encoded --encode_type png VOCdevkit/VOC2012/JPEGImages/ "
    "lmdb/list_color.txt",
    "gray_label": "--gray --resize_width 64 --resize_height 48 VOCdevkit/VOC2012/SegmentationClass/ "
    "lmdb/list_label.txt",
    "index_label": "--gray lmdb/label_png/ lmdb/list_label.txt",
    "gray_png": "--gray --encoded --encode_type png lmdb/label_png/ lmdb/list_label.txt",
    "jpeg_asis": "--encoded VOCdevkit/VOC2012/JPEGImages/ lmdb/list_jpeg.txt",
}


def texts(log):
    """Place and text of each line, without the names of databases."""
    found = re.findall(r"^I(?:\d{8}|\d{4}) \S+ +\d+ (\S+)\] (.*)$", log, re.M)
    return [(place, re.sub(r"(Opened lmdb|Write to) .*", r"\1", text)) for place, text in found]


@pytest.mark.parametrize("name", RECORDED)
def test_every_record_and_every_line_of_the_log(verb, realdata, tmp_path, monkeypatch, name):
    monkeypatch.chdir(realdata)
    done = verb("convert_imageset", "--shuffle=false", *RECORDED[name].split(), tmp_path / "db")
    assert done.code == 0, done.err
    ours, theirs = LMDBReader(tmp_path / "db"), LMDBReader(f"lmdb/{name}_lmdb")
    assert list(ours.items()) == list(theirs.items())
    assert texts(done.log) == texts((realdata / f"lmdb/{name}.log").read_text())
    assert sorted(p.name for p in (tmp_path / "db").iterdir()) == ["data.mdb"]


@pytest.mark.parametrize("name", ["color_raw", "color_png", "gray_label"])
def test_every_mean_to_the_last_bit(verb, realdata, tmp_path, monkeypatch, name):
    monkeypatch.chdir(realdata)
    done = verb("compute_image_mean", f"lmdb/{name}_lmdb", tmp_path / "mean.binaryproto")
    assert done.code == 0, done.err
    assert (tmp_path / "mean.binaryproto").read_bytes() == (realdata / f"lmdb/{name}_mean.binaryproto").read_bytes()
    assert texts(done.log) == texts((realdata / f"lmdb/mean_{name}.log").read_text())


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Three small pictures and their list, in the current folder."""
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(5)
    for i, size in enumerate([(7, 5), (7, 5), (6, 4)]):
        Image.fromarray(draw.integers(0, 256, (*size, 3), np.uint8)).save(f"p {i}.png")
    (tmp_path / "list").write_text("p 0.png 3\n\np 1.png -1\np 2.png 7\n")
    return tmp_path


def records(path):
    return {key.decode(): Datum.FromString(value) for key, value in LMDBReader(path).items()}


def test_pixels_keys_and_labels(verb, pictures):
    assert verb("convert_imageset", "./", "list", "db").code == 0
    found = records("db")
    assert {key: datum.label for key, datum in found.items()} == {
        "00000000_p 0.png": 3,
        "00000001_p 1.png": -1,
        "00000002_p 2.png": 7,
    }
    datum = found["00000002_p 2.png"]
    assert (datum.channels, datum.height, datum.width) == (3, 6, 4)
    rgb = np.asarray(Image.open("p 2.png")).transpose(2, 0, 1)
    assert np.array_equal(np.frombuffer(datum.data, np.uint8).reshape(3, 6, 4), rgb[::-1])


def test_shuffled(verb, pictures):
    (pictures / "many").write_text("".join(f"p {i % 3}.png {i}\n" for i in range(30)))
    assert verb("convert_imageset", "-shuffle", "./", "many", "db").code == 0
    labels = [datum.label for datum in records("db").values()]
    assert labels != sorted(labels)
    assert sorted(labels) == list(range(30))


@pytest.mark.parametrize(("kind", "exact"), [("png", True), ("bmp", True), ("jpg", False)])
def test_encoded_pictures(verb, pictures, kind, exact):
    args = ("-resize_width=4", "-resize_height=4", "./", "list")
    assert verb("convert_imageset", *args, "raw").code == 0
    assert verb("convert_imageset", f"-encode_type={kind}", *args, "encoded").code == 0
    for raw, encoded in zip(records("raw").values(), records("encoded").values(), strict=True):
        assert (encoded.encoded, encoded.channels, encoded.label) == (True, 0, raw.label)
        pixels, wanted = decode_image(encoded.data), np.frombuffer(raw.data, np.uint8).reshape(3, 4, 4)
        assert Image.open(io.BytesIO(encoded.data)).format == {"jpg": "JPEG"}.get(kind, kind.upper())
        assert np.array_equal(pixels, wanted) if exact else np.abs(pixels.astype(int) - wanted).mean() < 60


def test_a_picture_that_cannot_be_read_is_left_out(verb, pictures):
    (pictures / "p 1.png").write_bytes(b"no picture")
    done = verb("convert_imageset", "./", "list", "db")
    assert done.code == 0
    assert list(records("db")) == ["00000000_p 0.png", "00000002_p 2.png"]
    assert re.search(r"^E.*Could not open or find file: './p 1.png'", done.log, re.M)
    assert "db: 1 of 3 pictures were left out" in done.log


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ("./ missing db", 1, "missing: cannot be read: No such file"),
        ("nowhere/ list db", 1, "list: none of its 3 pictures can be read; correct: it or nowhere/"),
        (
            ". list db",
            1,
            "list: none of its 3 pictures can be read; correct: write ./, the names are put right behind it",
        ),
        ("-check_size ./ list db", 1, "./p 2.png: 72 bytes, where the first picture has 105"),
        ("-resize_width=3 ./ list db", 2, "give both or neither"),
        ("-backend=leveldb ./ list db", 2, "databases of kind 'leveldb' are not made here; use lmdb"),
        ("-encode_type=xyz ./ list db", 1, "list: none of its 3 pictures can be read"),
        ("./ bad db", 1, "bad: line 2: 'p 1.png' is not \"path label\""),
        ("./ empty db", 1, "empty: lists no pictures"),
        ("./ list no/db", 1, "no/db: cannot be written"),
        ("./ list there", 1, "there: exists already; delete it, or give another name"),
    ],
)
def test_what_is_refused(verb, pictures, args, code, message):
    (pictures / "bad").write_text("p 0.png 3\np 1.png\n")
    (pictures / "empty").write_text("\n")
    (pictures / "there").mkdir()
    before = sorted(p.name for p in pictures.iterdir())
    done = verb("convert_imageset", *args.split())
    assert done.code == code
    assert message in done.err
    assert sorted({p.name for p in pictures.iterdir()} - {"verb.log"}) == before


def test_a_database_larger_than_its_first_map(tmp_path):
    value = bytes(70_000)
    with creating_lmdb(str(tmp_path / "db")) as db:
        for i in range(1100):
            db.put(f"{i:08d}", value)
    found = LMDBReader(tmp_path / "db")
    assert found.keys_count == 1100
    assert found.get(b"00001099") == value


def test_means_of_floats_and_of_what_does_not_fit(verb, tmp_path):
    draw = np.random.default_rng(1)
    images = draw.standard_normal((3, 2, 3, 4)).astype(np.float32)
    with creating_lmdb(str(tmp_path / "db")) as db:
        for i, image in enumerate(images):
            db.put(str(i), array_to_datum(image).SerializeToString())
    assert verb("compute_image_mean", tmp_path / "db", tmp_path / "mean").code == 0
    mean = read_blobproto(tmp_path / "mean")
    assert mean.shape == (1, 2, 3, 4)
    assert np.allclose(mean[0], images.mean(0), atol=1e-6)
    assert verb("compute_image_mean", tmp_path / "db").code == 0

    with creating_lmdb(str(tmp_path / "mixed")) as db:
        db.put("0", array_to_datum(images[0]).SerializeToString())
        db.put("1", array_to_datum(images[0, :1]).SerializeToString())
    done = verb("compute_image_mean", tmp_path / "mixed", tmp_path / "mean2")
    assert done.code == 1
    assert "mixed: 1: is (1, 3, 4), the first picture (2, 3, 4)" in done.err
    with creating_lmdb(str(tmp_path / "empty")):
        pass
    assert "empty: holds no pictures" in verb("compute_image_mean", tmp_path / "empty", tmp_path / "mean2").err
    assert "use lmdb" in verb("compute_image_mean", "-backend=leveldb", tmp_path / "db").err
    assert not (tmp_path / "mean2").exists()
