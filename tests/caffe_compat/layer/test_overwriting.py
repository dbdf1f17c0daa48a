"""Which parameters' diffs are written over by a backward, and which add up, as the layers of Caffe do."""

import numpy as np
import pytest
from google.protobuf import text_format

from caffe_compat.net.net import Net
from caffe_compat.proto import caffe_pb2 as pb


def net_of(shape: tuple[int, ...], layer: str, phase: int) -> Net:
    text = f"""
    force_backward: true
    layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: {list(shape)} }} }} }}
    layer {{ name: "l" {layer} top: "y" }}"""
    return Net(text_format.Parse(text, pb.NetParameter()), phase)


def run(net: Net, x: np.ndarray, diff: np.ndarray) -> np.ndarray:
    net.blobs["x"].data[...] = x
    net.forward()
    net.blobs["y"].diff[...] = diff
    net.backward()
    return net.params["l"][0].diff.copy()


@pytest.mark.parametrize("phase", [pb.TRAIN, pb.TEST])
@pytest.mark.parametrize(
    ("shape", "layer", "adds"),
    [
        ((2, 3, 4), 'type: "Scale"', True),
        ((1, 3, 4), 'type: "Scale"', False),  # nothing before the channels, and something behind
        ((1, 3, 1), 'type: "Scale"', False),  # as large as the data
        ((2, 3, 1), 'type: "Scale"', True),
        ((2, 3, 4), 'type: "Scale" scale_param { axis: 0 }', False),
        ((2, 3, 4), 'type: "Scale" scale_param { axis: 0 num_axes: -1 }', False),
        ((2, 3, 4), 'type: "Scale" scale_param { num_axes: 0 }', True),
        ((1, 1, 4), 'type: "Scale"', True),  # one factor
        ((1, 3, 4), 'type: "Bias"', True),
        ((1, 3, 4), 'type: "PReLU"', True),
        ((1, 3, 4), 'type: "InnerProduct" inner_product_param { num_output: 2 }', True),
    ],
)
def test_a_second_backward(shape, layer, adds, phase):
    net = net_of(shape, f'bottom: "x" {layer}', phase)
    random = np.random.default_rng(4)
    top = net.blobs["y"].shape
    first, second = [(random.standard_normal(shape), random.standard_normal(top)) for _ in range(2)]
    one = run(net, *first)
    net.clear_param_diffs()
    two = run(net, *second)
    assert np.abs(one).max() > 0.01
    np.testing.assert_allclose(run(net, *first), one + two if adds else one, rtol=1e-4, atol=1e-5)


def test_the_bias_of_a_scale_adds_up_all_the_same():
    net = net_of((1, 3, 4), 'type: "Scale" bottom: "x" scale_param { bias_term: true }', pb.TRAIN)
    for _ in range(2):
        run(net, np.ones((1, 3, 4)), np.ones((1, 3, 4)))
    assert [blob.diff.tolist() for blob in net.params["l"]] == [[4, 4, 4], [8, 8, 8]]


def test_the_diff_of_a_parameter_layer_is_its_tops():
    net = net_of((2,), 'type: "Parameter" parameter_param { shape { dim: 2 } }', pb.TRAIN)
    for diff in (1, 2):
        found = run(net, np.zeros(2), np.full(2, diff))
    assert found.tolist() == [2, 2]
