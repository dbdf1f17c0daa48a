"""Work in several processes: results in order, faults in their place, a dead process as an error.

The work is that of installed modules: a process that is started anew cannot import a test file.
"""

import multiprocessing
import operator
import os
import platform
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from caffe_compat.errors import DataError
from data_prep import jobs
from data_prep.jobs import Fault, run_ordered
from data_prep.voc import VOCFolder

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = [(i, f"{i:03d}") for i in range(50)]


@pytest.fixture
def folder(tmp_path) -> VOCFolder:
    """Images whose colour is their number; those that end in 7 are missing."""
    (tmp_path / "JPEGImages").mkdir()
    for number, image_id in SAMPLES:
        if not image_id.endswith("7"):
            Image.new("RGB", (8, 8), (number,) * 3).save(tmp_path / "JPEGImages" / f"{image_id}.jpg")
    return VOCFolder(tmp_path)


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_and_faults_come_in_order(folder, jobs):
    results = list(run_ordered(folder.read_image, SAMPLES, jobs))
    assert [sample for sample, _ in results] == SAMPLES
    for (number, image_id), result in results:
        if image_id.endswith("7"):
            assert isinstance(result, Fault)
            assert result.image_id == image_id
            assert f"{image_id}.jpg" in result.message
        else:
            assert np.abs(result.astype(int) - number).max() <= 1


def test_stopping_early_ends_the_processes(folder):
    results = run_ordered(folder.read_image, SAMPLES, 2)
    next(results)
    results.close()
    assert multiprocessing.active_children() == []


def test_a_process_that_dies_is_an_error():
    deadly = [(i, signal.SIGKILL) for i in range(3)]
    with pytest.raises(DataError, match="a worker process ended by itself.*; run again with fewer --jobs: it goes on"):
        list(run_ordered(signal.raise_signal, deadly, 2))


class Upper:
    """Arrives in another process as ``str.upper``, and counts how often it was sent."""

    sent = 0

    def __reduce__(self):
        Upper.sent += 1
        return operator.methodcaller, ("upper",)


def test_the_work_is_sent_to_each_process_once():
    """A piece of work may hold a large mapping, which is not to go along with each sample."""
    samples = [(i, f"a{i}") for i in range(40)]
    assert [result for _, result in run_ordered(Upper(), samples, 2)] == [f"A{i}" for i in range(40)]
    assert 1 <= Upper.sent <= 2


def test_a_process_ends_with_its_parent(monkeypatch):
    watched = threading.Event()
    monkeypatch.setattr(jobs, "_taken", None, raising=False)
    monkeypatch.setattr(jobs, "_end_with_parent", watched.set)
    jobs._take(str.upper)
    assert watched.wait(10)


FAULTS_OF_A_PAGE = """
import resource
import numpy as np
from data_prep.jobs import run_ordered

def faults(image_id):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        [np.ones(1 << 18) for _ in range(4)]  # 2 MB each, freed at once
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if __name__ == "__main__":
    print(*(result for _, result in run_ordered(faults, [(i, "") for i in range(8)], 2)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep freed memory")
def test_a_process_keeps_the_memory_of_one_sample_for_the_next(tmp_path):
    """Taking it anew costs a page fault for every 4 kB: 40,000 for these arrays, 2,048 the first time alone."""
    (tmp_path / "script.py").write_text(FAULTS_OF_A_PAGE)
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert max(map(int, done.stdout.split())) < 4000
