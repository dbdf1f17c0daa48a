"""BlobProto and binaryproto files."""

import os

import numpy as np
import pytest

from caffe_compat.errors import WeightsError
from caffe_compat.proto import blobs
from caffe_compat.proto.caffe_pb2 import BlobProto, BlobShape

ARRAY = np.linspace(-1, 1, 24).reshape(2, 3, 4).astype(np.float32)


@pytest.mark.parametrize("shape", [(), (0,), (24,), (2, 3, 4), (1, 2, 3, 4), (1, 1, 2, 3, 4)])
def test_array_to_blob_and_back(shape):
    array = np.resize(ARRAY, shape)
    blob = blobs.array_to_blob(array)
    assert list(blob.shape.dim) == list(shape)
    assert blob.HasField("shape") == bool(shape)  # as Caffe writes a scalar
    assert not blob.HasField("num")
    assert list(blob.data) == list(array.ravel())
    again = blobs.blob_to_array(blob)
    assert again.dtype == np.float32
    np.testing.assert_array_equal(again, array)


def test_legacy_shape():
    blob = blobs.array_to_blob(ARRAY.astype(np.float64), legacy=True)
    assert (blob.num, blob.channels, blob.height, blob.width) == (1, 2, 3, 4)
    assert not blob.HasField("shape")
    np.testing.assert_array_equal(blobs.blob_to_array(blob), ARRAY[None])
    with pytest.raises(WeightsError, match="BlobProto: 5 axes; the legacy shape has 4"):
        blobs.array_to_blob(ARRAY[None, None], legacy=True)


def test_non_contiguous_arrays():
    np.testing.assert_array_equal(blobs.blob_to_array(blobs.array_to_blob(ARRAY.T)), ARRAY.T)


def test_double_blob():
    blob = BlobProto(shape=BlobShape(dim=[2]), double_data=[1.5, -2.5])
    np.testing.assert_array_equal(blobs.blob_to_array(blob), np.array([1.5, -2.5], np.float32))


@pytest.mark.parametrize("legacy", [False, True])
def test_binaryproto_round_trip(tmp_path, legacy):
    blobs.write_blobproto(tmp_path / "mean", ARRAY[None], legacy)
    np.testing.assert_array_equal(blobs.read_blobproto(tmp_path / "mean"), ARRAY[None])
    written = BlobProto.FromString((tmp_path / "mean").read_bytes())
    assert written.HasField("num") == legacy
    assert os.listdir(tmp_path) == ["mean"]


def test_means_of_compute_image_mean(realdata, tmp_path):
    for name in ("color_raw", "color_png", "gray_label"):
        file = realdata / "lmdb" / f"{name}_mean.binaryproto"
        mean = blobs.read_blobproto(file)
        np.testing.assert_array_equal(mean, np.load(file.with_suffix(".npy")))
        blobs.write_blobproto(tmp_path / "again", mean, legacy=True)
        assert (tmp_path / "again").read_bytes() == file.read_bytes()


def test_third_party_means(realdata):
    mean = blobs.read_blobproto(realdata / "means" / "catdog_mean_256.binaryproto")
    assert mean.shape == (1, 3, 256, 256)
    np.testing.assert_allclose(mean.mean((0, 2, 3)), [106.32548882, 116.05862075, 124.44494066], rtol=1e-5)
    np.testing.assert_allclose(mean.ravel()[:3], [105.64749908, 105.33203888, 105.98312378], rtol=1e-7)
    with pytest.raises(
        WeightsError, match=r"petbreed_truncated.binaryproto: field 5 .* claims \d+ bytes, but \d+ are left"
    ):
        blobs.read_blobproto(realdata / "means" / "petbreed_truncated.binaryproto")


def test_not_a_binaryproto(tmp_path, reference):
    with pytest.raises(WeightsError, match=r"none: no such file; a binaryproto \(BlobProto\) was expected"):
        blobs.read_blobproto(tmp_path / "none")
    with pytest.raises(WeightsError, match="is a directory; a binaryproto"):
        blobs.read_blobproto(tmp_path)
    (tmp_path / "m").touch()
    with pytest.raises(WeightsError, match=r"m: is empty \(0 bytes\)"):
        blobs.read_blobproto(tmp_path / "m")
    with pytest.raises(WeightsError, match="is HDF5; a binaryproto"):
        blobs.read_blobproto(reference / "solvers" / "sgd_hdf5" / "snap_iter_6.caffemodel.h5")
    (tmp_path / "m").write_text("data: 1\n")
    with pytest.raises(WeightsError, match=r"m: is prototxt text; a binaryproto \(BlobProto\) in binary"):
        blobs.read_blobproto(tmp_path / "m")
    (tmp_path / "m").write_bytes(b"\x3a\x02\x08")
    with pytest.raises(WeightsError, match="m: field 7 at byte 0 claims 2 bytes, but 1 are left"):
        blobs.read_blobproto(tmp_path / "m")
    (tmp_path / "m").write_bytes(b"\x3a\x02\x0a\x05")
    with pytest.raises(WeightsError, match="m: its shape cannot be read .*; the file is damaged"):
        blobs.read_blobproto(tmp_path / "m")


def test_shape_mismatch_names_both():
    blob = BlobProto(num=1, channels=3, height=2, width=2, data=[1, 2, 3])
    with pytest.raises(WeightsError, match="data: found 3 values for shape 1 x 3 x 2 x 2, which holds 12"):
        blobs.blob_to_array(blob)


def test_writing_fails_cleanly(tmp_path):
    with pytest.raises(WeightsError, match="none/m: cannot be written: No such file"):
        blobs.write_blobproto(tmp_path / "none" / "m", ARRAY)
    with pytest.raises(WeightsError, match="33 axes"):
        blobs.write_blobproto(tmp_path / "m", np.zeros((1,) * 33))
    assert os.listdir(tmp_path) == []
