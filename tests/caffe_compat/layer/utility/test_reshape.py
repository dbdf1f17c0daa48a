"""Reshape and Flatten: the shapes they give, in Caffe's rules, and what is refused."""

import pytest
import torch

from caffe_compat.errors import LayerError

SHAPE = (2, 3, 5, 4)


def dims(*values: int) -> str:
    return "shape { " + " ".join(f"dim: {v}" for v in values) + " }"


@pytest.mark.parametrize(
    ("fields", "shape"),
    [
        ("", (2, 60)),
        ("axis: 2", (2, 3, 20)),
        ("axis: 0 end_axis: 1", (6, 5, 4)),
        ("axis: -3 end_axis: -2", (2, 15, 4)),
        ("axis: 3", SHAPE),
    ],
)
def test_flatten(make_layer, run_layer, fields, shape):
    x = torch.randn(SHAPE)
    (top,) = run_layer(make_layer(f'type: "Flatten" flatten_param {{ {fields} }}', SHAPE), x)
    assert top.shape == shape
    assert top.flatten().equal(x.flatten())
    assert top.data_ptr() == x.data_ptr()


@pytest.mark.parametrize(
    ("fields", "shape"),
    [
        (dims(0, -1, 4), (2, 15, 4)),
        (dims(-1), (120,)),
        (dims(0, 0, 20), (2, 3, 20)),
        (dims(2, 60), (2, 60)),
        (dims(3, 1) + " axis: 1 num_axes: 1", (2, 3, 1, 5, 4)),
        (dims(-1) + " axis: 1 num_axes: 2", (2, 15, 4)),
        (dims(1) + " num_axes: 0", (1, *SHAPE)),
        (dims(1) + " axis: -1", (*SHAPE, 1)),
        (dims(2, 2) + " axis: -2", (2, 3, 5, 2, 2)),
        ("axis: 0 num_axes: 0", SHAPE),
    ],
)
def test_reshape(make_layer, run_layer, fields, shape):
    x = torch.randn(SHAPE)
    (top,) = run_layer(make_layer(f'type: "Reshape" reshape_param {{ {fields} }}', SHAPE), x)
    assert top.shape == shape
    assert top.flatten().equal(x.flatten())
    assert top.data_ptr() == x.data_ptr()


def test_order_is_that_of_the_axes_whatever_the_memory_layout(make_layer, run_layer):
    x = torch.randn(SHAPE).contiguous(memory_format=torch.channels_last)
    assert run_layer(make_layer('type: "Flatten"', SHAPE), x)[0].equal(x.contiguous().view(2, 60))


def test_gradients(make_layer, check_gradients):
    x = torch.randn(SHAPE, dtype=torch.float64, requires_grad=True)
    check_gradients(make_layer('type: "Flatten"', SHAPE), x)
    check_gradients(make_layer(f'type: "Reshape" reshape_param {{ {dims(-1, 4)} }}', SHAPE), x)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("axis: 2 end_axis: 1", "end_axis 1 comes before axis 2"),
        ("axis: 4", r"flatten_param\.axis 4 is out of range for a bottom of 4 axes"),
        ("end_axis: -5", r"flatten_param\.end_axis -5 is out of range"),
    ],
)
def test_flatten_refuses(make_layer, fields, message):
    with pytest.raises(LayerError, match=message):
        make_layer(f'type: "Flatten" flatten_param {{ {fields} }}', SHAPE).reshape([SHAPE])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dims(-1, -1), r"shape \[-1, -1\] must hold sizes, 0 \(keep\) and at most one -1"),
        (dims(-2), r"shape \[-2\] must hold sizes"),
        (dims(7, -1), r"has 120 values, not a multiple of the 7 of \(7, -1\)"),
        (dims(7, 7), r"has 120 values, but \(7, 7\) has 49"),
        (dims(1, 1, 1, 1, 0), r"keeps axis 4, but bottom\[0\] has shape \(2, 3, 5, 4\)"),
        (dims(1) + " axis: 5", r"reshape_param\.axis 5 is out of range for a bottom of 4 axes; use -5 to 4"),
        (dims(1) + " num_axes: -2", r"num_axes is -2; give -1"),
        (dims(1) + " axis: 3 num_axes: 2", r"axis 3 \+ num_axes 2 is past the 4 axes"),
    ],
)
def test_reshape_refuses(make_layer, fields, message):
    with pytest.raises(LayerError, match=message):
        make_layer(f'type: "Reshape" reshape_param {{ {fields} }}', SHAPE).reshape([SHAPE])


@pytest.mark.parametrize("type_", ["Reshape", "Flatten"])
def test_in_place_is_refused(make_layer, type_):
    with pytest.raises(LayerError, match="top 'b0' is its bottom; it cannot work in place"):
        make_layer(f'type: "{type_}" top: "b0"', SHAPE)
