"""Twelve recorded steps of every solver type and rate policy, and snapshots that pass between Caffe and us."""

import pytest

from caffe_compat.proto.caffe_pb2 import SolverParameter
from caffe_compat.proto.weights import read_caffemodel, read_solverstate
from caffe_compat.solver import get_solver


def state_of(case, iteration):
    return next(case.folder.glob(f"snap_iter_{iteration}.solverstate*"))


def read_on(solver, iterations):
    """Take the data of some iterations, which a snapshot does not do: restored data starts at the first row."""
    for _ in range(iterations * solver.param.iter_size):
        solver.net.forward_loss()


def test_twelve_steps(every_case):
    solver = every_case.solver()
    for k in range(1, 13):
        solver.step(1)
        every_case.check(solver, k)
        loss = solver.net.blobs["loss"].data  # of the last forward: with iter_size 3, the third
        every_case.close(loss, every_case.record["loss"][k - 1], f"loss at {k}")
    assert solver.iter == 12


def test_our_snapshots_hold_what_caffes_hold(every_case):
    recorded = {
        k: (
            read_solverstate(state_of(every_case, k)),
            read_caffemodel(next(every_case.folder.glob(f"*_{k}.caffemodel*"))),
        )
        for k in (6, 12)
    }
    every_case.solver(snapshot_prefix="ours").solve()
    for k, (state, layers) in recorded.items():
        suffix = ".h5" if every_case.param().snapshot_format == SolverParameter.HDF5 else ""
        ours = read_solverstate(f"ours_iter_{k}.solverstate{suffix}")
        assert (ours.iter, ours.current_step) == (state.iter, state.current_step)
        assert ours.learned_net == state.learned_net.replace("snap_", "ours_")
        assert [a.shape for a in ours.history] == [a.shape for a in state.history]
        for i, (a, b) in enumerate(zip(ours.history, state.history, strict=True)):
            every_case.close(a, b, f"history {i} at {k}")
        ours_layers = {layer.name: layer for layer in read_caffemodel(ours.learned_net)}
        assert sorted(ours_layers) == sorted(layer.name for layer in layers)
        for layer in layers:
            for i, blob in enumerate(layer.blobs):
                every_case.close(ours_layers[layer.name].blobs[i], blob, f"{layer.name}/{i} at {k}")


def test_caffes_snapshot_goes_on_to_the_recorded_end(every_case):
    solver = get_solver(every_case.param(snapshot_prefix="ours"))
    read_on(solver, 6)
    solver.restore(state_of(every_case, 6))
    assert solver.iter == 6
    every_case.check(solver, 6)
    solver.step(6)
    every_case.check(solver, 12)


def test_caffes_last_snapshot_has_nothing_left_to_do(every_case):
    solver = get_solver(every_case.param(snapshot_prefix="ours"))
    solver.solve(state_of(every_case, 12))
    assert solver.iter == 12
    every_case.check(solver, 12)


def test_our_snapshot_goes_on_to_the_recorded_end(every_case):
    first = every_case.solver(snapshot_prefix="ours")
    first.step(6)
    second = get_solver(every_case.param(snapshot_prefix="ours"))
    read_on(second, 6)
    second.restore(next(every_case.folder.glob("ours_iter_6.solverstate*")))
    second.step(6)
    every_case.check(second, 12)


@pytest.mark.parametrize("case", ["policy_multistep"], indirect=True)
def test_the_step_counter_is_restored(case):
    solver = get_solver(case.param())
    solver.restore("snap_iter_6.solverstate")
    assert solver.current_step == 2
