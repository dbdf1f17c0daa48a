import pytest
from google.protobuf import text_format

from caffe_compat.errors import ParseError, SolverError
from caffe_compat.proto.caffe_pb2 import TEST, TRAIN, SolverParameter
from caffe_compat.solver import AdaGradSolver, SGDSolver, get_solver
from caffe_compat.solver.params import net_to_train, nets_to_test

NET = 'net_param { name: "n" layer { name: "d" type: "Input" top: "d" input_param { shape { dim: 1 } } } } '


def settings(text):
    return text_format.Parse(text, SolverParameter())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no train net; give exactly one of: net, net_param, train_net, train_net_param"),
        (NET + 'net: "a" train_net: "b"', "net and net_param and train_net are given; give exactly one of"),
        (NET + "iter_size: 0", "iter_size is 0; it must be 1 or more"),
        (NET + "average_loss: 0", "average_loss is 0; it must be 1 or more"),
        (NET + "base_lr: nan", "base_lr is nan; give a number"),
        (NET + "display: -1", "display is -1; it must be 0 or more"),
        (NET + "max_iter: -1", "max_iter is -1; it must be 0 or more"),
        (NET + "snapshot: -1", "snapshot is -1; it must be 0 or more"),
        (NET + 'lr_policy: "cosine"', "unknown lr_policy 'cosine'; set it to one of: exp, fixed, inv"),
        (NET + 'lr_policy: "step" gamma: 1', "needs stepsize of 1 or more, found 0"),
        (NET + 'regularization_type: "L3"', "unknown regularization_type 'L3'; set it to one of: L1, L2"),
        (
            NET + 'type: "Adagrad"',
            "unknown type 'Adagrad'; set it to one of: AdaDelta, AdaGrad, Adam, Nesterov, RMSProp",
        ),
        (NET + "test_iter: 1", "test_interval is not set; set it to 1 or more"),
        (NET + "test_iter: -1 test_interval: 1", r"test_iter is \[-1\]; every one must be 0 or more"),
        (NET + 'test_net: "t"', "0 test_iter for 1 test nets .*; give one test_iter for each"),
        ('train_net: "t" test_iter: 1 test_interval: 1', "1 test_iter for 0 test nets .*, or a net or net_param that"),
        (
            NET + "test_iter: 1 test_interval: 1 test_state {} test_state {}",
            "2 test_state for 1 test nets; give none, or",
        ),
        (NET + "snapshot: 5", "snapshot is set, but snapshot_prefix is not; set snapshot_prefix"),
        (
            NET + 'snapshot: 5 snapshot_prefix: "no/where/x"',
            "cannot write to snapshot_prefix 'no/where/x': No such .*'no/where' exists",
        ),
        (NET + 'type: "AdaGrad" momentum: 0.9', "AdaGrad takes no momentum, found 0.9; delete momentum"),
        (NET + 'type: "RMSProp" momentum: 0.9', "RMSProp takes no momentum, found 0.9; delete momentum"),
        (NET + 'type: "RMSProp" rms_decay: 1', "rms_decay is 1; it must be at least 0 and below 1"),
        (NET + 'type: "Adam" momentum: 1', "Adam's momentum is 1; it must be at least 0 and below 1"),
        (NET + 'type: "Adam" momentum2: 1.5', "Adam's momentum2 is 1.5; it must be in 0 to 1"),
    ],
)
def test_settings_that_make_no_sense(text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SolverError, match=message):
        get_solver(settings(text))


def test_a_class_checks_its_own_settings_whatever_the_type_says():
    with pytest.raises(SolverError, match="takes no momentum"):
        AdaGradSolver(settings(NET + "momentum: 0.9"))


def test_both_forms_of_the_type():
    with pytest.raises(ParseError, match="both solver_type and type"):
        get_solver(settings(NET + 'type: "Adam" solver_type: ADAM'))


@pytest.mark.parametrize(
    ("old", "name"),
    [
        ("SGD", "SGD"),
        ("NESTEROV", "Nesterov"),
        ("ADAGRAD", "AdaGrad"),
        ("RMSPROP", "RMSProp"),
        ("ADADELTA", "AdaDelta"),
        ("ADAM", "Adam"),
    ],
)
def test_the_old_enum_names_the_same_types(old, name):
    solver = get_solver(settings(NET + f"solver_type: {old}"))
    assert solver.type == name
    assert type(solver).__name__ == f"{name}Solver"


def test_settings_are_a_copy():
    given = settings(NET + "solver_type: ADAM")
    solver = SGDSolver(given)
    assert given.HasField("solver_type")
    solver.param.base_lr = 3
    assert not given.HasField("base_lr")


def test_later_states_win():
    param = settings(
        'net_param { state { phase: TEST level: 2 stage: "net" } } train_state { level: 3 stage: "solver" }'
        'test_iter: 1 test_iter: 1 test_interval: 1 test_state {} test_state { phase: TRAIN stage: "b" }'
    )
    source, net = net_to_train(param)
    assert source == "net_param"
    assert (net.state.phase, net.state.level, list(net.state.stage)) == (TEST, 3, ["net", "solver"])
    states = [net.state for _, net in nets_to_test(param)]
    assert [(s.phase, s.level, list(s.stage)) for s in states] == [(TEST, 2, ["net"]), (TRAIN, 2, ["net", "b"])]


def test_default_phases():
    param = settings("net_param {} test_iter: 1 test_interval: 1")
    assert net_to_train(param)[1].state.phase == TRAIN
    assert nets_to_test(param)[0][1].state.phase == TEST


def test_test_nets_come_in_caffes_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("general", "tested"):
        (tmp_path / f"{name}.prototxt").write_text(f'name: "{name}"')
    param = settings(
        'net: "general.prototxt" test_net: "tested.prototxt" test_net_param { name: "given" }'
        "test_iter: 1 test_iter: 1 test_iter: 1 test_interval: 1"
    )
    assert [(source, net.name) for source, net in nets_to_test(param)] == [
        ("test_net_param", "given"),
        ("test_net file: tested.prototxt", "tested"),
        ("net file: general.prototxt", "general"),
    ]


def test_a_net_file_that_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParseError, match="nowhere.prototxt: no such file"):
        get_solver(settings('net: "nowhere.prototxt"'))


def test_stages_reach_the_net():
    layer = 'layer { name: "%s" type: "Input" top: "%s" input_param { shape { dim: 1 } } include { stage: "%s" } }'
    net = "net_param { " + layer % ("a", "a", "fit") + layer % ("b", "b", "other") + " } "
    solver = get_solver(
        settings(net + 'train_state { stage: "fit" } test_iter: 1 test_interval: 9 test_state { stage: "other" }')
    )
    assert list(solver.net.blobs) == ["a"]
    assert list(solver.test_nets[0].blobs) == ["b"]
    assert (solver.net.phase, solver.test_nets[0].phase) == (TRAIN, TEST)
