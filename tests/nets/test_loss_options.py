"""The loss options: sampled labels, class weights, upsampling that learns; in a layer, in a net, in a training."""

import ast
import json

import numpy as np
import pytest

from caffe_compat.errors import LayerError, NetError
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST, TRAIN, LossParameter, SolverParameter
from caffe_compat.solver import SGDSolver
from caffe_compat.spec.net_spec import NetSpec
from caffe_compat.spec.net_spec import layers as L
from nets import siftflow, voc
from nets.catalogue import lookup
from nets.loss_options import LossOptions, grown_batch, with_options
from nets.sources import InputData
from nets.surgery import upsample_filt

SIDE, CLASSES = 64, 4
SOURCE = InputData({"data": (1, 3, SIDE, SIDE), "label": (1, 1, SIDE, SIDE)})


def net_of(options, phase=TRAIN, build=voc.fcn8s, normalize=True):
    param = with_options(build, options)(SOURCE, classes=CLASSES, width=1 / 32, normalize=normalize)
    for layer in param.layer:
        if layer.type == "Convolution":
            layer.convolution_param.weight_filler.type = "msra"
    net = Net(param, phase)
    draw = np.random.default_rng(0)
    net.blobs["data"].data[...] = draw.normal(0, 50, (1, 3, SIDE, SIDE))
    net.blobs["label"].data[...] = draw.integers(0, CLASSES, (1, 1, SIDE, SIDE))
    net.blobs["label"].data[..., :3] = 255
    return net


def python_layer(layer, shape, **param_str):
    n = NetSpec()
    n.label = L.Input(shape={"dim": list(shape)})
    python_param = {"module": "nets.loss_layers", "layer": layer, "param_str": str(param_str)}
    n.out = L.Python(n.label, python_param=python_param)
    return n.to_proto()


def sampling(shape, phase=TRAIN, **param_str):
    net = Net(python_layer("LabelSampling", shape, **param_str), phase)
    net.blobs["label"].data[...] = np.random.default_rng(1).integers(0, 21, shape)
    return net


# -- sampling ----------------------------------------------------------------------------------------------------------


def test_whole_cells_are_kept_or_void_in_the_wanted_part():
    net = sampling((2, 1, 203, 330), keep=0.25, cell_px=5, seed=3)
    net.forward()
    label, sampled = net.blobs["label"].data[:, 0], net.blobs["out"].data[:, 0]
    kept = sampled != 255
    np.testing.assert_array_equal(sampled[kept], label[kept])
    cells = kept[:, :200].reshape(2, 40, 5, 66, 5).transpose(0, 1, 3, 2, 4).reshape(2, -1, 25)
    assert (cells.all(axis=2) | ~cells.any(axis=2)).all()
    assert cells[:, :, 0].mean() == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / cells[:, :, 0].size) ** 0.5)
    assert (cells[0] != cells[1]).any()


def test_every_pass_draws_anew_and_the_same_seed_the_same():
    passes = []
    for seed in (7, 7, 8):
        net = sampling((1, 1, 40, 40), keep=0.5, cell_px=1, seed=seed)
        passes.append([net.forward()["out"].copy() for _ in range(2)])
    np.testing.assert_array_equal(passes[0], passes[1])
    assert (passes[0][0] != passes[0][1]).any()
    assert (passes[0][0] != passes[2][0]).any()


def test_a_saved_state_goes_on_with_the_same_draws():
    net, other = (sampling((1, 1, 40, 40), keep=0.5, cell_px=1, seed=seed) for seed in (7, 8))
    net.forward()
    other.load_layers_state(json.loads(json.dumps(net.layers_state())))
    np.testing.assert_array_equal(net.forward()["out"], other.forward()["out"])


def test_all_labels_count_in_testing():
    net = sampling((1, 1, 20, 20), TEST, keep=0.1, cell_px=1, seed=0)
    np.testing.assert_array_equal(net.forward()["out"], net.blobs["label"].data)


@pytest.mark.parametrize("normalize", [True, False])
def test_the_loss_of_the_kept_cells_alone_is_counted(normalize):
    net = net_of(LossOptions(keep=0.5, cell_px=8), normalize=normalize)
    net.forward()
    plain = net_of(LossOptions(), normalize=normalize)
    for name, blobs in net.params.items():
        for mine, theirs in zip(plain.params[name], blobs, strict=True):
            mine.data[...] = theirs.data
    plain.blobs["label"].data[...] = net.blobs["label_sampled"].data
    plain.forward()
    assert 0 < (net.blobs["label_sampled"].data == 255).sum() < SIDE * SIDE
    np.testing.assert_allclose(net.blobs["loss"].data, plain.blobs["loss"].data, rtol=1e-5)
    np.testing.assert_array_equal(net.blobs["label"].data[..., 3:] == 255, False)


def test_the_batch_grows_by_the_inverse():
    assert [grown_batch(20, keep) for keep in (1, 0.5, 0.25)] == [20, 40, 80]
    with pytest.raises(NetError, match=r"a batch of 1 images of which 0\.3 counts: 3\.33333 is no whole number"):
        grown_batch(1, 0.3)


@pytest.mark.parametrize("settings", [{"keep": 0}, {"keep": 1.5}, {"cell_px": 0}, {"learned": "some"}])
def test_wrong_options(settings):
    with pytest.raises(
        NetError, match="wanted keep above 0 to 1, cells of 1 pixel or more, and learned one of none, in"
    ):
        LossOptions(**settings)


def test_wrong_param_strs():
    with pytest.raises(
        LayerError, match=r"layer 'out' \(Python\): keep 0, cell_px 1; wanted keep above 0 to 1, and ce"
    ):
        sampling((1, 1, 4, 4), keep=0, cell_px=1, seed=0)
    with pytest.raises(
        LayerError, match=r"'out' \(Python\): param_str .* wanted a dictionary with keep, cell_px, seed"
    ):
        sampling((1, 1, 4, 4), keep=0.5)
    with pytest.raises(LayerError, match=r"weights \[1\.0, -1\.0\]; wanted a number from 0 on for each class"):
        Net(python_layer("ClassWeights", (1, 1, 4, 4), weights=[1, -1]), TEST)
    param = python_layer("ClassWeights", (1, 1, 4, 4))
    param.layer[1].python_param.param_str = "1 +"
    with pytest.raises(LayerError, match=r"param_str '1 \+' is no Python literal"):
        Net(param, TEST)


# -- class balancing ---------------------------------------------------------------------------------------------------

WEIGHTS = (0.5, 2.0, 0.0, 3.0)


def forward_backward(net):
    net.forward()
    net.backward()
    return float(net.blobs["loss"].data), net.blobs["score"].diff.copy()


def test_each_class_counts_by_its_weight_in_loss_and_gradient():
    net = net_of(LossOptions(class_weights=WEIGHTS))
    loss, gradient = forward_backward(net)
    label = net.blobs["label"].data[0, 0].astype(int)
    scores = net.blobs["score"].data[0].astype(np.float64)
    log_p = scores - np.log(np.exp(scores - scores.max(0)).sum(0)) - scores.max(0)
    counted = label != 255
    weight = np.where(counted, np.asarray(WEIGHTS)[np.where(counted, label, 0)], 0)
    own = np.take_along_axis(log_p, np.where(counted, label, 0)[None], axis=0)[0]
    assert loss == pytest.approx(-(weight * own).sum() / counted.sum(), rel=1e-4)
    one_hot = np.eye(CLASSES)[np.where(counted, label, 0)].transpose(2, 0, 1)
    expected = weight * (np.exp(log_p) - one_hot) / counted.sum()
    np.testing.assert_allclose(gradient[0], expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("normalize", [True, False])
def test_equal_weights_are_the_plain_loss(normalize):
    plain = net_of(LossOptions(), normalize=normalize)
    weighted = net_of(LossOptions(class_weights=(1.0,) * CLASSES), normalize=normalize)
    for name, blobs in plain.params.items():
        for mine, theirs in zip(weighted.params[name], blobs, strict=True):
            mine.data[...] = theirs.data
    (loss, gradient), (wanted, expected) = forward_backward(weighted), forward_backward(plain)
    assert loss == pytest.approx(wanted, rel=1e-5)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6 * np.abs(expected).max())


def test_class_weights_of_another_number():
    with pytest.raises(NetError, match="loss options: 3 class weights for 4 classes; give one for each"):
        net_of(LossOptions(class_weights=(1, 2, 3)))


def test_the_balanced_recipe_weighs_background_as_all_other_classes():
    net = lookup("voc-fcn32s-balanced").build(SOURCE)
    weights = net.layer[-2]
    assert weights.python_param.layer == "ClassWeights"
    values = ast.literal_eval(weights.python_param.param_str)["weights"]
    assert (values[0] * 0.75, values[1] * 0.25, len(values)) == (pytest.approx(0.5), pytest.approx(0.5), 21)
    assert net.layer[-1].loss_param.normalization == LossParameter.VALID


def test_all_tasks_of_a_net_are_sampled():
    source = InputData({"data": (1, 3, 64, 64), "sem": (1, 1, 64, 64), "geo": (1, 1, 64, 64)})
    net = with_options(siftflow.fcn8s, LossOptions(keep=0.5))(source, width=1 / 32)
    read = {layer.top[0]: layer.bottom[1] for layer in net.layer if layer.type == "SoftmaxWithLoss"}
    assert read == {"loss": "sem_sampled", "loss_geo": "geo_sampled"}


# -- upsampling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("learned", "learning"),
    [("none", []), ("inner", ["upscore2", "upscore_pool4"]), ("all", ["upscore2", "upscore_pool4", "upscore8"])],
)
def test_which_upsampling_learns(learned, learning):
    net = with_options(voc.fcn8s, LossOptions(learned=learned))(SOURCE)
    found = {layer.name: layer.param[0].lr_mult for layer in net.layer if layer.type == "Deconvolution"}
    assert [name for name, rate in found.items() if rate] == learning


def test_learned_upsampling_begins_as_bilinear_and_moves():
    param = SolverParameter(base_lr=1e-2, lr_policy="fixed", max_iter=3, momentum=0.9)
    net = with_options(voc.fcn8s, LossOptions(learned="inner"))(SOURCE, classes=CLASSES, width=1 / 32, normalize=True)
    for layer in net.layer:
        if layer.type == "Convolution" or layer.name == "upscore8":
            settings = layer.convolution_param
            settings.weight_filler.type = "gaussian" if layer.name.startswith("score") else "msra"
            settings.weight_filler.std = 0.01
    param.train_net_param.CopyFrom(net)
    solver = SGDSolver(param)
    for name in ("upscore2", "upscore_pool4"):
        weight = solver.net.params[name][0].data
        assert weight.shape == (CLASSES, 1, 4, 4)
        np.testing.assert_allclose(weight, np.broadcast_to(upsample_filt(4), weight.shape), rtol=1e-6)
    fixed = solver.net.params["upscore8"][0].data.copy()
    solver.net.blobs["data"].data[...] = np.random.default_rng(0).normal(0, 50, (1, 3, SIDE, SIDE))
    solver.net.blobs["label"].data[...] = 2
    solver.step(3)
    for name in ("upscore2", "upscore_pool4"):
        assert np.abs(solver.net.params[name][0].data - upsample_filt(4)).max() > 1e-4
    np.testing.assert_array_equal(solver.net.params["upscore8"][0].data, fixed)


def test_odd_kernels_cannot_begin_as_bilinear():
    with pytest.raises(NetError, match=r"layer 'upscore' \(Deconvolution\): kernel_size 63 is odd; Caffe's bilinear"):
        with_options(voc.fcn_alexnet, LossOptions(learned="all"))(SOURCE)
