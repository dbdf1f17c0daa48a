"""The update of all parameters: order of its parts, any memory layout, no memory shared by mistake."""

import numpy as np
import pytest
import torch

from caffe_compat.layer.blob import Blob
from caffe_compat.solver import update
from caffe_compat.solver.update import ParameterUpdate


class Heavy:
    """Momentum 0.5, written as plainly as can be."""

    history_per_param = 1
    rests_at_zero_rate = True

    def update_value(self, grad, history, rate):
        history[0].copy_(0.5 * history[0] + rate * grad)
        grad.copy_(history[0])


def blob(value, grad=None):
    made = Blob(value.shape)
    made.set_tensor(value.clone())
    if grad is not None:
        made.set_diff_tensor(grad)
    return made


def updater(params, history=None, **settings):
    given = {
        "lr_mults": [1.0] * len(params),
        "decay_mults": [1.0] * len(params),
        "weight_decay": 0.0,
        "l1": False,
        "clip": -1.0,
        "iter_size": 1,
    }
    return ParameterUpdate(
        Heavy(), params, history=[None] * len(params) if history is None else history, **(given | settings)
    )


def test_clip_sees_the_sum_before_iter_size_divides_it_and_decay_comes_last():
    value, grad = torch.tensor([1.0, -2.0]), torch.tensor([3.0, 4.0])  # norm 5
    param = blob(value, grad.clone())
    updater([param], clip=2.5, iter_size=2, weight_decay=0.1, decay_mults=[3.0], lr_mults=[2.0]).apply(0.01)
    expected = 0.02 * (grad * 0.5 / 2 + 0.3 * value)
    torch.testing.assert_close(param.diff_tensor(), expected)
    torch.testing.assert_close(param.tensor(), value - expected)


def test_the_norm_is_of_all_gradients_together():
    params = [
        blob(torch.zeros(1), torch.tensor([3.0])),
        blob(torch.zeros(1), torch.tensor([4.0])),
        blob(torch.zeros(2)),
    ]
    updater(params, clip=1.0).apply(1.0)
    assert [float(p.tensor()[0]) for p in params] == pytest.approx([-0.6, -0.8, 0.0])


def test_gradients_within_the_limit_are_left_alone():
    param = blob(torch.zeros(2), torch.tensor([3.0, 4.0]))
    updater([param], clip=5.0).apply(1.0)
    assert param.tensor().tolist() == [-3, -4]


def test_l1_decays_by_sign():
    param = blob(torch.tensor([5.0, -5.0, 0.0]), torch.zeros(3))
    updater([param], weight_decay=0.1, l1=True).apply(1.0)
    torch.testing.assert_close(param.tensor(), torch.tensor([4.9, -4.9, 0.0]))


def test_what_has_no_gradient_and_no_history_is_not_touched():
    param = blob(torch.ones(3))
    todo = updater([param])
    todo.apply(1.0)
    assert not param.has_diff
    assert todo.history == [None]


def test_decay_alone_moves_a_parameter_without_gradient():
    param = blob(torch.ones(3))
    updater([param], weight_decay=0.5).apply(0.1)
    torch.testing.assert_close(param.tensor(), torch.full((3,), 0.95))


def test_history_goes_on_at_rate_zero():
    param, history = blob(torch.zeros(2)), [torch.ones(2)]
    updater([param], history, lr_mults=[0.0]).apply(1.0)
    assert param.tensor().tolist() == [-0.5, -0.5]
    assert history[0].tolist() == [0.5, 0.5]


@pytest.mark.parametrize("limit", [3, 7, 1000])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_pieces_and_layouts_do_not_matter(limit, layout, monkeypatch):
    monkeypatch.setitem(update._PIECE, "cpu", limit)
    value, grad = torch.randn(4, 3, 2, 2), torch.randn(4, 3, 2, 2)
    param = blob(value, grad.clone().to(memory_format=layout))
    todo = updater([param], weight_decay=0.1)
    todo.apply(0.5)
    expected = 0.5 * (grad + 0.1 * value)
    torch.testing.assert_close(param.tensor(), value - expected)
    torch.testing.assert_close(param.diff_tensor(), expected)
    assert todo.history[0].is_contiguous()


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1,)])
def test_small_shapes(shape):
    param = blob(torch.ones(shape), torch.ones(shape))
    updater([param]).apply(0.25)
    assert param.tensor().shape == shape
    assert (param.tensor() == 0.75).all()


def test_two_parameters_with_one_gradient_tensor():
    shared = torch.ones(3)
    params = [blob(torch.zeros(3), shared), blob(torch.zeros(3), shared)]
    updater(params, lr_mults=[2.0, 10.0]).apply(1.0)
    assert params[0].tensor().tolist() == [-2] * 3
    assert params[1].tensor().tolist() == [-10] * 3


def test_a_gradient_that_is_one_element_seen_many_times():
    param = blob(torch.zeros(2, 3), torch.tensor(1.0).expand(2, 3))
    updater([param]).apply(1.0)
    assert (param.tensor() == -1).all()


def test_caches_of_the_values_hear_of_the_update():
    param = blob(torch.zeros(3), torch.ones(3))
    before = param.stamp()
    updater([param]).apply(1.0)
    assert param.stamp() != before


def test_arrays_handed_out_see_the_update():
    param = blob(torch.zeros(3), torch.ones(3))
    data, diff = param.data, param.diff
    updater([param]).apply(1.0)
    assert data.tolist() == [-1, -1, -1]
    assert np.array_equal(diff, [1, 1, 1])


def test_a_separate_host_copy_is_brought_up_to_date():
    param = Blob((3,), mirrored=True)
    param.data[...] = 2
    param.diff[...] = 1
    updater([param]).apply(1.0)
    assert param.data.tolist() == [1, 1, 1]
