"""Very large kernels: prepared ones take the plain ones' place, which come back from their file bit by bit."""

import numpy as np
import pytest

from caffe_compat.errors import WeightsError
from caffe_compat.net.plan import matmul, winograd

pytestmark = pytest.mark.skipif(not matmul.usable(), reason="this torch has no packed matrix products")
TEXT = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 5 dim: 16 dim: 14 } } }
layer { name: "fc6" type: "Convolution" bottom: "data" top: "fc6" convolution_param { num_output: 6 kernel_size: 7 } }
layer { name: "relu" type: "ReLU" bottom: "fc6" top: "fc6" }
"""


@pytest.fixture(autouse=True)
def small(monkeypatch) -> None:
    for name, value in {"_CHANNELS": 4, "_TILES": 20, "LARGE": 100}.items():
        monkeypatch.setattr(winograd, name, value)


@pytest.fixture
def loaded(make_net, fill_net, tmp_path):
    """A lean and a plain net with the weights of one caffemodel, and its path."""
    path = str(tmp_path / "fc6.caffemodel")
    fill_net(make_net(TEXT, keep=None)).save(path)
    nets = [make_net(TEXT, keep=keep) for keep in (["fc6"], None)]
    for net in nets:
        net.copy_from(path)
        net.blobs["data"].data[...] = np.random.RandomState(0).standard_normal(net.blobs["data"].shape)
    return *nets, path


def assert_same(lean, plain) -> None:
    lean.forward()
    plain.forward()
    wanted = plain.blobs["fc6"].data
    np.testing.assert_allclose(lean.blobs["fc6"].data, wanted, rtol=0, atol=2e-5 * np.abs(wanted).max())


def weight_of(net):
    return net.params["fc6"][0]


def is_prepared(net) -> bool:
    memory = weight_of(net)._data
    return memory._packed is not None and memory._tensor is None and memory._packed[0][0] == "tiles"


def test_they_take_the_place_of_the_plain_ones(loaded):
    lean, plain, _ = loaded
    for _ in range(2):
        assert_same(lean, plain)
        assert is_prepared(lean)


def test_the_plain_ones_come_back(loaded):
    lean, plain, _ = loaded
    assert_same(lean, plain)
    np.testing.assert_array_equal(weight_of(lean).data, weight_of(plain).data)
    assert not is_prepared(lean)
    assert_same(lean, plain)  # an array was handed out: it may have been written to
    assert not is_prepared(lean)


def test_saving_reads_them_and_goes_on(loaded, tmp_path):
    lean, plain, path = loaded
    assert_same(lean, plain)
    again = tmp_path / "again.caffemodel"
    lean.save(str(again))
    plain.save(path)  # takes the place of the file that was read
    assert again.read_bytes() == (tmp_path / "fc6.caffemodel").read_bytes()
    assert_same(lean, plain)
    assert is_prepared(lean)
    np.testing.assert_array_equal(weight_of(lean).data, weight_of(plain).data)


def test_written_values_are_followed(loaded):
    lean, plain, path = loaded
    assert_same(lean, plain)
    for net in (lean, plain):
        weight_of(net).data[1] = 2
    assert_same(lean, plain)
    for net in (lean, plain):
        net.copy_from(path)
    assert_same(lean, plain)
    assert is_prepared(lean)


def test_an_array_held_while_weights_are_loaded_may_be_written_to(loaded):
    lean, plain, path = loaded
    arrays = [weight_of(net).data for net in (lean, plain)]
    for net, array in zip((lean, plain), arrays, strict=True):
        net.copy_from(path)
        array[2] = 3
    del arrays, array
    assert_same(lean, plain)
    assert not is_prepared(lean)


def test_values_from_elsewhere_stay(make_net, fill_net):
    lean, plain = (fill_net(make_net(TEXT, keep=keep)) for keep in (["fc6"], None))
    assert_same(lean, plain)
    assert not is_prepared(lean)


def test_small_maps_use_them_once_they_are_there(loaded):
    lean, plain, _ = loaded
    for size, prepared in (((8, 8), False), ((16, 14), True), ((8, 8), True), ((7, 7), True)):
        for net in (lean, plain):
            net.blobs["data"].reshape(2, 5, *size)
            net.blobs["data"].data[...] = np.random.RandomState(1).standard_normal((2, 5, *size))
        assert_same(lean, plain)
        assert is_prepared(lean) == prepared


def test_a_net_that_shares_them(loaded, make_net):
    lean, plain, _ = loaded
    other = make_net(TEXT, keep=["fc6"])
    other.share_with(lean)
    other.blobs["data"].data[...] = plain.blobs["data"].data
    assert_same(lean, plain)
    assert_same(other, plain)
    assert is_prepared(lean)
    assert weight_of(other)._data is weight_of(lean)._data


def test_a_file_that_was_written_to(loaded):
    lean, plain, path = loaded
    assert_same(lean, plain)
    with open(path, "r+b") as file:
        file.truncate(100)
    assert_same(lean, plain)
    with pytest.raises(WeightsError, match=r"fc6\.caffemodel: was written to after its weights were loaded.*load the"):
        _ = weight_of(lean).data
    assert_same(lean, plain)  # nothing is lost but the plain values
    plain.save(path)
    lean.copy_from(path)
    np.testing.assert_array_equal(weight_of(lean).data, weight_of(plain).data)


def test_a_file_that_was_written_to_before_the_first_forward(loaded):
    lean, plain, path = loaded
    with open(path, "r+b") as file:
        file.truncate(100)
    assert_same(lean, plain)
    assert not is_prepared(lean)
    np.testing.assert_array_equal(weight_of(lean).data, weight_of(plain).data)


def test_the_switch(loaded):
    lean, plain, _ = loaded
    lean._engine.plan.on.discard("winograd")
    assert_same(lean, plain)
    assert not is_prepared(lean)
