"""Power and its kin, by hand and by finite differences."""

import math

import pytest
import torch

from caffe_compat.errors import LayerError

X = torch.tensor([[1.0, 2.0, 3.0]])


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize(
    ("fields", "values"),
    [
        ("", [1, 2, 3]),
        ("scale: 3", [3, 6, 9]),
        ("shift: -1", [0, 1, 2]),
        ("scale: 2 shift: 1", [3, 5, 7]),
        ("power: 2", [1, 4, 9]),
        ("power: 2 scale: 2 shift: 1", [9, 25, 49]),
        ("power: -1 scale: 0.5", [2, 1, 2 / 3]),
        ("power: 0", [1, 1, 1]),
        ("power: 2 scale: 0 shift: 3", [9, 9, 9]),
    ],
)
def test_power(make_layer, run_layer, fields, values, in_place):
    layer = make_layer(f'type: "Power" power_param {{ {fields} }}', X.shape)
    torch.testing.assert_close(run_layer(layer, X.clone(), in_place=in_place)[0], torch.tensor([values]).float())


def test_power_gives_fresh_memory_unless_in_place(make_layer, run_layer):
    layer = make_layer('type: "Power"', X.shape)
    assert run_layer(layer, X)[0].data_ptr() != X.data_ptr()
    assert run_layer(layer, X, in_place=True)[0].data_ptr() == X.data_ptr()


def test_power_without_influence_ignores_its_input(make_layer, run_layer):
    layer = make_layer('type: "Power" power_param { scale: 0 shift: 2 }', (2,))
    x = torch.tensor([float("nan"), float("inf")], requires_grad=True)
    (top,) = run_layer(layer, x)
    assert top.tolist() == [2, 2]
    assert not top.requires_grad


@pytest.mark.parametrize("fields", ["power: 3 scale: 0.5 shift: 2", "power: -0.5", "scale: -2 shift: 1"])
def test_power_gradient(make_layer, check_gradients, fields):
    layer = make_layer(f'type: "Power" power_param {{ {fields} }}', (2, 3))
    check_gradients(layer, (torch.rand(2, 3, dtype=torch.float64) + 0.5).requires_grad_())


def test_power_in_place_gives_the_same_gradient(make_layer, run_layer):
    layer = make_layer('type: "Power" power_param { power: 2 scale: 3 shift: 1 }', X.shape)
    x = X.clone().requires_grad_()
    run_layer(layer, x * 1, in_place=True)[0].sum().backward()
    torch.testing.assert_close(x.grad, 6 * (3 * X + 1))


@pytest.mark.parametrize(
    ("fields", "slope"),
    [
        ("scale: 3", lambda y: 0 * y + 3),
        ("scale: 0 shift: 2", lambda y: 0 * y),
        ("power: 2 scale: 3 shift: 1", lambda y: 6 * (3 * y + 1)),
        ("power: 3 scale: 2", lambda y: 0 * y + 3),
        ("power: 3 scale: 2 shift: 1", lambda y: 6 * y / (2 * y + 1)),
    ],
)
def test_power_given_in_place_has_the_gradient_of_caffe(make_layer, run_layer, fields, slope):
    layer = make_layer(f'type: "Power" power_param {{ {fields} }} bottom: "x" top: "x"', X.shape)
    x = X.clone().requires_grad_()
    (top,) = run_layer(layer, x * 1, in_place=True)
    top.backward(torch.tensor([[5.0, 7.0, 9.0]]))
    torch.testing.assert_close(x.grad, slope(top.detach()) ** 2)
    with torch.no_grad():
        torch.testing.assert_close(run_layer(layer, X.clone(), in_place=True)[0], top)


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        ("", [math.e, math.e**2, math.e**3]),
        ("base: 2", [2, 4, 8]),
        ("base: 2 scale: 0.5 shift: 1", [2**1.5, 4, 2**2.5]),
        ("shift: -1", [1, math.e, math.e**2]),
    ],
)
def test_exp(make_layer, run_layer, fields, values):
    layer = make_layer(f'type: "Exp" exp_param {{ {fields} }}', X.shape)
    torch.testing.assert_close(run_layer(layer, X)[0], torch.tensor([values]).float())


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        ("", [0, math.log(2), math.log(3)]),
        ("base: 2", [0, 1, math.log2(3)]),
        ("base: 10 scale: 100 shift: -90", [1, math.log10(110), math.log10(210)]),
    ],
)
def test_log(make_layer, run_layer, fields, values):
    layer = make_layer(f'type: "Log" log_param {{ {fields} }}', X.shape)
    torch.testing.assert_close(run_layer(layer, X)[0], torch.tensor([values]).float())


def test_log_given_in_place_has_the_gradient_of_caffe(make_layer, run_layer):
    layer = make_layer('type: "Log" log_param { base: 2 scale: 3 shift: 1 } bottom: "x" top: "x"', X.shape)
    x = X.clone().requires_grad_()
    (top,) = run_layer(layer, x)
    top.backward(torch.full(X.shape, 5.0))
    torch.testing.assert_close(x.grad, (3 / math.log(2) / (3 * top.detach() + 1)) ** 2)


def test_absval(make_layer, run_layer):
    x = torch.tensor([-2.0, 0.0, 3.0], requires_grad=True)
    (top,) = run_layer(make_layer('type: "AbsVal"', (3,)), x)
    assert top.tolist() == [2, 0, 3]
    top.sum().backward()
    assert x.grad.tolist() == [-1, 0, 1]


@pytest.mark.parametrize(
    "text", ['"Exp" exp_param { base: 3 scale: -0.5 shift: 1 }', '"Log" log_param { base: 3 scale: 2 }', '"AbsVal"']
)
def test_gradients(make_layer, check_gradients, text):
    check_gradients(make_layer(f"type: {text}", (2, 3)), (torch.rand(2, 3).double() + 0.5).requires_grad_())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"Exp" exp_param { base: 0 }', r"exp_param\.base is 0; give a base above 0, or -1 for e"),
        ('"Exp" exp_param { base: -2 }', r"exp_param\.base is -2"),
        ('"Log" log_param { base: 1 }', r"log_param\.base is 1; give a base above 0 other than 1"),
        ('"Log" log_param { base: -3 }', r"log_param\.base is -3"),
        ('"AbsVal" bottom: "x" top: "x"', "top 'x' is its bottom; it cannot work in place"),
    ],
)
def test_refuses(make_layer, text, message):
    with pytest.raises(LayerError, match=message):
        make_layer(f"type: {text}", (1,))
