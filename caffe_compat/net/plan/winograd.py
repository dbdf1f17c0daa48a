"""Which convolutions of a lean net are computed by tiles (tiles.py), and their prepared kernels.

3 x 3 kernels are prepared once and kept beside the plain ones. Very large kernels, such as fc6's (411 MB plain, 537 MB
prepared), take the place of the plain ones, which are then read from their caffemodel again if somebody wants them;
where they come from no caffemodel, or were changed since, the convolution is computed plainly.
"""

from weakref import WeakKeyDictionary, WeakSet

import torch

from caffe_compat.device import device
from caffe_compat.layer.blob import Blob, Shape
from caffe_compat.layer.vision.convolution import BaseConvolution
from caffe_compat.net.plan.matmul import usable
from caffe_compat.net.plan.tiles import FOR_3, FOR_7, Form, correlate, prepare

__all__ = ["convolve", "learns", "pays", "prepare_large"]

Tensor = torch.Tensor
Pair = tuple[int, int]

_FORMS: dict[tuple[int, ...], Form] = {(3, 3): FOR_3, (7, 7): FOR_7}
_CHANNELS = 128  # with fewer, tiles cost what the multiplications save
_TILES = 24  # on smaller maps the products are too small to be fast
_LEARNED_TILES = 100  # the same where the kernels change in every step and are prepared anew
_BESIDE = 8_000_000  # values: larger kernels are not kept twice

_prepared: WeakKeyDictionary[Blob, tuple[int, list[Tensor]]] = WeakKeyDictionary()
_large: WeakSet[Blob] = WeakSet()  # whose prepared kernels have taken the place of the plain ones


def pays(layer: BaseConvolution, x: Tensor, pad: Pair) -> bool:
    """Whether this convolution can be computed so, and is faster so, with kernels that are kept."""
    weight, tiles = layer.blobs[0], _tiles(layer, tuple(x.shape), pad)
    if weight.count >= _BESIDE:
        return tiles > 0 and prepare_large(layer, tuple(x.shape), pad)
    return tiles >= _TILES and not weight.leased


def learns(layer: BaseConvolution, x: Tensor) -> bool:
    """Whether this convolution and its gradients can be computed so, and are faster so."""
    pad = layer.window.pad
    if _form_of(layer) is not FOR_3 or x.dtype != torch.float32 or max(pad) > 2:
        return False
    return _tiles(layer, x.shape, (pad[0], pad[1])) >= _LEARNED_TILES


def _form_of(layer: BaseConvolution) -> Form | None:
    """How to take the layer's tiles; None: it cannot be computed so, or is too small for it."""
    window, weight = layer.window, layer.blobs[0]
    plain = window.stride == window.dilation == (1, 1) and layer.group == 1
    if not plain or min(weight.shape[:2]) < _CHANNELS or device().type != "cpu" or not usable():
        return None
    return _FORMS.get(window.kernel)


def _tiles(layer: BaseConvolution, bottom: Shape, pad: Pair) -> int:
    """How many tiles the top has for such a bottom; 0 where the layer is not computed so."""
    form = _form_of(layer)
    if form is None or len(bottom) != 4:
        return 0
    down, across = (max(0, bottom[2 + k] + 2 * pad[k] - form.kernel + 1) for k in (0, 1))
    return bottom[0] * -(-down // form.tile) * -(-across // form.tile)


def convolve(layer: BaseConvolution, x: Tensor, pad: Pair, relu: bool) -> Tensor:
    """A Convolution's top for one bottom, with zero padding of its own, and a ReLU if wanted.

    Args:
        layer: one that pays.
        x: N x C x H x W, float32, channels last.
        pad: zero rows and columns on each side, in place of the layer's.
        relu: whether negative values become 0.
    """
    weight, *rest = layer.blobs
    form = _form_of(layer)
    assert form is not None
    kernels = _kept(weight, form) if weight.count < _BESIDE else _in_place(weight, form)
    assert kernels is not None
    return correlate(x, kernels, rest[0].tensor() if rest else None, pad, relu, form)


def prepare_large(layer: BaseConvolution, bottom: Shape, pad: Pair) -> bool:
    """Put a large layer's prepared kernels in the place of the plain ones, if it pays; once done, small maps use them.

    Args:
        layer: of any size.
        bottom: shape of a usual bottom.
        pad: as for ``pays``.

    Returns:
        Whether they are there.
    """
    weight, form = layer.blobs[0], _form_of(layer)
    if form is None or weight.count < _BESIDE or not (weight in _large or _tiles(layer, bottom, pad) >= _TILES):
        return False
    _large.add(weight)
    return _in_place(weight, form) is not None


def _kept(weight: Blob, form: Form) -> list[Tensor]:
    """Prepared kernels beside the plain ones; made anew when those may have changed."""
    stamp = weight.stamp()
    held = _prepared.get(weight)
    if held is None or held[0] != stamp:
        _prepared.pop(weight, None)
        values = weight.tensor()
        held = stamp, prepare(lambda first, last: values[first:last], weight.shape, form)
        _prepared[weight] = held
    return held[1]


def _in_place(weight: Blob, form: Form) -> list[Tensor] | None:
    """Prepared kernels in place of the plain ones; None where those could not be read again."""
    found: list[Tensor] | None = weight.replaced(
        ("tiles", form.kernel, weight.shape), lambda read: prepare(read, weight.shape, form)
    )
    return found
