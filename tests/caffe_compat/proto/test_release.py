"""Letting go of the pages of a mapped file: memory goes down, the values stay."""

import sys

import numpy as np
import pytest

from caffe_compat.proto.blobs import map_file, release

COUNT = 8 << 20  # floats: 32 MB


@pytest.fixture
def mapped(tmp_path):
    path = tmp_path / "large.bin"
    np.arange(COUNT, dtype=np.float32).tofile(path)
    return map_file(path, "values")


def resident_mb() -> float:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_memory_goes(mapped):
    values = mapped.view(np.float32).reshape(2, -1)
    total = values.sum(dtype=np.float64)
    held = resident_mb()
    release(values)
    assert held - resident_mb() > 25
    assert values.sum(dtype=np.float64) == total


def test_parts_and_unaligned_views_keep_their_values(mapped):
    for part in (mapped[5 : 5 + 40_000].view(np.float32), mapped[3:9], mapped[:0], mapped[4096:].view(np.float32)[1:]):
        before = part.copy()
        release(part)
        np.testing.assert_array_equal(part, before)


def test_other_arrays_are_left_alone():
    for array in (np.arange(5.0), np.arange(10.0)[::2], np.frombuffer(b"12345678", np.uint8)):
        before = array.copy()
        release(array)
        np.testing.assert_array_equal(array, before)
