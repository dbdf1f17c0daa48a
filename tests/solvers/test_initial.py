"""Starting weights from files, and layers that could never learn."""

import numpy as np
import pytest

from caffe_compat.errors import WeightsError
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TRAIN
from caffe_compat.spec.net_spec import NetSpec
from caffe_compat.spec.net_spec import layers as L
from nets.catalogue import lookup
from nets.sources import InputData
from nets.surgery import upsample_filt
from solvers.initial import WeightsFile, check_covered, find_stuck, interpolated_layers, start_from, start_fused

SHAPES = {"data": (1, 3, 32, 32), "label": (1, 1, 32, 32)}
TRUNK = ["conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv4_1", "conv4_2", "conv4_3"]
TRUNK += ["conv5_1", "conv5_2", "conv5_3", "fc6", "fc7"]


def thin_net(model, change=lambda net: None):
    net = lookup(model).build(InputData(SHAPES), width=1 / 32)
    change(net)
    return Net(net, TRAIN)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, thin):
    """A thin FCN-32s with random weights, and its files, binary and HDF5."""
    net = thin_net("voc-fcn32s", thin.random_trunk)
    net.params["score_fr"][0].data[...] = 0.5
    net.params["upscore"][0].data[...] = 0.25
    folder = tmp_path_factory.mktemp("weights")
    net.save(folder / "fcn32s.caffemodel")
    net.save_hdf5(folder / "fcn32s.caffemodel.h5")
    return net, folder


@pytest.mark.parametrize(("model", "names"), [("voc-fcn32s", ["upscore"]), ("voc-fcn8s-atonce", None)])
def test_interpolated_layers_are_those_the_solver_leaves_alone(model, names):
    assert interpolated_layers(thin_net(model)) == (names or ["upscore2", "upscore_pool4", "upscore8"])


def test_a_deconvolution_that_learns_is_not_interpolated():
    net = NetSpec()
    net.data = L.Input(shape={"dim": [1, 2, 4, 4]})
    for name, settings in {
        "free": {},
        "learns": {"param": [{"lr_mult": 1}]},
        "fixed": {"param": [{"lr_mult": 0}]},
    }.items():
        net[name] = L.Deconvolution(net.data, convolution_param={"num_output": 1, "kernel_size": 2}, **settings)
    assert interpolated_layers(Net(net.to_proto(), TRAIN)) == ["fixed"]


@pytest.mark.parametrize("file", ["fcn32s.caffemodel", "fcn32s.caffemodel.h5"])
def test_start_from_a_file_of_another_stage(trained, file):
    source, folder = trained
    net = thin_net("voc-fcn8s")
    report = start_from(net, folder / file)
    for name in [*TRUNK, "score_fr"]:
        for ours, theirs in zip(net.params[name], source.params[name], strict=True):
            assert np.array_equal(ours.data, theirs.data)
    assert net.params["conv3_2"][0].data.any()
    assert [transfer.source for transfer in report.dropped] == ["upscore"]
    assert report.untouched == ["upscore2", "score_pool4", "upscore_pool4", "score_pool3", "upscore8"]
    kernel = net.params["upscore8"][0].data
    assert np.array_equal(kernel[3, 3], upsample_filt(16).astype(np.float32))
    assert not kernel[3, 4].any()


def test_interpolation_is_set_even_where_the_file_has_other_weights(trained):
    net = thin_net("voc-fcn32s")
    start_from(net, trained[1] / "fcn32s.caffemodel")
    assert np.array_equal(net.params["upscore"][0].data[0, 0], upsample_filt(64).astype(np.float32))


def test_fully_connected_weights_become_convolutions(tmp_path):
    spec = NetSpec()
    spec.data = L.Input(shape={"dim": [1, 16, 7, 7]})
    spec.fc6 = L.InnerProduct(spec.data, num_output=128, weight_filler={"type": "gaussian"})
    classifier = Net(spec.to_proto(), TRAIN)
    classifier.save(tmp_path / "classifier.caffemodel")
    net = thin_net("voc-fcn32s")
    report = start_from(net, tmp_path / "classifier.caffemodel")
    assert [str(transfer) for transfer in report.coerced] == ["coerced  fc6 [0] (128, 784) to (128, 16, 7, 7)"]
    assert np.array_equal(net.params["fc6"][0].data.ravel(), classifier.params["fc6"][0].data.ravel())


def test_weights_file_has_layers_with_weights_only(trained):
    assert list(WeightsFile(trained[1] / "fcn32s.caffemodel").params) == [*TRUNK, "score_fr", "upscore"]


def test_missing_weights_file(tmp_path):
    with pytest.raises(WeightsError, match=r"none\.caffemodel"):
        start_from(thin_net("voc-fcn32s"), tmp_path / "none.caffemodel")
    wanted = "weights '.*' are not there; correct the path; 'python -m data_prep download vgg16 --out DATA' gets it"
    with pytest.raises(WeightsError, match=wanted):
        start_from(thin_net("voc-fcn32s"), tmp_path / "VGG_ILSVRC_16_layers.caffemodel")


def test_a_net_at_the_released_fillers_can_never_learn():
    stuck = find_stuck(thin_net("voc-fcn32s"))
    assert stuck.silent == ["upscore"]
    assert stuck.stuck == [*TRUNK, "score_fr"]
    assert not stuck.waiting
    assert stuck.hopeless == ["upscore", *TRUNK, "score_fr"]


def test_score_layers_at_zero_wait(trained):
    net = thin_net("voc-fcn8s")
    start_from(net, trained[1] / "fcn32s.caffemodel")
    stuck = find_stuck(net)
    assert stuck.waiting == ["score_pool4", "score_pool3"]
    assert not stuck.hopeless


def test_what_waits_learns_and_what_is_stuck_does_not(trained):
    """The claim, by gradients: of the layers at zero exactly those that wait get one."""
    net = thin_net("voc-fcn8s")
    start_from(net, trained[1] / "fcn32s.caffemodel")
    for name in ("score_fr", "fc7"):
        net.params[name][0].data[...] = 0
    stuck = find_stuck(net)
    assert (stuck.waiting, stuck.stuck) == (["score_fr", "score_pool4", "score_pool3"], ["fc7"])
    rng = np.random.default_rng(0)
    net.blobs["data"].data[...] = rng.normal(0, 50, SHAPES["data"])
    net.blobs["label"].data[...] = rng.integers(0, 21, SHAPES["label"])
    net.params["fc7"][1].data[...] = 1  # its bias alone feeds score_fr
    net.forward()
    net.backward()
    moved = {name for name in ("score_fr", "score_pool4", "score_pool3", "fc7") if net.params[name][0].diff.any()}
    assert moved == {"score_fr", "score_pool4", "score_pool3"}


def test_weights_that_leave_layers_silent_are_refused(trained):
    net = thin_net("voc-fcn8s")
    path = trained[1] / "fcn32s.caffemodel"
    net.copy_from(path)
    lacking = "upscore2, score_pool4, upscore_pool4, score_pool3, upscore8"
    with pytest.raises(
        WeightsError, match=f"fcn32s.caffemodel: has no weights for {lacking}, which would stay at zero"
    ):
        check_covered(net, path)


def test_weights_that_cover_the_net_pass_though_some_are_zero(trained, tmp_path):
    net = thin_net("voc-fcn32s")
    net.copy_from(trained[1] / "fcn32s.caffemodel")
    net.params["score_fr"][0].data[...] = 0
    net.save(tmp_path / "untrained.caffemodel")
    check_covered(net, tmp_path / "untrained.caffemodel")


NYUD_SHAPES = {"color": (1, 3, 32, 32), "depth": (1, 1, 32, 32), "hha": (1, 3, 32, 32), "label": (1, 1, 32, 32)}


def thin_nyud(model, *tops):
    shapes = {top: NYUD_SHAPES[top] for top in (*tops, "label")}
    return Net(lookup(model).build(InputData(shapes), classes=21, width=1 / 32), TRAIN)


def test_color_and_depth_start_from_a_color_net(trained):
    source, folder = trained
    net = thin_nyud("nyud-fcn32s-color-d", "color", "depth")
    report = start_from(net, folder / "fcn32s.caffemodel", widens={"conv1_1_bgrd": "conv1_1"})
    kernels = source.params["conv1_1"][0].data
    np.testing.assert_array_equal(net.params["conv1_1_bgrd"][0].data[:, :3], kernels)
    np.testing.assert_allclose(net.params["conv1_1_bgrd"][0].data[:, 3], kernels.mean(axis=1), rtol=1e-6)
    np.testing.assert_array_equal(net.params["fc7"][0].data, source.params["fc7"][0].data)
    assert report.untouched == report.dropped == []
    assert "coerced  conv1_1 -> conv1_1_bgrd [0] (2, 3, 3, 3) to (2, 4, 3, 3)" in str(report)


def test_color_and_depth_start_from_their_own_snapshot(trained, tmp_path):
    net, again = (thin_nyud("nyud-fcn32s-color-d", "color", "depth") for _ in range(2))
    net.params["conv1_1_bgrd"][0].data[...] = 7
    net.save(tmp_path / "own.caffemodel")
    start_from(again, tmp_path / "own.caffemodel", widens={"conv1_1_bgrd": "conv1_1"})
    assert (again.params["conv1_1_bgrd"][0].data == 7).all()


def test_two_streams_start_from_two_nets(trained, tmp_path):
    color, folder = trained
    hha = thin_net("voc-fcn32s")
    for blobs in hha.params.values():
        blobs[0].data[...] = 3
    hha.save(tmp_path / "hha.caffemodel")
    net = thin_nyud("nyud-fcn32s-color-hha", "color", "hha")
    report = start_fused(net, {"color": folder / "fcn32s.caffemodel", "hha": tmp_path / "hha.caffemodel"})
    for layer in [*TRUNK, "score_fr"]:
        np.testing.assert_array_equal(net.params[f"{layer}color"][0].data, color.params[layer][0].data)
        assert (net.params[f"{layer}hha"][0].data == 3).all()
    assert report.untouched == ["upscore"]
    np.testing.assert_allclose(net.params["upscore"][0].data[4, 4], upsample_filt(64))
    assert [transfer.source for transfer in report.dropped] == ["upscore", "upscore"]


def test_two_streams_from_a_file_of_another_net(trained, tmp_path):
    net = thin_nyud("nyud-fcn32s-color-hha", "color", "hha")
    with pytest.raises(WeightsError, match="none of its layers is in the net with 'depth' added; is it another net's"):
        start_fused(net, {"depth": trained[1] / "fcn32s.caffemodel"})
