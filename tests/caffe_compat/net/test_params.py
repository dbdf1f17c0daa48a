"""Parameters with names: sharing, modes, multipliers, and gradients that add."""

import numpy as np
import pytest

import caffe_compat
from caffe_compat.errors import LayerError

DATA = "force_backward: true layer { name: 'data' type: 'Input' top: 'data' input_param { shape { dim: 2 dim: 4 } } } "


def ip(name: str, bottom: str, specs: str, outputs: int = 4) -> str:
    return (
        f"layer {{ name: '{name}' type: 'InnerProduct' bottom: '{bottom}' top: '{name}' {specs} "
        f"inner_product_param {{ num_output: {outputs} }} }} "
    )


W, WB = "param { name: 'w' }", "param { name: 'w' } param { name: 'b' }"


def test_layers_with_one_name_share_values_and_their_gradients_add(make_net, fill_net):
    shared = fill_net(make_net(DATA + ip("one", "data", WB) + ip("two", "one", WB), caffe_compat.TRAIN))
    apart = make_net(DATA + ip("one", "data", "") + ip("two", "one", ""), caffe_compat.TRAIN)
    apart.blobs["data"].data[...] = shared.blobs["data"].data
    for layer in ("one", "two"):
        for i in (0, 1):
            apart.params[layer][i].data[...] = shared.params["one"][i].data
    for net in (shared, apart):
        net.forward()
        net.blobs["two"].diff[...] = 1
        net.backward()
    np.testing.assert_array_equal(shared.blobs["two"].data, apart.blobs["two"].data)
    for i in (0, 1):
        total = apart.params["one"][i].diff + apart.params["two"][i].diff
        np.testing.assert_allclose(shared.params["one"][i].diff, total, rtol=1e-5)
        np.testing.assert_array_equal(shared.params["two"][i].diff, shared.params["one"][i].diff)
    assert len(shared.learnable_params) == 2
    assert shared.learnable_params == shared.params["one"]
    shared.params["two"][0].data[...] = 7
    assert (shared.params["one"][0].data == 7).all()
    shared.clear_param_diffs()
    assert not shared.params["two"][0].diff.any()


def test_a_name_may_be_used_on_one_side_only(make_net):
    net = make_net(DATA + ip("one", "data", W) + ip("two", "one", W), caffe_compat.TRAIN)
    assert [b is c for b, c in zip(net.learnable_params, [*net.params["one"], net.params["two"][1]], strict=True)]
    assert len(net.learnable_params) == 3
    net.params["one"][1].data[...] = 5
    assert not net.params["two"][1].data.any()


def test_strict_sharing_needs_equal_shapes(make_net):
    with pytest.raises(
        LayerError,
        match=r"layer 'two' \(InnerProduct\): cannot share parameter 'w' of layer 'one': the owner's shape is "
        r"\(2, 4\), this layer's is \(4, 2\); make them equal or set share_mode: PERMISSIVE",
    ):
        make_net(DATA + ip("one", "data", W, 2) + ip("two", "one", W, 4))


def test_permissive_sharing_needs_equal_counts(make_net, fill_net):
    permissive = "param { name: 'w' share_mode: PERMISSIVE }"
    net = fill_net(make_net(DATA + ip("one", "data", W, 2) + ip("two", "one", permissive, 4), caffe_compat.TRAIN))
    weight = net.params["one"][0].data
    np.testing.assert_array_equal(net.params["two"][0].data, weight.reshape(4, 2))
    for _ in range(2):
        net.clear_param_diffs()
        net.forward()
        one = net.blobs["data"].data @ weight.T + net.params["one"][1].data
        np.testing.assert_allclose(
            net.blobs["two"].data, one @ weight.reshape(4, 2).T + net.params["two"][1].data, rtol=1e-4, atol=1e-5
        )
        net.blobs["two"].diff[...] = 1
        net.backward()
        from_two = np.ones((4, 2)) @ one
        from_one = (np.ones((2, 4)) @ weight.reshape(4, 2)).T @ net.blobs["data"].data
        np.testing.assert_allclose(net.params["one"][0].diff, from_one + from_two.reshape(2, 4), rtol=1e-4, atol=1e-5)
    with pytest.raises(LayerError, match=r"\(2, 4\), this layer's is \(3, 2\); the counts must be equal"):
        make_net(DATA + ip("one", "data", W, 2) + ip("two", "one", permissive, 3))


@pytest.mark.parametrize("what", ["lr_mult", "decay_mult"])
def test_multipliers_must_agree_where_both_are_given(make_net, what):
    def specs(value: str) -> str:
        return f"param {{ name: 'w' {value} }}"

    with pytest.raises(
        LayerError, match=rf"layer 'two' .*: shared parameter 'w' has {what} 3.0 here and 2.0 at its owner; make them"
    ):
        make_net(DATA + ip("one", "data", specs(f"{what}: 2")) + ip("two", "one", specs(f"{what}: 3")))
    for first, second in [(f"{what}: 2", ""), ("", f"{what}: 2"), (f"{what}: 2", f"{what}: 2")]:
        net = make_net(DATA + ip("one", "data", specs(first)) + ip("two", "one", specs(second)))
        found = net.params_lr if what == "lr_mult" else net.params_weight_decay
        assert found == [2, 1, 1]


def test_multipliers_are_those_of_the_specs(make_net):
    net = make_net(DATA + ip("one", "data", "param { lr_mult: 2 decay_mult: 0 } param { lr_mult: 0.5 }"))
    assert net.params_lr == [2, 0.5]
    assert net.params_weight_decay == [0, 1]


@pytest.mark.parametrize(
    ("layer", "found"),
    [
        (
            ip("one", "data", W * 3),
            r"layer 'one' \(InnerProduct\): 3 param specs for 2 parameter blobs; remove the ext",
        ),
        (
            "layer { name: 'r' type: 'ReLU' bottom: 'data' top: 'r' param { lr_mult: 1 } }",
            r"layer 'r' \(ReLU\): 1 param specs for 0 parameter blobs; remove the extra ones",
        ),
    ],
)
def test_more_specs_than_parameters_are_refused(make_net, layer, found):
    with pytest.raises(LayerError, match=found):
        make_net(DATA + layer)
