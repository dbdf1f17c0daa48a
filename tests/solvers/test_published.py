"""The table of published figures: complete, consistent, and met by what can be computed without data or weights."""

import math

import numpy as np
import pytest

from nets.catalogue import MODELS, lookup
from nets.classifiers import INPUT_SHAPE, build
from nets.geometry import places
from nets.size import parameter_count
from nets.sources import InputData
from solvers.metrics import Scores
from solvers.published import (
    ALL_BACKGROUND,
    DEMO_LABEL,
    LOSSES,
    OTHERS,
    PUBLISHED,
    RELEASED_WEIGHTS,
    RETRAINED,
    SEG11VALID_PIXELS,
    SOURCES,
    SPLIT_IMAGES,
    TABLE_1,
    VGG_MILLIONS,
    VOC12VAL_PIXELS,
)

ROWS = [row for rows in [*PUBLISHED.values(), *OTHERS.values()] for row in rows]
# pixel accuracy / mean accuracy / mean IU / frequency-weighted IU in per cent, of every model, on the split that it is
# scored on: a second copy, to catch slips of the pen
FIGURES = {
    "voc-fcn32s": {
        "R": "-/-/63.6/-",
        "W": "90.481/76.482/63.626/83.458",
        "C": "89.1/73.3/59.4/81.4",
        "P": "90.5/76.5/63.6/83.5",
    },
    "voc-fcn16s": {
        "R": "-/-/65.0/-",
        "W": "90.997/78.071/65.005/84.261",
        "C": "90.0/75.7/62.4/83.0",
        "P": "91.0/78.1/65.0/84.3",
    },
    "voc-fcn8s": {
        "R": "-/-/65.5/-",
        "W": "91.221/77.615/65.513/84.545",
        "C": "90.3/75.9/62.7/83.2",
        "P": "91.2/77.6/65.5/84.5",
    },
    "voc-fcn8s-atonce": {"R": "-/-/65.4/-", "W": "91.129/78.498/65.400/84.433", "P": "91.1/78.5/65.4/84.4"},
    "voc-fcn-alexnet": {"R": "-/-/48.0/-", "C": "-/-/39.8/-"},
    "nyud-fcn32s-color": {"C": "60.0/42.2/29.2/43.9", "P": "61.8/44.7/31.6/46.0"},
    "nyud-fcn32s-color-d": {"C": "61.5/42.4/30.5/45.5", "P": "62.1/44.8/31.7/46.3"},
    "nyud-fcn32s-hha": {"C": "57.1/35.2/24.2/40.4", "P": "58.3/35.7/25.2/41.7"},
    "nyud-fcn32s-color-hha": {"C": "64.3/44.9/32.8/48.0", "P": "65.3/44.0/33.3/48.6"},
    "siftflow-fcn16s": {"C": "85.2/51.7/39.5/76.1", "C geometric": "94.3/-/-/-"},
    "siftflow-fcn8s": {"P": "85.9/53.9/41.2/77.2", "P geometric": "94.6/-/-/-"},
    "pascalcontext-fcn32s": {"C": "-/-/31.8/-", "P": "65.5/49.1/36.7/50.9"},
    "pascalcontext-fcn16s": {"C": "-/-/34.8/-", "P": "66.9/51.3/38.4/52.3"},
    "pascalcontext-fcn8s": {"C": "-/-/35.1/-", "P": "67.5/52.3/39.1/53.0"},
    "nyud-fcn16s-color-hha": {"C": "65.4/46.1/34.0/49.5"},
    "voc-fcn32s-fixed": {"C": "83.0/59.7/45.4/72.0", "P": "82.9/64.6/46.6/72.3"},
    "voc-fcn-pool5": {"P": "87.4/60.5/50.0/78.5"},
    "voc-fcn-pool4": {"P": "78.7/31.7/22.4/67.0"},
    "voc-fcn-pool3": {"P": "70.9/13.7/9.2/57.6"},
    "voc-fcn32s-accumulated": {"C": "-/-/56.0/-", "P": "86.0/66.5/51.9/76.5"},
    "voc-fcn32s-online": {"P": "89.3/76.2/60.7/81.8"},
    "voc-fcn-googlenet": {"C": "-/-/42.5/-"},
}
ON_VOC_S_SERVER = {
    ("R", "2012"): 67.2,
    ("C", "2011"): 62.7,
    ("C", "2012"): 62.2,
    ("P", "2011"): 67.5,
    ("P", "2012"): 67.2,
}


def four(row):
    return row.pixel_accuracy, row.mean_accuracy, row.mean_iu, row.fw_iu


def parts_of_one(text):
    return [None if one == "-" else pytest.approx(float(one) / 100, abs=1e-9) for one in text.split("/")]


def test_every_figure_of_every_model():
    for name in MODELS:
        own = [row for row in PUBLISHED[name] if not row.split.startswith("VOC")]
        wanted = FIGURES.get(name, {})
        found = {f"{row.source} {row.task}".removesuffix(" semantic").rstrip(): list(four(row)) for row in own}
        assert len(found) == len(own)
        assert found == {source: parts_of_one(text) for source, text in wanted.items()}


def test_figures_of_voc_s_server_are_of_fcn8s_alone():
    for name in MODELS:
        rows = [row for row in PUBLISHED[name] if row.split.startswith("VOC")]
        found = {(row.source, row.split[3:7]): round(100 * row.mean_iu, 3) for row in rows}
        assert found == (ON_VOC_S_SERVER if name == "voc-fcn8s" else {})


def test_every_row_has_a_tolerance_and_those_of_the_papers_a_table():
    for row in ROWS:
        assert row.tolerance == (0.0005 if row.source == "W" else 0.001)
        assert bool(row.table) == (row.source in ("C", "P"))
    assert RETRAINED == {
        "voc-fcn32s": (0.623, 0.638),
        "voc-fcn16s": (0.649, 0.654),
        "voc-fcn8s": (0.655, 0.658),
        "voc-fcn8s-atonce": (0.640, 0.653),
    }


def test_rows_are_of_lists_whose_length_is_known():
    for row in ROWS:
        assert row.split in SPLIT_IMAGES or row.split in ("VOC2011 test", "VOC2012 test")
    assert list(SPLIT_IMAGES.values()) == [736, 1449, 654, 200, 5105]


def test_released_weights_are_of_the_released_models():
    assert list(RELEASED_WEIGHTS) == [name for name in list(MODELS)[:15] if name != "nyud-fcn32s-color-d"]
    assert RELEASED_WEIGHTS["voc-fcn8s"] == "fcn8s-heavy-pascal.caffemodel"
    assert RELEASED_WEIGHTS["siftflow-fcn8s"] == "siftflow-fcn8s-heavy.caffemodel"


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


@pytest.mark.parametrize(
    ("split", "pixels"), [("seg11valid", SEG11VALID_PIXELS), ("VOC2012 val", VOC12VAL_PIXELS)], ids=str
)
def test_background_everywhere_on_the_classes_of_a_split(split, pixels):
    hist = np.zeros((21, 21), np.int64)
    hist[:, 0] = pixels
    scores, wanted = Scores(hist), ALL_BACKGROUND[split]
    assert four(scores) == pytest.approx(four(wanted), rel=1e-11)
    assert wanted.tolerance == 1e-10


def test_the_demo_s_figures_from_its_counts():
    """Label by output, of the classes that occur: 0, 2 and 15."""
    hist = np.zeros((21, 21), np.int64)
    hist[np.ix_([0, 2, 15], [0, 2, 15])] = [[52692, 1398, 299], [4618, 28404, 1161], [8782, 7320, 45041]]
    scores = Scores(hist)
    assert scores.pixel_accuracy == pytest.approx(DEMO_LABEL.pixel_accuracy, abs=DEMO_LABEL.tolerance)
    for index, iu in DEMO_LABEL.class_iu.items():
        assert scores.class_iu[index] == pytest.approx(iu, abs=DEMO_LABEL.tolerance)


def test_losses_of_public_logs():
    assert LOSSES["-log(FLT_MIN)"] == pytest.approx(-math.log(np.finfo(np.float32).tiny), abs=5e-5)
    assert LOSSES["log(21)"] == pytest.approx(math.log(21), abs=5e-5)
