"""Arrays handed out of a net's blobs stay the blobs', across forwards, partial forwards and backwards."""

import gc

import numpy as np
import pytest

import caffe_compat

TEXT = """
force_backward: true
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 2 dim: 4 dim: 4 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 3 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "c" top: "c" }
layer { name: "double" type: "Power" bottom: "c" top: "d" power_param { scale: 2 } }
layer { name: "sum" type: "Eltwise" bottom: "d" bottom: "c" top: "s" }
"""
PHASES = pytest.mark.parametrize("phase", [caffe_compat.TRAIN, caffe_compat.TEST])


@PHASES
def test_held_arrays_show_every_forward(make_net, fill_net, phase):
    net = fill_net(make_net(TEXT, phase))
    held = {name: blob.data for name, blob in net.blobs.items()}
    for seed in range(3):
        held["data"][...] = np.random.RandomState(seed).standard_normal(held["data"].shape)
        net.forward()
        fresh = fill_net(make_net(TEXT, phase))
        fresh.blobs["data"].data[...] = held["data"]
        fresh.forward()
        for name, blob in fresh.blobs.items():
            np.testing.assert_array_equal(held[name], blob.data, err_msg=name)
            assert np.shares_memory(held[name], net.blobs[name].data), name


@PHASES
def test_held_diffs_show_every_backward(make_net, fill_net, phase):
    net = fill_net(make_net(TEXT, phase))
    held = {name: blob.diff for name, blob in net.blobs.items()}
    weight = net.params["conv"][0].diff
    for scale in (1, -3):
        net.forward()
        held["s"][...] = scale
        net.backward()
        fresh = fill_net(make_net(TEXT, phase))
        fresh.forward()
        fresh.blobs["s"].diff[...] = scale
        fresh.backward()
        for name, blob in fresh.blobs.items():
            np.testing.assert_allclose(held[name], blob.diff, rtol=1e-6, atol=1e-7, err_msg=name)
        np.testing.assert_allclose(weight, fresh.params["conv"][0].diff, rtol=1e-5, atol=1e-6)
        net.clear_param_diffs()


@PHASES
def test_values_written_between_partial_forwards_count(make_net, fill_net, phase):
    net = fill_net(make_net(TEXT, phase))
    before = net.blobs["c"].data  # handed out before any forward
    for written in (5, 6):
        net.forward(end="relu")
        before[...] = written
        net.forward(start="c_relu_0_split")
        assert (net.blobs["s"].data == 3 * written).all()
    net.forward(end="relu")
    net.blobs["c"].data[...] = 7  # handed out and dropped at once
    net.forward(start="c_relu_0_split")
    assert (net.blobs["s"].data == 21).all()


@PHASES
def test_a_split_shares_its_bottoms_memory(make_net, fill_net, phase):
    net = fill_net(make_net(TEXT, phase))
    net.forward()
    net.blobs["c"].data[...] = 4
    net.forward(start="double")
    assert (net.blobs["d"].data == 8).all()
    assert (net.blobs["s"].data == 12).all()


@PHASES
def test_values_written_between_forward_and_backward_count(make_net, fill_net, phase):
    text = (
        TEXT + 'layer { name: "ip" type: "InnerProduct" bottom: "s" top: "ip" inner_product_param { num_output: 1 } }'
    )
    net = fill_net(make_net(text, phase))
    for written in (2, 3):  # the second time the array is held from before
        net.clear_param_diffs()
        net.forward()
        held = net.blobs["s"].data
        held[...] = written
        net.blobs["ip"].diff[...] = 1
        net.backward()
        assert (net.params["ip"][0].diff == written).all()


@PHASES
@pytest.mark.parametrize("held_before", [True, False])
def test_values_written_before_backward_reach_layers_that_keep_another_layout(make_net, fill_net, phase, held_before):
    top = 'layer { name: "top" type: "Convolution" bottom: "s" top: "top" convolution_param { num_output: 1 %s } }'
    net = fill_net(make_net(TEXT + top % "kernel_size: 2", phase))
    for written in (2, 3):
        net.clear_param_diffs()
        held = net.blobs["s"].data if held_before else None
        net.forward()
        net.blobs["s"].data[...] = written
        net.blobs["top"].diff[...] = 1
        net.backward()
        assert (net.params["top"][0].diff == written).all()
        del held


@PHASES
def test_parameter_arrays_are_the_parameters(make_net, fill_net, phase):
    net = fill_net(make_net(TEXT, phase))
    weight, bias = (b.data for b in net.params["conv"])
    weight[...] = 0
    bias[...] = [1, 2, -3]
    out = net.forward()["s"]
    assert [out[0, k].max() for k in range(3)] == [3, 6, 0]
    bias[1] = 10
    assert net.forward()["s"][0, 1].min() == 30
    net.params["conv"][1].data[2] = 1
    assert net.forward()["s"][0, 2].min() == 3


@PHASES
def test_arrays_are_c_contiguous_float32(make_net, fill_net, phase):
    net = fill_net(make_net(TEXT, phase))
    net.forward()
    net.backward()
    for blob in [*net.blobs.values(), *net.params["conv"]]:
        for array in (blob.data, blob.diff):
            assert array.flags.c_contiguous
            assert array.flags.writeable
            assert array.dtype == np.float32
            array.ravel()[:] = 1
        assert (blob.data == 1).all()
        assert (blob.diff == 1).all()


def test_arrays_outlive_their_net(make_net, fill_net):
    net = fill_net(make_net(TEXT))
    out = net.forward()["s"]
    kept = out.copy()
    del net
    gc.collect()
    np.testing.assert_array_equal(out, kept)


def test_an_output_kept_from_before_is_overwritten_unless_copied(make_net, fill_net):
    net = fill_net(make_net(TEXT))
    net.params["conv"][1].data[...] = 10
    first = net.forward()["s"]
    copied = first.copy()
    net.blobs["data"].data[...] *= 3
    second = net.forward()["s"]
    np.testing.assert_array_equal(first, second)
    assert (first != copied).any()


@PHASES
def test_a_held_array_follows_reshapes(make_net, fill_net, phase):
    net = fill_net(make_net(TEXT, phase))
    held = net.blobs["data"].data
    net.blobs["data"].reshape(1, 2, 3, 3)
    net.blobs["data"].data[...] = 1
    assert held.ravel()[:18].tolist() == [1] * 18
    small = net.forward()["s"].copy()
    held.ravel()[:18] = 2
    net.params["conv"][1].data[...] = 0
    assert small.shape == (1, 3, 1, 1)
    twice = net.forward()["s"].copy()
    held.ravel()[:18] = 4
    np.testing.assert_allclose(net.forward()["s"], 2 * twice, rtol=1e-5)


def test_outputs_in_the_nets_own_memory_are_not_overwritten_by_a_lean_neighbour(make_net, fill_net):
    train, test = fill_net(make_net(TEXT, caffe_compat.TRAIN)), make_net(TEXT, keep=["s"])
    test.share_with(train)
    test.blobs["data"].data[...] = train.blobs["data"].data
    one = train.forward()["s"]
    kept = one.copy()
    test.blobs["data"].data[...] *= 2
    test.forward()
    np.testing.assert_array_equal(one, kept)
