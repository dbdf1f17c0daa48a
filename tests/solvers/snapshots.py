"""Snapshots of trainings as tests compare them, to the last bit; the fixture ``snapshots`` has these functions."""

import numpy as np

from caffe_compat.proto.weights import read_caffemodel, read_solverstate
from solvers.training import latest_snapshot, weights_of


def blobs_of(path):
    return {f"{layer.name}/{i}": blob for layer in read_caffemodel(path) for i, blob in enumerate(layer.blobs)}


def assert_same_bits(state, other):
    """Weights, history and counters of two snapshots."""
    ours, theirs = blobs_of(weights_of(state)), blobs_of(weights_of(other))
    assert list(ours) == list(theirs)
    for name in ours:
        assert np.array_equal(ours[name], theirs[name]), name
    ours, theirs = read_solverstate(state), read_solverstate(other)
    assert (ours.iter, ours.current_step) == (theirs.iter, theirs.current_step)
    assert len(ours.history) == len(theirs.history) > 0
    for i, (a, b) in enumerate(zip(ours.history, theirs.history, strict=True)):
        assert np.array_equal(a, b), i


def latest(folder, model="voc-fcn32s"):
    return latest_snapshot(folder / model)
