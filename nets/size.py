"""The number of weights of a net, read from its message: no net is built and nothing allocated."""

import math

from caffe_compat.errors import NetError
from caffe_compat.proto.caffe_pb2 import LayerParameter, NetParameter
from nets.geometry import Place, layer_places

__all__ = ["parameter_count"]


def parameter_count(net: NetParameter, *, learned_only: bool = True, data_channels: int = 3) -> int:
    """Weights and biases of all layers.

    Args:
        net: a net of this package.
        learned_only: leave out those whose lr_mult is 0, as the paper's Table 1 does (fixed interpolation).
        data_channels: of the first tops of data layers whose shape the message does not say.

    Raises:
        NetError: a layer of a type that the nets here do not use, or an InnerProduct over maps of unknown size.
    """
    before: dict[str, Place] = {}
    total = 0
    for layer, after in zip(net.layer, layer_places(net, data_channels=data_channels), strict=True):
        for index, size in enumerate(_blob_sizes(layer, before)):
            learned = layer.param[index].lr_mult != 0 if index < len(layer.param) else True
            total += size if learned or not learned_only else 0
        before = after
    return total


def _blob_sizes(layer: LayerParameter, before: dict[str, Place]) -> list[int]:
    """Element counts of the layer's blobs."""
    if not layer.bottom:
        return []
    bottom = before[layer.bottom[0]]
    if layer.type in ("Convolution", "Deconvolution"):
        settings = layer.convolution_param
        kernel = list(settings.kernel_size)
        window = math.prod(kernel if len(kernel) == 2 else kernel * 2)
        weights = bottom.channels * settings.num_output // settings.group * window
        return [weights, settings.num_output] if settings.bias_term else [weights]
    if layer.type == "InnerProduct":
        if bottom.size_px is None:
            raise NetError(
                f"layer '{layer.name}' (InnerProduct): its weights depend on the image's size, which the data layer "
                "does not say; count the net with an Input layer"
            )
        dense = layer.inner_product_param
        weights = bottom.channels * math.prod(bottom.size_px) * dense.num_output
        return [weights, dense.num_output] if dense.bias_term else [weights]
    if layer.type == "Scale":
        return [bottom.channels, bottom.channels] if layer.scale_param.bias_term else [bottom.channels]
    return []
