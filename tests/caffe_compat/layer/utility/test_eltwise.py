"""Eltwise: the three operations, their gradients at ties and zeros, and what is refused."""

import pytest
import torch

from caffe_compat.errors import LayerError

A = torch.tensor([1.0, 2.0, 3.0])
B = torch.tensor([4.0, 2.0, -1.0])
C = torch.tensor([4.0, 0.0, 3.0])


def gradients(run_layer, layer, *values):
    leaves = [v.clone().requires_grad_() for v in values]
    run_layer(layer, *leaves)[0].sum().backward()
    return [leaf.grad.tolist() for leaf in leaves]


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        ("", [9, 4, 5]),
        ("operation: SUM coeff: 1 coeff: -0.5 coeff: 2", [7, 1, 9.5]),
        ("operation: SUM coeff: 2 coeff: 0 coeff: 1", [6, 4, 9]),
        ("operation: PROD", [16, 0, -9]),
        ("operation: MAX", [4, 2, 3]),
    ],
)
def test_values(make_layer, run_layer, fields, values):
    layer = make_layer(f'type: "Eltwise" eltwise_param {{ {fields} }}', (3,), (3,), (3,))
    assert run_layer(layer, A, B, C)[0].tolist() == values


@pytest.mark.parametrize("coeff", ["", "coeff: 3 coeff: -1"])
def test_sum_in_place_overwrites_bottom_0(make_layer, run_layer, coeff):
    layer = make_layer(f'type: "Eltwise" eltwise_param {{ {coeff} }}', (3,), (3,))
    x = A.clone()
    (top,) = run_layer(layer, x, B, in_place=True)
    assert top.data_ptr() == x.data_ptr()
    assert top.tolist() == (([5, 4, 2]) if not coeff else [-1, 4, 10])
    assert run_layer(layer, A, B)[0].data_ptr() != A.data_ptr()


def test_max_gives_a_tie_to_one_bottom(make_layer, run_layer):
    layer = make_layer('type: "Eltwise" eltwise_param { operation: MAX }', (3,), (3,), (3,))
    assert gradients(run_layer, layer, A, B, C) == [[0, 0, 1], [1, 1, 0], [0, 0, 0]]


def test_prod_gradient_at_zero(make_layer, run_layer):
    stable = make_layer('type: "Eltwise" eltwise_param { operation: PROD }', (3,), (3,))
    assert gradients(run_layer, stable, B, C) == [[4, 0, 3], [4, 2, -1]]
    quick = make_layer('type: "Eltwise" eltwise_param { operation: PROD stable_prod_grad: false }', (3,), (3,))
    left, right = gradients(run_layer, quick, B, C)
    assert left == [4, 0, 3]
    assert right[0] == 4
    assert right[1] != right[1], "y / x is NaN at 0, as Caffe's"


@pytest.mark.parametrize(
    "fields",
    [
        "coeff: 0.5 coeff: -2 coeff: 1",
        "operation: PROD",
        "operation: PROD stable_prod_grad: false",
        "operation: MAX",
    ],
)
def test_gradient(make_layer, check_gradients, fields):
    layer = make_layer(f'type: "Eltwise" eltwise_param {{ {fields} }}', *[(2, 3)] * 3)
    check_gradients(layer, *(torch.randn(2, 3, dtype=torch.float64, requires_grad=True) for _ in range(3)))


def test_shapes_must_be_equal(make_layer):
    layer = make_layer('type: "Eltwise"', (2, 3), (2, 1))
    with pytest.raises(LayerError, match=r"layer 'l' \(Eltwise\): bottom\[1\] has shape \(2, 1\) but bottom\[0\] has"):
        layer.reshape([(2, 3), (2, 1)])


def test_coeff_is_refused_where_it_cannot_apply(make_layer):
    with pytest.raises(LayerError, match="coeff was given with PROD"):
        make_layer('type: "Eltwise" eltwise_param { operation: PROD coeff: 1 coeff: 1 }', (2,), (2,))
    with pytest.raises(LayerError, match=r"1 eltwise_param\.coeff for 2 bottoms"):
        make_layer('type: "Eltwise" eltwise_param { coeff: 1 }', (2,), (2,))


def test_one_bottom_is_not_enough(make_layer):
    with pytest.raises(LayerError, match="1 bottoms given; it takes at least 2"):
        make_layer('type: "Eltwise"', (2,))
