"""Crop: which window, that the result is a copy, gradients, and what it refuses."""

import pytest
import torch

from caffe_compat.errors import LayerError


@pytest.mark.parametrize(
    ("fields", "data", "reference", "window"),
    [
        ("", (2, 3, 6, 7), (9, 9, 4, 5), (slice(None), slice(None), slice(0, 4), slice(0, 5))),
        ("offset: 2", (2, 3, 6, 7), (1, 1, 4, 5), (slice(None), slice(None), slice(2, 6), slice(2, 7))),
        ("offset: 1 offset: 2", (2, 3, 6, 7), (1, 1, 4, 5), (slice(None), slice(None), slice(1, 5), slice(2, 7))),
        ("axis: -1 offset: 3", (2, 3, 6, 7), (1, 1, 1, 2), (slice(None), slice(None), slice(None), slice(3, 5))),
        (
            "axis: 1 offset: 1 offset: 0 offset: 2",
            (2, 3, 6, 7),
            (1, 2, 6, 1),
            (slice(None), slice(1, 3), slice(0, 6), slice(2, 3)),
        ),
        ("axis: 0", (4,), (3,), (slice(0, 3),)),
    ],
)
def test_window(make_layer, run_layer, fields, data, reference, window):
    layer = make_layer(f'type: "Crop" crop_param {{ {fields} }}', data, reference)
    x = torch.randn(data)
    y = run_layer(layer, x, torch.zeros(reference))[0]
    assert torch.equal(y, x[window])


def test_the_result_is_a_copy_even_where_nothing_is_cut(make_layer, run_layer):
    x = torch.randn(1, 2, 3, 4)
    y = run_layer(make_layer('type: "Crop"', x.shape, x.shape), x, x)[0]
    y += 1
    assert torch.equal(y, x + 1)


def test_a_view_in_another_layout_is_cut_the_same(make_layer, run_layer):
    layer = make_layer('type: "Crop" crop_param { offset: 1 }', (1, 2, 5, 6), (1, 2, 3, 4))
    x = torch.randn(1, 2, 5, 6)
    y = run_layer(layer, x.contiguous(memory_format=torch.channels_last), torch.zeros(1, 2, 3, 4))[0]
    assert torch.equal(y, x[:, :, 1:4, 1:5])


def test_gradient_is_zero_outside_the_window_and_none_for_the_reference(make_layer, run_layer):
    layer = make_layer('type: "Crop" crop_param { offset: 1 }', (1, 1, 3, 3), (1, 1, 2, 2))
    x, reference = torch.randn(1, 1, 3, 3, requires_grad=True), torch.zeros(1, 1, 2, 2, requires_grad=True)
    run_layer(layer, x, reference)[0].backward(torch.tensor([[[[1.0, 2], [3, 4]]]]))
    assert x.grad.tolist() == [[[[0, 0, 0], [0, 1, 2], [0, 3, 4]]]]
    assert reference.grad is None


def test_gradients(make_layer, check_gradients):
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    layer = make_layer('type: "Crop" crop_param { axis: 1 offset: 1 }', x.shape, (1, 2, 2, 3))
    check_gradients(layer, x, torch.zeros(1, 2, 2, 3, dtype=torch.float64))


@pytest.mark.parametrize(
    ("fields", "data", "reference", "message"),
    [
        (
            "offset: 3",
            (1, 2, 5, 5),
            (1, 2, 4, 2),
            r"layer 'l' \(Crop\): crop leaves axis 2: offset 3 \+ size 4 > 5; "
            r"lower crop_param.offset or check bottom.1.",
        ),
        ("offset: 0 offset: 3", (1, 2, 5, 5), (1, 2, 5, 3), r"crop leaves axis 3: offset 3 \+ size 3 > 5"),
        ("axis: 2 offset: 1 offset: 1 offset: 1", (1, 2, 5, 5), (1, 2, 2, 2), "3 offsets are given for the 2 axes"),
        ("axis: 4", (1, 2, 5, 5), (1, 2, 2, 2), "crop_param.axis 4 is out of range for a bottom of 4 axes"),
        ("", (1, 2, 5, 5), (5, 5), r"bottom\[1\] has 2 axes .* and bottom\[0\] 4 .* must have as many axes"),
    ],
)
def test_refuses(make_layer, fields, data, reference, message):
    with pytest.raises(LayerError, match=message):
        make_layer(f'type: "Crop" crop_param {{ {fields} }}', data, reference).reshape([data, reference])


def test_refuses_one_bottom(make_layer):
    with pytest.raises(LayerError, match="1 bottoms given; it takes 2"):
        make_layer('type: "Crop"', (1, 2, 3, 4))
