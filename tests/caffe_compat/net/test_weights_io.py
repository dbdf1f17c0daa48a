"""Weights between nets and files: round trips, old shapes, what is left out, and what is refused."""

import h5py
import numpy as np
import pytest

import caffe_compat
from caffe_compat.errors import WeightsError
from caffe_compat.proto import caffe_pb2 as pb

TEXT = """
name: "small"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 2 dim: 4 dim: 4 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 3 kernel_size: 3 } }
layer { name: "ip" type: "InnerProduct" bottom: "c" top: "ip" inner_product_param { num_output: 5 } }
"""
SHARED = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 4 } } }
layer { name: "one" type: "InnerProduct" bottom: "data" top: "one" param { name: "w" } param { name: "b" }
        inner_product_param { num_output: 4 } }
layer { name: "two" type: "InnerProduct" bottom: "one" top: "two" param { name: "w" }
        inner_product_param { num_output: 4 } }
"""


def values(net) -> dict[str, list[np.ndarray]]:
    return {name: [b.data.copy() for b in blobs] for name, blobs in net.params.items()}


def assert_equal(net, wanted: dict[str, list[np.ndarray]]) -> None:
    for name, arrays in values(net).items():
        for array, other in zip(arrays, wanted[name], strict=True):
            np.testing.assert_array_equal(array, other, err_msg=name)


@pytest.mark.parametrize("text", [TEXT, SHARED])
@pytest.mark.parametrize("form", ["save", "save_hdf5"])
@pytest.mark.parametrize("load", ["copy_from", "load_hdf5"])
def test_round_trip(make_net, fill_net, tmp_path, text, form, load):
    net = fill_net(make_net(text))
    getattr(net, form)(tmp_path / "w.caffemodel")
    other = fill_net(make_net(text), seed=1)
    held = other.params[list(other.params)[0]][0].data
    getattr(other, load)(str(tmp_path / "w.caffemodel"))
    assert_equal(other, values(net))
    np.testing.assert_array_equal(held, net.params[list(net.params)[0]][0].data)


def test_hdf5_holds_owners_only_and_binary_all(make_net, fill_net, tmp_path):
    net = fill_net(make_net(SHARED))
    net.save_hdf5(tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5") as file:
        assert {name: sorted(file["data"][name]) for name in file["data"] if len(file["data"][name])} == {
            "one": ["0", "1"],
            "two": ["1"],
        }
    net.save(tmp_path / "w.caffemodel")
    message = pb.NetParameter.FromString((tmp_path / "w.caffemodel").read_bytes())
    assert {layer.name: len(layer.blobs) for layer in message.layer} == {"data": 0, "one": 2, "two": 2}
    assert message.layer[1].blobs[0].data == message.layer[2].blobs[0].data


def test_diffs_are_saved_on_request(make_net, fill_net, tmp_path):
    net = fill_net(make_net(TEXT))
    net.params["conv"][1].diff[...] = [1, 2, 3]
    net.save(tmp_path / "w.caffemodel", with_diffs=True)
    message = pb.NetParameter.FromString((tmp_path / "w.caffemodel").read_bytes())
    assert list(message.layer[1].blobs[1].diff) == [1, 2, 3]
    net.save(tmp_path / "w.caffemodel")
    message = pb.NetParameter.FromString((tmp_path / "w.caffemodel").read_bytes())
    assert list(message.layer[1].blobs[1].diff) == []


def write(path, layers: dict[str, list[tuple[tuple[int, ...], bool]]]) -> None:
    """A caffemodel of these blobs, shape and whether in the old four-axis form; values count up."""
    net = pb.NetParameter()
    for name, blobs in layers.items():
        layer = net.layer.add(name=name, type="X")
        for shape, legacy in blobs:
            blob = layer.blobs.add(data=np.arange(np.prod(shape), dtype=np.float32))
            if legacy:
                blob.num, blob.channels, blob.height, blob.width = shape
            else:
                blob.shape.dim.extend(shape)
    path.write_bytes(net.SerializeToString())


def test_old_shapes_of_four_axes_are_accepted(make_net, tmp_path):
    write(
        tmp_path / "old.caffemodel",
        {
            "conv": [((3, 2, 3, 3), True), ((1, 1, 1, 3), True)],
            "ip": [((1, 1, 5, 12), True), ((1, 1, 1, 5), True)],
        },
    )
    net = make_net(TEXT)
    net.copy_from(tmp_path / "old.caffemodel")
    assert net.params["conv"][0].data.ravel().tolist() == list(range(54))
    assert net.params["ip"][0].shape == (5, 12)
    assert net.params["ip"][0].data.ravel().tolist() == list(range(60))
    assert net.params["ip"][1].data.tolist() == [0, 1, 2, 3, 4]


def test_layers_that_only_one_side_has_are_left_out(make_net, fill_net, tmp_path):
    write(tmp_path / "w.caffemodel", {"other": [((7,), False)], "conv": [((3, 2, 3, 3), False), ((3,), False)]})
    net = fill_net(make_net(TEXT))
    before = values(net)
    net.copy_from(tmp_path / "w.caffemodel")
    assert net.params["conv"][1].data.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(net.params["ip"][0].data, before["ip"][0])


@pytest.mark.parametrize(
    ("ip", "found"),
    [
        (
            [((5, 13), False), ((5,), False)],
            r"w.caffemodel: layer 'ip' blob 0 has shape \(5, 13\), the net's is \(5, 12\); "
            "rename the layer in the net to learn it from scratch$",
        ),
        (
            [((5, 3, 2, 2), False), ((5,), False)],
            r"blob 0 has shape \(5, 3, 2, 2\), the net's is \(5, 12\); rename .*transplant\(\.\.\., coerce=True\)",
        ),
        ([((5, 12), False)], "layer 'ip' has 1 blobs, the net's has 2; rename the layer in the net to leave it out"),
        ([((5, 12), False), ((5,), False), ((1,), False)], "layer 'ip' has 3 blobs, the net's has 2; rename"),
    ],
)
def test_a_mismatch_leaves_the_net_as_it_was(make_net, fill_net, tmp_path, ip, found):
    write(tmp_path / "w.caffemodel", {"conv": [((3, 2, 3, 3), False), ((3,), False)], "ip": ip})
    net = fill_net(make_net(TEXT))
    before = values(net)
    with pytest.raises(WeightsError, match=found):
        net.copy_from(tmp_path / "w.caffemodel")
    assert_equal(net, before)


def test_a_damaged_file_leaves_the_net_as_it_was(make_net, fill_net, tmp_path):
    net = fill_net(make_net(TEXT))
    net.save(tmp_path / "w.caffemodel")
    whole = (tmp_path / "w.caffemodel").read_bytes()
    (tmp_path / "w.caffemodel").write_bytes(whole[: len(whole) - 100])
    other = fill_net(make_net(TEXT), seed=1)
    before = values(other)
    with pytest.raises(WeightsError, match="w.caffemodel"):
        other.copy_from(tmp_path / "w.caffemodel")
    assert_equal(other, before)


def test_an_hdf5_file_must_have_what_no_other_layer_owns(make_net, fill_net, tmp_path):
    net = fill_net(make_net(TEXT))
    net.save_hdf5(tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5", "a") as file:
        del file["data/ip/1"]
    before = values(net)
    with pytest.raises(WeightsError, match="w.h5: layer 'ip' has no blob 1, and no other layer owns it"):
        net.copy_from(tmp_path / "w.h5")
    assert_equal(net, before)


def test_a_failed_save_leaves_no_file(make_net, tmp_path):
    with pytest.raises(WeightsError, match="nowhere"):
        make_net(TEXT).save(tmp_path / "nowhere" / "w.caffemodel")
    assert list(tmp_path.iterdir()) == []


def test_share_with_makes_parameters_one(make_net, fill_net):
    train, test = fill_net(make_net(TEXT, caffe_compat.TRAIN)), make_net(TEXT)
    test.share_with(train)
    assert_equal(test, values(train))
    train.params["conv"][0].data[...] = 3
    assert (test.params["conv"][0].data == 3).all()
    test.params["ip"][1].data[...] = 4
    assert (train.params["ip"][1].data == 4).all()
    train.params["ip"][1].diff[...] = 5
    assert not test.params["ip"][1].diff.any()  # diffs stay apart, as in Caffe


def test_share_with_goes_by_layer_name(make_net, fill_net):
    one, other = fill_net(make_net(TEXT)), fill_net(make_net(TEXT.replace('"ip"', '"fc"')), seed=1)
    one.share_with(other)
    assert (one.params["conv"][0].data == other.params["conv"][0].data).all()
    assert (one.params["ip"][0].data != other.params["fc"][0].data).any()


def test_share_with_refuses_other_shapes_and_changes_nothing(make_net, fill_net):
    net = fill_net(make_net(TEXT))
    before = values(net)
    other = fill_net(make_net(TEXT.replace("num_output: 5", "num_output: 6")), seed=1)
    with pytest.raises(
        WeightsError,
        match=r"layer 'ip' cannot share its parameters: here \[\(5, 12\), \(5,\)\], in the other net \[\(6, 12\), ",
    ):
        net.share_with(other)
    assert_equal(net, before)
    other.params["conv"][0].data[...] = 0
    assert_equal(net, before)
