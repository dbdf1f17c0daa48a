"""Weights from kind to kind and back: the same values, the shapes of today, and nothing half written."""

import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch

from caffe_compat import TEST, Net
from caffe_compat.errors import NetError, WeightsError
from caffe_compat.proto.caffe_pb2 import NetParameter
from caffe_compat.proto.weights import LayerWeights, read_caffemodel, write_caffemodel, write_caffemodel_h5
from caffe_compat.tools.convert import convert_weights
from caffe_compat.tools.weight_files import read_weights

KINDS = ("a.caffemodel", "a.caffemodel.h5", "a.npz", "a.pt", "a.safetensors")
MODELS = {
    "everpeace_lenet_v1/lenet_iter_10000.caffemodel": "everpeace_lenet_v1/lenet.prototxt",
    "everpeace_cifar10_v1/cifar10_full_iter_70000.caffemodel": "everpeace_cifar10_v1/cifar10_full.prototxt",
    "ahmdtaha_lenet_digits/lenet_iter_10000.caffemodel": "ahmdtaha_lenet_digits/mnist_deploy.prototxt",
    "kpzhang93_mtcnn/det1.caffemodel": "kpzhang93_mtcnn/det1.prototxt",
    "kpzhang93_mtcnn/det3.caffemodel": "kpzhang93_mtcnn/det3.prototxt",
}
SHARING = """
    name: "twice"
    layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [1, 3] } } }
    layer { name: "a" type: "InnerProduct" bottom: "x" top: "a" param { name: "w" } param { name: "b" }
            inner_product_param { num_output: 3 weight_filler { type: "gaussian" } } }
    layer { name: "c" type: "InnerProduct" bottom: "a" top: "c" param { name: "w" } param { name: "b" }
            inner_product_param { num_output: 3 weight_filler { type: "gaussian" } } }
"""


@pytest.mark.parametrize("middle", KINDS)
@pytest.mark.parametrize("last", KINDS)
def test_from_every_kind_to_every_kind(layers, assert_same, tmp_path, middle, last):
    source, end = str(tmp_path / "in.caffemodel"), str(tmp_path / f"end_{last}")
    write_caffemodel(source, "n", layers())
    convert_weights(source, str(tmp_path / middle))
    convert_weights(str(tmp_path / middle), end)
    assert_same(read_weights(end), layers())
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["in.caffemodel", middle, f"end_{last}"])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", KINDS)
def test_real_models_come_back_value_for_value(verb, realdata, tmp_path, model, kind):
    source, prototxt = realdata / "caffemodels" / model, realdata / "caffemodels" / MODELS[model]
    done = verb("convert", source, tmp_path / kind)
    assert done.code == 0, done.err
    assert verb("convert", tmp_path / kind, tmp_path / "back.caffemodel", prototxt).code == 0
    wanted = Net(str(prototxt), str(source), TEST)
    found = Net(str(prototxt), str(tmp_path / "back.caffemodel"), TEST)
    assert wanted.params
    for name, blobs in wanted.params.items():
        for a, b in zip(blobs, found.params[name], strict=True):
            assert np.array_equal(a.data, b.data)
    back = NetParameter.FromString((tmp_path / "back.caffemodel").read_bytes())
    assert [layer.name for layer in back.layer] == wanted._layer_names
    assert {layer.name: [tuple(b.shape.dim) for b in layer.blobs] for layer in back.layer if layer.blobs} == {
        name: [b.shape for b in blobs] for name, blobs in wanted.params.items()
    }
    values = sum(b.count for blobs in wanted.params.values() for b in blobs)
    assert done.out.strip() == (
        f"{tmp_path / kind}: {len(wanted.params)} layers, {sum(map(len, wanted.params.values()))} blobs, "
        f"{values} values"
    )


def test_hdf5_models_convert_too(assert_same, realdata, tmp_path):
    (source,) = (realdata / "caffemodels/siegfriedgreg_cifar10_h5").glob("*.caffemodel.h5")
    convert_weights(str(source), str(tmp_path / "a.pt"))
    assert_same(read_weights(str(tmp_path / "a.pt")), read_caffemodel(source))


def test_a_torch_module_takes_the_state_dict(realdata, tmp_path):
    folder = realdata / "caffemodels/everpeace_lenet_v1"
    convert_weights(str(folder / "lenet_iter_10000.caffemodel"), str(tmp_path / "lenet.pt"))
    net = torch.nn.ModuleDict(
        {
            "conv1": torch.nn.Conv2d(1, 20, 5),
            "conv2": torch.nn.Conv2d(20, 50, 5),
            "ip1": torch.nn.Linear(800, 500),
            "ip2": torch.nn.Linear(500, 10),
        }
    )
    net.load_state_dict(torch.load(tmp_path / "lenet.pt", weights_only=True), strict=True)
    with np.load(realdata / "caffemodels/recorded/lenet_v1.npz") as file:
        recorded = dict(file)
    x = torch.from_numpy(recorded["in/data"])
    with torch.no_grad():
        x = torch.max_pool2d(net["conv1"](x), 2)
        x = torch.max_pool2d(net["conv2"](x), 2)
        x = torch.softmax(net["ip2"](torch.relu(net["ip1"](x.flatten(1)))), 1)
    assert np.abs(x.numpy() - recorded["out/prob"]).max() <= 1e-4


def test_gradients_stay_where_the_kind_holds_them(verb, tmp_path):
    with_diffs = [LayerWeights("ip", "InnerProduct", [np.ones((2, 3))], diffs=[np.full((2, 3), 4.0)])]
    write_caffemodel(tmp_path / "a.caffemodel", "n", with_diffs)
    assert verb("convert", tmp_path / "a.caffemodel", tmp_path / "a.h5").code == 0
    assert read_caffemodel(tmp_path / "a.h5")[0].diffs[0].tolist() == [[4, 4, 4]] * 2
    assert "its gradients are left out" in verb("convert", tmp_path / "a.caffemodel", tmp_path / "a.npz").log


def test_shared_blobs_come_from_their_owner(tmp_path):
    (tmp_path / "net").write_text(SHARING)
    net = Net(str(tmp_path / "net"), TEST)
    net.save_hdf5(tmp_path / "a.h5")
    # trailing blobs that are left out leave no trace in HDF5, so make a hole that does
    write_caffemodel_h5(tmp_path / "hole.h5", [LayerWeights("c", "", [None, np.zeros(3)])])
    with pytest.raises(WeightsError, match="layer 'c' leaves out a blob, .* give the net's prototxt as third argument"):
        convert_weights(str(tmp_path / "hole.h5"), str(tmp_path / "b.caffemodel"))
    convert_weights(str(tmp_path / "a.h5"), str(tmp_path / "b.caffemodel"), str(tmp_path / "net"))
    a, c = (layer for layer in read_caffemodel(tmp_path / "b.caffemodel") if layer.blobs)
    assert np.array_equal(a.blobs[0], c.blobs[0])
    assert np.array_equal(a.blobs[0], net.params["a"][0].data)
    convert_weights(str(tmp_path / "b.caffemodel"), str(tmp_path / "c.h5"), str(tmp_path / "net"))
    with h5py.File(tmp_path / "c.h5") as file:
        assert list(file["data/a"]) == ["0", "1"]
        assert list(file["data/c"]) == []


def test_the_prototxt_gives_order_types_and_definitions(tmp_path):
    (tmp_path / "net").write_text(SHARING)
    Net(str(tmp_path / "net"), TEST).save(tmp_path / "a.caffemodel")
    convert_weights(str(tmp_path / "a.caffemodel"), str(tmp_path / "a.npz"))
    convert_weights(str(tmp_path / "a.npz"), str(tmp_path / "b.caffemodel"), str(tmp_path / "net"))
    message = NetParameter.FromString((tmp_path / "b.caffemodel").read_bytes())
    assert message.name == "twice"
    assert [(layer.name, layer.type) for layer in message.layer] == [
        *(("x", "Input"), ("a", "InnerProduct"), ("c", "InnerProduct")),
    ]
    assert message.layer[1].inner_product_param.num_output == 3


def test_layers_that_the_net_does_not_have_are_carried_along(arrays, verb, tmp_path):
    (tmp_path / "net").write_text(SHARING)
    Net(str(tmp_path / "net"), TEST).save(tmp_path / "a.caffemodel")
    convert_weights(str(tmp_path / "a.caffemodel"), str(tmp_path / "a.pt"))
    state = torch.load(tmp_path / "a.pt", weights_only=True) | {"more.weight": torch.ones(2)}
    torch.save(state, tmp_path / "a.pt")
    done = verb("convert", tmp_path / "a.pt", tmp_path / "b.h5", tmp_path / "net")
    assert f"layer 'more' is not in {tmp_path / 'net'}; carried along as it is" in done.log
    assert np.array_equal(arrays(read_caffemodel(tmp_path / "b.h5"))["more", 0], [1, 1])


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a.weight": (3, 4), "a.bias": (3,)}, r"layer 'a' blob 0 has shape \(3, 4\), that of .* \(3, 3\)"),
        ({"a.weight": (9, 1), "a.bias": (3,)}, r"as the counts are equal, nets.surgery.transplant"),
        ({"a.weight": (3, 3)}, r"has no blob 1 for layer 'a' of .* \(3\)"),
        ({"other.weight": (3, 3)}, "has no blob 0 for layer 'a'"),
        ({"a.weight": (3, 3), "a.bias": (3,), "a.blob2": (1,)}, "layer 'a' has 3 blobs, that of .* 2"),
    ],
)
def test_weights_that_do_not_fit_the_prototxt(tmp_path, state, message):
    (tmp_path / "net").write_text(SHARING)
    torch.save({key: torch.zeros(shape) for key, shape in state.items()}, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=message):
        convert_weights(str(tmp_path / "a.pt"), str(tmp_path / "b.caffemodel"), str(tmp_path / "net"))
    assert not (tmp_path / "b.caffemodel").exists()


def test_a_prototxt_whose_data_is_missing(realdata, tmp_path):
    folder = realdata / "caffemodels/everpeace_lenet_v1"
    with pytest.raises(NetError, match="its shapes cannot be worked out: .*; give the deploy prototxt"):
        convert_weights(
            str(folder / "lenet_iter_10000.caffemodel"),
            str(tmp_path / "a.h5"),
            str(folder / "lenet_train_test.prototxt"),
        )


def test_a_folder_that_is_not_there(layers, verb, tmp_path):
    write_caffemodel(tmp_path / "a.caffemodel", "n", layers())
    for kind in KINDS:
        done = verb("convert", tmp_path / "a.caffemodel", tmp_path / "no" / kind)
        assert done.code == 1
        assert "cannot be written" in done.err


def test_large_weights_are_copied_once_at_most(layers, tmp_path):
    """Peak memory of a conversion of 120 MB, over that of one that is small."""
    big = [LayerWeights(f"fc{i}", "InnerProduct", [np.full((2500, 2000), i, np.float32)]) for i in range(6)]
    write_caffemodel(tmp_path / "big.caffemodel", "n", big)
    write_caffemodel(tmp_path / "small.caffemodel", "n", layers())
    code = """if True:
        import sys
        from caffe_compat.tools.convert import convert_weights
        peaks = []
        for name in ("small", "big"):
            convert_weights(f"{sys.argv[1]}/{name}.caffemodel", f"{sys.argv[1]}/{name}.pt")
            status = open("/proc/self/status").read()  # ru_maxrss would begin at the peak of the process that forked
            peaks.append(int(status.partition("VmHWM:")[2].split()[0]) / 1024)
        print(peaks[1] - peaks[0])
    """
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 2.3 * 120  # the mapped file counts once, a copy once
