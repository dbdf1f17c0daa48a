"""Dropout: phases, the share it drops, and that a replay draws nothing."""

import pytest
import torch

from caffe_compat.device import set_random_seed
from caffe_compat.errors import LayerError
from caffe_compat.proto import caffe_pb2 as pb

ONES = torch.ones(1, 8, 50, 50)


@pytest.fixture
def dropout(make_layer):
    set_random_seed(3)
    return make_layer('type: "Dropout" dropout_param { dropout_ratio: 0.2 }', ONES.shape, phase=pb.TRAIN)


def test_train_drops_the_ratio_and_scales_the_rest(dropout, run_layer):
    (top,) = run_layer(dropout, ONES)
    assert sorted(set(top.flatten().tolist())) == pytest.approx([0, 1.25])
    assert (top == 0).float().mean().item() == pytest.approx(0.2, abs=0.01)
    assert not run_layer(dropout, ONES)[0].equal(top)


def test_the_seed_decides_and_the_memory_layout_does_not(dropout, run_layer):
    (first,) = run_layer(dropout, ONES)
    set_random_seed(3)
    (second,) = run_layer(dropout, ONES.contiguous(memory_format=torch.channels_last))
    assert second.equal(first)


def test_replay_uses_the_last_draw(dropout, run_layer):
    (top,) = run_layer(dropout, ONES)
    x = ONES.clone().requires_grad_()
    (again,) = run_layer(dropout, x, replay=True)
    assert again.equal(top)
    again.sum().backward()
    assert x.grad.equal(top)
    set_random_seed(3)
    assert run_layer(dropout, ONES)[0].equal(top)


def test_replay_before_any_draw_has_no_gradient(dropout, run_layer):
    x = ONES.clone().requires_grad_()
    run_layer(dropout, x, replay=True)[0].sum().backward()
    assert x.grad.count_nonzero() == 0


@pytest.mark.parametrize("in_place", [False, True])
def test_test_phase_copies(dropout, run_layer, in_place):
    (top,) = run_layer(dropout, ONES, phase=pb.TEST, in_place=in_place)
    assert top.equal(ONES)
    assert (top.data_ptr() == ONES.data_ptr()) == in_place


def test_in_place_overwrites_and_keeps_the_gradient(dropout, run_layer):
    leaf = ONES.clone().requires_grad_()
    x = leaf * 1
    (top,) = run_layer(dropout, x, in_place=True)
    assert top.data_ptr() == x.data_ptr()
    top.sum().backward()
    assert leaf.grad.equal(top.detach())


def test_ratio_0_keeps_everything(make_layer, run_layer):
    layer = make_layer('type: "Dropout" dropout_param { dropout_ratio: 0 }', ONES.shape, phase=pb.TRAIN)
    assert run_layer(layer, ONES)[0].equal(ONES)


@pytest.mark.parametrize("ratio", ["1", "-0.1", "1.5", "nan"])
def test_ratio_outside_0_to_1_is_refused(make_layer, ratio):
    with pytest.raises(LayerError, match=rf"layer 'l' \(Dropout\): .*dropout_ratio is {ratio}, outside \[0, 1\)"):
        make_layer(f'type: "Dropout" dropout_param {{ dropout_ratio: {ratio} }}', (1,))
