import math

import numpy as np
import pytest

from caffe_compat.errors import SolverError
from caffe_compat.proto.caffe_pb2 import SolverParameter
from caffe_compat.solver.lr import POLICIES, learning_rate

BY_HAND = {
    "fixed": ({}, lambda t: 0.1),
    "step": ({"stepsize": 3, "gamma": 0.5}, lambda t: 0.1 * 0.5 ** (t // 3)),
    "exp": ({"gamma": 0.9}, lambda t: 0.1 * 0.9**t),
    "inv": ({"gamma": 0.3, "power": 0.75}, lambda t: 0.1 * (1 + 0.3 * t) ** -0.75),
    "multistep": ({"gamma": 0.3, "stepvalue": [2, 5]}, lambda t: 0.1 * 0.3 ** ((t >= 2) + (t >= 5))),
    "poly": ({"power": 0.9, "max_iter": 10}, lambda t: 0.1 * (1 - t / 10) ** 0.9),
    "sigmoid": ({"gamma": 0.5, "stepsize": 5}, lambda t: 0.1 / (1 + math.exp(-0.5 * (t - 5)))),
}


def test_every_policy_is_here():
    assert sorted(BY_HAND) == sorted(POLICIES)


@pytest.mark.parametrize("policy", POLICIES)
def test_rates_by_formula(policy):
    settings, formula = BY_HAND[policy]
    param, step = SolverParameter(lr_policy=policy, base_lr=0.1, **settings), 0
    for t in range(11):
        rate, step = learning_rate(param, t, step)
        assert rate == pytest.approx(formula(t), rel=1e-6)
        assert rate == np.float32(rate)


def test_multistep_passes_one_stepvalue_per_iteration():
    param = SolverParameter(lr_policy="multistep", base_lr=1, gamma=0.5, stepvalue=[2, 2, 2])
    assert learning_rate(param, 7, 0) == (0.5, 1)
    assert learning_rate(param, 8, 1) == (0.25, 2)
    assert learning_rate(param, 9, 3) == (0.125, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "lr_policy is not set; set it to one of: exp, fixed, inv, multistep, poly, sigmoid, step"),
        ({"lr_policy": "cosine"}, "unknown lr_policy 'cosine'; set it to one of: exp, fixed"),
        ({"lr_policy": "step", "gamma": 0.1}, "lr_policy 'step' needs stepsize of 1 or more, found 0"),
        ({"lr_policy": "exp", "gamma": -0.1}, "lr_policy 'exp' needs gamma of 0 or more, found -0.1"),
        ({"lr_policy": "sigmoid", "stepsize": 2, "gamma": -1}, "lr_policy 'sigmoid' needs gamma of 0 or more"),
        ({"lr_policy": "poly"}, "lr_policy 'poly' needs max_iter of 1 or more, found 0"),
    ],
)
def test_a_policy_that_cannot_be_followed(settings, message):
    with pytest.raises(SolverError, match=message):
        learning_rate(SolverParameter(base_lr=0.1, **settings), 0, 0)
