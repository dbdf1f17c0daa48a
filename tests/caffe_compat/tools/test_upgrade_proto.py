"""Old files through the upgrade tools: what the real tools wrote, and their exit statuses."""

import json

import numpy as np
import pytest

from caffe_compat.proto.caffe_pb2 import NetParameter, SolverParameter
from caffe_compat.proto.text import read_text
from caffe_compat.proto.weights import read_caffemodel

ABORTED = -6


def messages(lines):
    """Level and text of glog lines."""
    return [(line[0], line.partition("] ")[2]) for line in lines.splitlines() if "] " in line]


def test_every_recorded_upgrade(verb, realdata, tmp_path, monkeypatch):
    folder = realdata / "upgrade"
    monkeypatch.chdir(folder)
    for name, recorded in json.loads((folder / "results.json").read_text()).items():
        out = tmp_path / f"{name}.out"
        done = verb(recorded["tool"], name, out)
        assert done.code == (134 if recorded["exit"] == ABORTED else recorded["exit"]), (name, done.err)
        assert out.exists() == recorded["written"], name
        if recorded["written"]:
            kind = NetParameter if "net" in recorded["tool"] else SolverParameter
            wanted = read_text(folder / f"{name.removesuffix('.prototxt')}.upgraded.prototxt", kind())
            assert read_text(out, kind()) == wanted, name
            told = [text for level, text in messages(done.log) if level == "I"]
            assert told[:-1] == [m[2:] for m in recorded["messages"] if m[0] == "I"][:-1], name
        else:
            assert "Error: " in done.err


@pytest.mark.parametrize("tool", ["upgrade_net_proto_text", "upgrade_solver_proto_text", "upgrade_net_proto_binary"])
def test_what_cannot_be_read_is_status_2(verb, tool, tmp_path):
    (tmp_path / "garbage").write_bytes(b"\x00\xff garbage")
    for source in (tmp_path / "missing", tmp_path / "garbage"):
        done = verb(tool, source, tmp_path / "out")
        assert done.code == 2
        assert str(source) in done.err
    assert not (tmp_path / "out").exists()


def test_an_up_to_date_net_is_written_as_it_is(verb, tmp_path):
    text = 'name: "n" layer { name: "x" type: "Input" top: "x" }'
    (tmp_path / "in").write_text(text)
    done = verb("upgrade_net_proto_text", tmp_path / "in", tmp_path / "out")
    assert done.code == 0
    assert "File already in latest proto format" in done.log
    assert read_text(tmp_path / "out", NetParameter()) == read_text(tmp_path / "in", NetParameter())


def test_what_is_left_out_is_status_1(verb, tmp_path):
    text = 'input: "x" input_dim: [1, 1, 1, 1] layers { layer { name: "r" type: "relu" num_output: 4 } bottom: "x" }'
    (tmp_path / "in").write_text(text)
    done = verb("upgrade_net_proto_text", tmp_path / "in", tmp_path / "out")
    assert done.code == 1
    assert "layer 'r': unknown parameter num_output for layer type relu" in done.log
    assert read_text(tmp_path / "out", NetParameter()).layer[1].type == "ReLU"


def test_a_v1_caffemodel_gets_todays_shapes(verb, realdata, tmp_path):
    (source,) = (realdata / "caffemodels/everpeace_lenet_v1").glob("*.caffemodel")
    assert verb("upgrade_net_proto_binary", source, tmp_path / "out").code == 0
    written = NetParameter.FromString((tmp_path / "out").read_bytes())
    assert not written.layers
    shapes = {layer.name: [tuple(b.shape.dim) for b in layer.blobs] for layer in written.layer if layer.blobs}
    assert shapes == {
        "conv1": [(20, 1, 5, 5), (20,)],
        "conv2": [(50, 20, 5, 5), (50,)],
        "ip1": [(500, 800), (500,)],
        "ip2": [(10, 500), (10,)],
    }
    for old, new in zip(read_caffemodel(source), read_caffemodel(tmp_path / "out"), strict=True):
        assert (old.name, old.type, old.param) == (new.name, new.type, new.param)
        for a, b in zip(old.blobs, new.blobs, strict=True):
            assert np.array_equal(a.ravel(), b.ravel())


def test_a_v0_net_with_blobs_in_binary(verb, tmp_path):
    old = NetParameter(name="old", input=["x"], input_dim=[1, 3, 1, 1])
    layer = old.layers.add(bottom=["x"], top=["y"]).layer
    layer.name, layer.type, layer.num_output = "ip", "innerproduct", 2
    layer.blobs.add(num=1, channels=1, height=2, width=3, data=range(6))
    layer.blobs.add(num=1, channels=1, height=1, width=2, data=[7, 8])
    (tmp_path / "in").write_bytes(old.SerializeToString())
    assert verb("upgrade_net_proto_binary", tmp_path / "in", tmp_path / "out").code == 0
    _, new = read_caffemodel(tmp_path / "out")
    assert (new.name, new.type, new.param.inner_product_param.num_output) == ("ip", "InnerProduct", 2)
    assert new.blobs[0].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert new.blobs[1].tolist() == [7, 8]


def test_a_binary_net_of_two_formats_is_refused(verb, tmp_path):
    both = NetParameter()
    both.layers.add(name="old", type=4)
    both.layer.add(name="new", type="ReLU")
    (tmp_path / "in").write_bytes(both.SerializeToString())
    done = verb("upgrade_net_proto_binary", tmp_path / "in", tmp_path / "out")
    assert done.code == 134
    assert "both 'layer' and 'layers'" in done.err
    (tmp_path / "h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert verb("upgrade_net_proto_binary", tmp_path / "h5", tmp_path / "out").code == 2
