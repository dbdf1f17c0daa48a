"""BatchNorm: batch and stored statistics, how they are kept, gradients, and what it refuses."""

import pytest
import torch

from caffe_compat.errors import LayerError
from caffe_compat.proto import caffe_pb2 as pb

SHAPE = (3, 2, 4, 5)


def bn(fields: str = "") -> str:
    return f'type: "BatchNorm" batch_norm_param {{ {fields} }}'


def statistics(x):
    """Mean and biased variance of each channel, by the definition."""
    mean = x.mean((0, 2, 3))
    return mean, ((x - mean[:, None, None]) ** 2).mean((0, 2, 3))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_train_normalises_by_the_batch(make_layer, run_layer, memory_format):
    layer = make_layer(bn("eps: 0.1"), SHAPE, phase=pb.TRAIN)
    x = torch.randn(SHAPE) * 3 + 1
    mean, variance = statistics(x)
    y = run_layer(layer, x.contiguous(memory_format=memory_format))[0]
    torch.testing.assert_close(y, (x - mean[:, None, None]) / (variance[:, None, None] + 0.1).sqrt())


def test_every_forward_adds_to_the_decayed_sums(make_layer, run_layer):
    layer = make_layer(bn("moving_average_fraction: 0.75"), SHAPE, phase=pb.TRAIN)
    assert [b.shape for b in layer.blobs] == [(2,), (2,), (1,)]
    first, second = torch.randn(SHAPE) + 1, torch.randn(SHAPE) * 2
    run_layer(layer, first)
    run_layer(layer, second)
    (mean1, variance1), (mean2, variance2) = statistics(first), statistics(second)
    unbiased = 60 / 59  # m = 3 x 4 x 5 values per channel
    torch.testing.assert_close(layer.blobs[0].tensor(), 0.75 * mean1 + mean2)
    torch.testing.assert_close(layer.blobs[1].tensor(), unbiased * (0.75 * variance1 + variance2))
    assert layer.blobs[2].data.tolist() == [1.75]


def test_the_blobs_keep_their_memory(make_layer, run_layer):
    layer = make_layer(bn(), SHAPE, phase=pb.TRAIN)
    held = layer.blobs[2].data
    run_layer(layer, torch.randn(SHAPE))
    assert held.tolist() == [1]


def test_a_replay_counts_nothing(make_layer, run_layer):
    layer = make_layer(bn(), SHAPE, phase=pb.TRAIN)
    x = torch.randn(SHAPE)
    y = run_layer(layer, x)[0]
    assert torch.equal(run_layer(layer, x, replay=True)[0], y)
    assert layer.blobs[2].data.tolist() == [1]


def test_test_uses_the_stored_statistics_and_leaves_them(make_layer, run_layer):
    layer = make_layer(bn("eps: 0.5"), SHAPE)
    layer.blobs[0].write(torch.tensor([2.0, -4]))
    layer.blobs[1].write(torch.tensor([4.0, 16]))
    layer.blobs[2].write(torch.tensor([2.0]))
    x = torch.randn(SHAPE)
    y = run_layer(layer, x)[0]
    torch.testing.assert_close(y[:, 0], (x[:, 0] - 1) / 2.5**0.5)
    torch.testing.assert_close(y[:, 1], (x[:, 1] + 2) / 8.5**0.5)
    assert layer.blobs[2].data.tolist() == [2]


def test_without_statistics_test_divides_by_the_root_of_eps(make_layer, run_layer):
    layer = make_layer(bn("eps: 0.25"), SHAPE)
    layer.blobs[0].write(torch.tensor([2.0, -4]))  # weight still 0: taken as no mean and no variance
    x = torch.randn(SHAPE)
    torch.testing.assert_close(run_layer(layer, x)[0], 2 * x)


@pytest.mark.parametrize(("phase", "told", "counted"), [(pb.TRAIN, "true", 0), (pb.TEST, "false", 1)])
def test_use_global_stats_beats_the_phase(make_layer, run_layer, phase, told, counted):
    layer = make_layer(bn(f"use_global_stats: {told}"), SHAPE, phase=phase)
    run_layer(layer, torch.randn(SHAPE))
    assert layer.blobs[2].data.tolist() == [counted]


def test_a_single_value_per_channel(make_layer, run_layer):
    layer = make_layer(bn(), (1, 2), phase=pb.TRAIN)
    assert run_layer(layer, torch.tensor([[3.0, 4]]))[0].tolist() == [[0, 0]]
    assert layer.blobs[0].data.tolist() == [3, 4]
    assert layer.blobs[1].data.tolist() == [0, 0]


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (2, 3, 2, 2, 2), (7,)])
def test_other_numbers_of_axes(make_layer, run_layer, shape):
    layer = make_layer(bn(), shape, phase=pb.TRAIN)
    x = torch.randn(shape)
    flat = x.reshape(shape[0], shape[1] if len(shape) > 1 else 1, -1)
    mean = flat.mean((0, 2), keepdim=True)
    wanted = (flat - mean) / (flat.var((0, 2), keepdim=True, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(run_layer(layer, x)[0], wanted.reshape(shape))


@pytest.mark.parametrize("phase", [pb.TRAIN, pb.TEST])
def test_gradients(make_layer, run_layer, phase):
    layer = make_layer(bn("eps: 0.1"), (3, 2, 2), phase=phase)
    layer.blobs[1].write(torch.tensor([4.0, 16]))
    layer.blobs[2].write(torch.tensor([2.0]))
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    blobs = [b.tensor().double() for b in layer.blobs]  # statistics get no gradient
    assert torch.autograd.gradcheck(lambda x: run_layer(layer, x, blobs=blobs, replay=True)[0], x)


@pytest.mark.parametrize("given", ["", "param { lr_mult: 0 }", "param { lr_mult: 0 } param { lr_mult: 0 }"])
def test_lr_mult_of_every_blob_becomes_0(make_layer, given):
    layer = make_layer(f"{given} {bn()}", SHAPE)
    assert [p.lr_mult for p in layer.param.param] == [0, 0, 0]


def test_refuses_an_lr_mult(make_layer):
    with pytest.raises(LayerError, match=r"layer 'l' \(BatchNorm\): param 1 has lr_mult 1; these blobs are statistics"):
        make_layer(f"param {{ lr_mult: 0 }} param {{ decay_mult: 0 }} {bn()}", SHAPE)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 4, 4, 5), r"has 4 channels \(shape \(3, 4, 4, 5\)\) but the statistics are of 2; feed 2 channels"),
        ((), "has no axes; it needs at least one"),
    ],
)
def test_reshape_refuses(make_layer, shape, message):
    with pytest.raises(LayerError, match=message):
        make_layer(bn(), SHAPE).reshape([shape])
