"""Weights files that are damaged or of another kind: an error that says where, and never a crash."""

import h5py
import numpy as np
import pytest

from caffe_compat.errors import CaffeError, WeightsError
from caffe_compat.proto import weights
from caffe_compat.proto.caffe_pb2 import BlobProto, BlobShape, NetParameter
from caffe_compat.proto.caffe_pb2 import SolverState as SolverStateProto

VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)


READERS = [(weights.read_caffemodel, "a caffemodel"), (weights.read_solverstate, "a solverstate")]


@pytest.mark.parametrize(("reader", "wanted"), READERS)
def test_what_is_no_file_of_this_kind(tmp_path, reader, wanted):
    with pytest.raises(WeightsError, match=rf"none: no such file; {wanted} was expected"):
        reader(tmp_path / "none")
    with pytest.raises(WeightsError, match=rf"is a directory; {wanted} was expected"):
        reader(tmp_path)
    (tmp_path / "empty").touch()
    with pytest.raises(WeightsError, match=rf"empty: is empty \(0 bytes\); {wanted} was expected"):
        reader(tmp_path / "empty")
    for content in ('name: "net"\nlayer { }', "# comment\n\nlayer {\n}", "layers {name: 'x'}"):
        (tmp_path / "text").write_text(content)
        with pytest.raises(WeightsError, match=rf"text: is prototxt text; {wanted} in binary or HDF5 form was expect"):
            reader(tmp_path / "text")
    (tmp_path / "zeros").write_bytes(bytes(1000))
    with pytest.raises(WeightsError, match=r"zeros: byte 0: no protobuf field begins here \(key 0\)"):
        reader(tmp_path / "zeros")
    for seed in range(50):
        (tmp_path / "noise").write_bytes(np.random.default_rng(seed).bytes(300))
        with pytest.raises(WeightsError):
            reader(tmp_path / "noise")


def test_one_kind_for_another(reference, tmp_path):
    case = reference / "solvers" / "sgd_momentum"
    with pytest.raises(WeightsError, match="field name at byte 0 has wire type 0, not 2; a caffemodel was expected"):
        weights.read_caffemodel(case / "snap_iter_6.solverstate")
    with pytest.raises(WeightsError, match="field iter at byte 5 has wire type 2, not 0|a solverstate was expected"):
        weights.read_solverstate(case / "snap_iter_6.caffemodel")
    hdf5 = reference / "solvers" / "sgd_hdf5"
    with pytest.raises(WeightsError, match="holds no group /data; a caffemodel was expected"):
        weights.read_caffemodel(hdf5 / "snap_iter_6.solverstate.h5")
    with pytest.raises(WeightsError, match="holds no group /history; a solverstate was expected"):
        weights.read_solverstate(hdf5 / "snap_iter_6.caffemodel.h5")
    (tmp_path / "w").write_bytes(NetParameter(name="\u00e9\x01").SerializeToString())
    with pytest.raises(WeightsError, match="w: holds no layers; a caffemodel was expected"):
        weights.read_caffemodel(tmp_path / "w")
    (tmp_path / "s").write_bytes(SolverStateProto(current_step=3).SerializeToString())
    with pytest.raises(WeightsError, match="s: holds no iter; a solverstate was expected"):
        weights.read_solverstate(tmp_path / "s")


@pytest.mark.parametrize("name", ["snap_iter_6.caffemodel", "snap_iter_6.solverstate"])
def test_cut_off_anywhere(reference, tmp_path, name):
    """A cut is an error, except between two layers or arrays, where nothing in the file tells."""
    whole = (reference / "solvers" / "sgd_momentum" / name).read_bytes()
    reader = weights.read_caffemodel if name.endswith("caffemodel") else weights.read_solverstate
    file = tmp_path / "cut"
    survived = 0
    refused = []
    for length in range(1, len(whole)):
        file.write_bytes(whole[:length])
        try:
            reader(file)
            survived += 1
        except WeightsError as error:
            refused.append(str(error))
    assert all(message.startswith(f"{file}: ") for message in refused)
    assert survived <= 10
    file.write_bytes(whole[:200])
    with pytest.raises(
        WeightsError, match=r"cut: .*claims \d+ bytes, but \d+ are left; the file is cut off or damaged"
    ):
        reader(file)


@pytest.mark.parametrize("case", ["sgd_momentum/snap_iter_6.caffemodel", "sgd_hdf5/snap_iter_6.caffemodel.h5"])
def test_flipped_bits_never_crash(reference, tmp_path, case):
    whole = bytearray((reference / "solvers" / case).read_bytes())
    rng = np.random.default_rng(7)
    file = tmp_path / "damaged"
    refused = 0
    for _ in range(400):
        damaged = whole.copy()
        for at in rng.integers(0, len(whole), 3):
            damaged[at] = rng.integers(0, 256)
        file.write_bytes(damaged)
        try:
            layers = weights.read_caffemodel(file)
            assert all(blob is None or blob.size < 10**4 for layer in layers for blob in layer.blobs)
        except CaffeError:
            refused += 1
    assert refused > 20


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (BlobProto(shape=BlobShape(dim=[2, 3]), data=range(5)), r"data: found 5 values for shape 2 x 3, which holds 6"),
        (BlobProto(shape=BlobShape(dim=[2, 3])), r"data: found 0 values for shape 2 x 3, which holds 6"),
        (BlobProto(data=range(5)), r"data: found 5 values for shape \(\), which holds 1"),
        (BlobProto(num=1, data=[1]), r"data: found 1 values for shape 1 x 0 x 0 x 0, which holds 0"),
        (
            BlobProto(shape=BlobShape(dim=[2]), data=[1, 2], diff=[1]),
            r"diff: found 1 values for shape 2, which holds 2",
        ),
        (BlobProto(shape=BlobShape(dim=[-1, 3]), data=[1]), r"shape -1 x 3 has a negative dimension"),
        (BlobProto(shape=BlobShape(dim=[1] * 33), data=[1]), r"33 axes; Caffe's blobs have at most 32"),
        (
            BlobProto(shape=BlobShape(dim=[65536, 32768]), data=[1]),
            r"shape 65536 x 32768 holds 2147483648 values; the limit is 2147483647",
        ),
        (
            BlobProto(shape=BlobShape(dim=[2**62, 2**62]), double_data=[1]),
            r"shape 4611686018427387904 x 4611686018427387904 holds \d+ values; the limit",
        ),
    ],
)
def test_impossible_blobs(write_net, tmp_path, blob, message):
    with pytest.raises(WeightsError, match=rf"w: layer 'l': blobs\[1\]: {message}"):
        weights.read_caffemodel(write_net(tmp_path / "w", BlobProto(data=[1]), blob))
    with pytest.raises(WeightsError, match=rf"w: layer 'l': blobs\[0\]: {message}"):
        weights.read_caffemodel(write_net(tmp_path / "w", blob, old=True))
    (tmp_path / "s").write_bytes(SolverStateProto(iter=3, history=[blob]).SerializeToString())
    with pytest.raises(WeightsError, match=rf"s: history\[0\]: {message}"):
        weights.read_solverstate(tmp_path / "s")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x0a\xff\xff\xff\xff\x0fx", r"field 1 at byte 0 claims 4294967295 bytes, but 1 are left"),
        (b"\x0a" + b"\xff" * 12, r"the number at byte 1 has more than 10 bytes"),
        (b"\x0a\x80", r"ends inside a number at byte 1; the file is cut off or damaged"),
        (b"\xa2\x06\x02\x3a\x05", r"layer number 0: field 7 at byte 3 claims 5 bytes, but 0 are left"),
        (b"\xa2\x06\x07\x3a\x05\x2a\x03abc", r"blobs\[0\]: field 5 at byte 5 \(3 bytes, wire type 2\) holds no 4-byte"),
        (b"\xa2\x06\x04\x3a\x02\x28\x01", r"blobs\[0\]: field 5 at byte 5 \(1 bytes, wire type 0\) holds no 4-byte"),
        (b"\xa2\x06\x04\x3a\x02\x3b\x01", r"byte 5: no protobuf field begins here \(key 59\)"),
        (b"\xa2\x06\x04\x0a\x02\xff\xfe", r"its name or type is not text; the file is damaged"),
        (b"\xa0\x06\x04", r"field layer at byte 0 has wire type 0, not 2; a caffemodel was expected"),
        (b"\xa2\x06\x03\x12\x01\x01\xa2\x06\x04\xfa\x06\x01\x0a", r"cannot be parsed"),
        (b"\x12\x02\x2a\x00", r"field type at byte 2 has wire type 2, not 0"),
        (b"\xa2\x06\x00\x12\x00", r"has both 'layer' and 'layers' fields"),
    ],
)
def test_damaged_bytes(tmp_path, content, message):
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(WeightsError, match=rf"^{tmp_path}/w: .*{message}|^{tmp_path}/w: {message}"):
        weights.read_caffemodel(tmp_path / "w")


def make_hdf5(path, make):
    with h5py.File(path, "w") as file:
        make(file)
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f: f.create_group("data"), r"holds no layers"),
        (lambda f: f.create_dataset("data", data=[1]), r"holds no group /data"),
        (lambda f: f.create_dataset("data/l/zero", data=[1.0]), r"/data/l/zero: a blob's name must be its number"),
        (lambda f: f.create_dataset("data/l/9999999999", data=[1.0]), r"a blob's name must be its number"),
        (lambda f: f.create_dataset("data/l/0", data=np.array([b"abc"])), r"/data/l/0: holds \|S3, not numbers"),
        (lambda f: f.create_dataset("data/l/0", shape=(10**6,), dtype="f4"), r"its 1000000 values were never written"),
        (
            lambda f: f.create_dataset("data/l/0", shape=(2**31,), dtype="f4", chunks=(1024,)),
            r"shape 2147483648 holds 2147483648 values; the limit is 2147483647",
        ),
    ],
)
def test_damaged_hdf5(tmp_path, make, message):
    with pytest.raises(WeightsError, match=message):
        weights.read_caffemodel(make_hdf5(tmp_path / "w", make))


def good_state(file):
    file["iter"] = [3]
    file["current_step"] = [0]
    file["learned_net"] = "x.caffemodel.h5"
    file["history/0"] = VALUES
    file["history/1"] = VALUES


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("iter", [1, 2], "/iter is not one whole number"),
        ("iter", 1.5, "/iter is not one whole number"),
        ("iter", None, "/iter is not one whole number"),
        ("current_step", None, "/current_step is not one whole number"),
        ("learned_net", 3, "/learned_net is not a string"),
        ("history/0", None, "/history/0 is missing"),
    ],
)
def test_damaged_hdf5_state(tmp_path, name, value, message):
    file = make_hdf5(tmp_path / "s", good_state)
    state = weights.read_solverstate(file)
    assert (state.iter, state.learned_net, len(state.history)) == (3, "x.caffemodel.h5", 2)
    with h5py.File(file, "a") as opened:
        del opened[name]
        if value is not None:
            opened[name] = value
    with pytest.raises(WeightsError, match=rf"s: {message}"):
        weights.read_solverstate(file)


@pytest.mark.parametrize("name", ["snap_iter_6.caffemodel.h5", "snap_iter_6.solverstate.h5"])
def test_hdf5_cut_off(reference, tmp_path, name):
    whole = (reference / "solvers" / "sgd_hdf5" / name).read_bytes()
    reader = weights.read_caffemodel if "caffemodel" in name else weights.read_solverstate
    for length in (8, 100, 1000, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(WeightsError, match="cut: cannot be read as HDF5: .*it is damaged"):
            reader(tmp_path / "cut")
