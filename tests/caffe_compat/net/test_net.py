"""Net's public face: how it is made, what it is made of, forward and backward by names, reshape, callbacks."""

import sys

import numpy as np
import pytest
from google.protobuf import text_format

import caffe_compat
from caffe_compat.errors import LayerError, NetError, ParseError, WeightsError
from caffe_compat.net.net import Net
from caffe_compat.proto import caffe_pb2 as pb

TRAIN, TEST = caffe_compat.TRAIN, caffe_compat.TEST
TEXT = """
name: "small"
force_backward: true
layer { name: "in" type: "Input" top: "x" top: "w" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "h" inner_product_param { num_output: 3 } }
layer { name: "relu" type: "ReLU" bottom: "h" top: "h" }
layer { name: "sum" type: "Eltwise" bottom: "h" bottom: "w" top: "s" }
layer { name: "z" type: "Power" bottom: "s" top: "z" power_param { scale: 2 } }
layer { name: "b" type: "Power" bottom: "s" top: "b" power_param { scale: 3 } }
"""
X = np.array([[1, 2, 3], [4, 5, 6]], np.float32)


@pytest.fixture
def net(make_net) -> Net:
    net = make_net(TEXT, TRAIN)
    net.params["ip"][0].data[...] = np.eye(3)
    net.blobs["x"].data[...] = X
    return net


# -- how it is made ----------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path, net):
    path, weights = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    path.write_text(
        TEXT + 'layer { name: "d" type: "Silence" bottom: "z" include { phase: TEST min_level: 1 stage: "s" } }'
    )
    net.save(weights)
    return path, weights


def loaded(net: Net) -> bool:
    return np.array_equal(net.params["ip"][0].data, np.eye(3))


def test_forms_of_making_one(files):
    path, weights = files
    for made in (Net(path, TEST), Net(str(path), phase=TEST), Net(network_file=str(path), phase=TEST)):
        assert made.phase == TEST
        assert not loaded(made)
        assert made.outputs == ["b", "z"]
    for made in (
        Net(path, weights, TEST),
        Net(str(path), str(weights), TEST),
        Net(path, weights, phase=TEST),
        Net(path, TEST, weights=weights),
        Net(path, TEST, 0, None, weights),
        Net(path, phase=TEST, weights=str(weights)),
    ):
        assert made.phase == TEST
        assert loaded(made)
    for made in (Net(path, TEST, 1, ["s"]), Net(path, TEST, level=1, stages=["s"])):
        assert made.outputs == ["b"]
    assert not loaded(Net(path, None, TEST))


def test_a_message_is_taken_and_left_as_it_was():
    param = text_format.Parse(TEXT, pb.NetParameter())
    before = param.SerializeToString(deterministic=True)
    assert Net(param, TEST).name == "small"
    assert param.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize(
    ("arguments", "keywords", "found"),
    [
        ((), {}, "net 'small': no phase given; pass phase=caffe_compat.TRAIN or caffe_compat.TEST"),
        ((), {"stages": ["s"]}, "no phase given"),
        ((7,), {}, r"phase 7 is neither caffe_compat.TRAIN \(0\) nor caffe_compat.TEST \(1\)"),
        ((1, 0, None, None, None), {}, "at most 5 positional arguments; 1 more were given"),
        (("w", 1, 0), {}, r"Net\(prototxt, weights, phase\) takes no further positional arguments; use keywords"),
        ((1,), {"stages": "deploy"}, r"stages is the text 'deploy'; give a list of names: stages=\['deploy'\]"),
        ((1,), {"keep": ["zz"]}, "keep names no blob of the net: zz; blobs: x, w, h, s, s_sum_0_split_0,"),
    ],
)
def test_what_cannot_be_asked_for(files, arguments, keywords, found):
    with pytest.raises(NetError, match=found):
        Net(files[0], *arguments, **keywords)


def test_files_that_are_not_there(files, tmp_path):
    with pytest.raises(ParseError, match="nothing.prototxt: no such file"):
        Net(tmp_path / "nothing.prototxt", TEST)
    with pytest.raises(WeightsError, match="nothing.caffemodel"):
        Net(files[0], tmp_path / "nothing.caffemodel", TEST)


# -- what it is made of ------------------------------------------------------------------------------------------------


def test_names_of_layers_and_blobs(net):
    assert net._layer_names == ["in", "ip", "relu", "sum", "s_sum_0_split", "z", "b"]
    assert net._blob_names == list(net.blobs) == ["x", "w", "h", "s", "s_sum_0_split_0", "s_sum_0_split_1", "z", "b"]
    assert list(net.layer_dict) == net._layer_names
    assert [layer.type for layer in net.layers][:3] == ["Input", "InnerProduct", "ReLU"]
    assert net.layer_dict["sum"] is net.layers[3]
    assert net.inputs == ["x", "w"]
    assert net.outputs == ["b", "z"]
    assert net._inputs == [0, 1]
    assert net._outputs == [7, 6]
    assert dict(net.top_names)["s_sum_0_split"] == ["s_sum_0_split_0", "s_sum_0_split_1"]
    assert dict(net.bottom_names)["sum"] == ["h", "w"]
    assert net.bottom_names["in"] == []
    assert net._top_ids(0) == [0, 1]
    assert net._bottom_ids(3) == [2, 1]
    assert net._top_ids(2) == net._bottom_ids(2) == [2]
    assert net._blobs == list(net.blobs.values())
    assert net._blob_loss_weights == [0] * 8
    assert list(net.params) == ["ip"]
    assert [b.shape for b in net.params["ip"]] == [(3, 3), (3,)]
    assert list(net.layers[1].blobs) == net.params["ip"]


def test_blobs_outlive_the_net(net):
    net.forward()
    blobs, params = list(net.blobs.values()), net.params["ip"]
    del net
    assert all(np.isfinite(b.data.sum() + b.diff.sum()) for b in [*blobs, *params])


# -- forward and backward by names -------------------------------------------------------------------------------------


def test_forward_gives_the_outputs(net):
    out = net.forward()
    assert list(out) == ["b", "z"]
    np.testing.assert_array_equal(out["z"], 2 * X)
    np.testing.assert_array_equal(out["b"], 3 * X)


def test_forward_gives_further_blobs_on_request(net):
    assert list(net.forward(blobs=["h", "z"])) == ["b", "z", "h"]


def test_forward_to_a_layer_gives_its_tops(net):
    net.blobs["z"].data[...] = 9
    out = net.forward(end="sum", blobs=["x"])
    assert list(out) == ["s", "x"]
    np.testing.assert_array_equal(out["s"], X)
    assert (net.blobs["z"].data == 9).all()
    assert list(net.forward(end="in")) == ["x", "w"]


def test_forward_from_a_layer_takes_what_its_bottoms_hold(net):
    net.forward()
    net.blobs["h"].data[...] = -1
    net.blobs["x"].data[...] = 0
    np.testing.assert_array_equal(net.forward(start="sum")["z"], np.full((2, 3), -2))
    np.testing.assert_array_equal(net.forward(start="relu", end="sum")["s"], np.zeros((2, 3)))


def test_forward_fills_the_inputs(net):
    out = net.forward(x=2 * X, w=np.ones((2, 3)))
    np.testing.assert_array_equal(out["z"], 2 * (2 * X + 1))
    np.testing.assert_array_equal(net.blobs["x"].data, 2 * X)


def test_inputs_are_all_given_and_as_many_as_the_batch(net):
    with pytest.raises(NetError, match=r"Input blob arguments do not match net inputs. Given: x; wanted: x, w"):
        net.forward(x=X)
    with pytest.raises(
        NetError, match=r"blob 'x' takes \(2,\) in its first axis and was given \(3,\); reshape the blob"
    ):
        net.forward(x=np.ones((3, 3)), w=X)
    with pytest.raises(ValueError, match="broadcast"):
        net.forward(x=np.ones((2, 4)), w=X)


def test_backward_gives_the_inputs_diffs(net):
    net.forward()
    out = net.backward(z=np.ones((2, 3)), b=np.ones((2, 3)), diffs=["s"])
    assert list(out) == ["x", "w", "s"]
    assert all((diff == 5).all() for diff in out.values())


def test_backward_from_and_to_layers(net):
    net.forward()
    net.blobs["z"].diff[...] = 1
    net.blobs["s_sum_0_split_1"].diff[...] = 10
    out = net.backward(start="z", end="sum")
    assert list(out) == ["h", "w"]
    assert (out["w"] == 12).all()
    assert not net.blobs["x"].diff.any()
    assert (net.backward(start="relu", end="ip")["x"] == 12).all()


def test_output_diffs_are_all_given_and_as_many_as_the_batch(net):
    net.forward()
    with pytest.raises(NetError, match=r"Top diff arguments do not match net outputs. Given: z; wanted: b, z"):
        net.backward(z=X)
    with pytest.raises(NetError, match=r"blob 'z' takes \(2,\) in its first axis and was given \(1,\)"):
        net.backward(z=X[:1], b=X)


def test_names_that_are_not_there(net):
    with pytest.raises(NetError, match="the net has no layer 'nope'; it has: in, ip, relu, sum,"):
        net.forward(start="nope")
    with pytest.raises(NetError, match="the net has no blob 'nope'; it has: x, w, h,"):
        net.forward(blobs=["nope"])
    with pytest.raises(NetError, match="layers 0 to 7 were asked for; the net has 0 to 6"):
        net._forward(0, 7)
    with pytest.raises(NetError, match="layers -1 to 3 were asked for"):
        net._backward(3, -1)


def test_index_forms(net):
    assert net._forward(0, 3) == 0
    np.testing.assert_array_equal(net.blobs["s"].data, X)
    net.blobs["s"].diff[...] = 1
    net._backward(3, 1)
    assert (net.blobs["x"].diff == 1).all()


# -- reshape -----------------------------------------------------------------------------------------------------------


def test_reshape_gives_every_blob_its_shape_before_a_forward(net):
    for name in net.inputs:
        net.blobs[name].reshape(5, 3)
    net.reshape()
    assert net.blobs["z"].shape == net.blobs["h"].shape == (5, 3)
    assert net.blobs["z"].data.shape == (5, 3)


def test_forward_reshapes_by_itself(net):
    for batch in (4, 1, 2):
        for name in net.inputs:
            net.blobs[name].reshape(batch, 3)
            net.blobs[name].data[...] = batch
        np.testing.assert_array_equal(net.forward()["z"], np.full((batch, 3), 4 * batch))
        net.blobs["z"].diff[...] = net.blobs["b"].diff[...] = 1
        assert (net.backward()["w"] == np.full((batch, 3), 5)).all()


def test_a_shape_that_does_not_fit_names_the_layer(net):
    net.blobs["x"].reshape(2, 4)
    with pytest.raises(LayerError, match=r"layer 'ip' \(InnerProduct\): "):
        net.reshape()
    net.blobs["x"].reshape(3, 3)
    with pytest.raises(LayerError, match=r"layer 'sum' \(Eltwise\): bottom\[1\] has shape \(2, 3\)"):
        net.forward()


def test_unwritten_values_survive_as_caffes_do(net):
    net.blobs["x"].reshape(1, 3)
    net.blobs["x"].reshape(2, 3)
    np.testing.assert_array_equal(net.blobs["x"].data, X)


# -- callbacks and exceptions ------------------------------------------------------------------------------------------


def test_callbacks_run_around_every_layer(net):
    net.forward()  # records chains of layers; callbacks that come later see single ones
    calls = []
    net.before_forward(lambda i: calls.append(("before", i)))
    net.after_forward(lambda i: calls.append(("after", i)))
    net.forward(end="sum")
    assert calls == [(when, i) for i in range(4) for when in ("before", "after")]


def test_backward_callbacks_run_around_every_layer(net):
    net.forward()
    calls = []
    net.before_backward(lambda i: calls.append(("before", i)))
    net.after_backward(lambda i: calls.append(("after", i)))
    net.blobs["z"].diff[...] = 1
    net.backward()
    assert calls == [(when, i) for i in range(6, -1, -1) for when in ("before", "after")]
    assert (net.blobs["x"].diff == 2).all()


def test_callbacks_see_and_may_change_what_has_just_been_computed(net):
    seen = {}

    def look(i: int) -> None:
        if net._layer_names[i] == "ip":
            seen["before relu"] = net.blobs["h"].data.copy()
            net.blobs["h"].data[...] = 7

    net.params["ip"][0].data[...] = -np.eye(3)
    net.after_forward(look)
    np.testing.assert_array_equal(net.forward()["z"], np.full((2, 3), 14))
    np.testing.assert_array_equal(seen["before relu"], -X)


def test_a_callbacks_exception_passes_through(net):
    def fail(i: int) -> None:
        raise KeyError("mine")

    net.before_forward(fail)
    with pytest.raises(KeyError, match="mine"):
        net.forward()


class Failing(caffe_compat.Layer):
    """Raises in the method that param_str names."""

    def setup(self, bottom, top):
        self.check("setup")

    def reshape(self, bottom, top):
        self.check("reshape")
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom, top):
        self.check("forward")

    def backward(self, top, propagate_down, bottom):
        self.check("backward")

    def check(self, method: str) -> None:
        if self.param_str == method:
            raise ZeroDivisionError(method)


@pytest.mark.parametrize("method", ["setup", "reshape", "forward", "backward"])
def test_a_python_layers_exception_surfaces_unchanged(make_net, monkeypatch, method):
    monkeypatch.setitem(sys.modules, "failing_for_test_net", sys.modules[__name__])
    python = f"python_param {{ module: 'failing_for_test_net' layer: 'Failing' param_str: '{method}' }} }}"
    text = TEXT + "layer { name: 'py' type: 'Python' bottom: 'z' top: 'py' " + python

    def run() -> None:
        net = make_net(text, TRAIN)
        net.forward()
        net.backward()

    with pytest.raises(ZeroDivisionError, match=f"^{method}$") as caught:
        run()
    assert type(caught.value) is ZeroDivisionError
