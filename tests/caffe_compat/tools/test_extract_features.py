"""extract_features: what it stores is what the net computes, item by item."""

import h5py
import numpy as np
import pytest

from caffe_compat import TEST, Net
from caffe_compat.layer.data.lmdb_source import LMDBReader
from caffe_compat.proto.caffe_pb2 import Datum
from caffe_compat.proto.datum import datum_to_array

NET = """
    layer { name: "x" type: "HDF5Data" top: "x" hdf5_data_param { source: "list" batch_size: 3 } }
    layer { name: "conv" type: "Convolution" bottom: "x" top: "conv"
            convolution_param { num_output: 2 kernel_size: 3 weight_filler { type: "gaussian" std: 1 } } }
    layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
            inner_product_param { num_output: 4 weight_filler { type: "gaussian" std: 1 } } }
    layer { name: "more" type: "InnerProduct" bottom: "ip" top: "more"
            inner_product_param { num_output: 4 weight_filler { type: "gaussian" std: 1 } } }
"""


@pytest.fixture
def wanted(tmp_path, monkeypatch):
    """Writes net, weights and data into the current folder; gives conv and ip of 2 batches."""
    monkeypatch.chdir(tmp_path)
    with h5py.File("data.h5", "w") as file:
        file["x"] = np.random.default_rng(0).standard_normal((6, 1, 5, 6)).astype(np.float32)
    (tmp_path / "list").write_text("data.h5\n")
    (tmp_path / "net").write_text(NET)
    net = Net("net", TEST)
    net.save("w.caffemodel")
    found = {"conv": [], "ip": []}
    for _ in range(2):
        net.forward()
        for name, values in found.items():
            values.append(net.blobs[name].data.copy())
    net.close()
    return {name: np.concatenate(values) for name, values in found.items()}


def test_into_lmdbs(verb, wanted):
    done = verb("extract_features", "w.caffemodel", "net", "conv,ip", "conv_db,ip_db", 2, "lmdb")
    assert done.code == 0, done.err
    for name, shape in (("conv", (2, 3, 4)), ("ip", (4, 1, 1))):
        items = list(LMDBReader(f"{name}_db").items())
        assert [key for key, _ in items] == [f"{i:010d}".encode() for i in range(6)]
        found = np.stack([datum_to_array(Datum.FromString(value)) for _, value in items])
        assert found.dtype == np.float32
        assert found.shape == (6, *shape)
        assert np.allclose(found.reshape(wanted[name].shape), wanted[name], rtol=1e-5, atol=1e-5)
    assert "Extracted features of 6 query images for feature blob ip" in done.log


def test_into_hdf5(verb, wanted):
    done = verb("extract_features", "w.caffemodel", "net", "ip,conv", "ip.h5,conv.h5", 2, "hdf5", "CPU", "DEVICE_ID=0")
    assert done.code == 0, done.err
    for name, values in wanted.items():
        with h5py.File(f"{name}.h5") as file:
            assert list(file) == [name]
            assert file[name].shape == values.shape
            assert np.allclose(file[name][:], values, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ("w.caffemodel net nope out 1 lmdb", 1, "keep names no blob of the net: nope; blobs: x, conv, ip"),
        ("w.caffemodel net ip,conv out 1 lmdb", 2, "2 blobs and 1 datasets: the numbers must be equal"),
        ("w.caffemodel net ip out 0 lmdb", 2, "0 is not in the range"),
        ("w.caffemodel net ip out 1 leveldb", 2, "databases of kind 'leveldb' are not made here"),
        ("w.caffemodel net ip out 1 lmdb CPU x", 2, "x: give the GPU's number"),
        ("missing net ip out 1 lmdb", 1, "missing: no such file"),
        ("w.caffemodel net ip no/out 1 lmdb", 1, "no/out: cannot be written"),
        ("w.caffemodel net ip no/out 1 hdf5", 1, "no/out: cannot be written"),
        ("w.caffemodel net ip net 1 lmdb", 1, "net: exists already"),
    ],
)
def test_what_is_refused(verb, wanted, tmp_path, args, code, message):
    before = sorted({p.name for p in tmp_path.iterdir()} - {"verb.log"})
    done = verb("extract_features", *args.split())
    assert done.code == code
    assert message in done.err
    assert sorted({p.name for p in tmp_path.iterdir()} - {"verb.log"}) == before
