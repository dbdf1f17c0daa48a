"""ArgMax: with and without an axis, indices and values, ties."""

import pytest
import torch

from caffe_compat.errors import LayerError

X = torch.tensor([[[1.0, 9.0], [7.0, 3.0], [5.0, 3.0]]])  # 1 x 3 x 2


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ("", [[[1]]]),
        ("out_max_val: true", [[[1], [9]]]),
        ("top_k: 3", [[[1, 2, 4]]]),
        ("top_k: 2 out_max_val: true", [[[1, 2], [9, 7]]]),
        ("axis: 1", [[[1, 0]]]),
        ("axis: -2 top_k: 2", [[[1, 0], [2, 2]]]),  # 3 and 3 tie: the larger index first
        ("axis: 1 top_k: 2 out_max_val: true", [[[7, 9], [5, 3]]]),
        ("axis: 2", [[[1], [0], [0]]]),
    ],
)
def test_values(make_layer, run_layer, fields, wanted):
    layer = make_layer(f'type: "ArgMax" argmax_param {{ {fields} }}', X.shape)
    (top,) = run_layer(layer, X.clone().requires_grad_())
    assert top.tolist() == wanted
    assert top.dtype == X.dtype
    assert not top.requires_grad


def test_a_tie_goes_to_the_larger_index(make_layer, run_layer):
    for fields in ("axis: 1", "axis: 1 top_k: 4"):
        layer = make_layer(f'type: "ArgMax" argmax_param {{ {fields} }}', (1, 4))
        assert run_layer(layer, torch.tensor([[2.0, 5.0, 5.0, 1.0]]))[0][0, 0] == 2


@pytest.mark.parametrize(
    ("shape", "fields", "top"),
    [
        ((2, 3, 5, 4), "", (2, 1, 1, 1)),
        ((2, 3, 5, 4), "top_k: 2 out_max_val: true", (2, 2, 2, 1)),
        ((2, 5), "top_k: 3", (2, 1, 3)),
        ((2, 3, 5, 4), "axis: 1 top_k: 2", (2, 2, 5, 4)),
    ],
)
def test_shapes(make_layer, run_layer, shape, fields, top):
    layer = make_layer(f'type: "ArgMax" argmax_param {{ {fields} }}', shape)
    assert run_layer(layer, torch.randn(shape))[0].shape == top


@pytest.mark.parametrize(
    ("shape", "fields", "message"),
    [
        ((2, 3), "top_k: 0", r"argmax_param\.top_k is 0"),
        ((2, 3), "top_k: 4", r"top_k 4 is more than the 3 values of bottom\[0\] of shape \(2, 3\)"),
        ((2, 3), "axis: 0 top_k: 3", r"top_k 3 is more than the 2 values"),
        ((2, 3), "axis: 2", r"argmax_param\.axis 2 is out of range"),
        ((), "", r"bottom\[0\] has shape \(\); without argmax_param\.axis"),
    ],
)
def test_refuses(make_layer, shape, fields, message):
    with pytest.raises(LayerError, match=message):
        make_layer(f'type: "ArgMax" argmax_param {{ {fields} }}', shape).reshape([shape])
