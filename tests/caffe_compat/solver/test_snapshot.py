import os
import shutil

import h5py
import numpy as np
import pytest

from caffe_compat.errors import SolverError, WeightsError
from caffe_compat.proto.caffe_pb2 import SolverParameter
from caffe_compat.proto.weights import SolverState, read_caffemodel, read_solverstate, write_solverstate
from caffe_compat.solver import get_solver


def everything(solver):
    return (
        solver.iter,
        solver.current_step,
        [None if h is None else h.numpy().copy() for h in solver.history],
        [blob.tensor().numpy().copy() for blob in solver.net.learnable_params],
    )


def assert_unchanged(before, solver):
    after = everything(solver)
    assert after[:2] == before[:2]
    for a, b in zip([*after[2], *after[3]], [*before[2], *before[3]], strict=True):
        assert (a is None and b is None) or np.array_equal(a, b)


def test_names_and_paths(case):
    solver = case.solver(snapshot_prefix="ours")
    assert solver.snapshot() == ("ours_iter_0.caffemodel", "ours_iter_0.solverstate")
    solver.param.snapshot_format = SolverParameter.HDF5
    solver.step(1)
    assert solver.snapshot() == ("ours_iter_1.caffemodel.h5", "ours_iter_1.solverstate.h5")
    assert sorted(p.name for p in case.folder.glob("ours*")) == [
        "ours_iter_0.caffemodel",
        "ours_iter_0.solverstate",
        "ours_iter_1.caffemodel.h5",
        "ours_iter_1.solverstate.h5",
    ]


def test_the_h5_state_is_one_that_caffe_can_read(case):
    solver = case.solver(snapshot_prefix="ours", snapshot_format=SolverParameter.HDF5)
    solver.step(1)
    with h5py.File(solver.snapshot()[1]) as ours, h5py.File(solver.snapshot()[1]) as again:
        assert sorted(ours) == sorted(again) == ["current_step", "history", "iter", "learned_net"]
        assert h5py.check_string_dtype(ours["learned_net"].dtype).length is not None
        assert sorted(ours["history"]) == ["0", "1", "2", "3"]


def test_snapshot_diff(case):
    solver = case.solver(snapshot_prefix="ours", snapshot_diff=True)
    solver.step(1)
    layers = {layer.name: layer for layer in read_caffemodel(solver.snapshot()[0])}
    assert np.array_equal(layers["conv"].diffs[0], solver.net.params["conv"][0].diff)
    assert np.abs(layers["conv"].diffs[0]).max() > 0


def test_history_not_yet_needed_is_written_as_zeros(case):
    state = read_solverstate(case.solver(snapshot_prefix="ours").snapshot()[1])
    assert [a.shape for a in state.history] == [a.shape for a in read_solverstate("snap_iter_6.solverstate").history]
    assert not any(a.any() for a in state.history)


def test_solve_takes_a_last_snapshot_unless_told_not_to(case):
    case.solver(snapshot=5, snapshot_after_train=True, snapshot_prefix="yes").solve()
    assert sorted(p.name for p in case.folder.glob("yes*.solverstate")) == [
        f"yes_iter_{k}.solverstate" for k in (10, 12, 5)
    ]
    case.solver(snapshot=0, snapshot_after_train=False, snapshot_prefix="no").solve()
    assert not list(case.folder.glob("no*"))


def test_solve_refuses_to_train_towards_a_snapshot_that_cannot_be_written(case):
    solver = case.solver(snapshot=0, snapshot_after_train=True, snapshot_prefix="gone/ours")
    with pytest.raises(SolverError, match="cannot write to snapshot_prefix 'gone/ours'"):
        solver.solve()
    assert solver.iter == 0


def test_the_probe_leaves_nothing(case):
    before = sorted(os.listdir())
    case.solver(snapshot_prefix="ours")
    assert sorted(os.listdir()) == before


def test_a_snapshot_that_fails_leaves_nothing(case):
    (case.folder / "out").mkdir()
    solver = case.solver(snapshot_prefix="out/ours")
    (case.folder / "out" / "ours_iter_0.solverstate").mkdir()  # in the way of the second file
    with pytest.raises(WeightsError, match="ours_iter_0.solverstate: cannot be written"):
        solver.snapshot()
    assert sorted(os.listdir("out")) == ["ours_iter_0.caffemodel", "ours_iter_0.solverstate"]
    shutil.rmtree("out")
    with pytest.raises(WeightsError, match="ours_iter_0.caffemodel: cannot be written: No such file"):
        solver.snapshot()


@pytest.mark.parametrize("suffix", ["", ".h5"])
def test_the_form_is_told_by_content(case, suffix):
    solver = case.solver(snapshot_prefix="ours", snapshot_format=0 if suffix else 1)
    solver.step(2)
    expected = everything(solver)
    os.rename(solver.snapshot()[1], "renamed")
    solver.step(3)
    solver.restore("renamed")
    assert_unchanged(expected, solver)


def test_weights_beside_the_state_are_found(case, caplog):
    solver = case.solver(snapshot_prefix="ours")
    solver.step(2)
    expected = everything(solver)
    os.mkdir("moved")
    for path in solver.snapshot():
        shutil.move(path, "moved")
    solver.step(1)
    solver.restore("moved/ours_iter_2.solverstate")
    assert_unchanged(expected, solver)
    assert "its weights are not at 'ours_iter_2.caffemodel'; taking 'moved/ours_iter_2.caffemodel'" in caplog.text


def refused(solver, path, message, error=SolverError):
    before = everything(solver)
    with pytest.raises(error, match=message):
        solver.restore(path)
    assert_unchanged(before, solver)


def test_a_state_of_another_type(case):
    solver = case.solver(type="Adam")
    solver.step(1)
    refused(
        solver,
        "snap_iter_6.solverstate",
        "holds 4 history blobs, but solver type Adam of this net .4 parameters. has 8",
    )


def test_a_state_of_another_net(case):
    solver = case.solver()
    solver.step(1)
    state = read_solverstate("snap_iter_6.solverstate")
    state.history[1] = np.zeros(5, np.float32)
    write_solverstate("other.solverstate", state)
    refused(solver, "other.solverstate", r"history blob 1 has shape \(5,\), but its parameter has \(4,\)")


def test_weights_of_another_net(case):
    solver = case.solver()
    solver.step(1)
    other = case.folder / "other.prototxt"
    other.write_text((case.folder / "net.prototxt").read_text().replace("num_output: 3", "num_output: 2"))
    get_solver(case.param(net="other.prototxt")).net.save("snap_iter_6.caffemodel")
    refused(solver, "snap_iter_6.solverstate", "layer 'ip' blob 0 has shape", WeightsError)


def test_a_state_whose_weights_are_gone(case):
    solver = case.solver()
    os.remove("snap_iter_6.caffemodel")
    refused(
        solver, "snap_iter_6.solverstate", "its weights 'snap_iter_6.caffemodel' are neither at that path", WeightsError
    )


@pytest.mark.parametrize("cut", [0, 10, 500])
def test_a_state_cut_off(case, cut):
    solver = case.solver()
    data = (case.folder / "snap_iter_6.solverstate").read_bytes()
    (case.folder / "cut.solverstate").write_bytes(data[:cut])
    refused(solver, "cut.solverstate", "cut.solverstate", WeightsError)


def test_a_missing_state(case):
    refused(case.solver(), "no.solverstate", "no.solverstate: no such file", WeightsError)


def test_a_state_of_impossible_iteration(case):
    state = read_solverstate("snap_iter_6.solverstate")
    state.iter = -3
    write_solverstate("bad.solverstate", state)
    refused(case.solver(), "bad.solverstate", "iteration -3, step 0; both must be 0 or more: the file is damaged")


def test_a_state_without_weights_leaves_the_nets(case):
    solver = case.solver()
    weights = everything(solver)[3]
    state = read_solverstate("snap_iter_6.solverstate")
    write_solverstate("bare.solverstate", SolverState(6, "", 0, state.history))
    solver.restore("bare.solverstate")
    assert solver.iter == 6
    assert all(np.array_equal(a, b) for a, b in zip(everything(solver)[3], weights, strict=True))


def test_a_state_of_caffes_first_years_with_four_axes(case):
    solver = case.solver()
    state = read_solverstate("snap_iter_6.solverstate")
    old = [a.reshape((1,) * (4 - a.ndim) + a.shape) for a in state.history]
    write_solverstate("old.solverstate", SolverState(6, state.learned_net, 0, old))
    solver.restore("old.solverstate")
    for held, array in zip(solver.history, state.history, strict=True):
        assert np.array_equal(held.numpy(), array)
