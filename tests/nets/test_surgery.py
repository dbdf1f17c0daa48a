"""Surgery on real nets: what is copied, coerced and dropped, and the weights that are set."""

import numpy as np
import pytest

from caffe_compat.errors import WeightsError
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST
from caffe_compat.spec.net_spec import NetSpec
from caffe_compat.spec.net_spec import layers as L
from nets.catalogue import lookup
from nets.sources import InputData
from nets.surgery import expand_score, interp, transplant, upsample_filt, widen


def filler(type_="gaussian"):
    return {"type": type_, "std": 1}


def classifier(outputs=3):
    """A net with a fully-connected layer over 2 x 5 x 5, and another on top."""
    n = NetSpec()
    n.data = L.Input(shape={"dim": [1, 2, 5, 5]})
    n.fc6 = L.InnerProduct(n.data, num_output=4, weight_filler=filler(), bias_filler=filler())
    n.fc7 = L.InnerProduct(n.fc6, num_output=outputs, weight_filler=filler(), bias_filler=filler())
    return Net(n.to_proto(), TEST)


def convolutional(outputs=3, size=5, suffix="", bias_term=True):
    """Its fully convolutional twin."""
    n = NetSpec()
    n.data = L.Input(shape={"dim": [1, 2, size, size]})
    n["fc6" + suffix] = L.Convolution(n.data, num_output=4, kernel_size=5, bias_term=bias_term)
    n["fc7" + suffix] = L.Convolution(n["fc6" + suffix], num_output=outputs, kernel_size=1)
    return Net(n.to_proto(), TEST)


def values(net, layer):
    return [blob.data.copy() for blob in net.params[layer]]


def assert_same(net, layer, other, other_layer):
    for mine, theirs in zip(net.params[layer], other.params[other_layer], strict=True):
        np.testing.assert_array_equal(mine.data.ravel(), theirs.data.ravel())


def test_fully_connected_weights_become_convolutions_that_compute_the_same():
    source, target = classifier(), convolutional()
    report = transplant(target, source, echo=None)
    assert [(t.source, t.index) for t in report.coerced] == [("fc6", 0), ("fc7", 0)]
    assert [(t.source, t.index) for t in report.copied] == [("fc6", 1), ("fc7", 1)]
    assert report.dropped == report.untouched == []
    image = np.random.default_rng(0).standard_normal((1, 2, 5, 5)).astype(np.float32)
    expected, got = source.forward(data=image)["fc7"], target.forward(data=image)["fc7"]
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(got.reshape(1, 3), expected, rtol=1e-5, atol=1e-5)


def test_the_report_is_printed_with_both_shapes(capsys):
    transplant(convolutional(), classifier())
    assert capsys.readouterr().out.splitlines() == [
        "coerced  fc6 [0] (4, 50) to (4, 2, 5, 5)",
        "copied   fc6 [1] (4,)",
        "coerced  fc7 [0] (3, 4) to (3, 4, 1, 1)",
        "copied   fc7 [1] (3,)",
    ]


def test_without_coercion_other_shapes_are_dropped():
    target = convolutional()
    report = transplant(target, classifier(), coerce=False, echo=None)
    assert [(t.source, t.index) for t in report.dropped] == [("fc6", 0), ("fc7", 0)]
    assert "(4, 2, 5, 5); coerce=True would take the same values" in report.dropped[0].why_dropped
    assert not values(target, "fc6")[0].any()


def test_other_counts_are_dropped_and_leave_the_target_as_it_is():
    target = convolutional(outputs=5)
    before = values(target, "fc7")
    report = transplant(target, classifier(), echo=None)
    assert str(report).splitlines()[2:4] == [
        "dropped  fc7 [0] (3, 4): the new net has (5, 4, 1, 1), which is 20 values, not 12",
        "dropped  fc7 [1] (3,): the new net has (5,), which is 5 values, not 3",
    ]
    assert report.untouched == ["fc7"]
    assert str(report).endswith("untouched in the new net: fc7")
    for kept, now in zip(before, values(target, "fc7"), strict=True):
        np.testing.assert_array_equal(kept, now)


def test_equal_counts_of_other_outputs_are_not_scrambled_in():
    report = transplant(classifier(outputs=4), convolutional(outputs=4), names={"fc6": "fc7"}, echo=None)
    assert report.dropped[0].why_dropped.endswith("which is 16 values, not 200")
    n = NetSpec()
    n.data = L.Input(shape={"dim": [1, 3]})
    n.fc7 = L.InnerProduct(n.data, num_output=4)
    report = transplant(Net(n.to_proto(), TEST), classifier(outputs=3), echo=None)
    assert str(report.dropped[2]) == (
        "dropped  fc7 [0] (3, 4): the new net has (4, 3): as many values, but not as many outputs"
    )


def test_suffix_ends_the_new_names():
    source, target = convolutional(), convolutional(suffix="color")
    for blob in source.params["fc6"]:
        blob.data[...] = np.arange(blob.data.size).reshape(blob.data.shape)
    report = transplant(target, source, suffix="color", echo=None)
    assert_same(target, "fc6color", source, "fc6")
    assert str(report.transfers[0]) == "copied   fc6 -> fc6color [0] (4, 2, 5, 5)"


def test_names_send_layers_elsewhere():
    source, target = classifier(), convolutional(suffix="_new")
    report = transplant(target, source, names={"fc7": "fc7_new"}, echo=None)
    assert_same(target, "fc7_new", source, "fc7")
    assert report.dropped[0].why_dropped == "the new net has no layer 'fc6' with parameters"
    assert report.untouched == ["fc6_new"]


@pytest.mark.parametrize("names", [{"fc8": "fc7"}, {"fc7": "fc8"}])
def test_names_of_layers_that_are_not_there(names):
    with pytest.raises(WeightsError, match="no layer 'fc8' with parameters in the net; it has fc6, fc7"):
        transplant(convolutional(), classifier(), names=names)


def test_blobs_that_the_new_layer_lacks_are_dropped():
    report = transplant(convolutional(bias_term=False), classifier(), echo=None)
    assert str(report.dropped[0]) == "dropped  fc6 [1] (4,): 'fc6' has no blob 1 in the new net"


def test_staged_training_carries_32s_over_to_16s():
    image = InputData({"data": (1, 3, 32, 32)})
    coarse, fine = (Net(lookup(name).build(image, width=1 / 64), TEST) for name in ("voc-fcn32s", "voc-fcn16s"))
    for blobs in coarse.params.values():
        for blob in blobs:
            blob.data[...] = np.random.default_rng(1).standard_normal(blob.data.shape)
    report = transplant(fine, coarse, echo=None)
    assert [t.source for t in report.dropped] == ["upscore"]
    assert report.untouched == ["upscore2", "score_pool4", "upscore16"]
    assert_same(fine, "conv5_3", coarse, "conv5_3")
    assert_same(fine, "score_fr", coarse, "score_fr")


@pytest.mark.parametrize(
    ("size", "row"),
    [(3, [0.5, 1, 0.5]), (4, [0.25, 0.75, 0.75, 0.25]), (5, [1 / 3, 2 / 3, 1, 2 / 3, 1 / 3]), (1, [1])],
)
def test_upsample_filt_is_bilinear(size, row):
    np.testing.assert_allclose(upsample_filt(size), np.outer(row, row), rtol=1e-15)


def deconvolution(channels=2, outputs=2, group=1, kernel_size=4):
    n = NetSpec()
    n.data = L.Input(shape={"dim": [1, channels, 3, 3]})
    settings = {"num_output": outputs, "kernel_size": kernel_size, "stride": 2, "group": group, "bias_term": False}
    n.up = L.Deconvolution(n.data, convolution_param={**settings, "weight_filler": filler()})
    return Net(n.to_proto(), TEST)


@pytest.mark.parametrize("group", [1, 2])
def test_interp_upsamples_each_channel_by_itself(group):
    net = deconvolution(group=group)
    interp(net, ["up"])
    image = np.stack([np.full((3, 3), 5.0), np.tile([0.0, 1.0, 2.0], (3, 1))])[None]
    out = net.forward(data=image)["up"]
    assert out.shape == (1, 2, 8, 8)
    np.testing.assert_allclose(out[0, 0, 2:-2, 2:-2], 5.0)  # a constant stays one, away from the border
    np.testing.assert_allclose(out[0, 1, 2:-2, 2:-2], np.tile([0.25, 0.75, 1.25, 1.75], (4, 1)))  # a ramp stays one


def test_interp_puts_the_kernel_on_the_diagonal_and_clears_the_rest():
    net = deconvolution()
    assert net.params["up"][0].data.any()
    interp(net, iter(["up"]))
    weight = net.params["up"][0].data
    np.testing.assert_allclose(weight[0, 0], upsample_filt(4))
    np.testing.assert_allclose(weight[1, 1], upsample_filt(4))
    assert not weight[0, 1].any()
    assert not weight[1, 0].any()


def test_interp_of_unequal_channels():
    with pytest.raises(WeightsError, match="layer 'up' has 2 input and 3 output channels; wanted equal numbers"):
        interp(deconvolution(outputs=3), ["up"])


def test_interp_of_an_oblong_kernel():
    with pytest.raises(WeightsError, match="layer 'up' has a 4 x 5 kernel; wanted a square one"):
        interp(deconvolution(kernel_size=[4, 5]), ["up"])


def test_interp_of_a_layer_without_channels_in_space():
    with pytest.raises(WeightsError, match=r"layer 'fc6' has weights of shape \(4, 50\); wanted in x out x h x w"):
        interp(classifier(), ["fc6"])


def test_interp_of_an_unknown_layer():
    with pytest.raises(WeightsError, match="no layer 'upscore' with parameters in the net; it has up"):
        interp(deconvolution(), ["upscore"])


def test_expand_score_keeps_the_old_classes_first():
    old, new = convolutional(outputs=3), convolutional(outputs=5)
    for blob in [*old.params["fc7"], *new.params["fc7"]]:
        blob.data[...] = np.random.default_rng(blob.data.size).standard_normal(blob.data.shape)
    before = values(new, "fc7")
    expand_score(new, "fc7", old, "fc7")
    for index in (0, 1):
        now = new.params["fc7"][index].data
        np.testing.assert_array_equal(now[:3], old.params["fc7"][index].data)
        np.testing.assert_array_equal(now[3:], before[index][3:])


def test_expand_score_takes_a_legacy_bias():
    old, new = convolutional(outputs=3), convolutional(outputs=5)
    old.params["fc7"][1].reshape(1, 1, 1, 3)
    old.params["fc7"][1].data[...] = [1, 2, 3]
    expand_score(new, "fc7", old, "fc7")
    assert new.params["fc7"][1].data.tolist() == [1, 2, 3, 0, 0]


def test_expand_score_to_fewer_classes():
    with pytest.raises(WeightsError, match=r"'fc7' has weights of shape \(3, 4, 1, 1\) and 'fc7' \(5, 4, 1, 1\)"):
        expand_score(convolutional(outputs=3), "fc7", convolutional(outputs=5), "fc7")


def first_convolution(name, channels, outputs=4):
    n = NetSpec()
    n.data = L.Input(shape={"dim": [1, channels, 5, 5]})
    n[name] = L.Convolution(n.data, num_output=outputs, kernel_size=3, weight_filler=filler(), bias_filler=filler())
    return Net(n.to_proto(), TEST)


def test_widen_keeps_the_colour_kernels_and_gives_depth_their_mean():
    color, both = first_convolution("conv1_1", 3), first_convolution("conv1_1_bgrd", 4)
    widen(both, "conv1_1_bgrd", color, "conv1_1")
    weight, bias = values(both, "conv1_1_bgrd")
    kernels, old_bias = values(color, "conv1_1")
    np.testing.assert_array_equal(weight[:, :3], kernels)
    np.testing.assert_allclose(weight[:, 3], (kernels[:, 0] + kernels[:, 1] + kernels[:, 2]) / 3, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(bias, old_bias)


def test_widen_takes_a_legacy_bias():
    color, both = first_convolution("conv1_1", 3), first_convolution("conv1_1_bgrd", 4)
    color.params["conv1_1"][1].reshape(1, 1, 1, 4)
    color.params["conv1_1"][1].data[...] = [1, 2, 3, 4]
    widen(both, "conv1_1_bgrd", color, "conv1_1")
    assert both.params["conv1_1_bgrd"][1].data.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(("channels", "outputs"), [(2, 4), (4, 5)])
def test_widen_of_layers_that_differ_in_more(channels, outputs):
    with pytest.raises(WeightsError, match=r"widen: layer 'wide' has weights of shape .* with at least as many inputs"):
        widen(first_convolution("wide", channels, outputs), "wide", first_convolution("conv1_1", 3), "conv1_1")
