"""Concat and Slice: shapes, values, both forms of axis, and what is refused."""

import pytest
import torch

from caffe_compat.errors import LayerError


def slice_text(fields: str, tops: int) -> str:
    return f'type: "Slice" slice_param {{ {fields} }} ' + " ".join(f'top: "t{i}"' for i in range(tops))


@pytest.mark.parametrize(
    ("fields", "shape"),
    [("", (2, 6, 2)), ("axis: 1", (2, 6, 2)), ("axis: -2", (2, 6, 2)), ("concat_dim: 1", (2, 6, 2))],
)
def test_concat(make_layer, run_layer, fields, shape):
    parts = [torch.randn(2, n, 2) for n in (1, 2, 3)]
    layer = make_layer(f'type: "Concat" concat_param {{ {fields} }}', *(p.shape for p in parts))
    (top,) = run_layer(layer, *parts)
    assert top.shape == shape
    assert top[:, 1:3].equal(parts[1])


def test_concat_along_the_batch_and_of_one(make_layer, run_layer):
    x = torch.randn(2, 3)
    layer = make_layer('type: "Concat" concat_param { axis: 0 }', x.shape, x.shape)
    assert run_layer(layer, x, -x)[0][2:].equal(-x)
    (alone,) = run_layer(make_layer('type: "Concat"', x.shape), x)
    assert alone.equal(x)
    assert alone.data_ptr() != x.data_ptr()


def test_concat_refuses(make_layer):
    layer = make_layer('type: "Concat"', (2, 1, 3), (2, 1, 4))
    with pytest.raises(
        LayerError, match=r"bottom\[1\] has shape \(2, 1, 4\) but bottom\[0\] has \(2, 1, 3\); all axes"
    ):
        layer.reshape([(2, 1, 3), (2, 1, 4)])
    with pytest.raises(LayerError, match=r"bottom\[1\] has shape \(2, 1\)"):
        layer.reshape([(2, 1, 3), (2, 1)])
    with pytest.raises(LayerError, match=r"concat_param\.axis 1 is out of range for a bottom of 1 axes"):
        layer.reshape([(2,), (2,)])
    with pytest.raises(LayerError, match="both axis and concat_dim"):
        make_layer('type: "Concat" concat_param { axis: 1 concat_dim: 1 }', (2, 1), (2, 1))


@pytest.mark.parametrize(
    ("fields", "tops", "sizes"),
    [
        ("slice_point: 1 slice_point: 4", 3, [1, 3, 2]),
        ("axis: -2 slice_point: 2", 2, [2, 4]),
        ("slice_dim: 1", 3, [2, 2, 2]),
        ("", 2, [3, 3]),
        ("", 1, [6]),
    ],
)
def test_slice(make_layer, run_layer, fields, tops, sizes):
    x = torch.randn(2, 6, 3)
    pieces = run_layer(make_layer(slice_text(fields, tops), x.shape), x)
    assert [p.shape[1] for p in pieces] == sizes
    assert torch.cat(pieces, 1).equal(x)
    assert pieces[0].data_ptr() != x.data_ptr()


def test_slice_of_channels_last(make_layer, run_layer):
    x = torch.randn(2, 6, 3, 4).contiguous(memory_format=torch.channels_last)
    assert torch.cat(run_layer(make_layer(slice_text("", 3), x.shape), x), 1).equal(x)


def test_gradients(make_layer, check_gradients):
    x, y = (torch.randn(2, n, 3, dtype=torch.float64, requires_grad=True) for n in (6, 2))
    check_gradients(make_layer('type: "Concat"', x.shape, y.shape), x, y)
    check_gradients(make_layer(slice_text("slice_point: 1 slice_point: 4", 3), x.shape), x)


@pytest.mark.parametrize(
    ("fields", "tops", "message"),
    [
        ("axis: 1 slice_dim: 1", 2, "both axis and slice_dim"),
        ("slice_point: 1", 3, r"1 slice_param\.slice_point for 3 tops; give 2"),
        ("slice_point: 3 slice_point: 3", 3, r"slice_point \[3, 3\] must be above 0 and rise"),
        ("slice_point: 0", 2, r"slice_point \[0\] must be above 0 and rise"),
        ("slice_point: 7", 2, r"slice_point 7 is past the end of an axis of size 6"),
        (
            "axis: 2 slice_point: 1 slice_point: 2 slice_point: 3",
            4,
            r"4 tops for an axis of size 3; the last would be empty",
        ),
        ("", 4, "an axis of size 6 does not divide into 4 equal tops"),
        ("axis: 3", 2, r"slice_param\.axis 3 is out of range for a bottom of 3 axes"),
    ],
)
def test_slice_refuses(make_layer, fields, tops, message):
    with pytest.raises(LayerError, match=message):
        make_layer(slice_text(fields, tops), (2, 6, 3)).reshape([(2, 6, 3)])
