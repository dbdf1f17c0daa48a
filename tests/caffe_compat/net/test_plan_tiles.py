"""Convolution by tiles: PyTorch's numbers in double precision, for either size of kernel, any map and any grouping."""

import pytest
import torch
import torch.nn.functional as F

from caffe_compat.net.plan import matmul, tiles

pytestmark = pytest.mark.skipif(not matmul.usable(), reason="this torch has no packed matrix products")
FORMS = pytest.mark.parametrize("form", [tiles.FOR_3, tiles.FOR_7], ids=["3x3", "7x7"])


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


def prepared(kernels: torch.Tensor, form: tiles.Form) -> list[torch.Tensor]:
    return tiles.prepare(lambda first, last: kernels[first:last], kernels.shape, form)


@FORMS
def test_the_matrices_are_exact(form):
    """Every value of the top of one axis is the sum that it should be, for unit kernels and unit tiles."""
    for tap in range(form.kernel):
        for place in range(form.side):
            products = form.taps[:, tap].double() * form.seen[:, place].double()
            found = form.back.double() @ products
            wanted = torch.tensor([float(place == at + tap) for at in range(form.tile)]).double()
            torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


@FORMS
def test_the_point_of_the_bias_adds_the_same_everywhere(form):
    assert form.back[:, form.unit].tolist() == [1] * form.tile


@FORMS
@pytest.mark.parametrize("size", [(14, 9), (8, 16), (9, 9), (30, 8), (7, 41)])
@pytest.mark.parametrize("pad", [(0, 0), (1, 2), (3, 3)])
@pytest.mark.parametrize("group", [1, 200_000, 8 << 20])
def test_correlate(monkeypatch, form, size, pad, group):
    monkeypatch.setattr(tiles, "_GROUP_BYTES", group)
    monkeypatch.setattr(tiles, "_OUTPUTS", 4)
    x = draw(3, 5, *size).contiguous(memory_format=torch.channels_last)
    kernels, bias = draw(6, 5, form.kernel, form.kernel), draw(6)
    plain = F.conv2d(x.double(), kernels.double(), bias.double(), padding=pad)
    ours = tiles.correlate(x, prepared(kernels, form), bias, pad, relu=False, form=form)
    assert ours.shape == plain.shape
    assert ours.is_contiguous(memory_format=torch.channels_last)
    assert float((ours - plain).abs().max() / plain.abs().max()) < 1e-5
    without = tiles.correlate(x, prepared(kernels, form), None, pad, relu=True, form=form)
    plain = F.conv2d(x.double(), kernels.double(), padding=pad).relu()
    assert float((without - plain).abs().max() / plain.abs().max()) < 1e-5
    assert float(without.min()) >= 0


@FORMS
def test_a_value_that_is_no_number_is_not_hidden_by_the_relu(form):
    x = draw(1, 4, 12, 12)
    x[0, 1, 5, 5] = float("nan")
    kernels = draw(4, 4, form.kernel, form.kernel)
    top = tiles.correlate(fast(x), prepared(kernels, form), None, (0, 0), relu=True, form=form)
    seen = F.conv2d(x, kernels).isnan()
    assert bool(top[seen].isnan().all())


def fast(x: torch.Tensor) -> torch.Tensor:
    return x.contiguous(memory_format=torch.channels_last)


@FORMS
@pytest.mark.parametrize("pad", [(0, 0), (2, 1)])
def test_kernel_gradient(monkeypatch, form, pad):
    monkeypatch.setattr(tiles, "_GRADIENT_BYTES", 100_000)
    x, kernels = draw(2, 5, 19, 13).double(), draw(6, 5, form.kernel, form.kernel).double().requires_grad_()
    top = F.conv2d(x, kernels, padding=pad)
    diff = draw(*top.shape)
    (plain,) = torch.autograd.grad(top, kernels, diff.double())
    ours = tiles.kernel_gradient(fast(x.float()), fast(diff), pad, form)
    assert ours.shape == kernels.shape
    assert float((ours - plain).abs().max() / plain.abs().max()) < 1e-5


@FORMS
def test_the_error_over_many_channels(form):
    size = form.kernel
    kernels = draw(6, 512, size, size) * (2 / (512 * size**2)) ** 0.5
    x = fast(draw(1, 512, 24, 21).relu())
    plain = F.conv2d(x.double(), kernels.double())
    ours = tiles.correlate(x, prepared(kernels, form), None, (0, 0), relu=False, form=form)
    assert float((ours - plain).abs().max() / plain.abs().max()) < 3e-5


def test_the_order_of_kernels_is_looked_at():
    """With 32 rows the kernels of this size are in another order on some processors; the same number has one."""
    assert matmul.have_one_order((36 * 64, 64), 36, (64, 64))
    assert matmul.have_one_order((36 * 64, 64), 36, (64, 128)) == same_order(64, 128)
    assert matmul.have_one_order((36 * 64, 64), 36, (32, 64)) == same_order(32, 64)


def same_order(*rows: int) -> bool:
    y = draw(36 * 64, 64)
    forms = [torch.ops.mkldnn._get_mkldnn_serialized_md(matmul.pack_many(y, 36, number)) for number in rows]
    return torch.equal(*forms)
