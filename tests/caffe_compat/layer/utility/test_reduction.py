"""Reduction, Tile and Parameter."""

import pytest
import torch
from google.protobuf import text_format

from caffe_compat.errors import LayerError
from caffe_compat.layer.registry import create_layer
from caffe_compat.proto import caffe_pb2 as pb

X = torch.tensor([[1.0, -2.0, 3.0], [0.0, -4.0, 5.0]])


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ("", 3),
        ("operation: ASUM", 15),
        ("operation: SUMSQ coeff: 2", 110),
        ("operation: MEAN", 0.5),
        ("axis: 1", [2, 1]),
        ("axis: -1 operation: MEAN coeff: 3", [2, 1]),
        ("axis: 1 operation: ASUM", [6, 9]),
    ],
)
def test_reduction(make_layer, run_layer, fields, wanted):
    layer = make_layer(f'type: "Reduction" reduction_param {{ {fields} }}', X.shape)
    assert run_layer(layer, X)[0].tolist() == pytest.approx(wanted)


def test_asum_gradient_at_zero_is_zero(make_layer, run_layer):
    x = X.clone().requires_grad_()
    run_layer(make_layer('type: "Reduction" reduction_param { operation: ASUM }', X.shape), x)[0].backward()
    assert x.grad.equal(X.sign())


@pytest.mark.parametrize("operation", ["SUM", "ASUM", "SUMSQ", "MEAN"])
def test_reduction_gradient(make_layer, check_gradients, operation):
    layer = make_layer(f'type: "Reduction" reduction_param {{ operation: {operation} axis: 1 coeff: 2 }}', (2, 3, 4))
    check_gradients(layer, torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True))


def test_reduction_axis_out_of_range(make_layer):
    with pytest.raises(LayerError, match=r"reduction_param\.axis 2 is out of range for a bottom of 2 axes"):
        make_layer('type: "Reduction" reduction_param { axis: 2 }', X.shape).reshape([(2, 3)])


@pytest.mark.parametrize(("axis", "dim"), [(0, 0), (1, 1), (-1, 1)])
def test_tile(make_layer, run_layer, axis, dim):
    layer = make_layer(f'type: "Tile" tile_param {{ axis: {axis} tiles: 2 }}', X.shape)
    assert run_layer(layer, X)[0].equal(torch.cat([X, X], dim))


def test_tile_gradient(make_layer, check_gradients):
    layer = make_layer('type: "Tile" tile_param { tiles: 3 }', (2, 2, 2))
    check_gradients(layer, torch.randn(2, 2, 2, dtype=torch.float64, requires_grad=True))


def test_tile_refuses(make_layer):
    with pytest.raises(LayerError, match=r"tile_param\.tiles is not set"):
        make_layer('type: "Tile"', (1, 2))
    with pytest.raises(LayerError, match=r"tile_param\.tiles is 0; give the number of copies"):
        make_layer('type: "Tile" tile_param { tiles: 0 }', (1, 2))
    with pytest.raises(LayerError, match=r"tile_param\.axis 2 is out of range"):
        make_layer('type: "Tile" tile_param { tiles: 1 axis: 2 }', (1, 2)).reshape([(1, 2)])


def test_parameter_is_its_blob(run_layer):
    text = 'name: "p" type: "Parameter" top: "p" parameter_param { shape { dim: 2 dim: 3 } }'
    layer = create_layer(text_format.Parse(text, pb.LayerParameter()), pb.TEST)
    layer.setup([])
    assert run_layer(layer)[0].tolist() == [[0, 0, 0], [0, 0, 0]]
    value = X.clone().requires_grad_()
    (top,) = run_layer(layer, blobs=[value])
    assert top.equal(X)
    (top * X).sum().backward()
    assert value.grad.equal(X)
