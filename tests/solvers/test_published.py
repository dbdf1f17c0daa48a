"""The table of published figures: complete, consistent, and met by what can be computed without data or weights."""

import math

import numpy as np
import pytest

from caffe_compat.errors import SolverError
from nets.catalogue import MODELS, lookup
from nets.classifiers import INPUT_SHAPE, build
from nets.geometry import places
from nets.size import parameter_count
from nets.sources import InputData
from solvers.metrics import Scores
from solvers.published import (
    ALL_BACKGROUND,
    LOSSES,
    OTHERS,
    PUBLISHED,
    RETRAINED,
    SEG11VALID_PIXELS,
    SOURCES,
    TABLE_1,
    VGG_MILLIONS,
    judge,
    misses,
)

ROWS = [row for rows in [*PUBLISHED.values(), *OTHERS.values()] for row in rows]
# mean IU in per cent, by source, of every model with a published one: a second copy, to catch slips of the pen
MEAN_IU = {
    "voc-fcn32s": {"R": 63.6, "W": 63.626, "C": 59.4, "P": 63.6},
    "voc-fcn16s": {"R": 65.0, "W": 65.005, "C": 62.4, "P": 65.0},
    "voc-fcn8s": {"R": 65.5, "W": 65.513, "C": 62.7, "P": 65.5},
    "voc-fcn8s-atonce": {"R": 65.4, "W": 65.4, "P": 65.4},
    "voc-fcn-alexnet": {"R": 48.0, "C": 39.8},
    "nyud-fcn32s-color": {"C": 29.2, "P": 31.6},
    "nyud-fcn32s-color-d": {"C": 30.5, "P": 31.7},
    "nyud-fcn32s-hha": {"C": 24.2, "P": 25.2},
    "nyud-fcn32s-color-hha": {"C": 32.8, "P": 33.3},
    "nyud-fcn16s-color-hha": {"C": 34.0},
    "siftflow-fcn16s": {"C": 39.5},
    "siftflow-fcn8s": {"P": 41.2},
    "pascalcontext-fcn32s": {"C": 31.8, "P": 36.7},
    "pascalcontext-fcn16s": {"C": 34.8, "P": 38.4},
    "pascalcontext-fcn8s": {"C": 35.1, "P": 39.1},
    "voc-fcn32s-fixed": {"C": 45.4, "P": 46.6},
    "voc-fcn-pool5": {"P": 50.0},
    "voc-fcn-pool4": {"P": 22.4},
    "voc-fcn-pool3": {"P": 9.2},
    "voc-fcn32s-accumulated": {"C": 56.0, "P": 51.9},
    "voc-fcn32s-online": {"P": 60.7},
    "voc-fcn-googlenet": {"C": 42.5},
}


def scores_like(row, shift=0.0):
    """Something with a row's four figures, moved by ``shift``."""

    class Measured:
        pixel_accuracy, mean_accuracy = row.pixel_accuracy + shift, row.mean_accuracy + shift
        mean_iu, fw_iu = row.mean_iu + shift, row.fw_iu + shift

    return Measured()


def released_weights(model):
    return next(row for row in PUBLISHED[model] if row.source == "W")


def test_mean_iu_of_every_model():
    for name in MODELS:
        own = [row for row in PUBLISHED[name] if not row.split.startswith("VOC") and row.mean_iu is not None]
        assert {row.source: round(100 * row.mean_iu, 3) for row in own} == MEAN_IU.get(name, {})


def test_rows_are_parts_of_one_with_known_sources():
    for row in ROWS:
        assert row.source in SOURCES
        for value in (row.pixel_accuracy, row.mean_accuracy, row.mean_iu, row.fw_iu):
            assert value is None or 0 < value < 1


def test_rows_of_tasks_name_a_task_of_their_model():
    for name, rows in PUBLISHED.items():
        assert {row.task for row in rows} <= {task.name for task in lookup(name).tasks}


def test_table_1():
    for name, wanted in TABLE_1.items():
        net = lookup(name).build(InputData({"data": (1, 3, 500, 500)}))
        coarse = places(net)["score_fr"]
        assert (coarse.depth, coarse.receptive_field_px) == (wanted.conv_layers, wanted.receptive_field_px)
        assert (round(parameter_count(net) / 1e6), coarse.stride) == (wanted.parameters, wanted.stride_px)


def test_vgg_classifiers():
    for name, millions in VGG_MILLIONS.items():
        assert round(parameter_count(build(f"vgg-{name.lower()}", InputData({"data": INPUT_SHAPE}))) / 1e6) == millions


def test_background_everywhere_on_the_classes_of_seg11valid():
    hist = np.zeros((21, 21), np.int64)
    hist[:, 0] = SEG11VALID_PIXELS
    scores, wanted = Scores(hist), ALL_BACKGROUND["seg11valid"]
    measured = (scores.pixel_accuracy, scores.mean_accuracy, scores.mean_iu, scores.fw_iu)
    assert measured == pytest.approx(
        (wanted.pixel_accuracy, wanted.mean_accuracy, wanted.mean_iu, wanted.fw_iu), rel=1e-11
    )


def test_losses_of_public_logs():
    assert LOSSES["-log(FLT_MIN)"] == pytest.approx(-math.log(np.finfo(np.float32).tiny), abs=5e-5)
    assert LOSSES["log(21)"] == pytest.approx(math.log(21), abs=5e-5)


@pytest.mark.parametrize("model", RETRAINED)
def test_released_weights_agree_within_their_tolerance(model):
    row = released_weights(model)
    assert misses(scores_like(row, 0.0004), row) == misses(scores_like(row, -0.0004), row) == []
    assert (
        judge(model, scores_like(row, 0.0004)) == "agrees with W (released weights, scored again by others) within 0.05"
    )
    assert len(misses(scores_like(row, 0.0006), row)) == 4


def test_a_retrained_net_agrees_with_what_others_came_to():
    row = released_weights("voc-fcn32s")
    assert judge("voc-fcn32s", scores_like(row, -0.01)) == (
        "mean IU is within 62.3 to 63.8, which others have trained it to"
    )


@pytest.mark.parametrize("shift", [-0.02, 0.02, float("nan")])
def test_a_score_outside_is_an_error(shift):
    row = released_weights("voc-fcn32s")
    with pytest.raises(
        SolverError, match=r"voc-fcn32s: pixel accuracy .* is not within 0\.05 of the published 90\.481 \(W\)"
    ):
        judge("voc-fcn32s", scores_like(row, shift))


def test_a_model_without_a_tolerance():
    row = released_weights("voc-fcn32s")
    assert judge("voc-fcn-alexnet", scores_like(row)) == "no tolerance is known for this model's published figures"
