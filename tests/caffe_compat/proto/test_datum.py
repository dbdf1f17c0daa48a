"""Datum records against what Caffe's own tools and Data layer gave for the same databases."""

import io

import lmdb
import numpy as np
import pytest
from PIL import Image

from caffe_compat.errors import DataError
from caffe_compat.proto import datum
from caffe_compat.proto.caffe_pb2 import Datum
from caffe_compat.proto.text import read_net

# The JPEG standard lets decoders differ. Measured: no difference between Pillow 13's libjpeg-turbo and the recording's;
# the bound, in grey levels, leaves room for another decoder.
JPEG_TOLERANCE = 3


def records(folder):
    """Key and bytes of every record, in order."""
    with lmdb.open(str(folder), readonly=True, lock=False) as env, env.begin() as txn:
        return [(bytes(key).decode(), bytes(value)) for key, value in txn.cursor()]


@pytest.mark.parametrize("name", ["color_raw", "color_png", "gray_label", "index_label", "gray_png", "jpeg_asis"])
def test_databases_of_convert_imageset(realdata, name):
    recorded = np.load(realdata / "lmdb" / f"{name}_datums.npz")
    found = records(realdata / "lmdb" / f"{name}_lmdb")
    assert [key for key, _ in found] == list(recorded["keys"])
    for i, (key, value) in enumerate(found):
        record = datum.parse_datum(value, key)
        for field in ("channels", "height", "width", "label", "encoded"):
            assert getattr(record, field) == recorded[field][i]
        if record.encoded:
            assert record.data == recorded[f"bytes_{i}"].tobytes()
        array = datum.datum_to_array(record, source=key)
        expected = recorded[f"data_{i}"]
        assert (array.shape, array.dtype) == (expected.shape, np.uint8)
        difference = np.abs(array.astype(int) - expected).max()
        assert difference <= (JPEG_TOLERANCE if name == "jpeg_asis" else 0)
        if not record.encoded:
            assert datum.array_to_datum(array, record.label).SerializeToString() == _without_encoded(record)


def _without_encoded(record):
    copy = Datum()
    copy.CopyFrom(record)
    copy.ClearField("encoded")
    return copy.SerializeToString()


@pytest.mark.parametrize(
    ("case", "database", "color"),
    [("data_png_forcegray_b4", "color_png", False), ("data_graypng_forcecolor_b4", "gray_png", True)],
)
def test_forced_channels_as_the_data_layer(realdata, case, database, color):
    layer = read_net(realdata / "transform" / f"{case}.prototxt").layer[0]
    assert (layer.transform_param.force_color, layer.transform_param.force_gray) == (color, not color)
    assert not layer.transform_param.mean_value
    assert layer.transform_param.scale == 1
    recorded = np.load(realdata / "transform" / f"{case}.npz")
    batch = recorded[f"fwd0/{layer.top[0]}"]
    found = records(realdata / "lmdb" / f"{database}_lmdb")
    assert len(batch) == 4
    for expected, (key, value) in zip(batch, found, strict=False):
        array = datum.datum_to_array(datum.parse_datum(value, key), color=color)
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_float_data(dtype):
    array = np.linspace(-2, 300, 24).reshape(2, 3, 4).astype(dtype)
    record = datum.array_to_datum(array, 7)
    assert (record.channels, record.height, record.width, record.label) == (2, 3, 4, 7)
    assert list(record.float_data) == list(array.astype(np.float32).ravel())
    again = datum.datum_to_array(datum.parse_datum(record.SerializeToString(), "r"))
    assert again.dtype == np.float32
    np.testing.assert_array_equal(again, array.astype(np.float32))


def test_views_are_written_in_their_own_order():
    array = np.arange(24, dtype=np.uint8).reshape(4, 3, 2).transpose(2, 1, 0)
    record = datum.array_to_datum(array)
    assert not record.HasField("label")
    np.testing.assert_array_equal(datum.datum_to_array(record), array)


def picture(mode, size=(5, 4), form="PNG", **options):
    """A picture file of random pixels, and the picture."""
    pixels = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 4), np.uint8)
    image = Image.fromarray(pixels if mode.endswith("A") else pixels[..., :3]).convert(mode)
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue(), image


@pytest.mark.parametrize(
    ("mode", "native"), [("L", 1), ("RGB", 3), ("P", 3), ("RGBA", 4), ("LA", 4), ("1", 1)], ids=str
)
def test_channels(mode, native):
    data, image = picture(mode)
    own = datum.decode_image(data)
    assert own.shape == (native, 4, 5)
    rgb = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    np.testing.assert_array_equal(datum.decode_image(data, color=True), rgb[::-1])
    if native >= 3:
        np.testing.assert_array_equal(own[:3], rgb[::-1])
    gray = datum.decode_image(data, color=False)
    assert gray.shape == (1, 4, 5)
    assert np.abs(gray[0].astype(float) - np.tensordot([0.299, 0.587, 0.114], rgb.astype(float), 1)).max() <= 1.01


def test_orientation_counts_only_when_channels_are_forced():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    data, _ = picture("RGB", form="JPEG", exif=exif)
    assert datum.decode_image(data).shape == (3, 4, 5)
    assert datum.decode_image(data, color=True).shape == (3, 5, 4)
    assert datum.decode_image(data, color=False).shape == (1, 5, 4)


def encoded(data):
    return Datum(encoded=True, data=data)


PNG = picture("RGB", (50, 40))[0]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (Datum(channels=3, height=2, width=2, data=b"abc"), r"3 values in data for .* = 3 x 2 x 2 = 12"),
        (Datum(channels=1, height=1, width=2, float_data=[1]), r"1 values in float_data for .* = 1 x 1 x 2 = 2"),
        (Datum(channels=1, height=1, width=2), r"0 values in float_data for .* = 1 x 1 x 2 = 2"),
        (Datum(data=b"abc"), r"channels x height x width = 0 x 0 x 0; each must be at least 1"),
        (Datum(channels=-1, height=-3, width=1, data=b"abc"), r".*width = -1 x -3 x 1; each must be at least 1"),
        (Datum(channels=99999, height=99999, width=1), r".*99999 x 99999 x 1; each .* all at most 2147483647"),
        (encoded(b""), r"0 bytes cannot be decoded as a picture"),
        (encoded(b"garbage"), r"7 bytes cannot be decoded as a picture: cannot identify"),
        (encoded(PNG[: len(PNG) // 2]), r"\d+ bytes cannot be decoded as a picture: .*truncated"),
        (encoded(PNG[:20]), r"20 bytes cannot be decoded as a picture"),
        (encoded(picture("I;16")[0]), r"I(;16)? pixels; 8 bits per channel were expected"),
    ],
)
def test_bad_records(record, message):
    with pytest.raises(DataError, match=f"train_lmdb: record 00000007: {message}"):
        datum.datum_to_array(record, source="train_lmdb: record 00000007")


def test_bytes_that_are_no_datum():
    with pytest.raises(DataError, match="db: record k: 7 bytes that are no Datum .*; the database is damaged"):
        datum.parse_datum(b"garbage", "db: record k")
    with pytest.raises(DataError, match="db: record k: an empty record; a Datum was expected"):
        datum.parse_datum(b"", "db: record k")


@pytest.mark.parametrize("shape", [(3, 4), (1, 3, 4, 5), (0, 4, 5)])
def test_shapes_that_no_datum_holds(shape):
    with pytest.raises(DataError, match=r"shape \(.*\); channels x height x width, each at least 1, was expected"):
        datum.array_to_datum(np.zeros(shape, np.uint8))
