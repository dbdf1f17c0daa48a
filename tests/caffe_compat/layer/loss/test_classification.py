"""HingeLoss, MultinomialLogisticLoss and InfogainLoss, by hand and by finite differences."""

import math

import pytest
import torch

from caffe_compat.errors import DataError, LayerError, WeightsError
from caffe_compat.proto.blobs import write_blobproto

LABELS = torch.tensor([0.0, 2])


@pytest.mark.parametrize(("norm", "cost"), [("L1", 0.5 + 3 + 1 + 0.5), ("L2", 0.25 + 9 + 1 + 0.25)])
def test_hinge(make_layer, run_layer, norm, cost):
    layer = make_layer(f'type: "HingeLoss" hinge_loss_param {{ norm: {norm} }}', (2, 3), (2,))
    scores = torch.tensor([[0.5, 2, -1], [0, -3, 0.5]])
    (loss,) = run_layer(layer, scores, LABELS)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(cost / 2)


def test_hinge_has_no_gradient_at_the_margin(make_layer, run_layer):
    scores = torch.tensor([[1.0, -1, 0]], requires_grad=True)
    run_layer(make_layer('type: "HingeLoss"', (1, 3), (1,)), scores, torch.zeros(1))[0].backward()
    assert scores.grad.tolist() == [[0, 0, 1]]


def test_multinomial(make_layer, run_layer):
    layer = make_layer('type: "MultinomialLogisticLoss"', (2, 3), (2,))
    prob = torch.tensor([[0.5, 0.25, 0.25], [1, 0, 0]], requires_grad=True)
    (loss,) = run_layer(layer, prob, LABELS)
    assert loss.item() == pytest.approx((math.log(2) + 20 * math.log(10)) / 2)
    loss.backward()
    torch.testing.assert_close(prob.grad, torch.tensor([[-1, 0, 0], [0, 0, -0.5e20]]))


@pytest.mark.parametrize(
    "text", ['"HingeLoss"', '"HingeLoss" hinge_loss_param { norm: L2 }', '"MultinomialLogisticLoss"']
)
def test_gradients(make_layer, check_gradients, text):
    scores = (torch.rand(2, 3, 1, 1, dtype=torch.float64) + 0.1).requires_grad_()
    check_gradients(make_layer(f"type: {text}", scores.shape, (2, 1)), scores, LABELS.double().view(2, 1))


@pytest.mark.parametrize("type_", ["HingeLoss", "MultinomialLogisticLoss"])
def test_bad_labels(make_layer, run_layer, type_):
    layer = make_layer(f'type: "{type_}"', (2, 3), (2,))
    with pytest.raises(LayerError, match=r"bottom\[1\] of shape \(3,\) does not hold one label"):
        layer.reshape([(2, 3), (3,)])
    with pytest.raises(LayerError, match=r"bottom\[0\] has shape \(\)"):
        layer.reshape([(), (1,)])
    with pytest.raises(
        DataError, match=rf"layer 'l' \({type_}\): label 3 of bottom 'b1' .* outside the classes 0 to 2"
    ):
        run_layer(layer, torch.zeros(2, 3), torch.tensor([0.0, 3]))


MATRIX = torch.tensor([[1.0, 0.5, 0], [0, 2, 0], [0, 0, 1]])


def infogain(make_layer, fields="", shape=(2, 3), labels=(2,), matrix=(1, 1, 3, 3), tops=1):
    shapes = [shape, labels] + ([matrix] if matrix else [])
    return make_layer('type: "InfogainLoss" ' + " ".join(f'top: "t{i}"' for i in range(tops)) + fields, *shapes)


def test_infogain(make_layer, run_layer):
    scores = torch.tensor([[0.0, 0, 0], [0, 0, math.log(2)]])
    layer = infogain(make_layer, tops=2)
    loss, prob = run_layer(layer, scores, LABELS, MATRIX.view(1, 1, 3, 3))
    assert loss.item() == pytest.approx((1.5 * math.log(3) + math.log(2)) / 2)
    torch.testing.assert_close(prob, torch.softmax(scores, 1))


def test_infogain_with_the_identity_is_softmax_with_loss(make_layer, run_layer):
    scores, labels = torch.randn(2, 3, 2, 2), torch.tensor([0.0, 1, 2, 255, 1, 1, 255, 0]).view(2, 1, 2, 2)
    fields = "loss_param { ignore_label: 255 normalization: BATCH_SIZE }"
    layer = infogain(make_layer, fields, scores.shape, labels.shape, (3, 3))
    softmax = make_layer(f'type: "SoftmaxWithLoss" {fields}', scores.shape, labels.shape)
    a, b = scores.clone().requires_grad_(), scores.clone().requires_grad_()
    first, second = run_layer(layer, a, labels, torch.eye(3))[0], run_layer(softmax, b, labels)[0]
    torch.testing.assert_close(first, second)
    first.backward()
    second.backward()
    torch.testing.assert_close(a.grad, b.grad)


def test_infogain_gradient(make_layer, check_gradients):
    scores = torch.randn(2, 2, 3, dtype=torch.float64, requires_grad=True)
    layer = infogain(make_layer, "infogain_loss_param { axis: -1 }", (2, 2, 3), (2, 2), (3, 3))
    check_gradients(layer, scores, torch.tensor([[0.0, 1], [2, 1]]).double(), MATRIX.double())


def test_infogain_reads_its_matrix(make_layer, run_layer, tmp_path):
    path = tmp_path / "H.binaryproto"
    write_blobproto(path, MATRIX.view(1, 1, 3, 3).numpy(), legacy=True)
    scores = torch.randn(2, 3)
    from_file = infogain(make_layer, f'infogain_loss_param {{ source: "{path.as_posix()}" }}', matrix=None)
    (loss,) = run_layer(from_file, scores, LABELS)
    assert loss.item() == run_layer(infogain(make_layer), scores, LABELS, MATRIX.view(1, 1, 3, 3))[0].item()
    with pytest.raises(WeightsError, match=r"absent\.binaryproto"):
        infogain(
            make_layer, f'infogain_loss_param {{ source: "{tmp_path.as_posix()}/absent.binaryproto" }}', matrix=None
        )


def test_infogain_refuses(make_layer, run_layer):
    with pytest.raises(
        LayerError, match=r"layer 'l' \(InfogainLoss\): it has no matrix; give infogain_loss_param\.source"
    ):
        infogain(make_layer, matrix=None)
    with pytest.raises(LayerError, match=r"loss_param\.normalize is not for this layer"):
        infogain(make_layer, "loss_param { normalize: false }")
    with pytest.raises(LayerError, match=r"the matrix has shape \(2, 3\); for 3 classes it needs 3 x 3"):
        infogain(make_layer).reshape([(2, 3), (2,), (2, 3)])
    with pytest.raises(LayerError, match=r"bottom\[1\] of shape \(3,\) does not hold one label"):
        infogain(make_layer).reshape([(2, 3), (3,), (3, 3)])
    with pytest.raises(LayerError, match=r"infogain_loss_param\.axis 2 is out of range"):
        infogain(make_layer, "infogain_loss_param { axis: 2 }").reshape([(2, 3), (2,), (3, 3)])
    with pytest.raises(DataError, match="label 3 .* outside the classes 0 to 2"):
        run_layer(infogain(make_layer), torch.zeros(2, 3), LABELS + 3, MATRIX.view(1, 1, 3, 3))
