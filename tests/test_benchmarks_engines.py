"""The engines that benchmarks compare compute the same net: ours, the plain twin, and the files for others."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from caffe_compat import TEST, Net
from caffe_compat.proto.caffe_pb2 import LayerParameter
from engines import files, ours, plain_torch
from engines.images import CLASSES, images, labels
from engines.steps import steps_of
from engines.timed import ENGINES, time_engine
from engines.work import Work
from measuring.agreement import agree
from nets.catalogue import lookup
from nets.sources import InputData

WORK = Work(37, 50, channels=1 / 16)
CROPS = {"score_pool4c": 5, "score_pool3c": 9, "score": 31}


@pytest.fixture(scope="module")
def twin():
    return plain_torch.PlainFCN8s(WORK.channels).eval()


@pytest.fixture(scope="module")
def scores(twin):
    with torch.no_grad():
        return twin(torch.from_numpy(images(WORK.shape)[0])).numpy()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """net.prototxt, net.caffemodel and ncnn's files."""
    folder = tmp_path_factory.mktemp("files")
    files.write(asdict(replace(WORK, folder=str(folder))), ["caffe", "ncnn"])
    return folder


@pytest.mark.parametrize("batch", [1, 2])
def test_our_lean_net_gives_the_plain_twins_scores(batch):
    work = replace(WORK, batch=batch)
    run, plain, last = ours.forward_in_memory(work), plain_torch.forward(work), plain_torch.channels_last_forward(work)
    for image in images(work.shape):
        reference = plain(image)
        assert reference.shape == (batch, CLASSES, 37, 50)
        assert agree(run(image), reference).difference < 1e-5
        assert agree(last(image), reference).difference < 1e-5


def test_weights_from_a_caffemodel_are_those_set_in_place(folder, scores):
    run = ours.forward(replace(WORK, folder=str(folder)))
    assert agree(run(images(WORK.shape)[0]), scores).difference < 1e-5


def test_images_differ():
    first, second, third = images(WORK.shape)
    assert first.min() >= -124
    assert first.max() <= 151
    assert not np.allclose(first, second)
    assert not np.allclose(second, third)
    assert np.array_equal(first, images(WORK.shape)[0])


def test_our_gradients_are_the_plain_twins(twin):
    """Without Dropout: phase TEST here, eval there."""
    shapes = {"data": WORK.shape, "label": WORK.label_shape}
    net = Net(lookup("voc-fcn8s").build(InputData(shapes), width=WORK.channels), TEST)
    ours.set_weights(net)
    image, label = images(WORK.shape)[0], labels(WORK.label_shape)
    net.blobs["data"].data[...], net.blobs["label"].data[...] = image, label
    loss = net.forward()["loss"].item()
    net.backward()

    score = twin(torch.from_numpy(image))
    expected = F.cross_entropy(score, torch.from_numpy(label).long()[:, 0], ignore_index=255, reduction="sum")
    twin.zero_grad()
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    assert len(twin.convolutions()) == 18
    for name, layer in twin.convolutions().items():
        for blob, parameter in zip(net.params[name], (layer.weight, layer.bias), strict=True):
            gradient = parameter.grad.numpy()
            assert np.abs(blob.diff - gradient).max() <= 1e-4 * np.abs(gradient).max(), name


def test_a_step_of_each_gives_the_same_loss_but_for_dropout():
    """The labels are random: without any learning the losses are near one another, whatever Dropout drops."""
    torch.manual_seed(0)
    image = images(WORK.shape)[0]
    losses = [step(WORK)(image) for step in (ours.step, plain_torch.step, plain_torch.channels_last_step)]
    assert losses == pytest.approx([losses[0]] * 3, rel=0.3)
    assert losses[0] > 0


def test_solver_steps_change_weights_as_the_plain_twins():
    """Two steps with momentum and decay, without Dropout; Caffe's biases learn at twice the rate, without decay."""
    rates = {"base_lr": 3e-7, "momentum": 0.9, "weight_decay": 0.01}  # below what sends scores beyond log(FLT_MIN)
    shapes = {"data": WORK.shape, "label": WORK.label_shape}
    param = lookup("voc-fcn8s").build(InputData(shapes), width=WORK.channels)
    for layer in param.layer:
        if layer.type == "Dropout":
            layer.dropout_param.dropout_ratio = 0
    made = ours.solver(WORK, param, **rates)
    twin = plain_torch.PlainFCN8s(WORK.channels).eval()
    layers = twin.convolutions()
    before = {name: layer.weight.detach().clone() for name, layer in layers.items()}
    groups = [
        {"params": [layer.weight for layer in layers.values()]},
        {"params": [layer.bias for layer in layers.values()], "lr": 6e-7, "weight_decay": 0},
    ]
    optimizer = torch.optim.SGD(groups, lr=3e-7, momentum=0.9, weight_decay=0.01)
    label = labels(WORK.label_shape)
    for image in images(WORK.shape, 2):
        made.net.blobs["data"].data[...], made.net.blobs["label"].data[...] = image, label
        made.step(1)
        optimizer.zero_grad()
        score = twin(torch.from_numpy(image))
        loss = F.cross_entropy(score, torch.from_numpy(label).long()[:, 0], ignore_index=255, reduction="sum")
        loss.backward()
        optimizer.step()
        assert made.loss == pytest.approx(loss.item(), rel=1e-4)
    for name, layer in layers.items():
        change = (layer.weight.detach() - before[name]).numpy()
        assert np.abs(change).max() > 5e-4, name
        ours_change = made.net.params[name][0].data - before[name].numpy()
        assert np.abs(ours_change - change).max() <= 1e-4 * np.abs(change).max(), name


def _deploy_steps():
    param = ours.deploy_param(WORK)
    net = Net(param, TEST)
    ours.set_weights(net)
    return steps_of(param, net)


def _run_step(step, bottoms):
    weight, bias = (None if values is None else torch.from_numpy(values) for values in (step.weight, step.bias))
    if step.kind == "convolution":
        top = F.conv2d(bottoms[0], weight, bias, step.stride, step.pad)
    elif step.kind == "deconvolution":
        top = F.conv_transpose2d(bottoms[0], weight, bias, step.stride, step.pad)
    elif step.kind == "max_pool":
        top = F.max_pool2d(bottoms[0], step.kernel, step.stride, ceil_mode=True)
    elif step.kind == "crop":
        places = zip(step.offset, step.top_shape, strict=True)
        top = bottoms[0][tuple(slice(offset, offset + size) for offset, size in places)]
    else:
        top = bottoms[0] + bottoms[1]
    assert tuple(top.shape) == step.top_shape, step.name
    return top.relu() if step.relu else top


def test_steps_are_the_net(scores):
    steps = _deploy_steps()
    made = {"data": torch.from_numpy(images(WORK.shape)[0])}
    for step in steps:
        made[step.name] = _run_step(step, [made[name] for name in step.bottoms])
    assert agree(made["score"].numpy(), scores).difference < 1e-5
    assert {step.name: step.offset[2] for step in steps if step.kind == "crop"} == CROPS
    assert sum(step.relu for step in steps) == 15


@pytest.mark.parametrize(
    ("layer", "what"),
    [
        (LayerParameter(type="Sigmoid"), "Sigmoid"),
        (LayerParameter(type="Convolution", convolution_param={"group": 2}), "Convolution"),
        (LayerParameter(type="Pooling", pooling_param={"pool": 1}), "Pooling"),
        (LayerParameter(type="Eltwise", eltwise_param={"operation": 0}), "Eltwise"),
    ],
)
def test_steps_refuse_what_others_may_lack(layer, what):
    param = ours.deploy_param(WORK)
    net = Net(param, TEST)
    layer.name, layer.top[:], layer.bottom[:] = "conv1_1", ["conv1_1"], ["data"]
    changed = type(param)(layer=[param.layer[0], layer])
    with pytest.raises(ValueError, match=rf"layer 'conv1_1' \({what}\): not one of the steps"):
        steps_of(changed, net)


def test_ncnn_files_hold_every_blob_once_and_every_weight(folder):
    magic, counts, *layers = (folder / "net.param").read_text().splitlines()
    assert magic == "7767517"
    made, taken, weights = [], [], 0
    for line in layers:
        kind, _, bottoms, tops, *rest = line.split()
        taken += rest[: int(bottoms)]
        made += rest[int(bottoms) : int(bottoms) + int(tops)]
        settings = dict(item.split("=") for item in rest[int(bottoms) + int(tops) :])
        if kind in ("Convolution", "Deconvolution"):
            weights += 1 + int(settings["6"]) + int(settings["0"]) * int(settings["5"])
    assert [int(count) for count in counts.split()] == [len(layers), len(made)]
    assert len(set(made)) == len(made)
    assert sorted(taken) == sorted(set(made) - {"score"})
    assert (folder / "net.bin").stat().st_size == 4 * weights


@pytest.mark.parametrize(
    ("engine", "package"),
    [("opencv", "cv2"), ("onnxruntime", "onnxruntime"), ("openvino", "openvino"), ("ncnn", "ncnn")],
)
def test_peers_give_the_plain_twins_scores(engine, package, folder, scores, tmp_path):
    pytest.importorskip(package)
    work = asdict(replace(WORK, folder=str(folder)))
    if ENGINES[engine].reads == "onnx":
        pytest.importorskip("onnx")
        files.write(work, ["onnx"])
    found = time_engine(engine, "forward", work, 1, 1, str(tmp_path / "scores.npy"))
    assert found["seconds"] > 0
    assert agree(np.load(tmp_path / "scores.npy"), scores).difference < 2e-5
