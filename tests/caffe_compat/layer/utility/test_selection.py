"""BatchReindex and Filter."""

import pytest
import torch

from caffe_compat.errors import DataError, LayerError

X = torch.arange(6.0).view(3, 2)
FILTER_TWO = 'type: "Filter" top: "a" top: "b"'


def test_batch_reindex(make_layer, run_layer):
    layer = make_layer('type: "BatchReindex"', (3, 2), (4,))
    x = X.clone().requires_grad_()
    (top,) = run_layer(layer, x, torch.tensor([2.0, 0.0, 2.9, 1.0]))
    assert top.tolist() == [[4, 5], [0, 1], [4, 5], [2, 3]]
    top.sum().backward()
    assert x.grad[:, 0].tolist() == [1, 1, 2]
    assert [layer.allows_force_backward(i) for i in range(2)] == [True, False]


def test_batch_reindex_refuses(make_layer, run_layer):
    layer = make_layer('type: "BatchReindex"', (3, 2), (2,))
    with pytest.raises(
        DataError,
        match=r"layer 'l' \(BatchReindex\): index 3 at position 1 of bottom 'b1' is outside the batch, 0 to 2",
    ):
        run_layer(layer, X, torch.tensor([0.0, 3.0]))
    with pytest.raises(DataError, match="index -1 at position 0"):
        run_layer(layer, X, torch.tensor([-1.0, float("nan")]))
    with pytest.raises(LayerError, match=r"bottom\[1\] has shape \(2, 1\); the index needs exactly one axis"):
        layer.reshape([(3, 2), (2, 1)])
    with pytest.raises(LayerError, match=r"bottom\[0\] has shape \(\)"):
        layer.reshape([(), (2,)])


def test_filter(make_layer, run_layer):
    layer = make_layer(FILTER_TWO, (3, 2), (3,), (3, 1))
    x = X.clone().requires_grad_()
    a, b = run_layer(layer, x, torch.tensor([7.0, 8.0, 9.0]), torch.tensor([[0.5], [0.0], [-1.0]]))
    assert a.tolist() == [[0, 1], [4, 5]]
    assert b.tolist() == [7, 9]
    a.sum().backward()
    assert x.grad[:, 0].tolist() == [1, 0, 1]
    assert [layer.allows_force_backward(i) for i in range(3)] == [True, True, False]


def test_filter_of_nothing_is_empty(make_layer, run_layer):
    layer = make_layer('type: "Filter"', (3, 2), (3,))
    assert run_layer(layer, X, torch.zeros(3))[0].shape == (0, 2)


def test_filter_refuses(make_layer):
    with pytest.raises(LayerError, match="2 tops for 2 bottoms; give one for each bottom but the last"):
        make_layer(FILTER_TWO, (3, 2), (3,))
    layer = make_layer('type: "Filter"', (3, 2), (3,))
    with pytest.raises(LayerError, match=r"bottom\[1\], the selector, has shape \(3, 2\)"):
        layer.reshape([(3, 2), (3, 2)])
    with pytest.raises(LayerError, match=r"bottom\[0\] of shape \(3, 2\) has another batch than the selector"):
        layer.reshape([(3, 2), (4,)])


def test_gradients(make_layer, check_gradients):
    x, index = torch.randn(3, 2, dtype=torch.float64, requires_grad=True), torch.tensor([2.0, 0, 2])
    check_gradients(make_layer('type: "BatchReindex"', (3, 2), (3,)), x, index.double())
    check_gradients(make_layer('type: "Filter"', (3, 2), (3,)), x, index.double())
