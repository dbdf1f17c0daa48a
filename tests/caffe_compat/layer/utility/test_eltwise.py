"""Eltwise: the three operations, their gradients at ties and zeros, and what is refused."""

import math

import pytest
import torch
from google.protobuf import text_format

from caffe_compat.device import generator
from caffe_compat.errors import LayerError
from caffe_compat.layer.contract import Context
from caffe_compat.net.net import Net
from caffe_compat.proto import caffe_pb2 as pb

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


def in_place(operation: str) -> Net:
    """y = a, then y = operation(y, b, c) in place, then z = y; backward from a diff of 2, 3, 5."""
    net = pb.NetParameter(force_backward=True)
    for name in "abc":
        net.layer.add(name=name, type="Input", top=[name]).input_param.shape.add(dim=[3])
    net.layer.add(name="first", type="Power", bottom=["a"], top=["y"])
    layer = text_format.Parse(f"eltwise_param {{ {operation} }}", pb.LayerParameter())
    layer.MergeFrom(pb.LayerParameter(name="l", type="Eltwise", bottom=["y", "b", "c"], top=["y"]))
    net.layer.append(layer)
    net.layer.add(name="last", type="Power", bottom=["y"], top=["z"])
    made = Net(net, pb.TRAIN)
    for name, values in zip("abc", (A, B, C), strict=True):
        made.blobs[name].data[...] = values
    made.forward()
    made.blobs["z"].diff[...] = [2, 3, 5]
    made.backward()
    return made


@pytest.mark.parametrize(
    ("operation", "top", "diffs"),
    [
        ("", [8, 2, 2], [[2, 3, 5]] * 3),
        ("coeff: 3 coeff: -1 coeff: 2", [4, -2, 7], [[6, 9, 15], [-6, -9, -15], [12, 18, 30]]),
        ("operation: MAX", [4, 2, 3], [[0, 0, 0]] * 3),
        # a's diff is (b c)^2; b's is y c times that, c's y b times that
        ("operation: PROD", [16, 0, -9], [[256, 0, 9], [16384, 0, -243], [16384, 0, 81]]),
    ],
)
def test_in_place_gives_the_numbers_of_memory_that_was_overwritten(operation, top, diffs):
    net = in_place(operation)
    assert net.blobs["z"].data.tolist() == top
    assert [net.blobs[name].diff.tolist() for name in "abc"] == diffs


def test_in_place_quick_prod_gradient():
    net = in_place("operation: PROD stable_prod_grad: false")
    a, b, c = (net.blobs[name].diff.tolist() for name in "abc")
    assert [a[0], a[2], b[0], b[2], c[0], c[2]] == [1, 1, 4, 9, 4, -3]
    assert all(math.isnan(diff[1]) for diff in (a, b, c))


def test_in_place_without_a_gradient_of_bottom_0_its_diff_stays_the_tops(make_layer):
    layer = make_layer('type: "Eltwise" eltwise_param { operation: MAX }', (3,), (3,), (3,))
    b, c = B.clone().requires_grad_(), C.clone().requires_grad_()
    (y,) = layer.forward([A, b, c], [], Context(pb.TRAIN, generator(), same_blob=True))
    y.backward(torch.tensor([2.0, 3, 5]))
    assert [b.grad.tolist(), c.grad.tolist()] == [[2, 3, 0], [0, 0, 5]]


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
