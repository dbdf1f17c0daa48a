"""Nets as PyTorch modules and ONNX files: the same outputs, from every kind of layer that deploy nets have."""

import numpy as np
import pytest
import torch

from caffe_compat import TEST, TRAIN, Net
from caffe_compat.errors import LayerError, NetError
from caffe_compat.layer import registry
from caffe_compat.layer.contract import Layer
from caffe_compat.tools import export as exporting
from caffe_compat.tools.export import export_onnx, torch_module

DATA = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 3, 21, 18] } } }'
FILLED = 'weight_filler { type: "gaussian" std: 0.2 } bias_filler { type: "gaussian" }'
NET = (
    DATA
    + """
layer { name: "conv.1" type: "Convolution" bottom: "data" top: "c"
        convolution_param { num_output: 6 pad: 4 kernel_size: 3 FILLED } }
layer { name: "relu" type: "ReLU" bottom: "c" top: "c" }
layer { name: "norm" type: "LRN" bottom: "c" top: "norm" }
layer { name: "pool" type: "Pooling" bottom: "norm" top: "pool" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "mean" type: "Pooling" bottom: "pool" top: "mean"
        pooling_param { pool: AVE kernel_size: 3 stride: 1 pad: 1 } }
layer { name: "group" type: "Convolution" bottom: "pool" top: "group"
        convolution_param { num_output: 6 group: 3 dilation: 2 pad: 2 kernel_size: 3 FILLED } }
layer { name: "drop" type: "Dropout" bottom: "group" top: "group" }
layer { name: "sum" type: "Eltwise" bottom: "group" bottom: "mean" top: "sum" eltwise_param { coeff: [1, -0.5] } }
layer { name: "prelu" type: "PReLU" bottom: "sum" top: "prelu" }
layer { name: "cat" type: "Concat" bottom: "prelu" bottom: "pool" top: "cat" }
layer { name: "bn" type: "BatchNorm" bottom: "cat" top: "bn" }
layer { name: "scale" type: "Scale" bottom: "bn" top: "bn"
        scale_param { filler { type: "gaussian" } bias_term: true } }
layer { name: "up" type: "Deconvolution" bottom: "bn" top: "up"
        convolution_param { num_output: 5 kernel_size: 4 stride: 2 FILLED } }
layer { name: "score" type: "Crop" bottom: "up" bottom: "data" top: "score" crop_param { axis: 2 offset: 3 offset: 2 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc" inner_product_param { num_output: 4 FILLED } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
""".replace("FILLED", FILLED)
)


def net_of(tmp_path, text, phase=TEST):
    (tmp_path / "net.prototxt").write_text(text)
    net = Net(str(tmp_path / "net.prototxt"), phase)
    if "bn" in net.params:  # a BatchNorm that has seen nothing divides by nearly zero
        for blob, value in zip(net.params["bn"], (0.3, 2.0, 1.0), strict=True):
            blob.data[...] = value
    return net


def values(net):
    draw = np.random.default_rng(5).standard_normal(net.blobs["data"].shape).astype(np.float32)
    net.blobs["data"].data[...] = draw
    return torch.from_numpy(draw)


def test_a_module_gives_what_the_net_gives(tmp_path):
    net = net_of(tmp_path, NET)
    module = torch_module(net)
    for shape in ((1, 3, 21, 18), (2, 3, 21, 18)):
        net.blobs["data"].reshape(*shape)
        net.reshape()
        given = values(net)
        wanted = net.forward()
        assert list(wanted) == ["prob", "score"]
        for ours, theirs in zip(module(given), wanted.values(), strict=True):
            assert np.array_equal(ours.numpy(), theirs)


def test_a_module_s_parameters_bear_the_layers_names_and_are_the_net_s(tmp_path):
    net = net_of(tmp_path, NET)
    state = torch_module(net).state_dict()
    assert {"conv_1.weight", "conv_1.bias", "bn.blob2", "scale.bias", "up.weight", "prelu.weight"} <= set(state)
    assert sum(v.numel() for v in state.values()) == sum(b.count for blobs in net.params.values() for b in blobs)
    net.params["fc"][1].data[...] = 7
    assert state["fc.bias"].tolist() == [7] * 4


def test_onnxruntime_gives_what_the_net_gives(verb, tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    net = net_of(tmp_path, NET)
    net.save(tmp_path / "net.caffemodel")
    done = verb(
        "export", tmp_path / "net.prototxt", tmp_path / "net.caffemodel", tmp_path / "a.onnx", "-shape=1,3,21,18"
    )
    assert done.code == 0, done.err
    assert "a.onnx: data 1 x 3 x 21 x 18, prob 1 x 4, score 1 x 5 x 21 x 18" in done.out
    assert "onnxruntime's outputs differ by" in done.out
    session = runtime.InferenceSession(str(tmp_path / "a.onnx"), providers=["CPUExecutionProvider"])
    found = session.run(["score", "prob"], {"data": values(net).numpy()})
    wanted = net.forward()
    for ours, theirs in zip(found, (wanted["score"], wanted["prob"]), strict=True):
        assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max() + 1e-6


def test_without_onnx_the_error_names_it(tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "find_spec", lambda name: None)
    with pytest.raises(NetError, match="writing ONNX needs the package onnx, which is not installed; pip install onnx"):
        export_onnx(net_of(tmp_path, NET), str(tmp_path / "a.onnx"))
    assert not (tmp_path / "a.onnx").exists()


class Signed(Layer):
    """Its work depends on a value, which a record of the operations does not tell."""

    type = "TestSigned"

    def reshape(self, bottom_shapes):
        return [bottom_shapes[0]]

    def forward(self, bottoms, blobs, context):
        return [bottoms[0] * (2 if float(bottoms[0].flatten()[0]) > 0 else 3)]


def test_a_layer_that_depends_on_values_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(registry._classes, Signed.type, Signed)
    net = net_of(tmp_path, DATA + 'layer { name: "s" type: "TestSigned" bottom: "data" top: "s" }')
    monkeypatch.setattr(exporting, "find_spec", lambda name: name == "onnx" or None)
    drawn = [torch.ones(1, 3, 21, 18), -torch.ones(1, 3, 21, 18)]
    monkeypatch.setattr(torch, "randn", lambda *shape, **kwargs: drawn.pop(0))
    with pytest.raises(NetError, match="output 's': recorded, it gives other values for other inputs; it cannot be ex"):
        export_onnx(net, str(tmp_path / "a.onnx"))
    assert not (tmp_path / "a.onnx").exists()


def test_nets_that_have_no_such_form(tmp_path):
    with pytest.raises(NetError, match="is in phase TRAIN; build the deploy prototxt in phase TEST"):
        torch_module(net_of(tmp_path, NET, TRAIN))
    sizes = "batch_size: 1 channels: 1 height: 2 width: 2"
    memory = f'layer {{ name: "m" type: "MemoryData" top: "x" top: "l" memory_data_param {{ {sizes} }} }}'
    with pytest.raises(NetError, match="has no Input layer; build the deploy prototxt"):
        torch_module(net_of(tmp_path, memory))
    with pytest.raises(LayerError, match=r"layer 'm' \(MemoryData\): is not made of PyTorch operations alone; give a"):
        torch_module(net_of(tmp_path, DATA + memory))


@pytest.mark.parametrize(
    ("out", "flags", "code", "message"),
    [
        ("a.pt", (), 2, "a.pt: the suffix must be .onnx; for weights alone use caffe-compat convert"),
        ("a.onnx", ("-shape=1,3,x",), 2, "-shape=1,3,x: give whole numbers above 0 with commas between them"),
        ("a.onnx", ("-shape=1,3,0,4",), 2, "give whole numbers above 0"),
        ("a.onnx", ("-shape=1,4,21,18",), 1, "layer 'conv.1' (Convolution)"),
    ],
)
def test_what_is_refused(verb, tmp_path, out, flags, code, message):
    net_of(tmp_path, NET).save(tmp_path / "net.caffemodel")
    done = verb("export", tmp_path / "net.prototxt", tmp_path / "net.caffemodel", tmp_path / out, *flags)
    assert done.code == code
    assert message in done.err
    assert not (tmp_path / out).exists()
