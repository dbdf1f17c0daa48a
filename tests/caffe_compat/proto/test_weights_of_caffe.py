"""caffemodel and solverstate files of the real Caffe, value for value and byte for byte."""

import h5py
import numpy as np
import pytest

from caffe_compat.proto import weights
from caffe_compat.proto.caffe_pb2 import NetParameter
from caffe_compat.proto.caffe_pb2 import SolverState as SolverStateProto


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


def test_caffemodels_of_caffe_come_out_byte_for_byte(same, reference, tmp_path):
    for file in snapshots(reference, "caffemodel"):
        layers = weights.read_caffemodel(file)
        for layer, (name, blobs) in zip(layers, plain(file), strict=True):
            assert layer.name == name
            same(layer.blobs, blobs)
        weights.write_caffemodel(tmp_path / "again", "", layers)
        assert (tmp_path / "again").read_bytes() == file.read_bytes()


def test_solverstates_of_caffe_come_out_byte_for_byte(same, reference, tmp_path):
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


def test_hdf5_and_binary_hold_the_same_solver_run(same, reference):
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
def test_v1_files_of_2014(same, realdata, tmp_path, folder, name):
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


def test_third_party_files(same, realdata, tmp_path):
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
