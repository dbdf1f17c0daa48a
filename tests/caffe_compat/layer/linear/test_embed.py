"""Embed: rows of a table by index, gradients, and what it refuses."""

import pytest
import torch

from caffe_compat.errors import LayerError

TEXT = 'type: "Embed" embed_param { num_output: 2 input_dim: 4 %s weight_filler { type: "gaussian" } }'


def test_rows_by_index(make_layer, run_layer):
    layer = make_layer(TEXT % 'bias_filler { type: "gaussian" }', (2, 3))
    assert [b.shape for b in layer.blobs] == [(4, 2), (2,)]
    weight, bias = (b.tensor() for b in layer.blobs)
    y = run_layer(layer, torch.tensor([[0.0, 3, 1], [1, 1.9, 2]]))[0]  # the fraction is dropped
    assert torch.equal(y, weight[torch.tensor([[0, 3, 1], [1, 1, 2]])] + bias)


def test_without_bias_term_there_is_one_blob(make_layer, run_layer):
    layer = make_layer(TEXT % "bias_term: false", (1,))
    assert torch.equal(run_layer(layer, torch.tensor([2.0]))[0], layer.blobs[0].tensor()[2:3])


def test_gradients_of_table_and_bias(make_layer, check_gradients):
    layer = make_layer(TEXT % "", (2, 3))
    check_gradients(layer, torch.tensor([[0.0, 3, 1], [1, 1, 2]], dtype=torch.float64))


def test_indices_get_no_gradient(make_layer, run_layer):
    layer = make_layer(TEXT % "", (3,))
    x = torch.tensor([0.0, 1, 2], requires_grad=True)
    run_layer(layer, x, blobs=[b.tensor().requires_grad_() for b in layer.blobs])[0].sum().backward()
    assert x.grad is None
    assert not layer.allows_force_backward(0)


@pytest.mark.parametrize(("index", "said"), [(4.0, "4"), (-1.0, "-1"), (float("nan"), "nan"), (1e10, "1e.10")])
def test_refuses_an_index_out_of_range(make_layer, run_layer, index, said):
    layer = make_layer(TEXT % "", (1, 2))
    message = rf"layer 'l' \(Embed\): bottom.0. holds index {said} at \(0, 1\); indices must be 0 to 3: correct"
    with pytest.raises(LayerError, match=message):
        run_layer(layer, torch.tensor([[0.0, index]]))


@pytest.mark.parametrize(("given", "missing"), [("input_dim: 4", "num_output"), ("num_output: 4", "input_dim")])
def test_setup_refuses(make_layer, given, missing):
    with pytest.raises(LayerError, match=f"{missing} is 0; give embed_param.{missing}, 1 or more"):
        make_layer(f'type: "Embed" embed_param {{ {given} }}', (2,))
