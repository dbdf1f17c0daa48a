"""SoftmaxWithLoss: values by hand, every normalization, ignored labels, gradients and refusals."""

import math

import numpy as np
import pytest
import torch
from google.protobuf import text_format

from caffe_compat.errors import DataError, LayerError
from caffe_compat.net.net import Net
from caffe_compat.proto import caffe_pb2 as pb

SCORES = (2, 3, 2, 2)
LABELS = torch.tensor([[[[0.0, 1], [2, 255]]], [[[1, 1], [255, 255]]]])
# Eight positions in two images, five of them not ignored; equal scores cost log(3) each.


def loss_layer(make_layer, fields="", shape=SCORES, labels=(2, 1, 2, 2), tops=1):
    names = " ".join(f'top: "t{i}"' for i in range(tops))
    return make_layer(f'type: "SoftmaxWithLoss" bottom: "score" bottom: "label" {names} {fields}', shape, labels)


@pytest.mark.parametrize(
    ("loss_param", "divisor"),
    [
        ("", 5),
        ("normalization: VALID", 5),
        ("normalization: FULL", 8),
        ("normalization: BATCH_SIZE", 2),
        ("normalization: NONE", 1),
        ("normalize: true", 5),
        ("normalize: false", 2),
        ("normalization: FULL normalize: false", 8),
    ],
)
def test_normalization(make_layer, run_layer, loss_param, divisor):
    layer = loss_layer(make_layer, f"loss_param {{ ignore_label: 255 {loss_param} }}")
    scores = torch.zeros(SCORES, requires_grad=True)
    (loss,) = run_layer(layer, scores, LABELS)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(5 * math.log(3) / divisor)
    loss.backward()
    grad = scores.grad * divisor
    torch.testing.assert_close(grad[0, :, 0, 0], torch.tensor([-2 / 3, 1 / 3, 1 / 3]))
    assert grad[0, :, 1, 1].tolist() == [0, 0, 0]
    assert grad[1, :, 1].count_nonzero() == 0


def test_values_by_hand(make_layer, run_layer):
    scores = torch.tensor([[0.0, math.log(3)], [math.log(4), 0]])
    layer = loss_layer(make_layer, shape=(2, 2), labels=(2,))
    assert run_layer(layer, scores, torch.tensor([1.0, 1]))[0].item() == pytest.approx(
        (math.log(4 / 3) + math.log(5)) / 2
    )


def test_all_ignored_is_zero(make_layer, run_layer):
    layer = loss_layer(make_layer, "loss_param { ignore_label: 255 }")
    scores = torch.randn(SCORES, requires_grad=True)
    (loss,) = run_layer(layer, scores, torch.full((2, 1, 2, 2), 255.0))
    assert loss.item() == 0
    loss.backward()
    assert scores.grad.count_nonzero() == 0


def test_an_ignored_pixel_gets_no_gradient_from_a_score_of_infinity(make_layer, run_layer):
    layer = loss_layer(make_layer, "loss_param { ignore_label: 255 }", (1, 2, 1, 2), (1, 1, 1, 2))
    scores = torch.tensor([float("inf"), 0, 0, 0]).view(1, 2, 1, 2).requires_grad_()
    (loss,) = run_layer(layer, scores, torch.tensor([255.0, 0]).view(1, 1, 1, 2))
    assert loss.item() == pytest.approx(math.log(2))
    loss.backward()
    assert scores.grad.flatten().tolist() == [0, -0.5, 0, 0.5]


def test_a_probability_of_zero_costs_as_flt_min_and_keeps_its_gradient(make_layer, run_layer):
    layer = loss_layer(make_layer, shape=(1, 2), labels=(1,))
    scores = torch.tensor([[0.0, 500.0]], requires_grad=True)
    (loss,) = run_layer(layer, scores, torch.zeros(1))
    assert loss.item() == pytest.approx(87.3365, abs=1e-3)
    loss.backward()
    assert scores.grad.tolist() == [[-1, 1]]


@pytest.mark.parametrize("shape", [(2, 1, 2, 2), (2, 2, 2), (2, 4)])
def test_label_needs_only_the_batch_and_the_count(make_layer, run_layer, shape):
    layer = loss_layer(make_layer, "loss_param { ignore_label: 255 }", labels=shape)
    scores = torch.randn(SCORES)
    (loss,) = run_layer(layer, scores, LABELS.reshape(shape))
    (wanted,) = run_layer(loss_layer(make_layer, "loss_param { ignore_label: 255 }"), scores, LABELS)
    assert loss.item() == wanted.item()


def test_labels_are_cut_to_whole_numbers(make_layer, run_layer):
    layer = loss_layer(make_layer, shape=(3, 3), labels=(3,))
    scores = torch.randn(3, 3)
    assert run_layer(layer, scores, torch.tensor([-0.9, 1.9, 2.9]))[0].item() == pytest.approx(
        run_layer(layer, scores, torch.tensor([0.0, 1, 2]))[0].item()
    )


def test_axis_and_layout(make_layer, run_layer):
    scores, labels = torch.randn(2, 3, 2, 2), torch.tensor([[0.0, 1], [2, 0], [1, 1], [0, 2]]).view(2, 2, 2)
    (wanted,) = run_layer(loss_layer(make_layer, labels=labels.shape), scores, labels)
    last = loss_layer(make_layer, "softmax_param { axis: -1 }", (2, 2, 2, 3), labels.shape)
    assert run_layer(last, scores.movedim(1, -1), labels)[0].item() == pytest.approx(wanted.item())
    x = scores.contiguous(memory_format=torch.channels_last)
    assert run_layer(loss_layer(make_layer, labels=labels.shape), x, labels)[0].item() == pytest.approx(wanted.item())


def test_prob_top(make_layer, run_layer):
    layer = loss_layer(make_layer, tops=2)
    scores = torch.randn(SCORES, requires_grad=True)
    loss, prob = run_layer(layer, scores, LABELS % 3)
    torch.testing.assert_close(prob, torch.softmax(scores.detach(), 1))
    assert loss.requires_grad
    assert not prob.requires_grad


@pytest.mark.parametrize("fields", ["", "loss_param { ignore_label: 255 normalization: NONE }"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradient(make_layer, check_gradients, fields, layout):
    scores = torch.randn(SCORES, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    check_gradients(loss_layer(make_layer, fields), scores, (LABELS if fields else LABELS % 3).double())


def test_a_second_backward_gives_the_same(make_layer, run_layer):
    scores = torch.randn(SCORES, requires_grad=True)
    (loss,) = run_layer(loss_layer(make_layer), scores, LABELS % 3)
    (first,) = torch.autograd.grad(loss, scores, retain_graph=True)
    (second,) = torch.autograd.grad(loss, scores)
    assert first.equal(second)


def test_a_label_outside_the_classes_is_named(make_layer, run_layer):
    with pytest.raises(
        DataError,
        match=r"layer 'l' \(SoftmaxWithLoss\): label 255 of bottom 'label' at \(n, y, x\) = \(0, 1, 1\) is outside the "
        r"classes 0 to 2; if it marks what is to be left out, set loss_param\.ignore_label: 255",
    ):
        run_layer(loss_layer(make_layer), torch.zeros(SCORES), LABELS)
    ignoring = loss_layer(make_layer, "loss_param { ignore_label: 255 }")
    with pytest.raises(DataError, match=r"label 3 .* at \(n, y, x\) = \(1, 0, 1\) .*only loss_param\.ignore_label 255"):
        run_layer(
            ignoring,
            torch.zeros(SCORES),
            LABELS.index_put((torch.tensor(1), *[torch.tensor(0)] * 2, torch.tensor(1)), torch.tensor(3.0)),
        )


@pytest.mark.parametrize("value", [-1, 3, float("nan"), float("inf")])
def test_bad_values_of_a_label(make_layer, run_layer, value):
    layer = loss_layer(make_layer, shape=(2, 3), labels=(2,))
    with pytest.raises(DataError, match=rf"label {value:g} of bottom 'label' at position \(1, 0\) of \(2, 1\)"):
        run_layer(layer, torch.zeros(2, 3), torch.tensor([0, value]))


def test_label_count_must_match(make_layer):
    layer = loss_layer(make_layer)
    with pytest.raises(
        LayerError,
        match=r"bottom\[1\] of shape \(2, 1, 2, 3\) does not hold one label .* it should have shape \(2, 1, 2, 2\)",
    ):
        layer.reshape([SCORES, (2, 1, 2, 3)])


@pytest.mark.parametrize("type_", ["SoftmaxWithLoss", "InfogainLoss"])
def test_label_batch_must_match(make_layer, type_):
    shapes = [SCORES, (8,), (3, 3)][: 2 if type_ == "SoftmaxWithLoss" else 3]
    layer = make_layer(f'type: "{type_}"', *shapes)
    with pytest.raises(
        LayerError,
        match=rf"layer 'l' \({type_}\): bottom\[0\] has shape .* and bottom\[1\] \(8,\); their first axes must be",
    ):
        layer.reshape(shapes)


LOSSES = ["SoftmaxWithLoss", "SigmoidCrossEntropyLoss", "HingeLoss", "MultinomialLogisticLoss", "InfogainLoss"]


@pytest.mark.parametrize("phase", [pb.TRAIN, pb.TEST])
@pytest.mark.parametrize("type_", LOSSES)
def test_a_gradient_of_the_labels_is_refused_when_it_is_asked_for(type_, phase):
    def net(told: str) -> Net:
        targets = "s" if type_ == "SigmoidCrossEntropyLoss" else "t"
        matrix = 'bottom: "H"' if type_ == "InfogainLoss" else ""
        text = f"""
        layer {{ name: "x" type: "Input" top: "x" top: "t" top: "s" top: "H" input_param {{
          shape {{ dim: [2, 3] }} shape {{ dim: 2 }} shape {{ dim: [2, 3] }} shape {{ dim: [3, 3] }} }} }}
        layer {{ name: "rest" type: "Silence" bottom: "t" bottom: "s" bottom: "H" }}
        layer {{ name: "scores" type: "Bias" bottom: "x" top: "scores" }}
        layer {{ name: "made" type: "Bias" bottom: "{targets}" top: "made" bias_param {{ num_axes: 0 axis: 0 }} }}
        layer {{ name: "loss" type: "{type_}" bottom: "scores" bottom: "made" {matrix} top: "loss" {told} }}"""
        made = Net(text_format.Parse(text, pb.NetParameter()), phase)
        made.blobs["x"].data[...] = 0.5
        made.forward()
        return made

    with pytest.raises(
        LayerError,
        match=rf"layer 'loss' \({type_}\): it cannot backpropagate to bottom\[1\] 'made', but what makes 'made' has",
    ):
        net("").backward()
    told = net(f"propagate_down: [true, false{', false' if type_ == 'InfogainLoss' else ''}]")
    told.backward()
    assert np.any(told.params["scores"][0].diff) == (type_ != "InfogainLoss")  # whose matrix is zero here


def test_axis_out_of_range(make_layer):
    with pytest.raises(LayerError, match=r"softmax_param\.axis 4 is out of range"):
        loss_layer(make_layer, "softmax_param { axis: 4 }").reshape([SCORES, (8,)])


def test_it_is_a_loss_with_weight_one(make_layer):
    layer = loss_layer(make_layer)
    assert [layer.default_loss_weight(i) for i in range(2)] == [1, 0]
    assert not layer.allows_force_backward(1)
