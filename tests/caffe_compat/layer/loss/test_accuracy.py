"""Accuracy: counts by hand."""

import pytest
import torch

from caffe_compat.errors import DataError, LayerError

SCORES = torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.2, 0.3, 0.5], [0.4, 0.4, 0.2]])


def accuracy(make_layer, fields="", shape=(4, 3), labels=(4,), tops=1):
    names = " ".join(f'top: "t{i}"' for i in range(tops))
    return make_layer(f'type: "Accuracy" {names} accuracy_param {{ {fields} }}', shape, labels)


@pytest.mark.parametrize(
    ("fields", "labels", "wanted"),
    [
        ("", [1, 0, 2, 2], 0.75),
        ("", [1, 0, 2, 0], 0.75),  # 0 ties with 1 in the last row, and a tie counts against
        ("top_k: 2", [1, 1, 1, 0], 0.75),
        ("top_k: 3", [0, 1, 2, 2], 1),
        ("ignore_label: 2", [1, 0, 2, 1], 2 / 3),
        ("ignore_label: 255", [255, 255, 255, 255], 0),
    ],
)
def test_accuracy(make_layer, run_layer, fields, labels, wanted):
    (top,) = run_layer(accuracy(make_layer, fields), SCORES, torch.tensor(labels).float())
    assert top.shape == ()
    assert top.item() == pytest.approx(wanted)


def test_per_class(make_layer, run_layer):
    layer = accuracy(make_layer, "ignore_label: 255", tops=2)
    overall, classes = run_layer(layer, SCORES, torch.tensor([1.0, 1, 255, 0]))
    assert overall.item() == pytest.approx(1 / 3)
    assert classes.tolist() == [0, 0.5, 0]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_images(make_layer, run_layer, layout):
    labels = torch.tensor([1.0, 0, 2, 0]).view(2, 1, 2, 1)
    images = SCORES.view(2, 2, 1, 3).movedim(-1, 1).contiguous(memory_format=layout)
    assert run_layer(accuracy(make_layer, "", images.shape, labels.shape), images, labels)[0].item() == 0.75
    last = SCORES.view(2, 2, 1, 3)
    assert run_layer(accuracy(make_layer, "axis: -1", last.shape, labels.shape), last, labels)[0].item() == 0.75


def test_no_gradient_and_no_loss_weight(make_layer, run_layer):
    layer = accuracy(make_layer)
    assert not run_layer(layer, SCORES.clone().requires_grad_(), torch.zeros(4))[0].requires_grad
    assert layer.default_loss_weight(0) == 0


def test_refuses(make_layer, run_layer):
    with pytest.raises(LayerError, match=r"layer 'l' \(Accuracy\): accuracy_param\.top_k 4 is more than the 3 classes"):
        accuracy(make_layer, "top_k: 4").reshape([(4, 3), (4,)])
    with pytest.raises(LayerError, match=r"bottom\[1\] of shape \(5,\) does not hold one label for each position"):
        accuracy(make_layer).reshape([(4, 3), (5,)])
    with pytest.raises(LayerError, match=r"accuracy_param\.axis 2 is out of range"):
        accuracy(make_layer, "axis: 2").reshape([(4, 3), (4,)])
    with pytest.raises(DataError, match=r"label 3 .*classes 0 to 2; .* set accuracy_param\.ignore_label: 3"):
        run_layer(accuracy(make_layer), SCORES, torch.tensor([0.0, 3, 0, 0]))
