"""bfloat16 on request: which layers of a lean net compute in it, and what the others are given.

Convolutions and fully-connected layers of many outputs multiply in bfloat16 (8 bits of mantissa, the range of float32)
and add up in float32; ReLU, Dropout, Pooling and Split pass on what they get. Everything else, the last layers that
score classes and the losses among it, works in float32 on float32, as do the parameters and their updates. So do, in
phase TEST, the convolution of the image, which takes little time, and those that winograd.py computes: they are about
as fast in float32, and each layer in bfloat16 costs exactness.
"""

from collections.abc import Sequence

import torch

from caffe_compat.device import device
from caffe_compat.errors import NetError
from caffe_compat.layer.contract import Layer
from caffe_compat.layer.vision.convolution import Convolution

__all__ = ["PRECISIONS", "check_precision", "is_fast", "lowered", "multiplies_low", "rounds"]

PRECISIONS = ("fp32", "bf16")
_OUTPUTS = 64  # with fewer, it is a score: rounding would make ties of neighbours
_INPUTS = 16  # with fewer channels, the bottom is an image
_PASSING = ("Dropout", "Pooling", "ReLU", "Split")


def check_precision(precision: str, lean: bool) -> None:
    """See that a net can compute in this precision.

    Raises:
        NetError: it is not one of ``PRECISIONS``; or bf16 is asked of a net that keeps every blob.
    """
    if precision not in PRECISIONS:
        raise NetError(f"precision '{precision}' is not known; give one of {', '.join(PRECISIONS)}")
    if precision == "bf16" and not lean:
        raise NetError("precision 'bf16' is for lean nets: name the blobs to keep with keep=[...], or use 'fp32'")


def multiplies_low(layer: Layer) -> bool:
    """Whether a layer multiplies in bfloat16 where that is asked for."""
    if layer.type == "Convolution":
        return layer.param.convolution_param.num_output >= _OUTPUTS
    return layer.type == "InnerProduct" and layer.param.inner_product_param.num_output >= _OUTPUTS


def rounds(layer: Layer) -> bool:
    """Whether a layer that nobody learns multiplies in bfloat16 where that is asked for.

    An image is not rounded: that would take what its pixels differ in.
    """
    of_image = isinstance(layer, Convolution) and layer.blobs[0].shape[1] * layer.group < _INPUTS
    return multiplies_low(layer) and not of_image


def lowered(
    layer: Layer, bottoms: Sequence[torch.Tensor], params: Sequence[torch.Tensor]
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Bottoms and parameters in the type that the layer computes in."""
    if multiplies_low(layer):
        return [x.to(torch.bfloat16) for x in bottoms], [x.to(torch.bfloat16) for x in params]
    if layer.type in _PASSING:
        return list(bottoms), list(params)
    return [x.float() if x.dtype == torch.bfloat16 else x for x in bottoms], list(params)


def is_fast() -> bool:
    """Whether the present device computes in bfloat16 by itself; without, it is right and slow."""
    if device().type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):
        return False
