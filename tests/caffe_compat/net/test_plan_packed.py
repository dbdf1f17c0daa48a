"""Packed weights: the plain ones' place taken, given back bit by bit, and a plain path beside them."""

import gc

import numpy as np
import pytest
import torch

from caffe_compat.layer.blob import Blob
from caffe_compat.net.plan import packed

TEXT = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 4 dim: 9 dim: 7 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "c" convolution_param { %s } }
layer { name: "relu" type: "ReLU" bottom: "c" top: "%s" }
"""
SHAPES = [
    "num_output: 6 kernel_size: 3 pad: 2",
    "num_output: 6 kernel_size: 1 bias_term: false",
    "num_output: 6 group: 2 kernel_size: 3 stride: 2",
    "num_output: 32 kernel_h: 3 kernel_w: 1 pad_h: 1 pad_w: 0 dilation: 2",
    "num_output: 5 kernel_size: 11 pad: 5",
]
usable = pytest.mark.skipif(not packed.usable(), reason="this torch has no packed convolutions")


@pytest.fixture
def nets(make_net, fill_net):
    def make(parameters: str, top: str = "c"):
        return [fill_net(make_net(TEXT % (parameters, top), keep=keep)) for keep in ([top], None)]

    return make


def assert_same(nets, name="c") -> None:
    for net in nets:
        net.forward()
    np.testing.assert_allclose(nets[0].blobs[name].data, nets[1].blobs[name].data, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("top", ["c", "r"])
@pytest.mark.parametrize("parameters", SHAPES)
def test_equal_to_the_plain_run(nets, parameters, top):
    pair = nets(parameters, top)
    for _ in range(3):
        assert_same(pair, top)
    assert (pair[0].params["conv"][0]._data._packed is not None) == packed.usable()


@pytest.mark.parametrize("parameters", SHAPES)
def test_without_the_operators(nets, monkeypatch, parameters):
    monkeypatch.setattr(packed, "usable", lambda: False)
    pair = nets(parameters)
    assert_same(pair)
    assert pair[0].params["conv"][0]._data._packed is None


def test_operators_that_compute_something_else_are_not_used(monkeypatch):
    plain = torch.nn.functional.conv2d
    monkeypatch.setattr(packed.F, "conv2d", lambda *given: plain(*given) * 1.01)
    packed.usable.cache_clear()
    try:
        assert not packed.usable()
    finally:
        monkeypatch.undo()
        packed.usable.cache_clear()


@usable
@pytest.mark.parametrize("parameters", SHAPES)
def test_the_values_come_back_bit_by_bit(nets, parameters):
    lean, plain = nets(parameters)
    lean.forward()
    lean.forward()
    weight = lean.params["conv"][0]
    assert weight._data._packed is not None
    assert weight.has_data
    np.testing.assert_array_equal(weight.data, plain.params["conv"][0].data)
    assert weight._data._packed is None  # never both
    assert weight.data.flags.c_contiguous


def pack(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.clone()  # a dense tensor's to_dense is itself


def test_a_blob_packs_once_for_a_key_and_never_under_a_held_array():
    blob = Blob((2, 3))
    blob.write(np.arange(6, dtype=np.float32))
    first = blob.packed("a", pack)
    assert blob.packed("a", pack) is first
    assert blob.packed("b", pack) is not first
    held = blob.data
    assert blob.packed("a", pack) is None
    held[0, 0] = 7
    del held
    gc.collect()
    assert blob.packed("a", pack)[0, 0] == 7
    np.testing.assert_array_equal(blob.data, [[7, 1, 2], [3, 4, 5]])


def test_every_way_of_writing_a_packed_blob_counts():
    blob = Blob((2, 3))
    ones = torch.ones(2, 3)
    for write in (
        lambda: blob.write(ones),
        lambda: blob.set_tensor(ones.clone()),
        lambda: np.copyto(blob.data, 1),
        lambda: (blob.tensor().fill_(1), blob.mark_changed()),
    ):
        blob.write(np.arange(6, dtype=np.float32))
        stamp = blob.stamp()
        assert blob.packed("a", pack) is not None
        assert blob.stamp() == stamp  # packing changes no value
        write()
        assert blob.stamp() != stamp
        assert (blob.packed("a", pack) == 1).all()
    other = Blob((3, 2))
    other.share_data(blob)
    np.testing.assert_array_equal(other.data, np.ones((3, 2)))
    blob.packed("a", pack)
    blob.free_data("gone")
    assert blob._data._packed is None


def test_host_and_device_copies_apart_are_not_packed():
    blob = Blob((2, 3), mirrored=True)
    blob.write(np.ones(6, np.float32))
    assert blob.packed("a", pack) is None


def test_a_kernel_larger_than_its_map_by_less_than_its_stride(nets):
    """Caffe's division rounds towards zero: one position, which looks beyond the map."""
    pair = nets("num_output: 6 kernel_size: 10 stride: 4")
    assert_same(pair)
    assert pair[0].blobs["c"].shape == (2, 6, 1, 1)
