"""Real signals, to this process and to others."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from caffe_compat.errors import SolverError
from caffe_compat.proto.weights import read_caffemodel, read_solverstate
from caffe_compat.solver.signals import SignalRequests

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP on this system")


def at(solver, iteration, number):
    """Send this process a signal in the middle of an iteration."""
    solver.add_callback(lambda: None, lambda: solver.iter == iteration and os.kill(os.getpid(), number))


def run(script, folder, **kwargs):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", script], cwd=folder, env=environment, text=True, **kwargs)


def test_sigint_stops_solve_after_a_snapshot(case):
    solver = case.solver(snapshot=0, snapshot_prefix="ours")  # the case says snapshot_after_train: false
    solver.handle_signals()
    at(solver, 3, signal.SIGINT)
    before = signal.getsignal(signal.SIGINT)
    solver.solve()
    assert (solver.iter, solver.requested_early_exit) == (4, True)
    assert read_solverstate("ours_iter_4.solverstate").iter == 4
    assert signal.getsignal(signal.SIGINT) is before
    solver.restore("ours_iter_4.solverstate")
    solver.step(8)
    case.check(solver, 12)


def test_sighup_takes_a_snapshot_and_goes_on(case):
    solver = case.solver(snapshot=0, snapshot_prefix="ours")
    solver.handle_signals()
    at(solver, 3, signal.SIGHUP)
    solver.solve()
    assert (solver.iter, solver.requested_early_exit) == (12, False)
    assert [p.name for p in case.folder.glob("ours*.solverstate")] == ["ours_iter_4.solverstate"]


def test_effects_can_be_exchanged(case):
    solver = case.solver(snapshot=0, snapshot_prefix="ours")
    solver.handle_signals(sigint="none", sighup="stop")
    at(solver, 2, signal.SIGINT)
    at(solver, 5, signal.SIGHUP)
    solver.step(12)
    assert (solver.iter, solver.requested_early_exit) == (6, True)
    assert not list(case.folder.glob("ours*"))  # a stopped step takes none


def test_a_stop_during_a_test(case, caplog):
    caplog.set_level("INFO", logger="caffe_compat")
    solver = case.solver(snapshot=0, snapshot_prefix="ours", test_iter=[50], test_interval=3, test_initialization=False)
    solver.handle_signals()
    solver.test_nets[0].before_forward(lambda layer: os.kill(os.getpid(), signal.SIGINT))
    solver.solve()
    assert (solver.iter, solver.requested_early_exit) == (3, True)
    assert "Test interrupted." in caplog.messages
    assert caplog.messages[-1] == "Optimization stopped early."


def test_without_being_asked_signals_are_pythons(case):
    solver = case.solver()
    at(solver, 1, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        solver.step(5)


def test_requests_are_taken_once_and_sighup_first():
    requests = SignalRequests()
    with requests, requests:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(0.01)
        assert [requests.take() for _ in range(3)] == ["snapshot", "stop", "none"]


def test_an_unknown_effect(case):
    with pytest.raises(SolverError, match="unknown sigint_effect 'quit'; choose one of: none, snapshot, stop"):
        case.solver().handle_signals(sigint="quit")


def test_not_in_another_thread():
    errors = []

    def enter():
        try:
            with SignalRequests():
                pass
        except SolverError as error:
            errors.append(str(error))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert errors == ["solver: signals can be handled in the main thread only; call step() or solve() there"]


def test_ctrl_c_from_outside(case):
    script = (
        "from caffe_compat.solver import get_solver\n"
        "s = get_solver('solver.prototxt')\n"
        "s.param.max_iter = 10**9; s.param.snapshot = 0; s.param.snapshot_prefix = 'ours'\n"
        "s.handle_signals(); s.add_callback(lambda: s.iter == 5 and print('running', flush=True), lambda: None)\n"
        "s.solve(); print(s.iter)"
    )
    with run(script, case.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == "running\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert read_solverstate(f"ours_iter_{int(out)}.solverstate").iter == int(out)
    assert "Optimization stopped early." in err


def test_a_kill_leaves_no_partial_file_under_a_final_name(case):
    script = (
        "from caffe_compat.solver import get_solver\n"
        "s = get_solver('solver.prototxt'); s.param.snapshot_prefix = 'ours'\n"
        "while True: s.step(1); s.snapshot()"
    )
    with run(script, case.folder, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not list(case.folder.glob("ours_iter_9.solverstate")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
    states = list(case.folder.glob("ours*.solverstate"))
    assert len(states) >= 9
    for path in states:
        state = read_solverstate(path)
        assert [layer for layer in read_caffemodel(state.learned_net) if layer.blobs]
    for path in case.folder.glob("ours*.caffemodel"):
        read_caffemodel(path)
