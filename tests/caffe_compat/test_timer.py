"""Timer, and the settings of several solvers."""

import time

import pytest

import caffe_compat
from caffe_compat import parallel
from caffe_compat.errors import DeviceError


def test_it_measures_what_lies_between_start_and_stop():
    timer = caffe_compat.Timer()
    timer.start()
    began = time.perf_counter()
    time.sleep(0.02)
    timer.start()  # it runs already
    time.sleep(0.01)
    least = (time.perf_counter() - began) * 1e3
    timer.stop()
    most = (time.perf_counter() - began) * 1e3 + 1
    assert 30 <= least <= timer.ms <= most
    kept = timer.ms
    time.sleep(0.01)
    timer.stop()  # it does not run
    assert timer.ms == kept


def test_reading_stops_it_and_starting_begins_anew():
    timer = caffe_compat.Timer()
    timer.start()
    time.sleep(0.03)
    first = timer.ms
    time.sleep(0.01)
    assert timer.ms == first
    timer.start()
    assert timer.ms < first


def test_a_timer_that_never_ran_warns_and_reads_zero(caplog):
    with caplog.at_level("WARNING", logger="caffe_compat"):
        assert caffe_compat.Timer().ms == 0
    assert "Timer has never been run before reading time." in caplog.text


@pytest.fixture
def alone():
    yield
    caffe_compat.set_solver_count(1)
    caffe_compat.set_solver_rank(0)
    caffe_compat.set_multiprocess(False)


@pytest.mark.usefixtures("alone")
def test_solver_count_and_rank():
    assert (caffe_compat.solver_count(), caffe_compat.solver_rank(), caffe_compat.multiprocess()) == (1, 0, False)
    caffe_compat.set_solver_count(4)
    caffe_compat.set_solver_rank(3)
    caffe_compat.set_multiprocess(True)
    assert (parallel.solver_count(), parallel.solver_rank(), parallel.multiprocess()) == (4, 3, True)
    with pytest.raises(DeviceError, match="set_solver_count: 0 solvers; give 1 or more"):
        caffe_compat.set_solver_count(0)
    with pytest.raises(DeviceError, match="set_solver_rank: rank -1; ranks are counted from 0"):
        caffe_compat.set_solver_rank(-1)
    assert (caffe_compat.solver_count(), caffe_compat.solver_rank()) == (4, 3)


def test_nccl_is_there_to_be_refused():
    assert caffe_compat.has_nccl() is False
    message = r"caffe.NCCL is not available \(has_nccl\(\) is False\).*torchrun"
    with pytest.raises(DeviceError, match=message):
        caffe_compat.NCCL.new_uid()
    with pytest.raises(DeviceError, match=message):
        caffe_compat.NCCL(None, b"uid")
