"""The registry: types by name, a type of the user's own, and what is refused."""

import numpy as np
import pytest
from google.protobuf import text_format

import caffe_compat
from caffe_compat.errors import LayerError
from caffe_compat.layer import registry
from caffe_compat.layer.contract import Layer
from caffe_compat.layer.registry import create_layer, layer_class, layer_type_list, register
from caffe_compat.net.net import Net
from caffe_compat.proto import caffe_pb2 as pb


@pytest.fixture
def own_types(monkeypatch):
    """Types registered by a test are gone after it."""
    monkeypatch.setattr(registry, "_classes", dict(registry._classes))


@pytest.fixture
def cosine(own_types) -> type[Layer]:
    @register
    class Cosine(Layer):
        """cos(x)."""

        type = "Cosine"

        def reshape(self, bottom_shapes):
            return [bottom_shapes[0]]

        def forward(self, bottoms, blobs, context):
            return [bottoms[0].cos()]

    return Cosine


def test_types_are_listed_in_alphabetical_order():
    types = layer_type_list()
    assert types == sorted(types)
    assert {"Convolution", "Data", "InnerProduct", "Python", "Split"} <= set(types)
    assert caffe_compat.layer_type_list() == types


def test_every_class_bears_the_name_it_is_listed_under():
    for type_ in layer_type_list():
        assert layer_class("l", type_).type == type_


def test_a_type_of_ones_own_runs_in_a_net(cosine):
    text = """
    force_backward: true
    layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 5 } } }
    layer { name: "c" type: "Cosine" bottom: "x" top: "c" }
    """
    net = Net(text_format.Parse(text, pb.NetParameter()), caffe_compat.TRAIN)
    x = np.linspace(-2, 2, 5, dtype=np.float32)
    net.blobs["x"].data[...] = x
    np.testing.assert_allclose(net.forward()["c"], np.cos(x), rtol=1e-6)
    net.blobs["c"].diff[...] = 1
    net.backward()
    np.testing.assert_allclose(net.blobs["x"].diff, -np.sin(x), rtol=1e-5, atol=1e-7)
    assert "Cosine" in layer_type_list()


def test_a_type_is_registered_once(cosine):
    class Other(Layer):
        type = "Cosine"

    with pytest.raises(
        LayerError, match=r"layer 'Other' \(Cosine\): this type is already registered, by .*Cosine; cho"
    ):
        register(Other)
    assert register(cosine) is cosine
    assert layer_class("l", "Cosine") is cosine


def test_unknown_types_name_the_known_and_the_way_in():
    with pytest.raises(
        LayerError, match=r"layer 'c' \(Convolve\): unknown layer type \(did you mean Convolution\?\); known types: "
    ) as e:
        layer_class("c", "Convolve")
    for type_ in layer_type_list():
        assert f"{type_}," in str(e.value) or f"{type_}." in str(e.value)
    assert "caffe_compat.layer.registry.register" in str(e.value)
    assert "Python layer" in str(e.value)


def test_a_loss_gets_the_top_that_the_prototxt_leaves_out():
    param = pb.LayerParameter(name="l", type="EuclideanLoss", bottom=["a", "b"])
    assert create_layer(param, caffe_compat.TRAIN).top_count == 1
    assert create_layer(pb.LayerParameter(name="s", type="Silence", bottom=["a"]), caffe_compat.TRAIN).top_count == 0
