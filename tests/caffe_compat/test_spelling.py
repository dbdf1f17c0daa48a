"""The hint behind an unknown name."""

import pytest

from caffe_compat.spelling import did_you_mean


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("kernal_size", ("num_output", "kernel_size", "kernel_h"), " (did you mean kernel_size?)"),
        ("VOC-FCN8S", ("voc-fcn32s", "voc-fcn8s"), " (did you mean voc-fcn8s?)"),
        ("relu", {"ReLU": 1, "PReLU": 2}, " (did you mean ReLU?)"),
        ("banana", ("num_output", "kernel_size"), ""),
        ("anything", (), ""),
    ],
)
def test_the_nearest_known_name(name, known, hint):
    assert did_you_mean(name, known) == hint
