"""Every form that a weights file may have, read and written."""

import os
import struct

import numpy as np
import pytest

from caffe_compat.errors import WeightsError
from caffe_compat.proto import weights
from caffe_compat.proto.caffe_pb2 import BlobProto, BlobShape, LayerParameter, NetParameter
from caffe_compat.proto.weights import LayerWeights

VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)


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
def test_every_way_to_store_values(same, tmp_path, message):
    layer = field(1, 2, b"l") + field(7, 2, message)
    (tmp_path / "w").write_bytes(b"\xa2\x06" + bytes([len(layer)]) + layer)
    (read,) = weights.read_caffemodel(tmp_path / "w")
    same(read.blobs, [VALUES])
    assert not read.blobs[0].flags.writeable


def test_long_unpacked_runs(same, tmp_path):
    values = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    message = b"".join(field(5, 5, values[i : i + 1].tobytes()) for i in range(1000))
    blob = BlobProto(shape=BlobShape(dim=[1000])).SerializeToString() + message
    layer = (
        LayerParameter(name="l").SerializeToString() + b"\x3a" + bytes([len(blob) & 127 | 128, len(blob) >> 7]) + blob
    )
    (tmp_path / "w").write_bytes(b"\xa2\x06" + bytes([len(layer) & 127 | 128, len(layer) >> 7]) + layer)
    same(weights.read_caffemodel(tmp_path / "w")[0].blobs, [values])


def test_legacy_shape_stays_and_beats_shape(same, write_net, tmp_path):
    blob = BlobProto(num=1, channels=1, height=2, width=3, data=range(6), shape=BlobShape(dim=[6]))
    for old in (False, True):
        (layer,) = weights.read_caffemodel(write_net(tmp_path / "w", blob, old=old))
        same(layer.blobs, [VALUES.reshape(1, 1, 2, 3)])
        assert layer.type == "InnerProduct"


def test_v0_file(same, tmp_path):
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


def test_shapes_at_the_edge(same, tmp_path):
    blobs = [np.float32(3).reshape(()), np.zeros((0, 4), np.float32), np.ones((1,) * 32, np.float32)]
    weights.write_caffemodel(tmp_path / "w", "n", [LayerWeights("l", "Scale", blobs)])
    (layer,) = weights.read_caffemodel(tmp_path / "w")
    same(layer.blobs, blobs)
    assert [blob.shape for blob in layer.blobs] == [(), (0, 4), (1,) * 32]
    weights.write_caffemodel_h5(tmp_path / "w.h5", [LayerWeights("l", "Scale", blobs)])
    (layer,) = weights.read_caffemodel(tmp_path / "w.h5")
    assert [blob.shape for blob in layer.blobs] == [(), (0, 4), (1,) * 32]


def test_definition_diffs_and_net_fields_are_written(same, tmp_path):
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


def test_hdf5_leaves_out_what_another_layer_owns(same, tmp_path):
    layers = [LayerWeights("a/b", "", [VALUES, VALUES]), LayerWeights("c", "", [None, VALUES]), LayerWeights("d")]
    weights.write_caffemodel_h5(tmp_path / "w", layers)
    read = weights.read_caffemodel(tmp_path / "w")
    assert [layer.name for layer in read] == ["a/b", "c", "d"]
    assert read[1].blobs[0] is None
    same(read[1].blobs[1:], [VALUES])
    with pytest.raises(WeightsError, match=r"layer 'c': blobs\[0\] is left out; the binary form needs every blob"):
        weights.write_caffemodel(tmp_path / "binary", "n", layers)
    assert os.listdir(tmp_path) == ["w"]
