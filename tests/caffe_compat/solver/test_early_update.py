"""Very large weights updated while their gradient comes: the same weights and history; gradients where wanted."""

import numpy as np
import pytest

from caffe_compat.errors import NetError
from caffe_compat.net.plan import matmul, products
from caffe_compat.proto.caffe_pb2 import SolverParameter
from caffe_compat.solver import early_update
from caffe_compat.solver.registry import get_solver

pytestmark = pytest.mark.skipif(not matmul.usable(), reason="this torch has no packed matrix products")
NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 8 dim: 9 } } }
layer { name: "target" type: "Input" top: "target" input_param { shape { dim: 2 dim: 4 dim: 2 dim: 3 } } }
layer { name: "fc6" type: "Convolution" bottom: "data" top: "fc6"
        param { lr_mult: 1 decay_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
        convolution_param { num_output: 300 kernel_size: 7 weight_filler { type: "xavier" } } }
layer { name: "relu6" type: "ReLU" bottom: "fc6" top: "fc6" }
layer { name: "score" type: "Convolution" bottom: "fc6" top: "score"
        convolution_param { num_output: 4 kernel_size: 1 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "score" bottom: "target" top: "loss" }
"""
TWICE = NET.replace("num_output: 4 kernel_size: 1", "num_output: 300 kernel_size: 1").replace("dim: 4", "dim: 300")


@pytest.fixture(autouse=True)
def small(monkeypatch) -> None:
    monkeypatch.setattr(products, "LARGE", 1000)
    monkeypatch.setattr(early_update, "LARGE", 10_000)


@pytest.fixture
def make(tmp_path):
    """A lean solver over the net, with the same weights and inputs every time."""

    def made(text: str = NET, kind: str = "SGD", **settings):
        path = tmp_path / "net.prototxt"
        path.write_text(text)
        given = {"base_lr": 0.01, "lr_policy": "step", "gamma": 0.5, "stepsize": 2, "weight_decay": 0.1}
        param = SolverParameter(train_net=str(path), type=kind, **(given | settings))
        solver = get_solver(param, keep=[])
        rng = np.random.RandomState(0)
        for name in ("data", "target"):
            solver.net.blobs[name].data[...] = rng.randn(*solver.net.blobs[name].shape)
        for blobs in solver.net.params.values():
            for blob in blobs:
                blob.data[...] = 0.1 * rng.randn(*blob.shape)
        return solver

    return made


@pytest.fixture
def taken(monkeypatch) -> list[int]:
    """First rows of the parts of gradients that were used as they came."""
    calls: list[int] = []
    plain = early_update.EarlyUpdate._take

    def counted(self, blob, index, why, first, rows):
        calls.append(first)
        plain(self, blob, index, why, first, rows)

    monkeypatch.setattr(early_update.EarlyUpdate, "_take", counted)
    return calls


def off(solver):
    solver.net._engine.plan.on.discard("update")
    return solver


def values(solver) -> list[np.ndarray]:
    params = [blob.data.copy() for blobs in solver.net.params.values() for blob in blobs]
    return params + [held.numpy().copy() for held in solver.history if held is not None]


def assert_equal(ours, theirs) -> None:
    assert len(values(ours)) == len(values(theirs))
    for mine, wanted in zip(values(ours), values(theirs), strict=True):
        np.testing.assert_array_equal(mine, wanted)


SETTINGS = [
    {"momentum": 0.9},
    {"momentum": 0.9, "regularization_type": "L1"},
    {"momentum": 0.9, "kind": "Nesterov"},
    {"kind": "AdaGrad", "delta": 1e-6},
    {"kind": "RMSProp", "rms_decay": 0.9, "delta": 1e-6},
    {"kind": "AdaDelta", "momentum": 0.9, "delta": 1e-6},
    {"kind": "Adam", "momentum": 0.9, "momentum2": 0.99, "delta": 1e-8},
]


@pytest.mark.parametrize(
    "settings", SETTINGS, ids=lambda s: f"{s.get('kind', 'SGD')} {s.get('regularization_type', '')}"
)
def test_the_same_bit_by_bit(make, taken, settings):
    early, late = make(**settings), off(make(**settings))
    for solver in (early, late):
        solver.step(5)
    assert_equal(early, late)
    assert early.loss == late.loss
    assert taken == [0, 256] * 5


@pytest.mark.parametrize(
    "settings", [{"iter_size": 2}, {"clip_gradients": 0.5}, {"snapshot_diff": True}, {"debug_info": True}]
)
def test_gradients_that_are_wanted_whole_are_there(make, taken, settings):
    early, late = make(**settings), off(make(**settings))
    for solver in (early, late):
        solver.step(3)
    assert_equal(early, late)
    assert taken == []
    assert early.net.params["fc6"][0].diff.any()


def test_a_callback_sees_gradients(make, taken):
    solver = make()
    seen = []
    solver.add_callback(lambda: None, lambda: seen.append(solver.net.params["fc6"][0].diff.copy()))
    solver.step(1)
    assert seen[0].any()
    assert taken == []


def test_an_update_of_ones_own_sees_gradients(make, taken, monkeypatch):
    solver = make()
    seen = []

    class Own(type(solver)):
        def apply_update(self):
            seen.append(self.net.params["fc6"][0].diff.any())

    solver.__class__ = Own
    solver.step(1)
    assert seen == [True]
    assert taken == []


def test_a_diff_that_is_held_gets_its_numbers(make, taken):
    solver = make()
    held = solver.net.params["fc6"][0].diff
    solver.step(1)
    assert held.any()
    assert taken == []


def test_shared_weights_add_up_first(make, taken):
    shared = TWICE.replace("param { lr_mult: 1 decay_mult: 1 }", 'param { name: "w" lr_mult: 1 decay_mult: 1 }')
    text = shared.replace(
        'layer { name: "loss"',
        """layer { name: "again" type: "Convolution" bottom: "data" top: "again" param { name: "w" }
        convolution_param { num_output: 300 kernel_size: 7 } }
        layer { name: "sum" type: "Eltwise" bottom: "score" bottom: "again" top: "sum" }
        layer { name: "loss\"""",
    ).replace('bottom: "score" bottom: "target"', 'bottom: "sum" bottom: "target"')
    early, late = make(text), off(make(text))
    for solver in (early, late):
        solver.step(2)
    assert_equal(early, late)
    assert set(taken) == {0, 256}  # of score's weights alone
    assert early.net.params["fc6"][0].diff.any()


def test_a_diff_that_was_used_up_says_so(make):
    solver = make()
    solver.step(1)
    with pytest.raises(NetError, match=r"layer 'fc6': the diff of blob 0 was used up while it came: .* without keep="):
        _ = solver.net.params["fc6"][0].diff
    assert solver.net.params["score"][0].diff.any()
    solver.net.clear_param_diffs()
    solver.net.forward()
    solver.net.backward()
    assert solver.net.params["fc6"][0].diff.any()


def test_snapshots_go_on_as_if_never_stopped(make, tmp_path):
    whole = make(momentum=0.9)
    whole.step(4)
    stopped = make(momentum=0.9, snapshot_prefix=str(tmp_path / "s"))
    stopped.step(2)
    _, state = stopped.snapshot()
    resumed = make(momentum=0.9)
    resumed.restore(state)
    resumed.step(2)
    assert_equal(resumed, whole)


def test_a_net_that_keeps_its_blobs_keeps_its_diffs(make, taken, tmp_path):
    lean = make()
    plain = type(lean)(lean.param)
    for name in ("data", "target"):
        plain.net.blobs[name].data[...] = lean.net.blobs[name].data
    for name, blobs in lean.net.params.items():
        for mine, theirs in zip(plain.net.params[name], blobs, strict=True):
            mine.data[...] = theirs.data
    plain.step(1)
    assert taken == []
    lean.step(1)
    for name, blobs in plain.net.params.items():
        for mine, theirs in zip(blobs, lean.net.params[name], strict=True):
            np.testing.assert_allclose(theirs.data, mine.data, rtol=0, atol=1e-5 * np.abs(mine.data).max())
    assert plain.net.params["fc6"][0].diff.any()
