"""Old forms against what Caffe's own upgrade tools made of them, and the cases they refuse."""

import json

import pytest

from caffe_compat.errors import ParseError
from caffe_compat.proto import text, upgrade
from caffe_compat.proto.caffe_pb2 import NetParameter, SolverParameter, V1LayerParameter

RECORDED = [
    "solver_adagrad",
    "solver_adam",
    "solver_all_fields",
    "solver_both_types",
    "solver_inline_v1_net",
    "solver_nesterov",
    "solver_sgd",
    "solver_up_to_date",
    "v0_convnet",
    "v0_incompatible_fields",
    "v0_math_and_inputs",
    "v0_padding_into_relu",
    "v0_sources_and_sinks",
    "v0_unknown_type",
    "v0_with_blobs",
    "v1_and_v2",
    "v1_data_transform",
    "v1_params",
    "v1_types_a",
    "v1_types_b",
    "v1_with_v0_layer_fields",
    "v2_batchnorm",
    "v2_input_dims",
    "v2_input_shapes",
    "v2_up_to_date",
]


def upgraded(path):
    """The message of a file after the upgrade, and the report."""
    kind, bring_up = SolverParameter, upgrade.upgrade_solver
    if not path.name.startswith("solver"):
        kind, bring_up = NetParameter, upgrade.upgrade_net
    message = text.read_text(path, kind())
    return message, bring_up(message, path.name)


@pytest.mark.parametrize("name", RECORDED)
def test_as_recorded(realdata, name):
    folder = realdata / "upgrade"
    results = json.loads((folder / "results.json").read_text())
    assert {f"{name}.prototxt" for name in RECORDED} == set(results)
    result = results[f"{name}.prototxt"]
    if result["exit"] < 0:
        with pytest.raises(ParseError, match=f"^{name}.prototxt: "):
            upgraded(folder / f"{name}.prototxt")
        return
    ours, report = upgraded(folder / f"{name}.prototxt")
    caffe = text.read_text(folder / f"{name}.upgraded.prototxt", type(ours)())
    assert ours.SerializeToString() == caffe.SerializeToString()  # bytes: nan equals nan
    assert {line.split(": ", 1)[1].removesuffix("; left out") for line in report.problems} == {
        f"u{line.removeprefix('E U')}" for line in result["messages"] if line.startswith("E Unknown parameter")
    }
    assert {_caffe_words(change) for change in report.changes} == {
        line.split("deprecated ")[1].split(":")[0].strip("'") for line in result["messages"] if "Attempting" in line
    }


def _caffe_words(change):
    return {
        "V0 layers": "V0LayerParameter",
        "V1 layers": "V1LayerParameter",
        "data transformation fields": "transformation parameters",
        "input fields": "input fields",
        "BatchNorm parameters": "params",
        "solver_type": "solver_type' field (enum)",
    }[change]


def net(source):
    return text.parse(source, NetParameter(), "old.prototxt")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            'layers { layer { name: "w" type: "warp_drive" } }',
            r"old.prototxt: layer 'w': unknown V0 type 'warp_drive'; known: accuracy, bnll, .*window_data",
        ),
        (
            'input: "x" layers { layer { name: "p" type: "padding" } bottom: "x" top: "y" }'
            'layers { layer { name: "r" type: "relu" } bottom: "y" }',
            r"padding layer 'p' feeds layer 'r' of type relu; only conv and pool layers take padding",
        ),
        (
            'input: "x" layers { layer { name: "p" type: "padding" } bottom: "x" top: "y" }'
            'layers { layer { name: "c" type: "conv" } bottom: "y" bottom: "x" }',
            r"padding layer 'p' feeds layer 'c' with 2 bottoms; want 1",
        ),
        (
            'input: "x" layers { layer { name: "p" type: "padding" } bottom: "x" bottom: "x" top: "y" }'
            'layers { layer { name: "c" type: "conv" } bottom: "y" }',
            r"padding layer 'p' has 2 bottoms and 1 tops; want 1 of each",
        ),
        (
            'layers { layer { name: "r" type: "relu" } bottom: "y" }',
            r"layer 'r': no layer before it makes bottom 'y'",
        ),
        (
            'layers { type: RELU } layer { type: "ReLU" }',
            r"has both 'layer' and 'layers' fields; write the old 'layers { type: RELU }' as 'layer { type: \"...\" }'",
        ),
        ('input: "x" input_dim: 1 input_dim: 2', r"2 input_dim values for 1 inputs; give four per input"),
        ('input: "x" input: "y" input_shape { dim: 1 }', r"1 input_shape for 2 inputs; give one per input"),
    ],
)
def test_refused(source, message):
    with pytest.raises(ParseError, match=message):
        upgrade.upgrade_net(net(source), "old.prototxt")


def test_solver_with_both_types():
    solver = SolverParameter(type="Adam", solver_type=SolverParameter.ADAM)
    with pytest.raises(ParseError, match='s.prototxt: both solver_type and type "Adam" are given; delete solver_type'):
        upgrade.upgrade_solver(solver, "s.prototxt")


def test_inputs_without_shape_lose_their_field():
    # Caffe then fails on the missing bottom.
    ours = net('input: "x" layer { name: "r" type: "ReLU" bottom: "x" top: "y" }')
    upgrade.upgrade_net(ours, "old.prototxt")
    assert ours == net('layer { name: "r" type: "ReLU" bottom: "x" top: "y" }')


def test_every_v1_type_has_its_name():
    ours = NetParameter()
    for value in V1LayerParameter.LayerType.values():
        ours.layers.add(type=value)
    upgrade.upgrade_net(ours, "old.prototxt")
    names = {layer.type for layer in ours.layer}
    assert len(names) == 40
    assert names >= {"", "AbsVal", "Im2col", "HDF5Data", "SoftmaxWithLoss", "SigmoidCrossEntropyLoss", "TanH", "LRN"}


def test_up_to_date_net_is_not_touched():
    ours = net('name: "n" layer { name: "bn" type: "BatchNorm" param { lr_mult: 0 } }')
    before = NetParameter()
    before.CopyFrom(ours)
    report = upgrade.upgrade_net(ours, "new.prototxt")
    assert ours == before
    assert (report.changes, report.problems) == ([], [])
