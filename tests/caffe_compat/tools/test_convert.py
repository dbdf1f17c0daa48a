"""Weights from kind to kind and back: the same values, the shapes of today, and nothing half written."""

import json
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
from caffe_compat.tools.weight_files import read_weights, write_weights

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


def layers():
    draw = np.random.default_rng(3)

    def array(*shape):
        return draw.standard_normal(shape).astype(np.float32)

    return [
        LayerWeights("conv1/3x3.a", "Convolution", [array(4, 3, 3, 3), array(4)]),
        LayerWeights("relu", "ReLU"),
        LayerWeights("bn", "BatchNorm", [array(4), array(4), array(1)]),
        LayerWeights("scale", "Scale", [array(4)[::-1]]),
        LayerWeights("scalar", "Parameter", [array()]),
    ]


def arrays(found):
    """Layer and number to array, of layers that have any."""
    return {(layer.name, i): blob for layer in found for i, blob in enumerate(layer.blobs)}


def assert_same(found, wanted):
    found, wanted = arrays(found), arrays(wanted)
    assert found.keys() == wanted.keys()
    for key, array in wanted.items():
        assert found[key].shape == array.shape, key
        assert np.array_equal(found[key], array), key


@pytest.mark.parametrize("middle", KINDS)
@pytest.mark.parametrize("last", KINDS)
def test_from_every_kind_to_every_kind(tmp_path, middle, last):
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


def test_hdf5_models_convert_too(realdata, tmp_path):
    (source,) = (realdata / "caffemodels/siegfriedgreg_cifar10_h5").glob("*.caffemodel.h5")
    convert_weights(str(source), str(tmp_path / "a.pt"))
    assert_same(read_weights(str(tmp_path / "a.pt")), read_caffemodel(source))


def test_the_names_of_blobs(tmp_path):
    write_weights(str(tmp_path / "a.npz"), layers())
    write_weights(str(tmp_path / "a.pt"), layers())
    with np.load(tmp_path / "a.npz") as members:
        assert members.files == [
            *("conv1/3x3.a/0", "conv1/3x3.a/1", "bn/0", "bn/1", "bn/2", "scale/0", "scalar/0"),
        ]
    state = torch.load(tmp_path / "a.pt", weights_only=True)
    assert list(state) == [
        *("conv1/3x3.a.weight", "conv1/3x3.a.bias", "bn.weight", "bn.bias", "bn.blob2", "scale.weight"),
        "scalar.weight",
    ]


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


def test_safetensors_values_are_aligned(tmp_path):
    for name in ("a", "ab", "abc", "abcd", "abcde", "abcdef", "abcdefg", "abcdefgh"):
        write_weights(str(tmp_path / "a.safetensors"), [LayerWeights(name, "", [np.ones(3)])])
        assert int.from_bytes((tmp_path / "a.safetensors").read_bytes()[:8], "little") % 8 == 0


def test_the_safetensors_package_reads_and_writes_the_same(tmp_path):
    package = pytest.importorskip("safetensors.numpy")
    write_weights(str(tmp_path / "a.safetensors"), layers())
    found = package.load_file(tmp_path / "a.safetensors")
    assert np.array_equal(found["bn.blob2"], layers()[2].blobs[2])
    package.save_file({key: np.array(array, order="C") for key, array in found.items()}, tmp_path / "b.safetensors")
    assert_same(
        sorted(read_weights(str(tmp_path / "b.safetensors")), key=lambda layer: layer.name),
        sorted(layers(), key=lambda layer: layer.name),
    )


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


def test_layers_that_the_net_does_not_have_are_carried_along(verb, tmp_path):
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


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "the suffix '.txt' stands for no kind of weights; known: .caffemodel"),
        ("a.npz", b"not a zip", "cannot be read"),
        ("a.npz", b"PK\x03\x04 cut off", "cannot be read"),
        ("a.pt", b"garbage", "cannot be read"),
        ("a.safetensors", b"\xff" * 16, "is no safetensors file or cut off"),
        ("a.safetensors", (3).to_bytes(8, "little") + b"xxx", "its header cannot be read"),
        ("a.safetensors", (2).to_bytes(8, "little") + b"{}", "holds no blobs"),
        ("missing.npz", None, "no such file"),
        ("missing.pt", None, "no such file"),
        ("missing.safetensors", None, "no such file"),
        ("missing.caffemodel", None, "no such file"),
    ],
)
def test_files_that_cannot_be_read(verb, tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = verb("convert", tmp_path / name, tmp_path / "out.h5")
    assert done.code == 1
    assert message in done.err
    assert not (tmp_path / "out.h5").exists()


def test_an_array_file_and_a_pickle_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    torch.save(torch.nn.Linear(1, 1), tmp_path / "module.pt")
    torch.save([torch.zeros(1)], tmp_path / "list.pt")
    for name, message in (("a.npz", "single array"), ("module.pt", "cannot be read"), ("list.pt", "not a state_dict")):
        with pytest.raises(WeightsError, match=message):
            read_weights(str(tmp_path / name))


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"bn.running_mean": torch.zeros(1)}, "key 'bn.running_mean' is no blob's; keys are 'layer.weight'"),
        ({"weight": torch.zeros(1)}, "key 'weight' is no blob's"),
        ({"a.blob1": torch.zeros(1)}, "key 'a.blob1' is no blob's"),
        ({"a.weight": torch.tensor([0.1], dtype=torch.float64)}, "holds float64 values that float32 does not have"),
        ({"a.weight": torch.tensor([2**24 + 1])}, "holds int64 values that float32 does not have"),
        ({"a.weight": torch.tensor([True])}, "holds bool, not numbers"),
    ],
)
def test_tensors_that_are_no_blobs(tmp_path, state, message):
    torch.save(state, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=message):
        read_weights(str(tmp_path / "a.pt"))


def test_other_types_of_values_are_widened(tmp_path):
    values = torch.tensor([1.5, -2.0, torch.inf])
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        torch.save({"a.weight": values.to(dtype)}, tmp_path / "a.pt")
        (layer,) = read_weights(str(tmp_path / "a.pt"))
        assert layer.blobs[0].dtype == np.float32
        assert np.array_equal(layer.blobs[0], values.numpy())
    bits = (values.numpy().view(np.uint32) >> 16).astype("<u2").tobytes()
    header = json.dumps({"a.weight": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}).encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bits)
    assert np.array_equal(read_weights(str(tmp_path / "a.safetensors"))[0].blobs[0], values.numpy())


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 12]}, "the file is cut off or damaged"),
        ({"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}, "the file is cut off or damaged"),
        ({"dtype": "I64", "shape": [1], "data_offsets": [0, 8]}, "holds I64 values; F64, F32, F16, BF16 are read"),
        ({"dtype": "F32", "shape": [2]}, "two data_offsets were expected"),
    ],
)
def test_damaged_safetensors(tmp_path, entry, message):
    header = json.dumps({"a.weight": entry}).encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(12))
    with pytest.raises(WeightsError, match=message):
        read_weights(str(tmp_path / "a.safetensors"))


def test_two_layers_of_one_name(tmp_path):
    twins = [LayerWeights("a", "Scale", [np.zeros(1)])] * 2
    with pytest.raises(WeightsError, match="two layers are called 'a'"):
        write_weights(str(tmp_path / "a.npz"), twins)
    assert not list(tmp_path.iterdir())


def test_keys_of_npz(tmp_path):
    np.savez(tmp_path / "a.npz", **{"conv1": np.zeros(1)})
    with pytest.raises(WeightsError, match="key 'conv1' is no blob's; keys are 'layer/0'"):
        read_weights(str(tmp_path / "a.npz"))


def test_a_folder_that_is_not_there(verb, tmp_path):
    write_caffemodel(tmp_path / "a.caffemodel", "n", layers())
    for kind in KINDS:
        done = verb("convert", tmp_path / "a.caffemodel", tmp_path / "no" / kind)
        assert done.code == 1
        assert "cannot be written" in done.err


def test_large_weights_are_copied_once_at_most(tmp_path):
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
