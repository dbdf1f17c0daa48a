"""Prototxt both ways: what is accepted, what is refused and with which words."""

import logging
import os
import re

import pytest

from caffe_compat.errors import ParseError
from caffe_compat.proto import text
from caffe_compat.proto.caffe_pb2 import LayerParameter, NetParameter, SolverParameter
from caffe_compat.proto.whole_file import replacing

NET = """# a comment
name: 'two'
layer { name: "in" type: "Input" top: "x" input_param: { shape: { dim: 1 dim: 3 } } }
layer {
  name: "c" ; type: "Convolution", bottom: "x" top: "c"
  phase: 1
  convolution_param { num_output: 0x10 bias_term: f engine: CAFFE weight_filler { std: 1.5f } }
}
"""


def test_every_way_to_write_a_field():
    net = text.parse(NET, NetParameter(), "n")
    assert net.name == "two"
    assert list(net.layer[0].input_param.shape[0].dim) == [1, 3]
    conv = net.layer[1]
    assert conv.phase == 1
    assert conv.convolution_param.num_output == 16
    assert conv.convolution_param.HasField("bias_term")
    assert not conv.convolution_param.bias_term
    assert conv.convolution_param.weight_filler.std == 1.5


def test_text_round_trip():
    net = text.parse(NET, NetParameter(), "n")
    net.name = 'caf\u00e9 "quoted"\n'
    again = text.parse(text.to_text(net), NetParameter(), "n")
    assert again == net


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("layer {\n  kernel: 3\n}", r"n.prototxt:2:3: unknown field 'kernel' in LayerParameter; known: accuracy_param"),
        (
            "layer {\n  botom: 'a'\n}",
            r"n.prototxt:2:3: unknown field 'botom' in LayerParameter \(did you mean bottom\?\)",
        ),
        (
            "\nlayer { phase: TOAST }",
            r"n.prototxt:2:16: unknown value TOAST for Phase \(did you mean TEST\?\); known: TRAIN, TEST",
        ),
        ("layer { phase: 7 }", r"n.prototxt:1:16: unknown value 7 for Phase; known: TRAIN, TEST"),
        (
            "layer { pooling_param { pool: MEAN } }",
            r"n.prototxt:1:31: unknown value MEAN for PoolingParameter.PoolMethod; known: MAX, AVE, STOCHASTIC",
        ),
        ("layer { name: 3 }", r"n.prototxt:1:15: Expected string but found: '3'"),
        ("layer {\n name: 'a'", r"n.prototxt:2:8: Expected \"}\""),
        ("layer { name: 'a' } }", r"n.prototxt:1:21: Expected identifier or number, got }"),
        ("layer { top: 'a }", r"n.prototxt:1:14: String missing ending quote"),
        ("input_dim: 1.5", r"n.prototxt:1:12: Couldn't parse integer: 1.5"),
        ("input_dim: 99999999999", r"n.prototxt:1:12: Value out of range"),
        ("name: 'a' name: 'b'", r"n.prototxt:1:17: .*should not have multiple \"name\" fields"),
        ("layer { clip_param { min: 0 } }", r"n.prototxt: required field layer\[0\].clip_param.max is missing; set it"),
        ("\0\1garbage", r"n.prototxt:1:1: Expected identifier or number"),
    ],
)
def test_refused(tmp_path, source, message):
    file = tmp_path / "n.prototxt"
    file.write_text(source)
    with pytest.raises(ParseError, match=message) as caught:
        text.read_net(file)
    assert str(caught.value).startswith(os.fspath(file))


@pytest.mark.parametrize("reader", [text.read_net, text.read_solver])
@pytest.mark.parametrize("content", [b"", b"\n\n", b"# only a comment\n"])
def test_empty_file(tmp_path, reader, content):
    file = tmp_path / "empty.prototxt"
    file.write_bytes(content)
    with pytest.raises(ParseError, match=r"empty.prototxt: is empty; a (Net|Solver)Parameter in text form"):
        reader(file)


@pytest.mark.parametrize("reader", [text.read_net, text.read_solver])
def test_not_a_file(tmp_path, reader):
    with pytest.raises(ParseError, match=r"none.prototxt: no such file; a (Net|Solver)Parameter in text form"):
        reader(tmp_path / "none.prototxt")
    with pytest.raises(ParseError, match=f"{re.escape(str(tmp_path))}: is a directory; give the prototxt file inside"):
        reader(tmp_path)


def test_binary_given_as_text(reference):
    file = reference / "solvers" / "sgd_momentum" / "snap_iter_6.caffemodel"
    with pytest.raises(ParseError, match=r"byte \d+ \(0x[0-9a-f]{2}\) is not text.*not a binary file such as a caffem"):
        text.read_net(file)


def test_read_net_upgrades_and_reports(tmp_path, caplog):
    file = tmp_path / "v0.prototxt"
    file.write_text('input: "x" input_dim: [1, 1, 4, 4] layers { layer { name: "r" type: "relu" pad: 1 } bottom: "x" }')
    with caplog.at_level(logging.INFO):
        net = text.read_net(file)
    assert [layer.type for layer in net.layer] == ["Input", "ReLU"]
    messages = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert ("ERROR", f"{file}: layer 'r': unknown parameter pad for layer type relu; left out") in messages
    assert ("INFO", f"{file}: upgraded V0 layers") in messages


def test_read_solver(tmp_path):
    file = tmp_path / "solver.prototxt"
    file.write_text("solver_type: ADAGRAD base_lr: 0.1")
    solver = text.read_solver(file)
    assert solver.type == "AdaGrad"
    assert not solver.HasField("solver_type")
    assert solver.snapshot_prefix == str(tmp_path / "solver")

    file.write_text(f"snapshot_prefix: '{tmp_path}'")
    assert text.read_solver(file).snapshot_prefix == str(tmp_path / "solver")
    file.write_text("snapshot_prefix: 'snap/train'")
    assert text.read_solver(file).snapshot_prefix == "snap/train"


def test_released_solvers_and_nets_survive_the_round_trip(reference):
    files = [*reference.glob("solvers/*/*.prototxt"), *reference.glob("nets/*/*.prototxt")]
    assert files
    for file in files:
        message = text.read_text(file, SolverParameter() if file.name == "solver.prototxt" else NetParameter())
        assert text.parse(text.to_text(message), type(message)(), "again") == message


def test_write_text(tmp_path):
    file = tmp_path / "net.prototxt"
    net = NetParameter(name="n", layer=[LayerParameter(name="a", type="ReLU")])
    text.write_text(file, net)
    assert text.read_net(file) == net
    assert os.listdir(tmp_path) == ["net.prototxt"]
    with pytest.raises(ParseError, match=r"missing/net.prototxt: cannot be written: No such file"):
        text.write_text(tmp_path / "missing" / "net.prototxt", net)
    with pytest.raises(ParseError, match="cannot be written: Is a directory"):
        text.write_text(tmp_path, net)
    assert os.listdir(tmp_path.parent).count(tmp_path.name) == 1
    assert not [name for name in os.listdir(tmp_path.parent) if name.endswith(".tmp")]


def test_failed_writing_leaves_the_old_file(tmp_path):
    file = tmp_path / "f"
    file.write_text("old")

    def fail():
        with replacing(file) as temporary:
            temporary.write_text("half")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["f"]
    with replacing(file) as temporary:
        temporary.write_text("new")
    assert file.read_text() == "new"
