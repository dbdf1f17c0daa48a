"""Fillers: their distributions, bounds and formulas."""

import math

import numpy as np
import pytest
import torch
from google.protobuf import text_format

from caffe_compat.device import set_random_seed
from caffe_compat.errors import NetError
from caffe_compat.layer.blob import Blob
from caffe_compat.layer.filler import FILLERS, bilinear_kernel, fill
from caffe_compat.proto import caffe_pb2 as pb

SHAPE = (40, 30, 5, 4)  # 24000 values; fan_in 600, fan_out 800


def filled(text: str, shape: tuple[int, ...] = SHAPE, seed: int = 1) -> np.ndarray:
    set_random_seed(seed)
    blob = Blob(shape)
    fill(blob, text_format.Parse(text, pb.FillerParameter()))
    return blob.data.astype(np.float64)


def check_moments(values: np.ndarray, mean: float, std: float) -> None:
    """Mean and standard deviation, each within five standard errors."""
    assert abs(values.mean() - mean) < 5 * std / math.sqrt(values.size)
    assert abs(values.std() - std) < 5 * std / math.sqrt(values.size)


def test_the_seven_of_caffe():
    assert sorted(FILLERS) == ["bilinear", "constant", "gaussian", "msra", "positive_unitball", "uniform", "xavier"]


def test_the_default_is_constant_zero():
    blob = Blob((2, 3))
    fill(blob, pb.FillerParameter())
    assert not blob.data.any()
    assert not blob.has_diff


def test_constant():
    assert (filled("type: 'constant' value: -2.5", (2, 3)) == -2.5).all()


def test_uniform():
    values = filled("type: 'uniform' min: -1 max: 3")
    check_moments(values, 1, 4 / math.sqrt(12))
    assert -1 <= values.min() < -0.99
    assert 2.99 < values.max() <= 3


def test_gaussian():
    values = filled("type: 'gaussian' mean: 2 std: 0.5")
    check_moments(values, 2, 0.5)
    assert abs((np.abs(values - 2) < 0.5).mean() - 0.6827) < 0.02


@pytest.mark.parametrize("sparse", [0, 10, 40])
def test_sparse_gaussian_keeps_a_share_of_the_outputs(sparse):
    values = filled(f"type: 'gaussian' std: 1 sparse: {sparse}")
    share = sparse / SHAPE[0]
    assert abs((values != 0).mean() - share) <= 5 * math.sqrt(share * (1 - share) / values.size)
    if sparse:
        check_moments(values[values != 0], 0, 1)


@pytest.mark.parametrize(("norm", "n"), [("FAN_IN", 600), ("FAN_OUT", 800), ("AVERAGE", 700)])
def test_xavier_and_msra_scale_with_the_fan(norm, n):
    xavier = filled(f"type: 'xavier' variance_norm: {norm}")
    check_moments(xavier, 0, math.sqrt(1 / n))
    assert math.sqrt(3 / n) * 0.999 < np.abs(xavier).max() <= math.sqrt(3 / n) * (1 + 1e-6)
    check_moments(filled(f"type: 'msra' variance_norm: {norm}"), 0, math.sqrt(2 / n))


def test_the_fan_is_fan_in_unless_told():
    check_moments(filled("type: 'msra'"), 0, math.sqrt(2 / 600))


def test_fan_out_of_a_vector_is_its_count():
    check_moments(filled("type: 'msra' variance_norm: FAN_OUT", (20000,)), 0, math.sqrt(2 / 20000))
    check_moments(filled("type: 'msra'", (20000,)), 0, math.sqrt(2))


def test_positive_unitball_sums_to_one_for_each_output():
    values = filled("type: 'positive_unitball'")
    assert (values >= 0).all()
    np.testing.assert_allclose(values.sum((1, 2, 3)), 1, rtol=1e-5)
    assert values.max() < 1 / (300 - 5 * math.sqrt(600 / 12))  # 1 / sum of 600 draws, its mean less five sigma
    assert values.std() * 600 == pytest.approx(1 / math.sqrt(3), rel=0.02)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 16, 32, 63, 64])
def test_bilinear_is_the_formula(size):
    f = math.ceil(size / 2)
    c = (size - 1) / (2 * f)
    kernel = [[(1 - abs(x / f - c)) * (1 - abs(y / f - c)) for x in range(size)] for y in range(size)]
    values = filled("type: 'bilinear'", (3, 2, size, size))
    for pair in values.reshape(6, size, size):
        np.testing.assert_allclose(pair, kernel, rtol=1e-6)
    np.testing.assert_array_equal(bilinear_kernel(size).numpy(), values[0, 0].astype(np.float32))


@pytest.mark.parametrize("type_", ["constant", "uniform", "gaussian"])
def test_a_number_without_axes_can_be_filled(type_):
    assert filled(f"type: '{type_}' value: 1 min: 1 max: 2 mean: 9", ()).item() >= 1


def test_bilinear_upsamples_linearly():
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    up = torch.nn.functional.conv_transpose2d(ramp, bilinear_kernel(4)[None, None], stride=2, padding=1)
    steps = up[0, 0, 4, 2:-2].diff()
    np.testing.assert_allclose(steps, 0.5, atol=1e-6)


def test_the_filled_blob_owns_its_memory():
    blob = Blob((2, 2, 4, 4))
    fill(blob, pb.FillerParameter(type="bilinear"))
    blob.data[0, 0] = 0  # every channel pair has a kernel of its own
    assert blob.data[1, 1].any()


@pytest.mark.parametrize("type_", ["uniform", "gaussian", "xavier", "msra", "positive_unitball"])
def test_draws_follow_the_seed(type_):
    text = f"type: '{type_}' max: 1"
    assert (filled(text, seed=3) == filled(text, seed=3)).all()
    assert (filled(text, seed=3) != filled(text, seed=4)).any()


@pytest.mark.parametrize(
    ("text", "shape", "found"),
    [
        (
            "type: 'gauss'",
            (2, 3),
            "unknown filler type 'gauss'; known: bilinear, constant, gaussian, msra, positive_unit",
        ),
        ("type: 'uniform' sparse: 2", (2, 3), "filler 'uniform' does not take sparse; only gaussian does"),
        ("type: 'gaussian' sparse: -2", (2, 3), "sparse -2 is negative; give the non-zero inputs per output"),
        ("type: 'gaussian' sparse: 3", (2, 3), "sparse 3 is more than the 2 outputs"),
        ("type: 'xavier'", (0, 3), r"filler 'xavier' was given a blob of shape \(0, 3\), which has no elements"),
        ("type: 'xavier'", (), "filler 'xavier' counts outputs along the first axis, and this blob is one number"),
        ("type: 'msra'", (), "filler 'msra' counts outputs"),
        ("type: 'positive_unitball'", (), "filler 'positive_unitball' counts outputs"),
        (
            "type: 'gaussian' sparse: 1",
            (),
            "filler 'gaussian' counts outputs .*; use constant, uniform or gaussian wit",
        ),
        ("type: 'bilinear'", (2, 3), r"bilinear filler needs a 4-axis blob with a square kernel; this one is \(2, 3\)"),
        ("type: 'bilinear'", (1, 1, 3, 4), r"square kernel; this one is \(1, 1, 3, 4\)"),
    ],
)
def test_what_cannot_be_filled(text, shape, found):
    with pytest.raises(NetError, match=found):
        filled(text, shape)


def test_a_layer_says_whose_filler_it_is(make_layer):
    with pytest.raises(NetError, match=r"layer 'l' \(InnerProduct\): unknown filler type 'gauss'; known: "):
        make_layer("type: 'InnerProduct' inner_product_param { num_output: 2 weight_filler { type: 'gauss' } }", (2, 3))
