"""forward_all and forward_backward_all: any number of inputs, a batch at a time."""

import numpy as np
import pytest

from caffe_compat.errors import NetError

TEXT = """
force_backward: true
layer { name: "in" type: "Input" top: "x" top: "w" input_param { shape { dim: 4 dim: 3 } } }
layer { name: "p" type: "Power" bottom: "x" top: "p" power_param { power: 2 } }
layer { name: "s" type: "Eltwise" bottom: "p" bottom: "w" top: "s" }
"""
RNG = np.random.RandomState(0)


@pytest.mark.parametrize("count", [1, 4, 6, 8])
def test_forward_all(make_net, count):
    x, w = RNG.standard_normal((2, count, 3))
    net = make_net(TEXT)
    out = net.forward_all(blobs=["p"], x=x, w=w)
    assert set(out) == {"s", "p"}
    np.testing.assert_allclose(out["p"], x**2, rtol=1e-5)
    np.testing.assert_allclose(out["s"], x**2 + w, rtol=1e-5, atol=1e-6)
    out["s"][...] = 0  # a copy, not the blob
    assert net.blobs["s"].data.any()


@pytest.mark.parametrize("count", [1, 4, 6, 8])
def test_forward_backward_all(make_net, count):
    x, w, d = RNG.standard_normal((3, count, 3))
    blobs, diffs = make_net(TEXT).forward_backward_all(blobs=["p"], diffs=["p"], x=x, w=w, s=d)
    assert set(blobs) == {"s", "p"}
    assert set(diffs) == {"x", "w", "p"}
    np.testing.assert_allclose(blobs["s"], x**2 + w, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(diffs["w"], d, rtol=1e-6)
    np.testing.assert_allclose(diffs["x"], 2 * x * d, rtol=1e-5)


def test_without_output_diffs_those_that_the_blobs_hold_are_used(make_net):
    net = make_net(TEXT)
    net.blobs["s"].diff[...] = 3
    x = RNG.standard_normal((8, 3))
    _, diffs = net.forward_backward_all(x=x, w=x)
    np.testing.assert_allclose(diffs["x"], 6 * x, rtol=1e-5)


def test_what_cannot_be_run_in_batches(make_net):
    net = make_net(TEXT)
    with pytest.raises(NetError, match=r"was given values for nothing; give values for the inputs \(x, w\)"):
        net.forward_all()
    with pytest.raises(NetError, match="was given values for y, w; give"):
        net.forward_all(y=np.ones((4, 3)), w=np.ones((4, 3)))
    with pytest.raises(NetError, match=r"given different numbers of values: \{'x': 4, 'w': 5\}; give as many for each"):
        net.forward_all(x=np.ones((4, 3)), w=np.ones((5, 3)))
    with pytest.raises(NetError, match="the net has no blob 'nope'; it has: x, w,"):
        net.forward_all(blobs=["nope"], x=np.ones((4, 3)), w=np.ones((4, 3)))
    with pytest.raises(NetError, match="Input blob arguments do not match net inputs. Given: x; wanted: x, w"):
        net.forward_all(x=np.ones((4, 3)))
    loss = make_net(TEXT + 'layer { name: "l" type: "EuclideanLoss" bottom: "s" bottom: "x" top: "l" }')
    with pytest.raises(
        NetError, match=r"blob 'l' is a single value, which batches cannot be joined along; use forward"
    ):
        loss.forward_all(x=np.ones((4, 3)), w=np.ones((4, 3)))


def test_a_lean_net_gives_what_it_keeps(make_net):
    x, w = RNG.standard_normal((2, 6, 3))
    out = make_net(TEXT, keep=["s"]).forward_all(x=x, w=w)
    np.testing.assert_allclose(out["s"], x**2 + w, rtol=1e-5, atol=1e-6)
