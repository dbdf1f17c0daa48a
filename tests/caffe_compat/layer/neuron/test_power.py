"""Power and its kin, by hand and by finite differences."""

import pytest
import torch

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
