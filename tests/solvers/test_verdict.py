"""What a score is held against, and what comes of it."""

import re
from types import SimpleNamespace

import pytest

from caffe_compat.errors import SolverError
from nets.catalogue import MODELS
from solvers.published import PUBLISHED, RETRAINED
from solvers.verdict import compare, governing, judge, misses, scored_on

FIGURES = ("pixel_accuracy", "mean_accuracy", "mean_iu", "fw_iu")


def scores_like(row, shift=0.0):
    """Something with a row's figures, moved by ``shift``; 0.5 where it has none."""
    values = {name: getattr(row, name) for name in FIGURES}
    return SimpleNamespace(**{name: 0.5 if value is None else value + shift for name, value in values.items()})


def test_the_row_that_counts_is_the_closest_to_the_recipe():
    found = {name: row.source for name in MODELS if (row := governing(name, MODELS[name].tasks[0].name))}
    assert {name: source for name, source in found.items() if source in "WR"} == {
        **dict.fromkeys(("voc-fcn32s", "voc-fcn16s", "voc-fcn8s", "voc-fcn8s-atonce"), "W"),
        "voc-fcn-alexnet": "R",
    }
    assert {name for name, source in found.items() if source == "C"} == {
        "siftflow-fcn16s",
        "voc-fcn-googlenet",
        "nyud-fcn16s-color-hha",
    }
    assert set(MODELS) - set(found) == {name for name in MODELS if not PUBLISHED[name]}
    assert governing("voc-fcn8s").split == "seg11valid"


def test_splits_are_those_of_the_published_figures():
    assert {scored_on(name) for name in MODELS} == {
        *("seg11valid", "NYUDv2 test", "SIFT Flow test", "PASCAL-Context val")
    }


@pytest.mark.parametrize("model", RETRAINED)
@pytest.mark.parametrize("released", [True, False])
def test_released_weights_agree_within_their_tolerance(model, released):
    row = governing(model)
    assert misses(scores_like(row, 0.0004), row) == misses(scores_like(row, -0.0004), row) == []
    assert judge(model, scores_like(row, 0.0004), released=released) == (
        "agrees with W (released weights, scored again by others) within 0.05"
    )
    assert len(misses(scores_like(row, 0.0006), row)) == 4


def test_weights_of_one_s_own_agree_with_what_others_came_to_and_released_ones_do_not():
    measured = scores_like(governing("voc-fcn32s"), -0.01)
    assert judge("voc-fcn32s", measured) == "mean IU is within 62.3 to 63.8, which others have trained it to"
    with pytest.raises(SolverError, match=r"mean IU 62\.626 is not within 0\.05 of the published 63\.626 \(W\)"):
        judge("voc-fcn32s", measured, released=True)


@pytest.mark.parametrize("shift", [-0.02, 0.02, float("nan")])
def test_a_score_outside_is_an_error(shift):
    with pytest.raises(
        SolverError,
        match=r"voc-fcn32s: pixel accuracy .* is not within 0\.05 of the published 90\.481 \(W\).*"
        r"; nor is mean IU within 62\.3 to 63\.8, which others have trained it to",
    ):
        judge("voc-fcn32s", scores_like(governing("voc-fcn32s"), shift))


@pytest.mark.parametrize("model", ["nyud-fcn32s-hha", "pascalcontext-fcn16s", "voc-fcn-pool4", "voc-fcn-googlenet"])
@pytest.mark.parametrize("released", [True, False])
def test_where_nobody_has_told_of_trainings_the_spread_of_the_voc_models_is_used(model, released):
    row = governing(model)
    exact, near = (compare(model, scores_like(row, shift), released=released) for shift in (0.0009, -0.0139))
    assert (exact.agrees, near.agrees) == (True, True)
    assert exact.text.endswith("within 0.1")
    figure = f"{100 * row.mean_iu:.1f}"
    assert near.text.endswith(f", the spread of trainings around {figure} ({row.source})")
    for shift in (-0.0141, 0.0041):
        assert compare(model, scores_like(row, shift), released=released).agrees is False


def test_the_released_alexnet_must_come_to_the_readme_s_figure():
    measured = scores_like(governing("voc-fcn-alexnet"), -0.01)
    assert compare("voc-fcn-alexnet", measured).agrees
    assert compare("voc-fcn-alexnet", measured, released=True).agrees is False


@pytest.mark.parametrize("model", ["siftflow-fcn16s", "siftflow-fcn8s"])
def test_each_task_is_held_against_its_own_row(model):
    semantic, geometric = (governing(model, task) for task in ("semantic", "geometric"))
    assert (semantic.mean_iu is None, geometric.mean_iu is None) == (False, True)
    assert compare(model, scores_like(geometric), task="geometric").agrees
    assert compare(model, scores_like(geometric), task="semantic").agrees is False
    told = compare(model, scores_like(geometric, -0.01), task="geometric")
    assert told.agrees
    assert told.text.startswith("pixel accuracy is within ")
    with pytest.raises(SolverError, match=re.escape(f"{model} (geometric): pixel accuracy ")):
        judge(model, scores_like(geometric, -0.02), task="geometric")


def test_a_model_of_which_nothing_was_published():
    anything = scores_like(governing("voc-fcn32s"))
    assert judge("voc-fcn8s-vgg19", anything) == "not judged: nothing was published of voc-fcn8s-vgg19"
    assert judge("siftflow-fcn32s", anything, task="geometric") == (
        "not judged: nothing was published of siftflow-fcn32s, geometric"
    )


@pytest.mark.parametrize(
    ("model", "task", "ids", "whole"),
    [
        ("voc-fcn8s", "", 735, "seg11valid has 736 images"),
        ("nyud-fcn32s-hha", "", 1, "NYUDv2 test has 654 images"),
        ("siftflow-fcn8s", "geometric", 198, "SIFT Flow test has 200 images"),
        ("pascalcontext-fcn8s", "", 5104, "PASCAL-Context val has 5105 images"),
    ],
)
def test_rows_count_for_whole_lists_only(model, task, ids, whole):
    far = scores_like(governing(model, task), -0.1)
    assert compare(model, far, task=task, ids=ids).text == f"not judged: {whole}, and these are {ids}"
    assert compare(model, far, task=task, ids=int(whole.split()[-2])).agrees is False
