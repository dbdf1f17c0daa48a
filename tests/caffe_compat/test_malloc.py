"""Freed memory is kept for the next call: a lean net's forward takes no new pages, unless the user chose otherwise."""

import os
import platform
import subprocess
import sys

import pytest

from caffe_compat import malloc

PROGRAM = """
import resource
import numpy as np
from caffe_compat import TEST, Net, layers as L, NetSpec
n = NetSpec()
n.data = L.Input(shape=dict(dim=[1, 3, 200, 200]))
n.conv = L.Convolution(n.data, num_output=64, kernel_size=3)
n.pool = L.Pooling(n.conv, kernel_size=2, stride=2)
net = Net(n.to_proto(), TEST, keep=["pool"])
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    net.forward()
before = faults()
for _ in range(5):
    net.forward()
print(faults() - before)
"""


def pages_taken(**environment: str) -> int:
    """By five forwards whose maps are 10 MB and more."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout.split()[-1])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_a_lean_net_uses_its_memory_again():
    assert pages_taken() < 1000
    assert pages_taken(MALLOC_MMAP_THRESHOLD_="1000000", MALLOC_TRIM_THRESHOLD_="1000000") > 10_000


@pytest.fixture
def first_call(monkeypatch):
    monkeypatch.setattr(malloc, "_asked", [])
    return malloc.keep_freed_memory


@pytest.fixture
def told(monkeypatch) -> list[tuple[int, int]]:
    """What the C library is told."""

    class Library:
        def __init__(self, name: None) -> None:
            self.mallopt = lambda option, value: not calls.append((option, value))

    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(malloc.ctypes, "CDLL", Library)
    for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    return calls


def test_a_net_that_learns_has_more_kept_and_nobody_takes_it_back(first_call, told):
    assert [first_call(learning) for learning in (False, False, True, False, True)] == [True, False, True, False, False]
    (_, large), (_, kept), (_, larger), (_, more) = told
    assert larger > large
    assert more > kept


def test_another_c_library_is_left_as_it_is(first_call, monkeypatch):
    monkeypatch.setattr(malloc.ctypes, "CDLL", lambda name: object())  # without mallopt
    assert first_call() is False


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_"])
def test_a_setting_from_outside_stands(first_call, monkeypatch, name):
    monkeypatch.setenv(name, "1000000")
    assert first_call() is False


def test_a_tunable_from_outside_stands(first_call, monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=1000000")
    assert first_call() is False
