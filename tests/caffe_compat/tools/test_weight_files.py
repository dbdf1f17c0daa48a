"""The kinds of weights files: the names of blobs in each, and what is refused."""

import json

import numpy as np
import pytest
import torch

from caffe_compat.errors import WeightsError
from caffe_compat.proto.weights import LayerWeights
from caffe_compat.tools.weight_files import read_weights, write_weights


def test_the_names_of_blobs(layers, tmp_path):
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


def test_safetensors_values_are_aligned(tmp_path):
    for name in ("a", "ab", "abc", "abcd", "abcde", "abcdef", "abcdefg", "abcdefgh"):
        write_weights(str(tmp_path / "a.safetensors"), [LayerWeights(name, "", [np.ones(3)])])
        assert int.from_bytes((tmp_path / "a.safetensors").read_bytes()[:8], "little") % 8 == 0


def test_the_safetensors_package_reads_and_writes_the_same(layers, assert_same, tmp_path):
    package = pytest.importorskip("safetensors.numpy")
    write_weights(str(tmp_path / "a.safetensors"), layers())
    found = package.load_file(tmp_path / "a.safetensors")
    assert np.array_equal(found["bn.blob2"], layers()[2].blobs[2])
    package.save_file({key: np.array(array, order="C") for key, array in found.items()}, tmp_path / "b.safetensors")
    assert_same(
        sorted(read_weights(str(tmp_path / "b.safetensors")), key=lambda layer: layer.name),
        sorted(layers(), key=lambda layer: layer.name),
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "the suffix '.txt' stands for no kind of weights; known: .caffemodel"),
        ("a.onnx", b"", ".safetensors; a whole net is written as ONNX by caffe-compat export"),
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
