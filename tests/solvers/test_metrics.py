"""The metrics against hand-worked matrices and against published figures on real labels."""

import math

import numpy as np
import pytest
from PIL import Image

from caffe_compat.errors import DataError
from solvers.metrics import Scores, confusion_matrix

VOID = 255


def test_rows_are_true_classes_and_void_does_not_count():
    truth = np.array([[0, 0, 1], [1, 2, VOID]], np.uint8)
    predicted = np.array([[0, 1, 1], [1, 0, 2]], np.uint8)
    expected = [[1, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert confusion_matrix(truth, predicted, 3).tolist() == expected


def test_labels_below_and_above_the_classes_do_not_count():
    truth = np.array([-1.0, 3.0, 255.0, 2.0], np.float32)  # labels come out of a blob as floats
    hist = confusion_matrix(truth, np.array([0, 7, -5, 2]), 3)
    assert (hist.sum(), hist[2, 2]) == (1, 1)


def test_prediction_outside_the_classes():
    with pytest.raises(DataError, match="the prediction holds 7; wanted 0 to 2, the 3 classes"):
        confusion_matrix(np.array([1]), np.array([7]), 3)


def test_shapes_must_agree():
    with pytest.raises(DataError, match=r"the truth has shape \(2, 3\) and the prediction \(3, 2\)"):
        confusion_matrix(np.zeros((2, 3)), np.zeros((3, 2)), 3)


def test_metrics_by_hand():
    scores = Scores(np.array([[6, 2], [1, 3]]))
    assert scores.pixel_accuracy == pytest.approx(9 / 12)
    assert scores.mean_accuracy == pytest.approx((6 / 8 + 3 / 4) / 2)
    assert scores.class_iu == pytest.approx([6 / 9, 3 / 6])
    assert scores.mean_iu == scores.released_mean_iu == pytest.approx((6 / 9 + 3 / 6) / 2)
    assert scores.fw_iu == pytest.approx((8 * 6 / 9 + 4 * 3 / 6) / 12)


def test_class_absent_from_both_takes_no_part():
    scores = Scores(np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]]))
    two = Scores(scores.hist[:2, :2])
    assert math.isnan(scores.class_iu[2])
    assert math.isnan(scores.class_accuracy[2])
    assert scores.mean_iu == scores.released_mean_iu == two.mean_iu
    assert (scores.mean_accuracy, scores.fw_iu) == (two.mean_accuracy, two.fw_iu)


def test_class_predicted_but_absent_takes_no_part_except_in_the_released_mean():
    scores = Scores(np.array([[6, 2, 1], [1, 3, 0], [0, 0, 0]]))
    ious = [6 / 10, 3 / 6]
    assert math.isnan(scores.class_iu[2])
    assert scores.mean_iu == pytest.approx(sum(ious) / 2)
    assert scores.released_mean_iu == pytest.approx(sum(ious) / 3)
    assert scores.fw_iu == pytest.approx((9 * ious[0] + 4 * ious[1]) / 13)


def test_nothing_counted_is_nan_without_a_warning():
    scores = Scores(np.zeros((3, 3), np.int64))
    means = (scores.pixel_accuracy, scores.mean_accuracy, scores.mean_iu, scores.fw_iu, scores.released_mean_iu)
    assert all(map(math.isnan, means))


def test_sum_of_scores():
    a, b = Scores(np.eye(2, dtype=int), images=1, loss=3.0), Scores(np.ones((2, 2), int), images=3, loss=1.0)
    both = a + b
    assert both.hist.tolist() == [[2, 1], [1, 2]]
    assert (both.images, both.loss) == (4, 1.5)
    assert (a + Scores(b.hist, images=1)).loss is None


def test_table_names_classes_and_marks_absent_ones():
    lines = Scores(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])).table(["background", "aeroplane", "cow"]).splitlines()
    assert lines[1].split() == ["background", "4", "75.00", "75.00"]
    assert lines[2].split() == ["aeroplane", "4", "100.00", "80.00"]
    assert lines[3].split() == ["cow", "0", "-", "-"]
    assert lines[4] == "pixel accuracy 87.500  mean accuracy 87.500  mean IU 77.500  frequency-weighted IU 77.500"


def test_table_needs_a_name_for_each_class():
    with pytest.raises(DataError, match="2 class names for 3 classes"):
        Scores(np.eye(3, dtype=int)).table(["a", "b"])


@pytest.fixture(scope="module")
def all_background(realdata):
    """All-background prediction on the 736 real labels of seg11valid."""
    hist = np.zeros((21, 21), np.int64)
    files = sorted((realdata / "labels_seg11valid").glob("*.png"))
    for file in files:
        with Image.open(file) as picture:
            label = np.asarray(picture)
        hist += confusion_matrix(label, np.zeros_like(label), 21)
    return Scores(hist, images=len(files))


def test_all_background_on_seg11valid_to_every_published_digit(all_background):
    assert all_background.images == 736
    assert f"{all_background.pixel_accuracy:.12f}" == "0.728528704731"
    assert all_background.mean_accuracy == pytest.approx(1 / 21, abs=1e-15)
    assert f"{all_background.mean_iu:.13f}" == f"{all_background.released_mean_iu:.13f}" == "0.0346918430824"
    assert f"{all_background.fw_iu:.12f}" == "0.530754073617"


def test_pixels_of_seg11valid_by_class(all_background):
    assert all_background.class_pixels.tolist() == [
        90730503, 909327, 332697, 1120958, 566747, 1165929, 1791924, 1592013, 2942851, 1506794, 1593248,
        1911304, 2308630, 1027153, 1393724, 6682736, 713781, 1043603, 2096985, 2125967, 982492,
    ]  # fmt: skip
    assert all_background.hist.sum() == all_background.hist[:, 0].sum()


def test_all_background_on_voc12_val_to_every_digit_of_the_public_log():
    hist = np.zeros((21, 21), np.int64)
    hist[:, 0] = [
        179546198, 1923813, 812837, 2151885, 1348653, 1921777, 4320752, 3593454, 5720951, 2114193, 2966844,
        2864750, 5034389, 2641937, 2587440, 12999623, 1234562, 1932805, 3479235, 3919005, 1771754,
    ]  # fmt: skip
    scores = Scores(hist)
    assert f"{scores.pixel_accuracy:.12f}" == "0.733180213097"
    assert f"{scores.mean_accuracy:.12f}" == "0.047619047619"
    assert f"{scores.mean_iu:.13f}" == "0.0349133434808"
    assert f"{scores.fw_iu:.12f}" == "0.537553224877"
