"""Work in several processes: results in order, faults in their place, a dead process as an error."""

import os

import pytest

from caffe_compat.errors import DataError
from data_prep.jobs import Fault, run_ordered

SAMPLES = [(i, f"{i:03d}") for i in range(50)]


def doubled(image_id):
    if image_id.endswith("7"):
        raise DataError(f"image '{image_id}' is bad")
    return image_id * 2


def dying(image_id):
    os._exit(1)


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_and_faults_come_in_order(jobs):
    results = list(run_ordered(doubled, SAMPLES, jobs))
    assert [sample for sample, _ in results] == SAMPLES
    for (_, one), result in results:
        assert result == (Fault(one, f"image '{one}' is bad") if one.endswith("7") else one * 2)


def test_stopping_early_ends_the_processes():
    results = run_ordered(doubled, SAMPLES, 2)
    next(results)
    results.close()


def test_a_process_that_dies_is_an_error():
    with pytest.raises(DataError, match="a worker process ended by itself.*; run again with fewer --jobs: it goes on"):
        list(run_ordered(dying, SAMPLES[:3], 2))
