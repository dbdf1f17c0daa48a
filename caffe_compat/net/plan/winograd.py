"""Which convolutions of a lean net are computed by tiles (tiles.py), and their prepared kernels.

Kernels are prepared once. Where the plain ones can be read from their caffemodel again, if somebody wants them, the
prepared ones take their place; otherwise both are kept, unless they are very large: fc6's are 411 MB plain and 537 MB
prepared. What would have to be kept twice then is computed plainly.
"""

from weakref import WeakKeyDictionary, WeakSet

import torch

from caffe_compat.device import device
from caffe_compat.layer.blob import Blob, Shape
from caffe_compat.layer.vision.convolution import BaseConvolution
from caffe_compat.net.plan.matmul import usable
from caffe_compat.net.plan.products import LARGE
from caffe_compat.net.plan.tiles import FOR_3, FOR_7, Form, correlate, is_fast, prepare

__all__ = ["convolve", "learns", "pays", "prepare_kernels"]

Tensor = torch.Tensor
Pair = tuple[int, int]

_FORMS: dict[tuple[int, ...], Form] = {(3, 3): FOR_3, (7, 7): FOR_7}
_CHANNELS = 128  # with fewer, tiles cost what the multiplications save
_TILES = 24  # on smaller maps the products are too small to be fast
_LEARNED_CHANNELS, _LEARNED_TILES = 256, 100  # the same where the kernels change in every step and are prepared anew

_beside: WeakKeyDictionary[Blob, tuple[int, list[Tensor]]] = WeakKeyDictionary()
_replaced: WeakSet[Blob] = WeakSet()  # whose prepared kernels have taken the plain ones' place


def pays(layer: BaseConvolution, x: Tensor, pad: Pair) -> bool:
    """Whether this convolution can be computed so, and is faster so, with kernels that are kept."""
    return prepare_kernels(layer, tuple(x.shape), pad)


def learns(layer: BaseConvolution, x: Tensor) -> bool:
    """Whether this convolution and its gradients can be computed so, and are faster so."""
    pad = layer.window.pad
    if _form_of(layer) is not FOR_3 or x.dtype != torch.float32 or max(pad) > 2:
        return False
    few = min(layer.blobs[0].shape[:2]) < _LEARNED_CHANNELS
    return not few and _tiles(layer, tuple(x.shape), (pad[0], pad[1])) >= _LEARNED_TILES


def _form_of(layer: BaseConvolution) -> Form | None:
    """How to take the layer's tiles; None: it cannot be computed so, or is too small or too slow for it."""
    window, weight = layer.window, layer.blobs[0]
    plain = window.stride == window.dilation == (1, 1) and layer.group == 1
    if not plain or min(weight.shape[:2]) < _CHANNELS or device().type != "cpu" or not usable():
        return None
    form = _FORMS.get(window.kernel)
    return form if form is not None and is_fast(weight.shape[0], weight.shape[1], form) else None


def _tiles(layer: BaseConvolution, bottom: Shape, pad: Pair) -> int:
    """How many tiles the top has for such a bottom; 0 where the layer is not computed so."""
    form = _form_of(layer)
    if form is None or len(bottom) != 4:
        return 0
    down, across = (max(0, bottom[2 + k] + 2 * pad[k] - form.kernel + 1) for k in (0, 1))
    return bottom[0] * -(-down // form.tile) * -(-across // form.tile)


def prepare_kernels(layer: BaseConvolution, bottom: Shape, pad: Pair) -> bool:
    """Prepare a layer's kernels if it pays; once they have taken the plain ones' place, small maps use them as well.

    Args:
        layer: of any size.
        bottom: shape of a usual bottom.
        pad: zero rows and columns on each side, in place of the layer's.

    Returns:
        Whether they are there.
    """
    weight, form, tiles = layer.blobs[0], _form_of(layer), _tiles(layer, bottom, pad)
    if form is None or tiles == 0 or weight.leased or not (weight in _replaced or tiles >= _TILES):
        return False
    return _kernels(weight, form) is not None


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
    kernels = _kernels(weight, form) if form is not None else None
    assert form is not None
    assert kernels is not None
    return correlate(x, kernels, rest[0].tensor() if rest else None, pad, relu, form)


def _kernels(weight: Blob, form: Form) -> list[Tensor] | None:
    """A blob's prepared kernels; None where they would have to be kept beside plain ones that are too large."""
    key = ("tiles", form.kernel, weight.shape)
    found: list[Tensor] | None = weight.replaced(key, lambda read: prepare(read, weight.shape, form))
    if found is not None:
        _replaced.add(weight)
        _beside.pop(weight, None)
        return found
    return _kept_beside(weight, form) if weight.count < LARGE else None


def _kept_beside(weight: Blob, form: Form) -> list[Tensor]:
    """Prepared kernels beside the plain ones; made anew when those may have changed."""
    stamp = weight.stamp()
    held = _beside.get(weight)
    if held is None or held[0] != stamp:
        _beside.pop(weight, None)
        values = weight.tensor()
        held = stamp, prepare(lambda first, last: values[first:last], weight.shape, form)
        _beside[weight] = held
    return held[1]
