"""Timer: start, stop and milliseconds."""

import time

import caffe_compat


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
