"""Which layers a net's phase, level and stages include."""

import pytest
from google.protobuf import text_format

from caffe_compat.errors import LayerError
from caffe_compat.net.state_filter import filter_net
from caffe_compat.proto import caffe_pb2 as pb


def included(rules: str, state: str) -> bool:
    text = f"state {{ {state} }} layer {{ name: 'l' type: 'Silence' {rules} }}"
    return len(filter_net(text_format.Parse(text, pb.NetParameter())).layer) == 1


@pytest.mark.parametrize(
    ("rules", "state", "there"),
    [
        ("", "phase: TRAIN", True),
        ("include { phase: TRAIN }", "phase: TRAIN", True),
        ("include { phase: TRAIN }", "phase: TEST", False),
        ("include { phase: TRAIN }", "", False),  # a state's phase is TEST unless it says otherwise
        ("include { phase: TEST }", "", True),
        ("exclude { phase: TRAIN }", "phase: TRAIN", False),
        ("exclude { phase: TRAIN }", "phase: TEST", True),
        ("include { }", "phase: TRAIN", True),  # a rule that asks for nothing is met
        ("exclude { }", "phase: TRAIN", False),
        ("include { min_level: 2 }", "level: 1", False),
        ("include { min_level: 2 }", "level: 2", True),
        ("include { max_level: 2 }", "level: 2", True),
        ("include { max_level: 2 }", "level: 3", False),
        ("include { min_level: -1 max_level: -1 }", "level: -1", True),
        ("include { min_level: 0 max_level: 0 }", "", True),
        ("include { stage: 'a' }", "", False),
        ("include { stage: 'a' }", "stage: 'b' stage: 'a'", True),
        ("include { stage: 'a' stage: 'b' }", "stage: 'a'", False),
        ("include { stage: 'a' stage: 'b' }", "stage: 'a' stage: 'b' stage: 'c'", True),
        ("include { stage: 'a' } include { stage: 'b' }", "stage: 'b'", True),
        ("include { not_stage: 'a' }", "stage: 'b'", True),
        ("include { not_stage: 'a' not_stage: 'b' }", "stage: 'b'", False),
        ("exclude { stage: 'a' } exclude { stage: 'b' }", "stage: 'b'", False),
        ("exclude { stage: 'a' not_stage: 'b' }", "stage: 'a' stage: 'b'", True),
        ("include { phase: TRAIN stage: 'a' }", "phase: TEST stage: 'a'", False),
        ("include { phase: TRAIN } include { stage: 'a' }", "phase: TEST stage: 'a'", True),
    ],
)
def test_rule(rules: str, state: str, there: bool):
    assert included(rules, state) is there


def test_both_kinds_of_rule_are_refused():
    with pytest.raises(LayerError, match=r"layer 'l' \(Silence\): has both include and exclude rules; give one kind"):
        included("include { phase: TRAIN } exclude { stage: 'a' }", "phase: TRAIN")


def test_the_given_message_stays_as_it_was():
    param = text_format.Parse("layer { name: 'l' include { phase: TRAIN } }", pb.NetParameter())
    assert len(filter_net(param).layer) == 0
    assert len(param.layer) == 1


def test_net_is_built_for_phase_level_and_stages(make_net):
    text = """
    layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 } } }
    layer { name: "train" type: "ReLU" bottom: "data" top: "t" include { phase: TRAIN } }
    layer { name: "deploy" type: "ReLU" bottom: "data" top: "d" include { stage: "deploy" min_level: 1 } }
    """
    assert make_net(text, 0).outputs == ["t"]
    assert make_net(text, 1, level=1, stages=["deploy"]).outputs == ["d"]
    assert make_net(text, 1, stages=["deploy"]).outputs == ["data"]
    assert make_net("state { phase: TRAIN stage: 'deploy' level: 3 }" + text, None).outputs == ["d", "t"]
