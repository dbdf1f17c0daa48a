"""Blob arrays are live: views of the blob's memory that every later value and write passes through."""

import gc

import numpy as np
import pytest
import torch

from caffe_compat.errors import NetError
from caffe_compat.layer.blob import MAX_COUNT, Blob


def test_unwritten_blob_reads_as_zeros_of_its_shape():
    assert np.array_equal(Blob((2, 3)).data, np.zeros((2, 3), np.float32))


def test_writes_through_a_handed_out_array_reach_the_layers():
    blob = Blob((2, 3))
    blob.data[...] = 5
    blob.data[0, 1] = 7
    assert blob.tensor().tolist() == [[5, 7, 5], [5, 5, 5]]


def test_a_held_array_shows_the_next_result():
    blob = Blob((2, 3))
    held = blob.data
    blob.set_tensor(torch.full((2, 3), 4.0))
    assert (held == 4).all()
    held.reshape(-1)[5] = 9
    assert blob.tensor()[1, 2] == 9


def test_without_a_lease_the_result_is_kept_not_copied():
    blob = Blob((4,))
    value = torch.ones(4)
    blob.set_tensor(value)
    assert blob.tensor().data_ptr() == value.data_ptr()


def test_arrays_are_c_contiguous_whatever_the_layout_inside():
    blob = Blob()
    blob.set_tensor(torch.arange(24.0).view(1, 2, 3, 4).contiguous(memory_format=torch.channels_last))
    data = blob.data
    assert data.flags.c_contiguous
    data.ravel()[:] = 1
    assert (blob.tensor() == 1).all()


def test_array_of_a_view_never_writes_into_the_other_blob():
    whole = torch.arange(6.0)
    blob = Blob()
    blob.set_tensor(whole[:3])
    blob.data[...] = -1
    assert whole.tolist() == [0, 1, 2, 3, 4, 5]


def test_stamp_moves_while_a_lease_is_held_and_once_after():
    blob = Blob((2,))
    blob.set_tensor(torch.ones(2))
    assert blob.stamp() == blob.stamp()
    held = blob.data[:1]
    assert blob.stamp() != blob.stamp()
    last = blob.stamp()
    del held
    gc.collect()
    assert blob.stamp() != last
    assert blob.stamp() == blob.stamp()


def test_held_array_survives_a_smaller_and_again_larger_shape():
    blob = Blob((4,))
    held = blob.data
    blob.reshape(2)
    blob.set_tensor(torch.tensor([1.0, 2.0]))
    assert held.tolist() == [1, 2, 0, 0]
    blob.reshape(4)
    assert blob.data.tolist() == [1, 2, 0, 0]
    blob.data[3] = 8
    assert held[3] == 8


def test_graph_that_saved_leased_memory_still_runs_after_new_values():
    blob = Blob((3,))
    blob.set_tensor(torch.tensor([1.0, 2.0, 3.0]))
    held = blob.data
    leaf = blob.tensor().requires_grad_()
    square = (leaf * leaf).sum()
    blob.set_tensor(torch.zeros(3))
    square.backward()
    assert held.tolist() == [0, 0, 0]


def test_shared_blobs_see_each_others_writes_and_diffs():
    owner, sharer = Blob((2, 3)), Blob((6,))
    sharer.share_data(owner)
    sharer.share_diff(owner)
    owner.write(np.arange(6, dtype=np.float32))
    assert sharer.data.tolist() == [0, 1, 2, 3, 4, 5]
    owner.add_diff(torch.ones(2, 3))
    sharer.add_diff(torch.ones(6))
    assert (owner.diff == 2).all()


def test_sharing_needs_equal_counts():
    with pytest.raises(NetError, match=r"\(2,\) and \(3,\) cannot share memory: the counts differ"):
        Blob((2,)).share_data(Blob((3,)))


def test_adding_diffs_does_not_change_the_tensor_that_was_given():
    blob, given = Blob((2,)), torch.ones(2)
    for _ in range(3):
        blob.add_diff(given)
    assert blob.diff.tolist() == [3, 3]
    assert given.tolist() == [1, 1]


def test_cleared_diff_keeps_a_held_array_in_step():
    blob = Blob((2,))
    held = blob.diff
    blob.add_diff(torch.ones(2))
    assert held.tolist() == [1, 1]
    blob.clear_diff()
    assert held.tolist() == [0, 0]


def test_freed_data_says_why():
    blob = Blob((2,))
    blob.free_data("blob 'x' was dropped; add it to keep")
    with pytest.raises(NetError, match="add it to keep"):
        _ = blob.data


def test_legacy_dimensions():
    blob = Blob((2, 3, 4))
    assert (blob.num, blob.channels, blob.height, blob.width) == (2, 3, 4, 1)
    with pytest.raises(NetError, match="at most 4 axes"):
        _ = Blob((1, 1, 1, 1, 1)).num


def test_a_size_above_int_max_is_refused_before_allocation():
    with pytest.raises(NetError, match=f"more than INT_MAX \\({MAX_COUNT}\\)"):
        Blob((1 << 16, 1 << 15))


class TestMirrored:
    """Host and device copies apart, as on a GPU."""

    def test_host_writes_reach_the_next_read(self):
        blob = Blob((2,), mirrored=True)
        blob.data[...] = 3
        assert blob.tensor().tolist() == [3, 3]

    def test_array_taken_again_shows_the_device_values_in_the_same_memory(self):
        blob = Blob((2,), mirrored=True)
        held = blob.data
        blob.set_tensor(torch.tensor([5.0, 6.0]))
        assert held.tolist() == [0, 0]  # as Caffe: the host copy is stale until asked for
        assert blob.data.tolist() == [5, 6]
        assert held.tolist() == [5, 6]

    def test_write_after_a_host_write_wins(self):
        blob = Blob((2,), mirrored=True)
        blob.data[...] = 3
        blob.write(np.array([1, 2], np.float32))
        assert blob.data.tolist() == [1, 2]
