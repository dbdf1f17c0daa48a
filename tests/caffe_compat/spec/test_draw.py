"""Labels, colours and the graph of a drawn net."""

import sys

import pytest

from caffe_compat.errors import LayerError
from caffe_compat.proto import caffe_pb2
from caffe_compat.spec.draw import (
    DrawError,
    choose_color_by_layertype,
    draw_net,
    draw_net_to_file,
    get_edge_label,
    get_layer_label,
    get_layer_lr_mult,
    get_pooling_types_dict,
    get_pydot_graph,
)
from caffe_compat.spec.net_spec import NetSpec
from caffe_compat.spec.net_spec import layers as L
from caffe_compat.spec.net_spec import params as P


@pytest.fixture
def net():
    n = NetSpec()
    n.data, n.label = L.Data(ntop=2, batch_size=8, include=dict(phase=caffe_pb2.TRAIN))
    n.conv = L.Convolution(n.data, num_output=5, kernel_size=3, stride=2, param=[dict(lr_mult=1), dict(lr_mult=2)])
    n.relu = L.ReLU(n.conv, in_place=True)
    n.pool = L.Pooling(n.relu, pool=P.Pooling.AVE, kernel_size=4, pad=1)
    n['odd"name'] = L.InnerProduct(n.pool, num_output=7)
    n.acc = L.Accuracy(n['odd"name'], n.label, exclude=dict(phase=caffe_pb2.TRAIN))
    return n.to_proto()


def layer(net, name):
    return next(layer for layer in net.layer if layer.name == name)


def test_layer_labels(net):
    assert get_layer_label(layer(net, "conv"), "TB") == '"conv (Convolution) kernel size: 3 stride: 2 pad: 0"'
    assert get_layer_label(layer(net, "pool"), "LR") == r'"pool\n(Pooling AVE)\nkernel size: 4\nstride: 1\npad: 1"'
    assert get_layer_label(layer(net, "relu"), "BT", display_lrm=True) == '"relu (ReLU)"'
    assert get_layer_label(layer(net, "conv"), "BT", display_lrm=True).endswith('lr mult: 1.0, 2.0"')


def test_edge_labels_colours_and_names(net):
    labels = [get_edge_label(layer(net, name)) for name in ("data", "conv", 'odd"name', "pool")]
    assert labels == ["Batch 8", "5", "7", '""']
    assert choose_color_by_layertype("Deconvolution") == choose_color_by_layertype("Convolution") == "#FF5050"
    assert choose_color_by_layertype("ReLU") == "#6495ED"
    assert get_pooling_types_dict() == {0: "MAX", 1: "AVE", 2: "STOCHASTIC"}


def test_lr_mult_defaults_to_one_and_needs_a_learning_layer(net):
    assert get_layer_lr_mult(layer(net, 'odd"name')) == (1, 1)
    with pytest.raises(LayerError, match=r"layer 'pool' \(Pooling\): no learning rate multiplier"):
        get_layer_lr_mult(layer(net, "pool"))
    three = caffe_pb2.LayerParameter(name="ip", type="InnerProduct", param=[caffe_pb2.ParamSpec()] * 3)
    with pytest.raises(LayerError, match="3 param given, but it has 2 blobs"):
        get_layer_lr_mult(three)


def test_without_pydot_the_error_names_it(net, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pydot", None)
    with pytest.raises(DrawError, match="needs the package pydot, which is not installed; pip install pydot"):
        draw_net_to_file(net, str(tmp_path / "net.png"))
    assert list(tmp_path.iterdir()) == []


def test_graph_has_a_box_per_layer_and_an_octagon_per_blob(net):
    pytest.importorskip("pydot")
    nodes = [node.get("shape") for node in get_pydot_graph(net, "LR").get_nodes()]
    assert (nodes.count("record"), nodes.count("octagon")) == (6, 6)
    assert len(get_pydot_graph(net, "LR").get_edges()) == 6 + 7


def test_graph_of_one_phase(net):
    pytest.importorskip("pydot")
    for phase, absent in ((caffe_pb2.TRAIN, "acc (Accuracy)"), (caffe_pb2.TEST, "data (Data)")):
        text = draw_net(net, "TB", "dot", phase=phase).decode()
        assert absent not in text
        assert "relu (ReLU)" in text
    layer(net, "acc").include.add(phase=caffe_pb2.TEST)
    with pytest.raises(LayerError, match=r"layer 'acc' \(Accuracy\): both include and exclude"):
        draw_net(net, "TB", "dot", phase=caffe_pb2.TEST)


def test_text_needs_no_graphviz_and_a_picture_says_so(net, tmp_path, monkeypatch):
    pytest.importorskip("pydot")
    monkeypatch.setenv("PATH", str(tmp_path))
    draw_net_to_file(net, str(tmp_path / "net.raw"), rankdir="TB")
    assert (tmp_path / "net.raw").read_text().startswith('digraph "Net"')
    with pytest.raises(DrawError, match="drawing a png needs Graphviz, whose program dot is not on the PATH"):
        draw_net_to_file(net, str(tmp_path / "net.png"))
