"""Computing only what the image reaches of a padded map gives what the layers give, for any size and any change."""

import numpy as np
import pytest

from caffe_compat.net.plan import REWRITES, windows
from caffe_compat.net.plan.plan import Plan

VGG_LIKE = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 20 dim: 26 } } }
layer { name: "c1" type: "Convolution" bottom: "data" top: "c1"
        convolution_param { num_output: 5 kernel_size: 3 pad: 40 } }
layer { name: "r1" type: "ReLU" bottom: "c1" top: "c1" }
layer { name: "c2" type: "Convolution" bottom: "c1" top: "c2"
        convolution_param { num_output: 6 kernel_size: 3 pad: 1 } }
layer { name: "r2" type: "ReLU" bottom: "c2" top: "c2" }
layer { name: "p2" type: "Pooling" bottom: "c2" top: "p2"
        pooling_param { pool: %(pool)s kernel_size: %(kernel)d stride: 2 } }
layer { name: "c3" type: "Convolution" bottom: "p2" top: "c3"
        convolution_param { num_output: 7 kernel_size: 3 pad: 1 } }
layer { name: "r3" type: "ReLU" bottom: "c3" top: "c3" }
layer { name: "p3" type: "Pooling" bottom: "c3" top: "p3" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "c4" type: "Convolution" bottom: "p3" top: "c4"
        convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
layer { name: "r4" type: "ReLU" bottom: "c4" top: "r4" }
layer { name: "p4" type: "Pooling" bottom: "r4" top: "p4" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "side" type: "Convolution" bottom: "p3" top: "side" convolution_param { num_output: 2 kernel_size: 1 } }
layer { name: "c5" type: "Convolution" bottom: "p4" top: "c5" convolution_param { num_output: 3 kernel_size: 5 } }
"""
ALEX_LIKE = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 40 dim: 26 } } }
layer { name: "c1" type: "Convolution" bottom: "data" top: "c1"
        convolution_param { num_output: 8 kernel_size: 11 stride: 4 pad: 100 } }
layer { name: "r1" type: "ReLU" bottom: "c1" top: "c1" }
layer { name: "p1" type: "Pooling" bottom: "c1" top: "p1" pooling_param { kernel_size: 3 stride: 2 } }
layer { name: "c2" type: "Convolution" bottom: "p1" top: "c2"
        convolution_param { num_output: 6 kernel_h: 5 kernel_w: 3 pad_h: 2 pad_w: 1 group: 2 bias_term: false } }
layer { name: "c3" type: "Convolution" bottom: "c2" top: "c3"
        convolution_param { num_output: 4 kernel_size: 3 pad: 2 dilation: 2 } }
"""
NETS = {
    "vgg max": VGG_LIKE % {"pool": "MAX", "kernel": 2},
    "vgg max 3": VGG_LIKE % {"pool": "MAX", "kernel": 3},
    "vgg average": VGG_LIKE % {"pool": "AVE", "kernel": 2},
    "alex": ALEX_LIKE,
}
OUTPUTS = {"vgg": ["side", "c5"], "alex": ["c3"]}


@pytest.fixture
def ran(monkeypatch) -> list[list[str]]:
    """The layers of every window that was run."""
    calls, plain = [], windows.run_window

    def counted(window, x, strips):
        calls.append([stage.node.layer.name for stage in window.stages])
        return plain(window, x, strips)

    monkeypatch.setattr("caffe_compat.net.plan.plan.run_window", counted)
    return calls


@pytest.fixture
def pair(make_net, fill_net):
    """A lean net and a whole one of the same weights."""

    def make(name: str, keep: list[str] | None = None):
        keep = OUTPUTS[name.split()[0]] if keep is None else keep
        return [fill_net(make_net(NETS[name], keep=k)) for k in (keep, None)]

    return make


def show(nets, image) -> None:
    for net in nets:
        net.blobs["data"].reshape(*image.shape)
        net.blobs["data"].data[...] = image


def image_of(*shape) -> np.ndarray:
    return np.random.RandomState(sum(shape)).standard_normal(shape).astype(np.float32)


def assert_same(nets, names, tolerance=2e-6) -> None:
    for net in nets:
        net.forward()
    lean, plain = nets
    for name in names:
        ours, theirs = lean.blobs[name].data, plain.blobs[name].data
        finite = np.isfinite(theirs)
        np.testing.assert_array_equal(np.isfinite(ours), finite, err_msg=name)
        room = tolerance * np.abs(theirs[finite]).max(initial=0)
        np.testing.assert_allclose(ours[finite], theirs[finite], rtol=0, atol=room, err_msg=name)


@pytest.mark.parametrize("name", NETS)
def test_every_size_gives_what_the_layers_give(pair, ran, name):
    nets = pair(name)
    for height, width in [(20, 26), (21, 27), (22, 33), (23, 9), (1, 1), (60, 24), (5, 70), (20, 26)]:
        show(nets, image_of(1, 3, height, width))
        assert_same(nets, OUTPUTS[name.split()[0]])
    assert all(layers[0] == "c1" or layers[0] == "c4" for layers in ran)
    assert sum(layers[0] == "c1" for layers in ran) == 8


def test_windows_reach_as_far_as_they_can(pair, ran):
    nets = pair("vgg max")
    show(nets, image_of(1, 3, 20, 26))
    assert_same(nets, ["side", "c5"])
    assert ran == [["c1", "c2", "p2", "c3", "p3"], ["c4", "p4"]]  # p3 is split; its window is known beyond


@pytest.mark.parametrize("batch", [2, 3])
@pytest.mark.parametrize("name", NETS)
def test_batches(pair, ran, name, batch):
    nets = pair(name)
    show(nets, image_of(batch, 3, 18, 31))
    assert_same(nets, OUTPUTS[name.split()[0]])
    assert ran


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("limit", [1, 20_000])
def test_strips(pair, ran, monkeypatch, name, limit):
    monkeypatch.setattr(windows, "_STRIP_BYTES", limit)
    nets = pair(name)
    for height, width in [(20, 26), (51, 30)]:
        show(nets, image_of(1, 3, height, width))
        assert_same(nets, OUTPUTS[name.split()[0]])
    assert ran


def test_strips_are_cut_where_maps_are_large(pair, monkeypatch):
    monkeypatch.setattr(windows, "_STRIP_BYTES", 20_000)
    cuts, plain = [], windows._cut

    def counted(*given):
        cuts.append(plain(*given))
        return cuts[-1]

    monkeypatch.setattr(windows, "_cut", counted)
    nets = pair("vgg max")
    show(nets, image_of(1, 3, 51, 30))
    assert_same(nets, ["side", "c5"])
    assert max(len(cut) for cut in cuts) > 2
    assert all(a[1] == b[0] for cut in cuts for a, b in zip(cut[:-1], cut[1:], strict=True))


@pytest.mark.parametrize("switch", REWRITES)
def test_each_rewrite_can_be_off(pair, ran, switch):
    nets = pair("vgg max")
    nets[0]._engine.plan.on.discard(switch)
    assert_same(nets, ["side", "c5"])
    assert bool(ran) == (switch != "windows")


@pytest.mark.parametrize("kept", ["c1", "c2", "p2", "c3", "p3", "c4", "r4", "p4"])
def test_kept_blobs_are_whole(pair, kept):
    nets = pair("vgg max", [kept, "c5", "side"])
    for height, width in [(20, 26), (33, 15)]:
        show(nets, image_of(1, 3, height, width))
        assert_same(nets, [kept, "side", "c5"])


@pytest.mark.parametrize("name", ["c2", "p2", "p3", "r4"])
def test_a_blob_asked_for_later_is_whole(pair, name):
    nets = pair("vgg max")
    assert_same(nets, ["c5"])
    nets[0].keep_also([name])
    assert_same(nets, [name, "c5"])


def test_a_held_array_shows_the_next_values(pair):
    nets = pair("vgg max", ["p3", "c5", "side"])
    assert_same(nets, ["p3"])
    held = nets[0].blobs["p3"].data
    for seed in (1, 2):
        show(nets, image_of(1, 3, 20, 26) * seed)
        assert_same(nets, ["p3", "side", "c5"])
        np.testing.assert_array_equal(held, nets[0].blobs["p3"].data)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e37])
def test_values_that_are_not_finite_reach_the_same_places(pair, ran, value):
    nets = pair("vgg max", ["p3", "side", "c5"])
    image = image_of(1, 3, 20, 26)
    show(nets, image)
    assert_same(nets, ["p3", "side", "c5"])
    del ran[:]
    image[0, 1, 3, 4] = value
    show(nets, image)
    assert_same(nets, ["p3", "side", "c5"])
    assert ["c1", "c2", "p2", "c3", "p3"] not in ran
    image[0, 1, 3, 4] = 0
    show(nets, image)
    assert_same(nets, ["p3", "side", "c5"])
    assert ["c1", "c2", "p2", "c3", "p3"] in ran


@pytest.mark.parametrize("layer", ["c1", "c2", "c3", "c4"])
@pytest.mark.parametrize("i", [0, 1])
def test_weights_are_followed(pair, ran, layer, i):
    nets = pair("vgg max")
    for _ in range(3):
        assert_same(nets, ["side", "c5"])
    held = [net.params[layer][i].data for net in nets]
    for value in (2, 3):
        for array in held:
            array[1] = value
        assert_same(nets, ["side", "c5"])
    for array in held:
        array[0] = 4
    del held, array
    for _ in range(3):
        assert_same(nets, ["side", "c5"])
    for net in nets:
        blob = net.params[layer][i]
        blob.tensor().mul_(-1)
        blob.mark_changed()
    assert_same(nets, ["side", "c5"])
    for net in nets:
        net.params[layer][i].write(np.full(net.params[layer][i].shape, 0.25, np.float32))
    assert_same(nets, ["side", "c5"])
    assert ran


def test_weights_from_a_file_and_from_another_net_are_followed(pair, make_net, fill_net, tmp_path):
    nets = pair("vgg max")
    for _ in range(3):
        assert_same(nets, ["side", "c5"])
    fill_net(make_net(NETS["vgg max"]), seed=7).save(tmp_path / "w.caffemodel")
    for net in nets:
        net.copy_from(tmp_path / "w.caffemodel")
    assert_same(nets, ["side", "c5"])
    other = fill_net(make_net(NETS["vgg max"]), seed=8)
    for net in nets:
        net.share_with(other)
    for _ in range(2):
        assert_same(nets, ["side", "c5"])
    other.params["c2"][1].data[...] = 3
    assert_same(nets, ["side", "c5"])


def test_backgrounds_are_made_once_for_a_residue(pair, monkeypatch):
    nets = pair("vgg max")
    for _ in range(3):
        assert_same(nets, ["c5"])
    made, plain = [], nets[0]._engine.plan._backgrounds._make

    def counted(*given):
        made.append(given[1])
        return plain(*given)

    monkeypatch.setattr(nets[0]._engine.plan._backgrounds, "_make", counted)
    for height in (20, 28, 36, 44, 36, 28):  # equal modulo the strides
        show(nets, image_of(1, 3, height, 26))
        assert_same(nets, ["side", "c5"])
    assert made == []
    show(nets, image_of(1, 3, 21, 26))
    assert_same(nets, ["side", "c5"])
    assert len(made) == 2
    assert all(max(size) < 60 for size in made)  # of 98 and more


def test_backgrounds_do_not_grow_without_bound(pair, monkeypatch):
    monkeypatch.setattr("caffe_compat.net.plan.background._KEPT", 3)
    nets = pair("vgg max")
    for height in range(20, 30):
        show(nets, image_of(1, 3, height, 26))
        assert_same(nets, ["side", "c5"])
    assert len(nets[0]._engine.plan._backgrounds._kept) == 3


def test_a_net_with_little_padding_runs_whole(make_net, fill_net, ran):
    text = NETS["vgg max"].replace("pad: 40", "pad: 8")
    nets = [fill_net(make_net(text, keep=keep)) for keep in (["side", "c5"], None)]
    show(nets, image_of(1, 3, 150, 160))
    assert_same(nets, ["side", "c5"])
    assert ran == []


def test_parts_of_the_net_run_alone(pair):
    nets = pair("vgg max", ["p2", "c5", "side"])
    assert_same(nets, ["p2"])
    for net in nets:
        net.forward(end="p2")
        net.blobs["p2"].data[...] = 1
        net.forward(start=next(name for name in net._layer_names if name.startswith("c3")))
    np.testing.assert_allclose(nets[0].blobs["c5"].data, nets[1].blobs["c5"].data, rtol=0, atol=1e-4)


def test_a_whole_net_has_no_rewrites(pair):
    assert pair("vgg max")[1]._engine.plan.on == set()
    assert isinstance(pair("vgg max")[0]._engine.plan, Plan)
