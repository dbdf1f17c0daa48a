"""The classification nets: published sizes, training, and their fully convolutional trunks."""

from functools import partial

import lmdb
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from caffe_compat.device import set_random_seed
from caffe_compat.errors import NetError
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST, TRAIN, Datum, SolverParameter
from caffe_compat.solver import SGDSolver
from caffe_compat.spec.net_spec import NetSpec
from caffe_compat.spec.net_spec import layers as L
from caffe_compat.tools.convolutionalize import convolutional_twin
from nets import googlenet, trunks
from nets.catalogue import lookup
from nets.classifiers import CLASSIFIERS, INPUT_SHAPE, build, train_val
from nets.geometry import places
from nets.size import parameter_count
from nets.sources import InputData
from nets.surgery import transplant
from nets.unreleased import fcn8s_vgg19

IMAGE = InputData({"data": INPUT_SHAPE})
PARAMETERS = {  # exact, weights and biases; in millions as published for VGG A to E
    "vgg-a": 132_863_336,
    "vgg-a-lrn": 132_863_336,
    "vgg-b": 133_047_848,
    "vgg-c": 133_638_952,
    "vgg-d": 138_357_544,
    "vgg-e": 143_667_240,
    "caffenet": 60_965_224,
    "alexnet": 60_965_224,
    "googlenet": 6_998_552,
}
MILLIONS = {"vgg-a": 133, "vgg-a-lrn": 133, "vgg-b": 133, "vgg-c": 134, "vgg-d": 138, "vgg-e": 144}
DEPTH = {"vgg-a": 11, "vgg-a-lrn": 11, "vgg-b": 13, "vgg-c": 16, "vgg-d": 16, "vgg-e": 19, "caffenet": 8, "alexnet": 8}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_parameters_and_depth_are_the_published_ones(name):
    net = build(name, IMAGE)
    assert parameter_count(net) == PARAMETERS[name]
    assert round(parameter_count(net) / 1e6) == MILLIONS.get(name, round(PARAMETERS[name] / 1e6))
    assert places(net)["prob"].depth == DEPTH.get(name, 22)
    assert places(net)["prob"].channels == 1000


def deploy(name):
    return Net(build(name, IMAGE, classes=5, width=1 / 16), TEST)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_deploy_form_gives_probabilities(name):
    net = deploy(name)
    out = net.forward(data=np.random.default_rng(0).normal(0, 50, INPUT_SHAPE).astype(np.float32))
    assert list(out) == ["prob"]
    assert out["prob"].shape == (1, 5)
    assert out["prob"].sum() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_layer_of_the_training_form_learns(name):
    set_random_seed(3)  # in a branch of one channel a ReLU may be shut by chance
    source = InputData({"data": INPUT_SHAPE, "label": (1, 1)})
    net = Net(build(name, source, classes=5, width=1 / 4 if name == "googlenet" else 1 / 16), TRAIN)
    net.blobs["data"].data[...] = np.random.default_rng(0).normal(0, 50, INPUT_SHAPE)
    net.blobs["label"].data[...] = 2
    net.forward()
    net.backward()
    silent = [layer for layer, blobs in net.params.items() if not blobs[0].diff.any()]
    assert silent == []
    assert sum(name.endswith("loss") for name in net.blobs) == (3 if name == "googlenet" else 1)


def test_accuracies_are_for_testing_alone():
    param = build("vgg-a", InputData({"data": INPUT_SHAPE, "label": (1, 1)}), classes=6, width=1 / 32)
    assert {"accuracy", "accuracy_top5"} <= set(Net(param, TEST).blobs)
    assert "accuracy" not in Net(param, TRAIN).blobs


@pytest.fixture(scope="module")
def ilsvrc(tmp_path_factory):
    """Eight labelled pictures of 230 x 226 as an LMDB: dark ones are class 0, light ones class 1."""
    folder = tmp_path_factory.mktemp("ilsvrc") / "lmdb"
    draw = np.random.default_rng(0)
    with lmdb.open(str(folder), map_size=1 << 24) as database, database.begin(write=True) as writer:
        for number in range(8):
            pixels = draw.integers(0, 100, (3, 230, 226), np.uint8) + np.uint8(120 * (number % 2))
            datum = Datum(channels=3, height=230, width=226, data=pixels.tobytes(), label=number % 2)
            writer.put(f"{number:08d}".encode(), datum.SerializeToString())
    return str(folder)


@pytest.mark.parametrize("name", ["vgg-b", "caffenet", "googlenet"])
def test_a_classifier_trains_and_tests_on_lmdbs(name, ilsvrc):
    set_random_seed(3)
    width = 1 / 4 if name == "googlenet" else 1 / 16
    settings = {"train_lmdb": ilsvrc, "test_lmdb": ilsvrc, "batch_size": 4, "classes": 6, "width": width}
    param = SolverParameter(base_lr=1e-3, lr_policy="fixed", momentum=0.9, max_iter=3, test_iter=[2])
    param.test_interval = 1000
    param.net_param.CopyFrom(train_val(name, **settings))
    solver = SGDSolver(param)
    before = {name: blobs[0].data.copy() for name, blobs in solver.net.params.items()}
    solver.step(3)
    assert np.isfinite(solver.loss)
    assert [name for name, old in before.items() if (solver.net.params[name][0].data == old).all()] == []
    (test,) = solver.test_nets
    test.share_with(solver.net)
    test.forward()
    assert solver.net.blobs["data"].shape == test.blobs["data"].shape == (4, 3, 224, 224)
    np.testing.assert_array_equal(test.blobs["label"].data.ravel() % 1, 0)
    assert 0 <= test.blobs["loss3/accuracy" if name == "googlenet" else "accuracy"].data <= 1
    data = {layer.include[0].phase: layer for layer in param.net_param.layer[:2]}
    assert (data[TRAIN].transform_param.mirror, data[TEST].transform_param.mirror) == (True, False)


def test_alexnet_normalises_before_it_pools_and_caffenet_after():
    order = {name: [layer.name for layer in build(name, IMAGE).layer] for name in ("alexnet", "caffenet")}
    assert order["alexnet"].index("norm1") < order["alexnet"].index("pool1")
    assert order["caffenet"].index("norm1") > order["caffenet"].index("pool1")


# by classifier: its fully convolutional trunk, without the 100 pixels of padding; the blob that it ends in; what stays
TRUNKS = {
    **{
        f"vgg-{configuration.lower()}": (partial(trunks.vgg, configuration=configuration, first_pad=1), "fc7", "fc8")
        for configuration in trunks.VGG_CONFIGURATIONS
    },
    "caffenet": (partial(trunks.alexnet, first_pad=0), "fc7", "fc8"),
    "alexnet": (partial(trunks.alexnet, first_pad=0, norm_first=True), "fc7", "fc8"),
    "googlenet": (partial(googlenet.trunk, first_pad=3), "pool5/7x7_s1", "loss3/classifier"),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_convolutionalised_trunk_takes_a_classifier_s_weights_and_gives_its_features(name):
    set_random_seed(5)
    trunk, features, head = TRUNKS[name]
    source = deploy(name)
    n = NetSpec()
    n.data = L.Input(shape={"dim": list(INPUT_SHAPE)})
    trunk(n, n.data, width=1 / 16, dropout=False)
    twin = Net(n.to_proto(), TEST)
    report = transplant(twin, source, echo=None)
    assert report.untouched == []
    assert {transfer.source for transfer in report.dropped} == {head}
    image = np.random.default_rng(1).normal(0, 50, INPUT_SHAPE).astype(np.float32)
    source.forward(data=image)
    found = twin.forward(data=image)[features]
    expected = source.blobs[features].data
    assert found.shape[2:] == (1, 1)
    assert expected.std() > 0
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_convolutionalize_gives_the_same_scores_at_224_and_a_map_at_a_larger_size(name):
    set_random_seed(6)
    source = deploy(name)
    _, twin = convolutional_twin(source)
    scores = TRUNKS[name][2]
    image = np.random.default_rng(2).normal(0, 50, INPUT_SHAPE).astype(np.float32)
    source.forward(data=image)
    twin.forward(data=image)
    wanted, found = source.blobs[scores].data, twin.blobs[scores].data
    assert wanted.std() > 0
    assert found.shape == (1, 5, 1, 1)
    np.testing.assert_allclose(found.ravel(), wanted.ravel(), rtol=1e-3, atol=1e-4 * np.abs(wanted).max())
    twin.blobs["data"].reshape(1, 3, 288, 320)
    twin.reshape()
    larger = np.random.default_rng(3).normal(0, 50, (1, 3, 288, 320)).astype(np.float32)
    twin.forward(data=larger)
    assert twin.blobs["prob"].shape == (1, 5, 3, 4)
    np.testing.assert_allclose(twin.blobs["prob"].data.sum(axis=1), 1, rtol=1e-5)
    assert twin.blobs[scores].data.std(axis=(2, 3)).max() > 0


def test_fcn_googlenet_takes_googlenet_s_weights():
    fcn = Net(lookup("voc-fcn-googlenet").build(InputData({"data": (1, 3, 64, 64)}), width=1 / 16), TEST)
    report = transplant(fcn, deploy("googlenet"), echo=None)
    assert report.untouched == ["score_fr", "upscore"]
    assert {transfer.source for transfer in report.dropped} == {"loss3/classifier"}


def test_fcn8s_of_vgg19_is_as_the_ports_have_it():
    net = fcn8s_vgg19(InputData({"data": (1, 3, 224, 224)}))
    layers = {layer.name: layer for layer in net.layer}
    assert "conv5_4" not in layers
    assert "relu5_3" not in layers
    assert list(layers["pool5"].bottom) == ["conv5_3"]
    kinds = [layers[f"pool{i}"].pooling_param.pool for i in range(1, 6)]
    average, largest = trunks.P.Pooling.AVE, trunks.P.Pooling.MAX
    assert kinds == [average] * 4 + [largest]
    assert {name for name in layers if name.startswith("conv4")} == {f"conv4_{i}" for i in (1, 2, 3, 4)}
    assert list(layers["fc6"].convolution_param.pad) == [3]
    for name, settings in {
        "upscore2": (512, 4, 2, 1),
        "upscore_pool4": (256, 4, 2, 1),
        "upscore8": (21, 16, 8, 4),
    }.items():
        found = layers[name].convolution_param
        assert (found.num_output, found.kernel_size[0], found.stride[0], found.pad[0]) == settings
        assert [spec.lr_mult for spec in layers[name].param] == [1, 2]
    assert list(layers["fuse_pool4"].bottom) == ["upscore2c", "pool4"]
    assert list(layers["fuse_pool3"].bottom) == ["upscore_pool4c", "pool3"]
    sizes = places(net)
    assert [sizes[f"pool{i}"].size_px[0] for i in range(1, 6)] == [112, 56, 28, 14, 7]
    assert sizes["fc7"].size_px == (7, 7)


def test_fcn8s_of_vgg19_takes_vgg19_s_weights():
    fcn = Net(fcn8s_vgg19(InputData({"data": (1, 3, 64, 64)}), width=1 / 16), TEST)
    report = transplant(fcn, deploy("vgg-e"), echo=None)
    assert {transfer.source for transfer in report.dropped} == {"conv5_4", "fc8"}
    assert report.untouched == ["score_fr", "upscore2", "upscore_pool4", "upscore8"]


def same(image, kernel_size, stride):
    """Zeros as TensorFlow's 'SAME' adds them: half of what is missing before, the rest after."""
    missing = [max(0, (-(-side // stride) - 1) * stride + kernel_size - side) for side in image.shape[2:]]
    (top, bottom), (left, right) = ((total // 2, total - total // 2) for total in missing)
    return F.pad(image, (left, right, top, bottom))


def raised(image, weight, bias, factor, like):
    """'SAME' upsampling to a size: the transposed convolution, cut as its forward one pads."""
    full = F.conv_transpose2d(image, weight, bias, stride=factor)
    first = factor // 2
    return full[:, :, first : first + like.shape[2], first : first + like.shape[3]]


@pytest.mark.parametrize("size", [(64, 96), (70, 83)])
def test_fcn8s_of_vgg19_computes_what_the_ports_do(size):
    """Written out with torch: 'SAME' convolutions, averages over what is there, conv5_3 without its ReLU."""
    set_random_seed(8)
    param = fcn8s_vgg19(InputData({"data": (1, 3, *size)}), classes=4, width=1 / 16)
    for layer in param.layer:
        if layer.type in ("Convolution", "Deconvolution"):
            layer.convolution_param.weight_filler.type = "msra"
            layer.convolution_param.bias_filler.type = "gaussian"
            layer.convolution_param.bias_filler.std = 0.1
    net = Net(param, TEST)
    image = np.random.default_rng(4).normal(0, 5, (1, 3, *size)).astype(np.float32)
    weights = {name: [torch.from_numpy(blob.data.copy()) for blob in blobs] for name, blobs in net.params.items()}

    def conv(name, top):
        kernel = weights[name][0]
        return F.conv2d(same(top, kernel.shape[2], 1), kernel, weights[name][1])

    top, pools = torch.from_numpy(image), {}
    for stage, count in enumerate((2, 2, 4, 4), start=1):
        for i in range(1, count + 1):
            top = conv(f"conv{stage}_{i}", top).relu()
        top = pools[stage] = F.avg_pool2d(top, 2, ceil_mode=True, count_include_pad=False)
    top = conv("conv5_3", conv("conv5_2", conv("conv5_1", top).relu()).relu())
    top = F.max_pool2d(top, 2, ceil_mode=True)
    top = conv("score_fr", conv("fc7", conv("fc6", top).relu()).relu())
    top = raised(top, *weights["upscore2"], 2, pools[4]) + pools[4]
    top = raised(top, *weights["upscore_pool4"], 2, pools[3]) + pools[3]
    expected = raised(top, *weights["upscore8"], 8, torch.from_numpy(image)).numpy()
    found = net.forward(data=image)["score"]
    assert found.shape == (1, 4, *size)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_unknown_classifier():
    with pytest.raises(
        NetError, match=r"unknown classifier 'vgg-f' \(did you mean vgg-.\?\); known: vgg-a, vgg-a-lrn, "
    ):
        build("vgg-f", IMAGE)


def test_unknown_configuration():
    with pytest.raises(NetError, match="VGG configuration 'F' is not known; known: A, A-LRN, B, C, D, E"):
        trunks.vgg_features(NetSpec(), None, "F")
