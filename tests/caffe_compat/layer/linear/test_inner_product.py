"""InnerProduct: flattening from an axis, transpose, gradients, and what it refuses."""

import pytest
import torch

from caffe_compat.errors import LayerError


def ip(fields: str) -> str:
    return f'type: "InnerProduct" inner_product_param {{ weight_filler {{ type: "gaussian" }} {fields} }}'


@pytest.mark.parametrize(
    ("fields", "bottom", "weight", "top"),
    [
        ("num_output: 4", (2, 3, 5, 6), (4, 90), (2, 4)),
        ("num_output: 4 transpose: true", (2, 3, 5, 6), (90, 4), (2, 4)),
        ("num_output: 4 axis: 2", (2, 3, 5, 6), (4, 30), (2, 3, 4)),
        ("num_output: 4 axis: -1", (2, 3, 5, 6), (4, 6), (2, 3, 5, 4)),
        ("num_output: 4 axis: 0", (2, 3), (4, 6), (4,)),
    ],
)
def test_shapes(make_layer, run_layer, fields, bottom, weight, top):
    layer = make_layer(ip(fields), bottom)
    assert [b.shape for b in layer.blobs] == [weight, (4,)]
    assert tuple(run_layer(layer, torch.randn(bottom))[0].shape) == top


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_values_in_channel_height_width_order(make_layer, run_layer, transpose, memory_format):
    layer = make_layer(ip(f"num_output: 2 transpose: {str(transpose).lower()}"), (1, 2, 1, 3))
    weight = torch.stack([10.0 ** torch.arange(6), torch.ones(6)])
    layer.blobs[0].write(weight.t().contiguous() if transpose else weight)
    layer.blobs[1].write(torch.tensor([0.0, 0.5]))
    x = torch.arange(1.0, 7).reshape(1, 2, 1, 3).contiguous(memory_format=memory_format)
    assert run_layer(layer, x)[0].tolist() == [[654321, 21.5]]


def test_without_bias_term_there_is_one_blob(make_layer, run_layer):
    layer = make_layer(ip("num_output: 2 bias_term: false"), (3, 4))
    x = torch.randn(3, 4)
    assert len(layer.blobs) == 1
    torch.testing.assert_close(run_layer(layer, x)[0], x @ layer.blobs[0].tensor().t())


@pytest.mark.parametrize("fields", ["num_output: 3", "num_output: 3 axis: 2 transpose: true bias_term: false"])
def test_gradients(make_layer, check_gradients, fields):
    x = torch.randn(2, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    check_gradients(make_layer(ip(fields), x.shape), x)


def test_a_later_reshape_may_change_the_batch(make_layer):
    assert make_layer(ip("num_output: 4"), (2, 3, 5)).reshape([(7, 5, 3)]) == [(7, 4)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("", r"layer 'l' \(InnerProduct\): num_output is 0; give inner_product_param.num_output, 1 or more"),
        ("num_output: 2 axis: 3", "inner_product_param.axis 3 is out of range for a bottom of 3 axes; use -3 to 2"),
    ],
)
def test_setup_refuses(make_layer, fields, message):
    with pytest.raises(LayerError, match=message):
        make_layer(ip(fields), (2, 3, 4))


def test_reshape_refuses_another_inner_size(make_layer):
    layer = make_layer(ip("num_output: 2"), (2, 3, 4, 4))
    with pytest.raises(LayerError, match=r"of shape \(2, 3, 4, 5\) has 60 values from axis 1 on .* made for 48; feed"):
        layer.reshape([(2, 3, 4, 5)])
