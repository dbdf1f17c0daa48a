"""Which diffs backward writes, which it leaves alone, and that it changes nothing else."""

import sys

import numpy as np
import pytest
import torch

import caffe_compat
from caffe_compat.errors import LayerError
from caffe_compat.layer import registry
from caffe_compat.layer.contract import SourceLayer

TRAIN, TEST = caffe_compat.TRAIN, caffe_compat.TEST
DATA = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } } '
LABEL = 'layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 2 } } } '


def ip(name: str, bottom: str, top: str, more: str = "") -> str:
    return (
        f'layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{top}" {more} '
        "inner_product_param { num_output: 3 } } "
    )


def loss(bottom: str, more: str = "") -> str:
    return f'layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "{bottom}" bottom: "label" top: "loss" {more} }} '


def run(net) -> None:
    net.blobs["label"].data[...] = [0, 2]
    net.forward()
    net.backward()


def moved(net) -> set[str]:
    """Layers whose parameters have a diff."""
    return {name for name, blobs in net.params.items() if any(np.abs(b.diff).max() > 0 for b in blobs)}


def test_gradients_are_those_of_the_written_out_net(make_net, fill_net):
    net = fill_net(make_net("force_backward: true " + DATA + LABEL + ip("a", "data", "a") + loss("a"), TRAIN))
    run(net)
    x, (weight, bias) = net.blobs["data"].data, (b.data for b in net.params["a"])
    p = np.exp(x @ weight.T + bias)
    p /= p.sum(1, keepdims=True)
    assert net.blobs["loss"].data == pytest.approx(-np.log(p[[0, 1], [0, 2]]).mean(), rel=1e-5)
    p[[0, 1], [0, 2]] -= 1
    np.testing.assert_allclose(net.blobs["a"].diff, p / 2, rtol=1e-5)
    np.testing.assert_allclose(net.params["a"][0].diff, p.T @ x / 2, rtol=1e-4)
    np.testing.assert_allclose(net.params["a"][1].diff, p.sum(0) / 2, rtol=1e-4)
    np.testing.assert_allclose(net.blobs["data"].diff, p @ weight / 2, rtol=1e-4)


@pytest.mark.parametrize("phase", [TRAIN, TEST])
@pytest.mark.parametrize(
    ("layers", "learning"),
    [
        pytest.param(ip("a", "data", "a") + ip("b", "a", "b") + loss("b"), {"a", "b"}, id="plain"),
        pytest.param(
            ip("a", "data", "a") + ip("b", "a", "b", "param { lr_mult: 0 } param { lr_mult: 0 }") + loss("b"),
            {"a"},
            id="frozen above",
        ),
        pytest.param(
            ip("a", "data", "a", "param { lr_mult: 0 } param { lr_mult: 0 }") + ip("b", "a", "b") + loss("b"),
            {"b"},
            id="frozen below",
        ),
        pytest.param(
            ip("a", "data", "a") + ip("b", "a", "b", "propagate_down: false") + loss("b"), {"b"}, id="not propagated"
        ),
        pytest.param(
            ip("a", "data", "a") + ip("b", "a", "b") + loss("b", "propagate_down: false propagate_down: false"),
            set(),
            id="loss does not propagate",
        ),
        pytest.param(
            ip("a", "data", "a") + ip("b", "a", "b") + ip("c", "a", "c") + loss("b"), {"a", "b"}, id="a branch aside"
        ),
        pytest.param(ip("a", "data", "a") + ip("b", "a", "b") + loss("b", "loss_weight: 0"), set(), id="no loss"),
        pytest.param(
            ip("a", "data", "a") + ip("b", "a", "b", "loss_weight: 2"), {"a", "b"}, id="a layer with a loss weight"
        ),
    ],
)
def test_only_layers_that_learn_under_a_loss_get_gradients(make_net, fill_net, phase, layers, learning):
    net = fill_net(make_net(DATA + LABEL + layers, phase))
    run(net)
    assert moved(net) == learning
    assert not net.blobs["data"].diff.any()  # an input needs none unless force_backward says so


def test_layers_without_backward_leave_the_diffs_of_their_blobs(make_net, fill_net):
    net = fill_net(make_net(DATA + LABEL + ip("a", "data", "a") + ip("c", "a", "c") + ip("b", "a", "b") + loss("b"), 0))
    net.blobs["a_a_0_split_0"].diff[...] = 5  # c does not lead to the loss: its bottom's diff is whoever's
    net.blobs["data"].diff[...] = 7
    run(net)
    assert (net.blobs["data"].diff == 7).all()
    np.testing.assert_allclose(net.blobs["a"].diff, 5 + net.blobs["a_a_0_split_1"].diff, rtol=1e-6)


def test_a_layer_whose_consumers_do_not_propagate_down_is_skipped(make_net, fill_net):
    layers = ip("a", "data", "a") + ip("b", "a", "b", "propagate_down: false") + loss("b")
    net = fill_net(make_net(DATA + LABEL + layers, TRAIN))
    net.blobs["a"].diff[...] = 5  # whatever stands there
    run(net)
    assert moved(net) == {"b"}


def test_force_backward_reaches_inputs_and_frozen_parameters_but_no_labels(make_net, fill_net):
    frozen = "param { lr_mult: 0 } param { lr_mult: 0 }"
    net = fill_net(make_net("force_backward: true " + DATA + LABEL + ip("a", "data", "a", frozen) + loss("a"), TRAIN))
    net.blobs["label"].diff[...] = 5
    run(net)
    assert net.blobs["data"].diff.any()
    assert moved(net) == {"a"}
    assert (net.blobs["label"].diff == 5).all()


def test_one_frozen_parameter_of_two(make_net, fill_net):
    net = fill_net(make_net(DATA + LABEL + ip("a", "data", "a", "param { lr_mult: 0 }") + loss("a"), TRAIN))
    run(net)
    assert not net.params["a"][0].diff.any()
    assert net.params["a"][1].diff.any()
    assert net.params_lr == [0, 1]


def test_propagate_down_may_ask_for_an_inputs_gradient(make_net, fill_net):
    net = fill_net(make_net(DATA + LABEL + ip("a", "data", "a", "propagate_down: true") + loss("a"), TRAIN))
    run(net)
    assert net.blobs["data"].diff.any()


def test_propagate_down_is_given_for_every_bottom_or_none(make_net):
    with pytest.raises(LayerError, match=r"layer 'loss' .*: 1 propagate_down values for 2 bottoms; give one for each"):
        make_net(DATA + LABEL + ip("a", "data", "a") + loss("a", "propagate_down: true"))


@pytest.mark.parametrize("phase", [TRAIN, TEST])
def test_parameter_diffs_add_up_and_blob_diffs_do_not(make_net, fill_net, phase):
    net = fill_net(make_net("force_backward: true " + DATA + LABEL + ip("a", "data", "a") + loss("a"), phase))
    run(net)
    once = {"w": net.params["a"][0].diff.copy(), "data": net.blobs["data"].diff.copy()}
    net.backward()
    np.testing.assert_allclose(net.params["a"][0].diff, 2 * once["w"], rtol=1e-6)
    np.testing.assert_allclose(net.blobs["data"].diff, once["data"], rtol=1e-6)
    net.forward()
    net.backward()
    np.testing.assert_allclose(net.params["a"][0].diff, 3 * once["w"], rtol=1e-6)
    held = net.params["a"][0].diff
    net.clear_param_diffs()
    assert not held.any()
    assert not net.params["a"][1].diff.any()
    net.backward()
    np.testing.assert_allclose(held, once["w"], rtol=1e-6)


@pytest.mark.parametrize("phase", [TRAIN, TEST])
def test_backward_before_any_forward_takes_the_blobs_as_they_are(make_net, fill_net, phase):
    text = (
        "force_backward: true " + DATA + ip("a", "data", "a") + 'layer { name: "r" type: "ReLU" bottom: "a" top: "a" }'
    )
    net = fill_net(make_net(text, phase))
    net.params["a"][1].data[...] = 100  # above 0 whatever the weights
    net.blobs["a"].diff[...] = 1
    net.backward()
    np.testing.assert_allclose(net.blobs["data"].diff, np.tile(net.params["a"][0].data.sum(0), (2, 1)), rtol=1e-4)


def test_weights_written_between_forward_and_backward_count(make_net, fill_net):
    net = fill_net(make_net("force_backward: true " + DATA + ip("a", "data", "a"), TRAIN))
    net.forward()
    net.params["a"][0].data[...] = 3
    net.blobs["a"].diff[...] = 1
    net.backward()
    assert (net.blobs["data"].diff == 9).all()


def test_weights_changed_in_place_by_the_runtime_between_two_backwards(make_net, fill_net):
    net = fill_net(make_net("force_backward: true " + DATA + ip("a", "data", "a"), TRAIN))
    net.forward()
    net.blobs["a"].diff[...] = 1
    net.backward()
    net.params["a"][0].write(np.full((3, 3), 2, np.float32))
    net.backward()
    assert (net.blobs["data"].diff == 6).all()


def test_a_bottom_computed_anew_makes_backward_look_again(make_net, fill_net):
    text = DATA + ip("a", "data", "a") + ip("b", "a", "b")
    net = fill_net(make_net("force_backward: true " + text, TRAIN))
    net.forward()
    net.blobs["data"].data[...] = 1
    net.forward(end="a")
    net.blobs["b"].diff[...] = 1
    net.backward()
    np.testing.assert_allclose(net.params["b"][0].diff, np.tile(net.blobs["a"].data.sum(0), (3, 1)), rtol=1e-5)


def test_two_bottoms_of_one_gradient_do_not_share_memory(make_net, fill_net):
    net = fill_net(
        make_net(
            "force_backward: true "
            + DATA
            + DATA.replace("data", "more")
            + 'layer { name: "sum" type: "Eltwise" bottom: "data" bottom: "more" top: "s" } '
            + 'layer { name: "relu" type: "ReLU" bottom: "s" top: "s" }',
            TRAIN,
        )
    )
    net.forward()
    net.blobs["s"].diff[...] = 1
    net.backward()
    before = net.blobs["more"].diff.copy()
    assert before.any()
    for name in ("data", "s"):
        net.blobs[name].diff[...] = 9
        assert (net.blobs["more"].diff == before).all()


STATEFUL = (
    "force_backward: true layer { name: 'data' type: 'Input' top: 'data' input_param { shape { dim: 4 dim: 3 } } } "
    "layer { name: 'norm' type: 'BatchNorm' bottom: 'data' top: 'n' } "
    "layer { name: 'drop' type: 'Dropout' bottom: 'n' top: 'd' } "
)


def test_backward_in_train_does_not_draw_or_count_again(make_net, fill_net):
    net = fill_net(make_net(STATEFUL, TRAIN))
    for blob in net.params["norm"]:
        blob.data[...] = 0
    net.forward()
    statistics = [b.data.copy() for b in net.params["norm"]]
    assert statistics[2] == 1
    net.blobs["d"].diff[...] = 1
    net.backward()
    dropped = net.blobs["d"].data == 0
    first = net.blobs["n"].diff.copy()
    assert 0 < dropped.mean() < 1
    np.testing.assert_array_equal(first, np.where(dropped, 0, 2))
    net.blobs["n"].write(net.blobs["n"].data.copy())  # the records are stale: the graphs are made again
    net.blobs["data"].write(net.blobs["data"].data.copy())
    net.backward()
    np.testing.assert_array_equal(net.blobs["n"].diff, first)
    for blob, values in zip(net.params["norm"], statistics, strict=True):
        np.testing.assert_array_equal(blob.data, values)


def test_backward_in_test_leaves_the_random_stream_and_statistics_alone(make_net, fill_net):
    net = fill_net(make_net(STATEFUL, TEST))
    net.params["norm"][1].data[...] = np.abs(net.params["norm"][1].data)
    net.params["norm"][2].data[...] = 1
    net.forward()
    values = {name: b.data.copy() for name, b in net.blobs.items()}
    statistics = [b.data.copy() for b in net.params["norm"]]
    caffe_compat.set_random_seed(1)
    expected = caffe_compat.device.generator().get_state().clone()
    net.blobs["d"].diff[...] = 1
    net.backward()
    scale = 1 / np.sqrt(statistics[1] + 1e-5)
    np.testing.assert_allclose(net.blobs["data"].diff, np.tile(scale, (4, 1)), rtol=1e-4)
    assert (caffe_compat.device.generator().get_state() == expected).all()
    for name, blob in net.blobs.items():
        np.testing.assert_array_equal(blob.data, values[name])
    for blob, before in zip(net.params["norm"], statistics, strict=True):
        np.testing.assert_array_equal(blob.data, before)


class Counted(caffe_compat.Layer):
    """Doubles, and counts its calls."""

    def setup(self, bottom, top):
        self.calls = {"reshape": 0, "forward": 0, "backward": 0}

    def reshape(self, bottom, top):
        self.calls["reshape"] += 1
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom, top):
        self.calls["forward"] += 1
        top[0].data[...] = 2 * bottom[0].data

    def backward(self, top, propagate_down, bottom):
        self.calls["backward"] += 1
        self.propagate_down = list(propagate_down)
        bottom[0].diff[...] = 2 * top[0].diff


@pytest.fixture
def counted() -> str:
    sys.modules["counted_for_test_backward"] = sys.modules[__name__]
    yield (
        "layer { name: 'py' type: 'Python' bottom: 'a' top: 'p' "
        "python_param { module: 'counted_for_test_backward' layer: 'Counted' } } "
    )
    del sys.modules["counted_for_test_backward"]


@pytest.mark.parametrize("phase", [TRAIN, TEST])
def test_python_layers_are_called_once_each_way(make_net, fill_net, counted, phase):
    net = fill_net(make_net(DATA + LABEL + ip("a", "data", "a") + counted + loss("p"), phase))
    layer = net.layer_dict["py"]
    run(net)
    assert layer.calls == {"reshape": 2, "forward": 1, "backward": 1}  # reshape: once when built, once in forward
    assert layer.propagate_down == [True]
    np.testing.assert_allclose(net.blobs["a"].diff, 2 * net.blobs["p"].diff)
    assert moved(net) == {"a"}


def test_python_layers_that_need_no_backward_are_not_called(make_net, fill_net, counted):
    net = fill_net(make_net(DATA + LABEL + counted.replace("'a'", "'data'") + loss("p"), TRAIN))
    run(net)
    assert net.layer_dict["py"].calls["backward"] == 0


class Source(SourceLayer):
    """Counts up; a replay asks for what there may not be yet."""

    type = "SourceForTestBackward"

    def reshape(self, bottom_shapes):
        return [(2,)]

    def forward(self, bottoms, blobs, context):
        if context.replay:
            raise AssertionError("backward read on")
        context.state["at"] = context.state.get("at", 0) + 1
        return [torch.full((2,), float(context.state["at"]))]


@pytest.mark.parametrize("phase", [TRAIN, TEST])
def test_sources_are_left_alone_by_backward(make_net, monkeypatch, phase):
    monkeypatch.setattr(registry, "_classes", {**registry._classes, Source.type: Source})
    net = make_net(
        f"force_backward: true layer {{ name: 's' type: '{Source.type}' top: 's' }} "
        "layer { name: 'p' type: 'Power' bottom: 's' top: 'p' power_param { power: 2 } }",
        phase,
    )
    net.backward()
    for at in (1, 2):
        assert (net.forward()["p"] == at**2).all()
        net.blobs["p"].diff[...] = 1
        net.backward()
        assert (net.blobs["s"].diff == 2 * at).all()
        assert (net.blobs["s"].data == at).all()
