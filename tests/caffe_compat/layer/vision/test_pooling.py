"""Pooling: Caffe's rounding, ties, NaN and divisors, against the definition; gradients; what it refuses."""

import math

import pytest
import torch

from caffe_compat.errors import LayerError
from caffe_compat.proto import caffe_pb2 as pb

FLT_MAX = torch.finfo(torch.float32).max
NAN = float("nan")


def pool(fields: str, mask: bool = False) -> str:
    tops = 'top: "y" top: "mask"' if mask else ""
    return f'{tops} type: "Pooling" pooling_param {{ {fields} }}'


def by_hand(x, method, kernel, stride, pad, ceil=True):
    """(top, mask) of an H x W map by loops in the order of Caffe's."""
    out = []
    for axis in range(2):
        steps = (x.shape[axis] + 2 * pad[axis] - kernel[axis]) / stride[axis]
        size = (math.ceil(steps) if ceil else math.floor(steps)) + 1
        if any(pad) and (size - 1) * stride[axis] >= x.shape[axis] + pad[axis]:
            size -= 1
        out.append(size)
    y, mask = torch.zeros(out), torch.full(out, -1.0)
    for i in range(out[0]):
        for j in range(out[1]):
            begin = [n * s - p for n, s, p in zip((i, j), stride, pad, strict=True)]
            end = [min(b + k, n + p) for b, k, n, p in zip(begin, kernel, x.shape, pad, strict=True)]
            counted = (end[0] - begin[0]) * (end[1] - begin[1])
            inside = [
                (row, col, float(x[row, col]))
                for row in range(max(begin[0], 0), min(end[0], x.shape[0]))
                for col in range(max(begin[1], 0), min(end[1], x.shape[1]))
            ]
            if method == "AVE":
                total = sum(v for *_, v in inside)
                y[i, j] = total / counted if counted else NAN
                continue
            best = -FLT_MAX
            for row, col, value in inside:
                if value > best:
                    best, mask[i, j] = value, row * x.shape[1] + col
            y[i, j] = best
    return y, mask


GEOMETRIES = [
    # size, kernel, stride, pad
    ((6, 7), (2, 2), (2, 2), (0, 0)),
    ((5, 7), (2, 2), (2, 2), (0, 0)),  # the last window hangs over
    ((6, 8), (3, 3), (2, 2), (0, 0)),
    ((6, 6), (3, 3), (2, 2), (1, 1)),  # the last window is clipped away on one side
    ((5, 4), (2, 2), (2, 2), (1, 1)),
    ((7, 7), (3, 2), (2, 3), (1, 0)),
    ((4, 9), (3, 3), (1, 1), (2, 2)),  # pad above half the kernel: torch refuses
    ((6, 6), (1, 1), (3, 3), (0, 0)),  # the third window begins at the edge
    ((5, 5), (1, 1), (3, 3), (0, 0)),  # the third window begins beyond the edge
    ((1, 3), (2, 3), (2, 1), (0, 0)),  # kernel larger than the map
    ((7, 5), (4, 4), (3, 3), (3, 0)),
    ((9, 9), (5, 5), (4, 4), (2, 2)),
]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("rounding", ["CEIL", "FLOOR"])
@pytest.mark.parametrize("method", ["MAX", "AVE"])
@pytest.mark.parametrize(("size", "kernel", "stride", "pad"), GEOMETRIES)
def test_windows_are_caffes(make_layer, run_layer, size, kernel, stride, pad, method, rounding, memory_format):
    fields = "".join(
        f"{name}_h: {h} {name}_w: {w} " for name, (h, w) in [("kernel", kernel), ("stride", stride), ("pad", pad)]
    )
    masked = method == "MAX"
    layer = make_layer(pool(f"pool: {method} round_mode: {rounding} {fields}", masked), (2, 2, *size))
    x = torch.randint(-3, 4, (2, 2, *size)).float()  # many ties
    expected = [by_hand(m, method, kernel, stride, pad, rounding == "CEIL") for m in x.flatten(0, 1)]
    if 0 in expected[0][0].shape:
        with pytest.raises(LayerError, match="leave nothing of bottom"):
            layer.reshape([tuple(x.shape)])
        return
    tops = run_layer(layer, x.contiguous(memory_format=memory_format))
    for top, i in zip(tops, range(2), strict=False):
        wanted = torch.stack([e[i] for e in expected]).reshape(top.shape)
        torch.testing.assert_close(top, wanted, rtol=1e-6, atol=1e-6, equal_nan=True)


def test_first_of_equal_values_gets_the_whole_gradient(make_layer, run_layer):
    layer = make_layer(pool("pool: MAX kernel_size: 2 stride: 2"), (1, 1, 2, 4))
    for memory_format in (torch.contiguous_format, torch.channels_last):
        x = torch.tensor([[[[1.0, 5, 2, 2], [5, 5, 2, 2]]]]).contiguous(memory_format=memory_format).requires_grad_()
        run_layer(layer, x)[0].backward(torch.tensor([[[[3.0, 7]]]]))
        assert x.grad.tolist() == [[[[0, 3, 7, 0], [0, 0, 0, 0]]]]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_nan_is_never_taken(make_layer, run_layer, memory_format):
    layer = make_layer(pool("pool: MAX kernel_size: 2 stride: 2", mask=True), (1, 2, 2, 6))
    x = torch.tensor([[NAN, 3, NAN, NAN, 1, 2], [1, 2, NAN, NAN, 2, NAN]]).expand(1, 2, 2, 6)
    x = x.clone(memory_format=memory_format).requires_grad_()
    y, mask = run_layer(layer, x)
    assert y[0, 1].tolist() == [[3, -FLT_MAX, 2]]
    assert mask[0, 1].tolist() == [[1, -1, 5]]
    y.backward(torch.ones_like(y))
    assert x.grad[0, 1].tolist() == [[0, 1, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0]]


def test_values_at_or_below_the_least_float_are_never_taken(make_layer, run_layer):
    layer = make_layer(pool("pool: MAX kernel_size: 2 stride: 2", mask=True), (1, 1, 2, 4))
    x = torch.tensor([[[[-math.inf, -FLT_MAX, -math.inf, -7], [-math.inf] * 4]]])
    y, mask = run_layer(layer, x)
    assert y.tolist() == [[[[-FLT_MAX, -7]]]]
    assert mask.tolist() == [[[[-1, 3]]]]


def test_average_counts_padding_but_not_what_hangs_over(make_layer, run_layer):
    layer = make_layer(pool("pool: AVE kernel_size: 3 stride: 2 pad: 1"), (1, 1, 4, 4))
    y = run_layer(layer, torch.ones(1, 1, 4, 4))[0]
    wanted = torch.tensor([[4 / 9, 6 / 9, 2 / 6], [6 / 9, 1, 3 / 6], [2 / 6, 3 / 6, 1 / 4]])
    torch.testing.assert_close(y[0, 0], wanted)


@pytest.mark.parametrize(("method", "top"), [("MAX", 11.0), ("AVE", 5.5)])
def test_global_pooling_follows_the_size(make_layer, run_layer, method, top):
    layer = make_layer(pool(f"pool: {method} global_pooling: true"), (1, 1, 2, 3))
    assert tuple(run_layer(layer, torch.zeros(1, 1, 2, 3))[0].shape) == (1, 1, 1, 1)
    assert run_layer(layer, torch.arange(12.0).reshape(1, 1, 3, 4))[0].tolist() == [[[[top]]]]


def test_stochastic_draws_in_proportion_and_a_replay_draws_nothing(make_layer, run_layer):
    layer = make_layer(pool("pool: STOCHASTIC kernel_size: 2 stride: 2"), (1, 1, 2, 2), phase=pb.TRAIN)
    x = torch.tensor([[0.0, 1], [3, 6]]).repeat(1, 1, 60, 60).requires_grad_()
    y = run_layer(layer, x)[0]
    shares = [(y == v).float().mean().item() for v in (0, 1, 3, 6)]
    assert shares[0] == 0
    assert shares[1:] == pytest.approx([0.1, 0.3, 0.6], abs=0.06)  # 3600 draws: more than 6 standard deviations
    assert torch.equal(run_layer(layer, x, replay=True)[0], y)
    assert not torch.equal(run_layer(layer, x)[0], y)
    y.sum().backward()
    assert x.grad.sum() == y.numel()
    assert torch.equal((x * x.grad).sum(), y.sum())


def test_stochastic_in_test_is_the_expectation(make_layer, run_layer):
    layer = make_layer(pool("pool: STOCHASTIC kernel_size: 2 stride: 2"), (1, 1, 3, 4))
    x = torch.tensor([[[[0.0, 1, 0, 0], [3, 6, 0, 0], [2, 2, 0, 5]]]])
    assert run_layer(layer, x)[0][0, 0].tolist() == [[pytest.approx(4.6), 0], [2, 5]]
    assert run_layer(layer, -x)[0][0, 0].tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("fields", "shape"),
    [
        ("pool: MAX kernel_size: 3 stride: 2 pad: 1", (2, 2, 5, 6)),
        ("pool: MAX kernel_size: 3 stride: 1 pad: 2", (1, 2, 4, 3)),
        ("pool: AVE kernel_size: 3 stride: 2 pad: 1", (2, 2, 5, 6)),
        ("pool: AVE kernel_size: 3 stride: 1 pad: 2", (1, 2, 4, 3)),
        ("pool: AVE global_pooling: true", (2, 2, 3, 4)),
        ("pool: MAX global_pooling: true", (2, 2, 3, 4)),
    ],
)
def test_gradients(make_layer, check_gradients, fields, shape):
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    check_gradients(make_layer(pool(fields), shape), x)


@pytest.mark.parametrize("phase", [pb.TRAIN, pb.TEST])
def test_gradients_of_stochastic(make_layer, check_gradients, phase):
    x = (torch.rand(1, 2, 3, 4, dtype=torch.float64) + 0.1).requires_grad_()
    check_gradients(make_layer(pool("pool: STOCHASTIC kernel_size: 2 stride: 2"), x.shape, phase=phase), x)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("pool: MAX", r"layer 'l' \(Pooling\): kernel is missing; give kernel_size, or both kernel_h and kernel_w"),
        ("kernel_h: 2", "give either kernel_size or both kernel_h and kernel_w"),
        ("kernel_size: 2 kernel_h: 2 kernel_w: 2", "give either kernel_size or both kernel_h and kernel_w"),
        ("kernel_size: 2 stride: 2 stride_h: 2 stride_w: 2", "give either stride or both stride_h and stride_w"),
        ("kernel_size: 2 pad_w: 1", "give either pad or both pad_h and pad_w"),
        ("kernel_size: 0", r"kernel \(0, 0\) and stride \(1, 1\) \(height, width\) must be 1 or more"),
        ("kernel_size: 2 stride: 0", r"kernel \(2, 2\) and stride \(0, 0\) \(height, width\) must be 1 or more"),
        ("kernel_size: 2 pad: 2", r"pad \(2, 2\) must be below kernel \(2, 2\) \(height, width\); lower pad"),
        ("pool: STOCHASTIC kernel_size: 3 pad: 1", r"pad \(1, 1\) with pool: STOCHASTIC; only MAX and AVE can pad"),
        ("global_pooling: true kernel_size: 2", "global_pooling takes no kernel, .* found kernel_size, pad"),
        ("global_pooling: true pad: 1", r"global_pooling takes no kernel, .* found no kernel, pad \(1, 1\)"),
        ("global_pooling: true stride: 2", r"global_pooling takes .* stride \(2, 2\); remove these fields"),
    ],
)
def test_setup_refuses(make_layer, fields, message):
    with pytest.raises(LayerError, match=message):
        make_layer(pool(fields), (1, 2, 5, 5))


def test_refuses_a_mask_without_max(make_layer):
    with pytest.raises(LayerError, match="2 tops given; only pool: MAX makes a mask"):
        make_layer(pool("pool: AVE kernel_size: 2", mask=True), (1, 2, 5, 5))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 5, 5), r"bottom\[0\] has shape \(2, 5, 5\); it must have 4 axes: N x C x H x W"),
        ((1, 2, 1, 5), r"kernel \(3, 3\), stride \(1, 1\) and pad \(0, 0\) leave nothing of bottom\[0\] of shape"),
    ],
)
def test_reshape_refuses(make_layer, shape, message):
    with pytest.raises(LayerError, match=message):
        make_layer(pool("kernel_size: 3"), (1, 2, 5, 5)).reshape([shape])
