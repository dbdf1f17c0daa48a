"""The number of weights of a net, read from its message: no net is built and nothing allocated."""

import math

from caffe_compat.errors import NetError
from caffe_compat.proto.caffe_pb2 import LayerParameter, NetParameter

__all__ = ["parameter_count"]

_KEEP_CHANNELS = {"Crop", "Dropout", "Eltwise", "LRN", "Pooling", "ReLU", "SoftmaxWithLoss"}


def parameter_count(net: NetParameter, *, learned_only: bool = True, data_channels: int = 3) -> int:
    """Weights and biases of all layers.

    Args:
        net: a net of this package.
        learned_only: leave out those whose lr_mult is 0, as the paper's Table 1 does (fixed interpolation).
        data_channels: of the tops of data layers whose shape the message does not say.

    Raises:
        NetError: a layer of a type that the nets here do not use.
    """
    channels: dict[str, int] = {}
    total = 0
    for layer in net.layer:
        sizes, channels_out = _blob_sizes(layer, channels, data_channels)
        for top in layer.top:
            channels[top] = channels_out
        for index, size in enumerate(sizes):
            learned = layer.param[index].lr_mult != 0 if index < len(layer.param) else True
            total += size if learned or not learned_only else 0
    return total


def _blob_sizes(layer: LayerParameter, channels: dict[str, int], data_channels: int) -> tuple[list[int], int]:
    """Element counts of the layer's blobs, and the channels of its tops."""
    if not layer.bottom:
        shapes = layer.input_param.shape
        return [], shapes[0].dim[1] if shapes else data_channels
    channels_in = channels[layer.bottom[0]]
    if layer.type in ("Convolution", "Deconvolution"):
        settings = layer.convolution_param
        kernel = list(settings.kernel_size)
        window = math.prod(kernel if len(kernel) == 2 else kernel * 2)
        weights = channels_in * settings.num_output // settings.group * window
        return [weights, settings.num_output] if settings.bias_term else [weights], settings.num_output
    if layer.type == "Scale":
        return [channels_in, channels_in] if layer.scale_param.bias_term else [channels_in], channels_in
    if layer.type in _KEEP_CHANNELS:
        return [], channels_in
    raise NetError(f"layer '{layer.name}' ({layer.type}): weights of this type are not counted; add it to nets.size")
