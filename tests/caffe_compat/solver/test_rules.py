"""Every solver type against its rule in NumPy: policy, clipping, iter_size, L1 and L2, multipliers of 0, all at once.

A net of two InnerProduct layers, whose gradients are written out here, trains for a few iterations.
"""

import math

import numpy as np
import pytest
from google.protobuf import text_format

from caffe_compat.proto.caffe_pb2 import SolverParameter
from caffe_compat.solver import get_solver

ITERATIONS = 6
MULTIPLIERS = [(1, 1), (2, 0), (0, 1), (0.5, 2)]  # lr_mult, decay_mult of weight and bias of both layers
SPECS = [f"param {{ lr_mult: {lr} decay_mult: {decay} }}" for lr, decay in MULTIPLIERS]
NET = f"""
layer {{ name: "in" type: "Input" top: "x" top: "t" input_param {{ shape {{ dim: [4, 3] }} shape {{ dim: [4, 2] }} }} }}
layer {{ name: "a" type: "InnerProduct" bottom: "x" top: "a"
  {SPECS[0]} {SPECS[1]} inner_product_param {{ num_output: 3 }} }}
layer {{ name: "b" type: "InnerProduct" bottom: "a" top: "b"
  {SPECS[2]} {SPECS[3]} inner_product_param {{ num_output: 2 }} }}
layer {{ name: "loss" type: "EuclideanLoss" bottom: "b" bottom: "t" }}
"""

POLICIES = {
    'lr_policy: "fixed"': lambda i: 1,
    'lr_policy: "step" gamma: 0.5 stepsize: 2': lambda i: 0.5 ** (i // 2),
    'lr_policy: "exp" gamma: 0.9': lambda i: 0.9**i,
    'lr_policy: "inv" gamma: 0.5 power: 0.75': lambda i: (1 + 0.5 * i) ** -0.75,
    'lr_policy: "multistep" gamma: 0.5 stepvalue: 1 stepvalue: 4': lambda i: 0.5 ** ((i >= 1) + (i >= 4)),
    f'lr_policy: "poly" power: 2 max_iter: {ITERATIONS}': lambda i: (1 - i / ITERATIONS) ** 2,
    'lr_policy: "sigmoid" gamma: 0.5 stepsize: 3': lambda i: 1 / (1 + math.exp(-0.5 * (i - 3))),
}


def sgd(g, h, rate, t):
    h[0] = 0.9 * h[0] + rate * g
    return h[0]


def nesterov(g, h, rate, t):
    before, h[0] = h[0], 0.9 * h[0] + rate * g
    return 1.9 * h[0] - 0.9 * before


def adagrad(g, h, rate, t):
    h[0] = h[0] + g * g
    return rate * g / (np.sqrt(h[0]) + 1e-3)


def rmsprop(g, h, rate, t):
    h[0] = 0.8 * h[0] + 0.2 * g * g
    return rate * g / (np.sqrt(h[0]) + 1e-3)


def adadelta(g, h, rate, t):
    h[0] = 0.9 * h[0] + 0.1 * g * g
    update = g * np.sqrt((h[1] + 1e-3) / (h[0] + 1e-3))
    h[1] = 0.9 * h[1] + 0.1 * update * update
    return rate * update


def adam(g, h, rate, t):
    h[0] = 0.9 * h[0] + 0.1 * g
    h[1] = 0.99 * h[1] + 0.01 * g * g
    return rate * math.sqrt(1 - 0.99**t) / (1 - 0.9**t) * h[0] / (np.sqrt(h[1]) + 1e-3)


RULES = {
    'type: "SGD" momentum: 0.9': sgd,
    'type: "Nesterov" momentum: 0.9': nesterov,
    'type: "AdaGrad" delta: 1e-3': adagrad,
    'type: "RMSProp" rms_decay: 0.8 delta: 1e-3': rmsprop,
    'type: "AdaDelta" momentum: 0.9 delta: 1e-3': adadelta,
    'type: "Adam" momentum: 0.9 momentum2: 0.99 delta: 1e-3': adam,
}


def gradients(w, x, t):
    """Of the sum of squared differences over 2 N, for weight and bias of both layers."""
    a = x @ w[0].T + w[1]
    top = (a @ w[2].T + w[3] - t) / len(x)
    below = top @ w[2]
    return [below.T @ x, below.sum(0), top.T @ a, top.sum(0)]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("regularization", "clip", "iter_size"), [("L2", -1, 1), ("L1", 0.5, 3), ("L2", 2, 2)])
@pytest.mark.parametrize("rule", RULES)
def test_rule(rule, regularization, clip, iter_size, policy):
    text = (
        f'{rule} {policy} base_lr: 0.1 weight_decay: 0.05 regularization_type: "{regularization}" '
        f"clip_gradients: {clip} iter_size: {iter_size} net_param {{ {NET} }}"
    )
    solver = get_solver(text_format.Parse(text, SolverParameter()))
    random = np.random.default_rng(3)
    blobs = [blob for layer in "ab" for blob in solver.net.params[layer]]
    w = [random.standard_normal(blob.data.shape) for blob in blobs]
    x, t = random.standard_normal((4, 3)), random.standard_normal((4, 2))
    for blob, values in zip([*blobs, solver.net.blobs["x"], solver.net.blobs["t"]], [*w, x, t], strict=True):
        blob.data[...] = values
    history = [[np.zeros_like(values)] * 2 for values in w]
    for i in range(ITERATIONS):
        found = gradients(w, x, t)
        summed = [iter_size * g * (lr != 0) for g, (lr, _) in zip(found, MULTIPLIERS, strict=True)]
        norm = math.sqrt(sum((g * g).sum() for g in summed))
        scale = clip / norm if 0 <= clip < norm else 1
        for k, (lr, decay) in enumerate(MULTIPLIERS):
            g = summed[k] * scale / iter_size + 0.05 * decay * (w[k] if regularization == "L2" else np.sign(w[k]))
            w[k] = w[k] - RULES[rule](g, history[k], 0.1 * POLICIES[policy](i) * lr, i + 1)
        solver.step(1)
        for blob, values in zip(blobs, w, strict=True):
            np.testing.assert_allclose(blob.data, values, rtol=1e-4, atol=1e-5, err_msg=f"iteration {i}")
    for k, held in enumerate(history):
        for slot in range(len(solver.history) // len(w)):
            ours = solver.history[slot * len(w) + k]
            np.testing.assert_allclose(0 if ours is None else ours, held[slot], rtol=1e-4, atol=1e-5)
