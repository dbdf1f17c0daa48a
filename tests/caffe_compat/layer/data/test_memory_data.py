"""MemoryData: rows of the program's arrays."""

import numpy as np
import pytest

from caffe_compat.device import generator
from caffe_compat.errors import DataError, LayerError
from caffe_compat.layer.contract import Context
from caffe_compat.proto import caffe_pb2 as pb


@pytest.fixture
def layer(make_layer):
    """batch_size 2, 3 x 4 x 5."""
    return make_layer(
        "name: 'm' type: 'MemoryData' top: 'data' top: 'label' "
        "memory_data_param { batch_size: 2 channels: 3 height: 4 width: 5 }"
    )


@pytest.fixture
def forward(layer):
    return lambda replay=False: layer.forward([], [], Context(pb.TEST, generator(), replay=replay))


def arrays(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.random.default_rng(0).random((n, 3, 4, 5), np.float32), np.arange(n, dtype=np.float32)


def test_rows_in_order_and_around(layer, forward):
    assert layer.reshape([]) == [(2, 3, 4, 5), (2,)]
    data, labels = arrays(4)
    layer.set_input_arrays(data, labels)
    for rows in (slice(0, 2), slice(2, 4), slice(0, 2)):
        tops = forward()
        np.testing.assert_array_equal(tops[0], data[rows])
        assert tops[1].shape == (2, 1, 1, 1)
        assert tops[1].flatten().tolist() == labels[rows].tolist()
    assert forward(replay=False)[1].flatten().tolist() == [2, 3]
    assert forward(replay=True)[1].flatten().tolist() == [2, 3]


def test_new_arrays_begin_at_their_first_row(layer, forward):
    layer.set_input_arrays(*arrays(4))
    forward()
    data, labels = arrays(2)
    layer.set_input_arrays(data + 1, labels + 10)
    np.testing.assert_array_equal(forward()[0], data + 1)


def test_writing_to_a_top_leaves_the_programs_array_alone(layer, forward):
    data, labels = arrays(2)
    layer.set_input_arrays(data, labels)
    before = data.copy()
    forward()[0].zero_()
    np.testing.assert_array_equal(data, before)


def test_the_state_is_the_next_row(layer, forward):
    layer.set_input_arrays(*arrays(4))
    forward()
    assert layer.state_dict() == {"next": 2}
    layer.load_state_dict({"next": 0})
    assert forward()[1].flatten().tolist() == [0, 1]


def test_forward_before_any_arrays(forward):
    with pytest.raises(LayerError, match=r"layer 'm' \(MemoryData\): it has no data yet; call net.set_input_arrays"):
        forward()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d, n: (d.astype(np.float64), n), "data is float64; give np.ascontiguousarray"),
        (lambda d, n: (d[:, :, :, ::-1], n), "data is float32, not C-contiguous"),
        (lambda d, n: (d[:, :2].copy(), n), r"data has shape \(4, 2, 4, 5\); n x 3 x 4 x 5 is wanted"),
        (lambda d, n: (d, n[:, None]), r"labels has shape \(4, 1\); n x 1 x 1 x 1 is wanted"),
        (lambda d, n: (d, n[:2].copy()), "data has 4 rows, labels 2"),
        (lambda d, n: (d[:3].copy(), n[:3].copy()), "3 rows are not a multiple of batch_size 2"),
        (lambda d, n: (d[:0].copy(), n[:0].copy()), "0 rows are not a multiple"),
    ],
)
def test_arrays_of_another_form(layer, change, message):
    with pytest.raises(DataError, match=rf"layer 'm' \(MemoryData\): set_input_arrays: {message}"):
        layer.set_input_arrays(*change(*arrays(4)))


def test_all_four_sizes_are_needed(make_layer):
    with pytest.raises(LayerError, match="needs batch_size, channels, height and width, .* they are 2, 3, 4, 0"):
        make_layer("type: 'MemoryData' top: 'a' top: 'b' memory_data_param { batch_size: 2 channels: 3 height: 4 }")
