"""EuclideanLoss, ContrastiveLoss and SigmoidCrossEntropyLoss, by hand and by finite differences."""

import math

import pytest
import torch

from caffe_compat.errors import LayerError


def random(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def test_euclidean(make_layer, run_layer, check_gradients):
    layer = make_layer('type: "EuclideanLoss"', (2, 2), (2, 2))
    (loss,) = run_layer(layer, torch.tensor([[1.0, 2], [3, 4]]), torch.tensor([[1.0, 0], [0, 4]]))
    assert loss.shape == ()
    assert loss.item() == pytest.approx(13 / 4)
    check_gradients(layer, random(2, 2), random(2, 2))
    check_gradients(make_layer('type: "EuclideanLoss"', (2, 4), (2, 2, 2)), random(2, 4), random(2, 2, 2))
    assert layer.allows_force_backward(1)
    assert layer.default_loss_weight(0) == 1


@pytest.mark.parametrize("shapes", [[(2, 3), (2, 4)], [(2, 6), (3, 4)], [(), ()]])
def test_euclidean_refuses(make_layer, shapes):
    layer = make_layer('type: "EuclideanLoss"', *shapes)
    with pytest.raises(LayerError, match=r"layer 'l' \(EuclideanLoss\): bottom\[0\] has shape .* the same batch"):
        layer.reshape(shapes)


A = torch.tensor([[3.0, 4], [3, 4], [0, 0]])
B = torch.zeros(3, 2)
SIMILAR = torch.tensor([1.0, 0, 0.9])  # 0.9 is cut to 0: the last pair is dissimilar, at distance 0


@pytest.mark.parametrize(
    ("fields", "cost"),
    [("margin: 6", 25 + 1 + 36), ("margin: 4", 25 + 16), ("margin: 26 legacy_version: true", 25 + 1 + 26)],
)
def test_contrastive(make_layer, run_layer, fields, cost):
    layer = make_layer(f'type: "ContrastiveLoss" contrastive_loss_param {{ {fields} }}', (3, 2), (3, 2), (3,))
    assert run_layer(layer, A, B, SIMILAR)[0].item() == pytest.approx(cost / 6)


def test_contrastive_gradient_by_hand(make_layer, run_layer):
    layer = make_layer('type: "ContrastiveLoss" contrastive_loss_param { margin: 6 }', (3, 2), (3, 2), (3,))
    a, b = A.clone().requires_grad_(), B.clone().requires_grad_()
    run_layer(layer, a, b, SIMILAR)[0].backward()
    wanted = torch.tensor([[3, 4], [-3 / 5.0001, -4 / 5.0001], [0, 0]]) / 3
    torch.testing.assert_close(a.grad, wanted, rtol=1e-6, atol=0)
    assert b.grad.equal(-a.grad)
    assert [layer.allows_force_backward(i) for i in range(3)] == [True, True, False]


def test_contrastive_gradient(make_layer, check_gradients):
    text = 'type: "ContrastiveLoss" contrastive_loss_param { margin: 3 legacy_version: true }'
    layer = make_layer(text, (4, 3), (4, 3, 1, 1), (4, 1))
    check_gradients(layer, random(4, 3), random(4, 3, 1, 1), torch.tensor([[1.0], [0], [0], [1]]).double())


def test_contrastive_refuses(make_layer):
    layer = make_layer('type: "ContrastiveLoss"', (3, 2), (3, 2), (3,))
    with pytest.raises(LayerError, match=r"bottom\[0\] has shape \(3, 2\) and bottom\[1\] \(3, 4\); it needs vectors"):
        layer.reshape([(3, 2), (3, 4), (3,)])
    with pytest.raises(LayerError, match="it needs vectors, both N x C"):
        layer.reshape([(3, 2, 2, 1), (3, 2, 2, 1), (3,)])
    with pytest.raises(LayerError, match=r"bottom\[2\] has shape \(2,\); it needs one value for each of the 3 pairs"):
        layer.reshape([(3, 2), (3, 2), (2,)])


SCORES = torch.tensor([[0.0, math.log(3), 500], [0, -500, 0]])
TARGETS = torch.tensor([[1.0, 0, 1], [0, 0, 255]])  # costs log 2, log 4, 0, log 2, 0 and one ignored


@pytest.mark.parametrize(
    ("fields", "divisor"),
    [
        ("", 2),
        ("normalization: VALID", 5),
        ("normalization: FULL", 6),
        ("normalization: NONE", 1),
        ("normalize: true", 5),
        ("normalize: false", 2),
    ],
)
def test_sigmoid_cross_entropy(make_layer, run_layer, fields, divisor):
    text = f'type: "SigmoidCrossEntropyLoss" loss_param {{ ignore_label: 255 {fields} }}'
    scores = SCORES.clone().requires_grad_()
    (loss,) = run_layer(make_layer(text, (2, 3), (2, 3)), scores, TARGETS)
    assert loss.item() == pytest.approx(math.log(16) / divisor)
    loss.backward()
    torch.testing.assert_close(scores.grad * divisor, torch.tensor([[-0.5, 0.75, 0], [0.5, 0, 0]]))


def test_sigmoid_cross_entropy_gradient(make_layer, check_gradients):
    layer = make_layer('type: "SigmoidCrossEntropyLoss"', (2, 3), (2, 3))
    check_gradients(layer, random(2, 3), torch.rand(2, 3, dtype=torch.float64))


def test_sigmoid_cross_entropy_refuses(make_layer):
    layer = make_layer('type: "SigmoidCrossEntropyLoss"', (2, 3), (2, 3))
    with pytest.raises(LayerError, match=r"bottom\[0\] has shape \(2, 3\) and bottom\[1\] \(2, 2\); there must be one"):
        layer.reshape([(2, 3), (2, 2)])
