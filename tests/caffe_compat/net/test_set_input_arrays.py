"""Net.set_input_arrays: arrays to a MemoryData layer, as pycaffe hands them over."""

import numpy as np
import pytest

from caffe_compat.errors import DataError, NetError

MEMORY = """layer { name: 'm' type: 'MemoryData' top: 'x' top: 'l'
                    memory_data_param { batch_size: 2 channels: 1 height: 2 width: 2 } }"""


def test_each_forward_takes_the_next_rows_and_begins_again(make_net):
    net = make_net(MEMORY)
    data, labels = np.arange(16, dtype=np.float32).reshape(4, 1, 2, 2), np.arange(4, dtype=np.float32)
    net.set_input_arrays(data, labels)
    for first in (0, 2, 0):
        out = net.forward()
        np.testing.assert_array_equal(out["x"], data[first : first + 2])
        np.testing.assert_array_equal(out["l"].ravel(), labels[first : first + 2])


def test_arrays_of_another_form_and_nets_without_the_layer_are_refused(make_net):
    with pytest.raises(DataError, match=r"layer 'm' \(MemoryData\): set_input_arrays: data is float64"):
        make_net(MEMORY).set_input_arrays(np.zeros((2, 1, 2, 2)), np.zeros(2, np.float32))
    net = make_net("name: 'n' layer { name: 'i' type: 'Input' top: 'x' input_param { shape { dim: 1 } } }")
    with pytest.raises(NetError, match=r"net 'n': set_input_arrays needs a MemoryData .* it is 'i' \(Input\)"):
        net.set_input_arrays(np.zeros((2, 1, 2, 2), np.float32), np.zeros(2, np.float32))
