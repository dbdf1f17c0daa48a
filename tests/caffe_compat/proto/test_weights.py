"""caffemodel and solverstate files: Caffe's own met byte for byte, both forms, and every kind of damage."""

import os
import struct

import h5py
import numpy as np
import pytest

from caffe_compat.errors import CaffeError, WeightsError
from caffe_compat.proto import weights
from caffe_compat.proto.caffe_pb2 import BlobProto, BlobShape, LayerParameter, NetParameter
from caffe_compat.proto.caffe_pb2 import SolverState as SolverStateProto
from caffe_compat.proto.weights import LayerWeights, SolverState

VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)


def same(ours, theirs):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype == np.float32


def snapshots(reference, ending):
    found = sorted(reference.glob(f"solvers/*/snap_iter_*.{ending}"))
    assert found
    return found


def plain(path):
    """A caffemodel read by protobuf alone, value by value."""
    net = NetParameter.FromString(path.read_bytes())
    return [
        (layer.name, [np.array(blob.data, np.float32).reshape(blob.shape.dim) for blob in layer.blobs])
        for layer in net.layer
    ]


# Caffe's own files


def test_caffemodels_of_caffe_come_out_byte_for_byte(reference, tmp_path):
    for file in snapshots(reference, "caffemodel"):
        layers = weights.read_caffemodel(file)
        for layer, (name, blobs) in zip(layers, plain(file), strict=True):
            assert layer.name == name
            same(layer.blobs, blobs)
        weights.write_caffemodel(tmp_path / "again", "", layers)
        assert (tmp_path / "again").read_bytes() == file.read_bytes()


def test_solverstates_of_caffe_come_out_byte_for_byte(reference, tmp_path):
    for file in snapshots(reference, "solverstate"):
        state = weights.read_solverstate(file)
        proto = SolverStateProto.FromString(file.read_bytes())
        assert (state.iter, state.learned_net, state.current_step) == (
            proto.iter,
            proto.learned_net,
            proto.current_step,
        )
        same(state.history, [np.array(b.data, np.float32).reshape(b.shape.dim) for b in proto.history])
        weights.write_solverstate(tmp_path / "again", state)
        assert (tmp_path / "again").read_bytes() == file.read_bytes()


def describe(file):
    """Every object of an HDF5 file with what Caffe's reader depends on."""
    found = {}

    def note(name, item):
        if isinstance(item, h5py.Group):
            found[name] = len(item)
            return
        kind = item.id.get_type()
        string = (kind.get_strpad(), kind.get_cset()) if isinstance(kind, h5py.h5t.TypeStringID) else None
        variable = string is not None and kind.is_variable_str()
        found[name] = (item.shape, str(item.dtype), item.chunks, string, variable, np.asarray(item).tobytes())

    with h5py.File(file) as opened:
        opened.visititems(note)
    return found


def test_hdf5_snapshots_of_caffe_come_out_the_same(reference, tmp_path):
    for file in snapshots(reference, "caffemodel.h5"):
        layers = weights.read_caffemodel(file)
        assert [layer.name for layer in layers] == ["conv", "data", "ip", "loss", "pool", "relu"]
        weights.write_caffemodel_h5(tmp_path / "again", layers)
        assert describe(tmp_path / "again") == describe(file)
    for file in snapshots(reference, "solverstate.h5"):
        state = weights.read_solverstate(file)
        assert file.name == f"snap_iter_{state.iter}.solverstate.h5"
        assert state.learned_net == f"snap_iter_{state.iter}.caffemodel.h5"
        weights.write_solverstate_h5(tmp_path / "again", state)
        assert describe(tmp_path / "again") == describe(file)


def test_hdf5_and_binary_hold_the_same_solver_run(reference):
    # The two cases train the same net; the files differ only in form.
    for n in (6, 12):
        record = np.load(reference / "solvers" / "sgd_hdf5" / "record.npz")
        layers = weights.read_caffemodel(reference / "solvers" / "sgd_hdf5" / f"snap_iter_{n}.caffemodel.h5")
        for layer in layers:
            same(layer.blobs, [record[f"iter{n}/{layer.name}/{i}"] for i in range(len(layer.blobs))])


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("everpeace_lenet_v1", "lenet_iter_10000"),
        ("everpeace_cifar10_v1", "cifar10_quick_iter_4000"),
        ("everpeace_cifar10_v1", "cifar10_full_iter_70000"),
    ],
)
def test_v1_files_of_2014(realdata, tmp_path, folder, name):
    file = realdata / "caffemodels" / folder / f"{name}.caffemodel"
    old = NetParameter.FromString(file.read_bytes())
    layers = weights.read_caffemodel(file)
    assert [layer.name for layer in layers] == [layer.name for layer in old.layers]
    for layer, source in zip(layers, old.layers, strict=True):
        same(
            layer.blobs,
            [np.array(b.data, np.float32).reshape(b.num, b.channels, b.height, b.width) for b in source.blobs],
        )
        assert [spec.lr_mult for spec in layer.param.param] == list(source.blobs_lr)
        assert not layer.param.blobs
    types = {layer.type for layer in layers}
    assert {"Convolution", "Pooling", "ReLU", "InnerProduct"} <= types
    weights.write_caffemodel(tmp_path / "new", old.name, layers)
    for again, layer in zip(weights.read_caffemodel(tmp_path / "new"), layers, strict=True):
        assert (again.name, again.type, again.param) == (layer.name, layer.type, layer.param)
        same(again.blobs, layer.blobs)
    state = weights.read_solverstate(file.with_suffix(".solverstate"))
    assert state.iter == int(name.rsplit("_", 1)[1])
    assert [h.shape for h in state.history] == [b.shape for layer in layers for b in layer.blobs]


def test_third_party_files(realdata, tmp_path):
    folder = realdata / "caffemodels"
    files = [folder / f"kpzhang93_mtcnn/det{i}.caffemodel" for i in (1, 2, 3)]
    for file in [
        *files,
        folder / "ahmdtaha_lenet_digits/lenet_iter_10000.caffemodel",
        folder / "wechat_sr/sr.caffemodel",
    ]:
        layers = weights.read_caffemodel(file)
        for layer, (name, blobs) in zip(layers, plain(file), strict=True):
            assert layer.name == name
            same(layer.blobs, blobs)
        weights.write_caffemodel(tmp_path / "again", NetParameter.FromString(file.read_bytes()).name, layers)
        assert (tmp_path / "again").read_bytes() == file.read_bytes()
    hdf5 = folder / "siegfriedgreg_cifar10_h5" / "cifar10_full_iter_90000.caffemodel.h5"
    shapes = {layer.name: [blob.shape for blob in layer.blobs] for layer in weights.read_caffemodel(hdf5)}
    assert shapes["conv3"] == [(64, 32, 5, 5), (64,)]
    assert shapes["relu1"] == []
    state = weights.read_solverstate(hdf5.with_name("cifar10_full_iter_90000.solverstate.h5"))
    assert (state.iter, state.learned_net) == (90000, "examples/cifar10/cifar10_full_iter_90000.caffemodel.h5")
    assert [h.shape for h in state.history][4:6] == [(64, 32, 5, 5), (64,)]


# Forms


def write_net(path, *blobs, old=False):
    net = NetParameter(name="n")
    if old:
        net.layers.add(name="l", type=14, blobs=blobs)
    else:
        net.layer.add(name="l", type="InnerProduct", blobs=blobs)
    path.write_bytes(net.SerializeToString())
    return path


def field(number, wire_type, payload):
    head = bytes([number << 3 | wire_type])
    return head + (bytes([len(payload)]) if wire_type == 2 else b"") + payload


FLOATS = VALUES.tobytes()
SHAPE = BlobProto(shape=BlobShape(dim=[2, 3])).SerializeToString()


@pytest.mark.parametrize(
    "message",
    [
        SHAPE + field(5, 2, FLOATS),
        field(5, 2, FLOATS) + SHAPE,
        b"".join(field(5, 5, FLOATS[i : i + 4]) for i in range(0, 24, 4)) + SHAPE,
        field(5, 2, FLOATS[:8]) + SHAPE + field(5, 5, FLOATS[8:12]) + field(5, 2, b"") + field(5, 2, FLOATS[12:]),
        field(8, 2, VALUES.astype("<f8").tobytes()) + SHAPE,
        b"".join(field(8, 1, struct.pack("<d", v)) for v in range(6)) + SHAPE,
        field(5, 2, FLOATS) + SHAPE + field(15, 2, b"of a fork"),
    ],
    ids=["packed", "data first", "unpacked", "chunks", "double", "unpacked double", "unknown field"],
)
def test_every_way_to_store_values(tmp_path, message):
    layer = field(1, 2, b"l") + field(7, 2, message)
    (tmp_path / "w").write_bytes(b"\xa2\x06" + bytes([len(layer)]) + layer)
    (read,) = weights.read_caffemodel(tmp_path / "w")
    same(read.blobs, [VALUES])
    assert not read.blobs[0].flags.writeable


def test_long_unpacked_runs(tmp_path):
    values = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    message = b"".join(field(5, 5, values[i : i + 1].tobytes()) for i in range(1000))
    blob = BlobProto(shape=BlobShape(dim=[1000])).SerializeToString() + message
    layer = (
        LayerParameter(name="l").SerializeToString() + b"\x3a" + bytes([len(blob) & 127 | 128, len(blob) >> 7]) + blob
    )
    (tmp_path / "w").write_bytes(b"\xa2\x06" + bytes([len(layer) & 127 | 128, len(layer) >> 7]) + layer)
    same(weights.read_caffemodel(tmp_path / "w")[0].blobs, [values])


def test_legacy_shape_stays_and_beats_shape(tmp_path):
    blob = BlobProto(num=1, channels=1, height=2, width=3, data=range(6), shape=BlobShape(dim=[6]))
    for old in (False, True):
        (layer,) = weights.read_caffemodel(write_net(tmp_path / "w", blob, old=old))
        same(layer.blobs, [VALUES.reshape(1, 1, 2, 3)])
        assert layer.type == "InnerProduct"


def test_v0_file(tmp_path):
    net = NetParameter(name="old", input=["x"], input_dim=[1, 1, 2, 2])
    pad = net.layers.add(bottom=["x"], top=["p"])
    pad.layer.name, pad.layer.type, pad.layer.pad = "pad", "padding", 1
    conv = net.layers.add(bottom=["p"], top=["y"])
    conv.layer.name, conv.layer.type, conv.layer.num_output = "c", "conv", 2
    conv.layer.blobs.add(num=2, channels=3, height=1, width=1, data=range(6))
    conv.layer.blobs.add(num=1, channels=1, height=1, width=2, data=[7, 8], diff=[9, 10])
    (tmp_path / "w").write_bytes(net.SerializeToString())
    inputs, layer = weights.read_caffemodel(tmp_path / "w")
    assert (inputs.type, layer.name, layer.type) == ("Input", "c", "Convolution")
    same(layer.blobs, [VALUES.reshape(2, 3, 1, 1), np.array([7, 8], np.float32).reshape(1, 1, 1, 2)])
    assert list(layer.param.convolution_param.pad) == [1]
    assert layer.diffs[0] is None
    same(layer.diffs[1:], [np.array([9, 10], np.float32).reshape(1, 1, 1, 2)])


def test_shapes_at_the_edge(tmp_path):
    blobs = [np.float32(3).reshape(()), np.zeros((0, 4), np.float32), np.ones((1,) * 32, np.float32)]
    weights.write_caffemodel(tmp_path / "w", "n", [LayerWeights("l", "Scale", blobs)])
    (layer,) = weights.read_caffemodel(tmp_path / "w")
    same(layer.blobs, blobs)
    assert [blob.shape for blob in layer.blobs] == [(), (0, 4), (1,) * 32]
    weights.write_caffemodel_h5(tmp_path / "w.h5", [LayerWeights("l", "Scale", blobs)])
    (layer,) = weights.read_caffemodel(tmp_path / "w.h5")
    assert [blob.shape for blob in layer.blobs] == [(), (0, 4), (1,) * 32]


def test_definition_diffs_and_net_fields_are_written(tmp_path):
    layer = LayerWeights("l", "InnerProduct", [VALUES.T, VALUES[:, 1].astype(np.float64)], diffs=[VALUES.T * 2, None])
    layer.param.bottom.append("x")
    layer.param.inner_product_param.num_output = 2
    layer.param.phase = 1
    weights.write_caffemodel(tmp_path / "w", "n", [layer], NetParameter(force_backward=True, layer=[LayerParameter()]))
    net = NetParameter.FromString((tmp_path / "w").read_bytes())
    assert (net.name, net.force_backward, len(net.layer)) == ("n", True, 1)
    assert net.SerializeToString() == (tmp_path / "w").read_bytes()
    written = net.layer[0]
    assert (written.name, written.type, written.phase, list(written.bottom)) == ("l", "InnerProduct", 1, ["x"])
    (read,) = weights.read_caffemodel(tmp_path / "w")
    same(read.blobs, [VALUES.T, VALUES[:, 1]])
    same(read.diffs[:1], [VALUES.T * 2])
    assert read.diffs[1] is None

    weights.write_caffemodel_h5(tmp_path / "w.h5", [layer])
    (read,) = weights.read_caffemodel(tmp_path / "w.h5")
    same(read.blobs, [VALUES.T, VALUES[:, 1]])
    same(read.diffs, [VALUES.T * 2])


def test_hdf5_leaves_out_what_another_layer_owns(tmp_path):
    layers = [LayerWeights("a/b", "", [VALUES, VALUES]), LayerWeights("c", "", [None, VALUES]), LayerWeights("d")]
    weights.write_caffemodel_h5(tmp_path / "w", layers)
    read = weights.read_caffemodel(tmp_path / "w")
    assert [layer.name for layer in read] == ["a/b", "c", "d"]
    assert read[1].blobs[0] is None
    same(read[1].blobs[1:], [VALUES])
    with pytest.raises(WeightsError, match=r"layer 'c': blobs\[0\] is left out; the binary form needs every blob"):
        weights.write_caffemodel(tmp_path / "binary", "n", layers)
    assert os.listdir(tmp_path) == ["w"]


# Nothing is copied


def test_reading_gives_views_of_the_file(tmp_path):
    big = np.random.default_rng(0).standard_normal((512, 1024)).astype(np.float32)
    weights.write_caffemodel(tmp_path / "w", "n", [LayerWeights(f"l{i}", "InnerProduct", [big]) for i in range(4)])
    layers = weights.read_caffemodel(tmp_path / "w")
    owners = {id(_owner(layer.blobs[0])) for layer in layers}
    assert len(owners) == 1
    assert type(_owner(layers[0].blobs[0])).__name__ == "mmap"
    os.unlink(tmp_path / "w")  # the map keeps the file's bytes
    for layer in layers:
        same(layer.blobs, [big])


def _owner(array):
    while isinstance(array, np.ndarray):
        array = array.base
    return array.obj if isinstance(array, memoryview) else array


def test_writing_does_not_copy_float32_arrays():
    from caffe_compat.proto.blobs import blob_chunks

    array = np.zeros((64, 64), np.float32)
    pieces = [np.frombuffer(chunk, np.uint8) for chunk in blob_chunks(array, None, "here") if len(chunk)]
    assert any(np.shares_memory(piece, array) for piece in pieces)


def test_a_file_may_be_rewritten_from_its_own_views(tmp_path):
    weights.write_caffemodel(tmp_path / "w", "n", [LayerWeights("l", "Scale", [VALUES])])
    layers = weights.read_caffemodel(tmp_path / "w")
    before = (tmp_path / "w").read_bytes()
    weights.write_caffemodel(tmp_path / "w", "n", layers)
    assert (tmp_path / "w").read_bytes() == before
    same(layers[0].blobs, [VALUES])


# Damage


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
def test_impossible_blobs(tmp_path, blob, message):
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


# Writing


def test_failed_writing_leaves_nothing(tmp_path):
    (tmp_path / "w").write_text("old")
    good = LayerWeights("l", "Scale", [VALUES])
    bad = LayerWeights("m", "Scale", [np.zeros((1,) * 33, np.float32)])
    state = SolverState(3, history=[VALUES, bad.blobs[0]])
    for write, content in (
        (lambda path, c: weights.write_caffemodel(path, "n", c), [good, bad]),
        (weights.write_caffemodel_h5, [good, bad]),
        (weights.write_solverstate, state),
        (weights.write_solverstate_h5, state),
    ):
        with pytest.raises(WeightsError, match="33 axes; Caffe's blobs have at most 32"):
            write(tmp_path / "w", content)
        good_content = [good] if isinstance(content, list) else SolverState(3)
        with pytest.raises(WeightsError, match="none/w: cannot be written: No such file"):
            write(tmp_path / "none" / "w", good_content)
        assert os.listdir(tmp_path) == ["w"]
        assert (tmp_path / "w").read_text() == "old"


def test_limits_of_the_binary_form(tmp_path):
    huge = np.broadcast_to(np.float32(0), (1024, 1024, 512))  # 2 GiB that are never allocated
    with pytest.raises(
        WeightsError, match=r"'l': blobs\[0\]: 2147483648 bytes; a protobuf file holds at most 2147483647"
    ):
        weights.write_caffemodel(tmp_path / "w", "n", [LayerWeights("l", "", [huge])])
    param = LayerParameter()
    param.clip_param.min = 0
    with pytest.raises(WeightsError, match="layer 'l': cannot be written: required field clip_param.max is missing"):
        weights.write_caffemodel(tmp_path / "w", "n", [LayerWeights("l", "Clip", param=param)])
    with pytest.raises(WeightsError, match="diff has shape 2, data 2 x 3"):
        weights.write_caffemodel(tmp_path / "w", "n", [LayerWeights("l", "", [VALUES], diffs=[VALUES[:, 0]])])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("name", "fault"), [("l", "two layers have this name"), (".", "HDF5 cannot hold this name")])
def test_names_that_hdf5_cannot_hold(tmp_path, name, fault):
    with pytest.raises(WeightsError, match=rf"w: layer '{name}': {fault}; rename the layer or save in binary form"):
        weights.write_caffemodel_h5(tmp_path / "w", [LayerWeights("l"), LayerWeights(name)])
    assert os.listdir(tmp_path) == []
