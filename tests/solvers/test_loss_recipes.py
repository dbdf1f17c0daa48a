"""Recipes of the loss options, thin, through the same training as every other: files, log, scores, resume."""

from dataclasses import replace

import numpy as np
import pytest

from caffe_compat.proto.weights import read_caffemodel
from solvers.recipes import recipe
from solvers.training import Training, latest_snapshot

MODELS = ("voc-fcn32s-sampled", "voc-fcn32s-balanced", "voc-fcn8s-learned")


@pytest.fixture
def training_of(thin, drawn_once):
    """Function: a thin training of a model, at a rate and batch that a test can bear."""

    def make(model, folder, iterations, **settings):
        this = recipe(model)
        this = replace(this, settings={**this.settings, "base_lr": 1e-3, "momentum": 0.9, "iter_size": 2})
        resume = settings.pop("resume", False)
        return Training(
            this, thin.thin_workplace(drawn_once, folder, model=model, **settings), iterations, None, resume
        )

    return make


def weights(folder):
    layers = read_caffemodel(latest_snapshot(folder).with_suffix(".caffemodel"))
    return {(layer.name, i): blob for layer in layers for i, blob in enumerate(layer.blobs)}


@pytest.mark.parametrize("model", MODELS)
def test_a_thin_training_is_looked_over_trains_and_scores(training_of, tmp_path, model):
    training = training_of(model, tmp_path, 2)
    found = training.check()
    assert found.faults == []
    kind = "sum over pixels" if model == "voc-fcn8s-learned" else "mean over pixels"
    assert f"base_lr 0.001 on the {kind}" in str(found)
    scores = training.run(score_every=2, progress=False)
    assert scores[""].images == 2
    assert np.isfinite(training.solver.loss)


@pytest.mark.parametrize("model", MODELS)
def test_resume_is_bit_for_bit_with_the_draws_of_the_samples(training_of, tmp_path, model):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    training_of(model, whole, 4).run(score_every=0, progress=False)
    training_of(model, broken, 2).run(score_every=0, progress=False)
    training_of(model, broken, 4, resume=True).run(score_every=0, progress=False)
    wanted, found = weights(whole / model), weights(broken / model)
    assert list(wanted) == list(found)
    for name, blob in wanted.items():
        np.testing.assert_array_equal(found[name], blob, err_msg=str(name))
