import random

import numpy as np
import pytest
import torch

from caffe_compat.device import generator, set_random_seed
from caffe_compat.errors import SolverError
from caffe_compat.solver import apply_extra, capture_extra, get_solver, load_extra, resume_name, save_extra


@pytest.fixture
def dropped(case):
    """The case with a Dropout, so that random draws matter, and an average of losses."""
    text = (case.folder / "net.prototxt").read_text()
    dropout = 'layer { name: "drop" type: "Dropout" bottom: "pool" top: "pool" }\nlayer { name: "ip"'
    (case.folder / "net.prototxt").write_text(text.replace('layer { name: "ip"', dropout))
    return case


def params(solver):
    return [blob.tensor().clone() for blob in solver.net.learnable_params]


def test_a_resumed_run_is_bit_equal_to_an_unbroken_one(dropped):
    settings = {"average_loss": 4, "test_iter": [1], "test_interval": 2, "snapshot_prefix": "ours", "snapshot": 0}
    whole = dropped.solver(**settings)
    whole.step(12)
    first = dropped.solver(**settings)
    first.step(7)
    first.snapshot()
    path = save_extra(first)
    assert path == resume_name(first) == "ours_iter_7.resume"
    second = get_solver(dropped.param(**settings, random_seed=99))
    random.random()
    second.restore("ours_iter_7.solverstate")
    apply_extra(second, load_extra(path))
    second.step(5)
    assert all(torch.equal(a, b) for a, b in zip(params(second), params(whole), strict=True))
    assert second.smoothed.value == whole.smoothed.value
    assert np.array_equal(second.test_scores[0][0].values, whole.test_scores[0][0].values)


RECURRENT = """
layer { name: "x" type: "DummyData" top: "x" top: "cont" top: "y"
  dummy_data_param { data_filler { type: "gaussian" } data_filler { value: 1 } data_filler { type: "gaussian" }
    shape { dim: 3 dim: 2 dim: 4 } shape { dim: 3 dim: 2 } shape { dim: 3 dim: 2 dim: 5 } } }
layer { name: "lstm" type: "LSTM" bottom: "x" bottom: "cont" top: "h"
  recurrent_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "h" bottom: "y" top: "loss" }
"""


def test_a_hidden_state_is_resumed_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_text(RECURRENT)
    settings = "net: 'net.prototxt' base_lr: 0.5 lr_policy: 'fixed' snapshot_prefix: 'rnn' snapshot_after_train: false"
    (tmp_path / "solver.prototxt").write_text(settings)
    whole = get_solver("solver.prototxt")
    whole.step(3)
    whole.snapshot()
    path = save_extra(whole)
    whole.step(3)
    resumed = get_solver("solver.prototxt")
    resumed.restore("rnn_iter_3.solverstate")
    apply_extra(resumed, load_extra(path))
    resumed.step(3)
    assert all(torch.equal(a, b) for a, b in zip(params(resumed), params(whole), strict=True))


def test_without_it_a_restore_goes_on_otherwise(dropped):
    whole = dropped.solver(snapshot_prefix="ours")
    whole.step(7)
    whole.snapshot()
    whole.step(5)
    second = get_solver(dropped.param(snapshot_prefix="ours"))
    second.restore("ours_iter_7.solverstate")
    second.step(5)
    assert not all(torch.equal(a, b) for a, b in zip(params(second), params(whole), strict=True))


def test_every_random_stream_is_put_back(case):
    solver = case.solver()
    set_random_seed(5)
    torch.rand(3, generator=generator())
    extra = capture_extra(solver)
    draw = lambda: (random.random(), np.random.rand(), np.random.randn(), torch.rand(2, generator=generator()).tolist())  # noqa: E731
    first = draw()
    apply_extra(solver, extra)
    assert draw() == first


def test_data_of_another_iteration(case):
    solver = case.solver()
    extra = capture_extra(solver)
    solver.step(1)
    with pytest.raises(
        SolverError, match="of iteration 0, the solver is at 1; restore the solver state of iteration 0"
    ):
        apply_extra(solver, extra)


def test_data_of_other_nets(case):
    solver = case.solver()
    extra = capture_extra(solver)
    with pytest.raises(SolverError, match="of 0 test nets, the solver has 1; use the solver settings"):
        apply_extra(case.solver(test_iter=[1], test_interval=1), extra)
    with pytest.raises(SolverError, match="net '.*' has no layer elsewhere; use the nets"):
        apply_extra(solver, extra | {"train_layers": {"elsewhere": {}}})


def test_data_of_another_form(case):
    solver = case.solver()
    with pytest.raises(SolverError, match="not of the form that this version writes"):
        apply_extra(solver, capture_extra(solver) | {"format": 0})


def test_bad_files(case):
    path = case.folder / "x.resume"
    with pytest.raises(SolverError, match=r"x\.resume: no such file"):
        load_extra(path)
    whole = (case.folder / save_extra(case.solver())).read_bytes()
    for content in (b"", b"garbage", whole[:300], whole[:-100]):
        path.write_bytes(content)
        with pytest.raises(SolverError, match=r"x\.resume: is not a \.resume file"):
            load_extra(path)
    torch.save({"a": 1}, path)
    with pytest.raises(SolverError, match="a file that save_extra wrote was expected"):
        load_extra(path)


def test_a_folder_that_is_gone(case):
    with pytest.raises(SolverError, match=r"gone/x\.resume: cannot be written: No such file"):
        save_extra(case.solver(), "gone/x.resume")


def test_a_layers_state_that_is_no_plain_value(case):
    solver = case.solver()
    solver.net.layers[0].state_dict = lambda: {"file": open}
    with pytest.raises(SolverError, match="train_layers: data: file: a builtin_function_or_method cannot be saved"):
        save_extra(solver, "x.resume")


def test_arrays_and_tuples_come_back_as_they_were(case):
    solver = case.solver()
    given = {
        "a": np.arange(6, dtype=np.uint32).reshape(2, 3),
        "t": (1, 2**100, None),
        "s": np.float32(0.5),
        "e": np.zeros(0),
    }
    solver.net.layers[0].state_dict = lambda: given
    found = load_extra(save_extra(solver, "x.resume"))["train_layers"]["data"]
    assert found["t"] == given["t"]
    assert found["s"] == 0.5
    for name in "ae":
        assert found[name].dtype == given[name].dtype
        assert np.array_equal(found[name], given[name])
