"""Scale and Bias: which axes are covered, fillers, second bottoms, gradients, and what they refuse."""

import pytest
import torch

from caffe_compat.errors import LayerError

SHAPE = (2, 3, 4, 5)


@pytest.mark.parametrize("type_", ["Scale", "Bias"])
@pytest.mark.parametrize(
    ("fields", "blob", "view"),
    [
        ("", (3,), (1, 3, 1, 1)),
        ("axis: 0 num_axes: 2", (2, 3), (2, 3, 1, 1)),
        ("axis: -1", (5,), (1, 1, 1, 5)),
        ("axis: 2 num_axes: -1", (4, 5), (1, 1, 4, 5)),
        ("num_axes: 0", (), (1, 1, 1, 1)),
        ("axis: 0 num_axes: -1", SHAPE, SHAPE),
    ],
)
def test_covered_axes(make_layer, run_layer, type_, fields, blob, view):
    layer = make_layer(f'type: "{type_}" {type_.lower()}_param {{ {fields} }}', SHAPE)
    assert layer.blobs[0].shape == blob
    values = torch.randn(blob)
    layer.blobs[0].write(values)
    x = torch.randn(SHAPE)
    wanted = x * values.reshape(view) if type_ == "Scale" else x + values.reshape(view)
    assert torch.equal(run_layer(layer, x)[0], wanted)


def test_scale_begins_at_one_and_bias_at_zero(make_layer):
    assert make_layer('type: "Scale"', SHAPE).blobs[0].data.tolist() == [1, 1, 1]
    assert make_layer('type: "Bias"', SHAPE).blobs[0].data.tolist() == [0, 0, 0]
    filled = make_layer('type: "Scale" scale_param { filler { } }', SHAPE)
    assert filled.blobs[0].data.tolist() == [0, 0, 0]  # a filler that is given is constant 0 unless it says more


def test_scale_with_bias_term(make_layer, run_layer):
    text = 'type: "Scale" scale_param { bias_term: true bias_filler { value: 2 } filler { value: 3 } }'
    layer = make_layer(text, SHAPE)
    assert [b.shape for b in layer.blobs] == [(3,), (3,)]
    x = torch.randn(SHAPE)
    torch.testing.assert_close(run_layer(layer, x)[0], 3 * x + 2)


@pytest.mark.parametrize("type_", ["Scale", "Bias"])
@pytest.mark.parametrize(("axis", "second"), [(1, (3, 4)), (0, (2,)), (-2, (4, 5)), (1, ())])
def test_the_second_bottom_is_the_factor_or_bias(make_layer, run_layer, type_, axis, second):
    layer = make_layer(f'type: "{type_}" {type_.lower()}_param {{ axis: {axis} }}', SHAPE, second)
    assert layer.blobs == []
    x, s = torch.randn(SHAPE), torch.randn(second)
    first = axis % 4 if second else 0
    view = s.reshape((1,) * first + second + (1,) * (4 - first - len(second)))
    assert torch.equal(run_layer(layer, x, s)[0], x * view if type_ == "Scale" else x + view)


def test_two_bottoms_and_bias_term_make_one_blob_of_the_second_bottoms_shape(make_layer, run_layer):
    text = 'type: "Scale" scale_param { axis: 2 bias_term: true bias_filler { value: 2 } }'
    layer = make_layer(text, SHAPE, (4, 5))
    assert [b.shape for b in layer.blobs] == [(4, 5)]
    x, s = torch.randn(SHAPE), torch.randn(4, 5)
    torch.testing.assert_close(run_layer(layer, x, s)[0], x * s + 2)


@pytest.mark.parametrize(
    "text",
    [
        'type: "Scale" scale_param { filler { type: "gaussian" } bias_term: true bias_filler { type: "gaussian" } }',
        'type: "Scale" scale_param { num_axes: 0 bias_term: true }',
        'type: "Bias" bias_param { axis: 2 num_axes: -1 filler { type: "gaussian" } }',
    ],
)
def test_gradients(make_layer, check_gradients, text):
    x = torch.randn(2, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    check_gradients(make_layer(text, x.shape), x)


@pytest.mark.parametrize("text", ['type: "Scale" scale_param { bias_term: true }', 'type: "Bias"'])
def test_gradients_of_two_bottoms(make_layer, check_gradients, text):
    x = torch.randn(2, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    s = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    check_gradients(make_layer(text, x.shape, s.shape), x, s)


@pytest.mark.parametrize("type_", ["Scale", "Bias"])
@pytest.mark.parametrize(
    ("fields", "shapes", "message"),
    [
        ("axis: 4", [SHAPE], "_param.axis 4 is out of range for a bottom of 4 axes; use -4 to 3"),
        ("num_axes: -2", [SHAPE], "_param.num_axes is -2; it must be 0 or more, or -1 for all axes from axis on"),
        ("axis: 3 num_axes: 2", [SHAPE], r"2 axes from axis 3 on pass the end of bottom\[0\] of shape \(2, 3, 4, 5\)"),
        ("", [SHAPE, (4,)], r"a blob of shape \(4,\) does not fit bottom.0. of shape .* axis 1 on, where it has .3,"),
    ],
)
def test_refuses(make_layer, type_, fields, shapes, message):
    with pytest.raises(LayerError, match=rf"layer 'l' \({type_}\): .*{message}"):
        make_layer(f'type: "{type_}" {type_.lower()}_param {{ {fields} }}', *shapes).reshape(shapes)


@pytest.mark.parametrize("type_", ["Scale", "Bias"])
def test_reshape_refuses_other_channels(make_layer, type_):
    with pytest.raises(LayerError, match=r"a blob of shape \(3,\) does not fit bottom.0. of shape \(2, 4, 4, 5\)"):
        make_layer(f'type: "{type_}"', SHAPE).reshape([(2, 4, 4, 5)])
