"""``convolutionalize IN.prototxt IN.caffemodel OUT.prototxt OUT.caffemodel``: a classifier as a net for any image size.

    caffe-compat convolutionalize VGG_ILSVRC_16_layers_deploy.prototxt VGG_ILSVRC_16_layers.caffemodel \
        vgg16_conv.prototxt vgg16_conv.caffemodel

An InnerProduct over C x h x w becomes a Convolution whose window is h x w, with the same weights in another shape; one
over the numbers of another becomes a 1 x 1 Convolution. Global pooling becomes pooling over a window of the size that
it had; Flatten in front of InnerProduct goes. Layers keep their names.

On an image of the classifier's own size the twin gives the same scores, on a larger one a map of them; the verb shows
both on noise. In nets that pad (all but the plainest), a position of the map sees its neighbours where the classifier
sees padding, so it is not exactly what the classifier says of that window.
"""

from collections.abc import Sequence

import click
import numpy as np

from caffe_compat.errors import NetError, WeightsError
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST, LayerParameter, NetParameter
from caffe_compat.proto.text import read_net, write_text
from caffe_compat.tools.flags import FlagCommand, flag

__all__ = ["convolutional_twin", "convolutionalize", "largest_difference"]

_TOLERANCE = 1e-4  # of the largest score: sums in another order


@click.command(cls=FlagCommand)
@click.argument("prototxt", metavar="IN.prototxt")
@click.argument("weights", metavar="IN.caffemodel")
@click.argument("out_prototxt", metavar="OUT.prototxt")
@click.argument("out_weights", metavar="OUT.caffemodel")
@flag("larger", "How many pixels more the larger image has on each side.", 96, click.IntRange(1))
def convolutionalize(prototxt: str, weights: str, out_prototxt: str, out_weights: str, larger: int) -> None:
    """Write a classifier's fully convolutional twin, and show that it gives the same scores, and maps of them.

    IN.prototxt is the deploy form: Input layers, no data layers and no losses.
    """
    net = Net(read_net(prototxt), TEST, weights=weights)
    param, twin = convolutional_twin(net)
    difference = largest_difference(net, twin)
    sizes = ", ".join(f"{name} {_by(twin.blobs[name].shape)}" for name in twin.outputs)
    click.echo(f"{_by(_image(net).shape)} pixels: {sizes}; largest difference {difference:.2g} of the largest score")
    if not difference <= _TOLERANCE:
        raise WeightsError(f"{weights}: the twin's scores differ by more than {_TOLERANCE:g}; nothing was written")
    write_text(out_prototxt, param)
    twin.save(out_weights)
    batch, channels, height, width = _image(twin).shape
    twin.blobs[twin.inputs[0]].reshape(batch, channels, height + larger, width + larger)
    twin.reshape()
    sizes = ", ".join(f"{name} {_by(twin.blobs[name].shape)}" for name in twin.outputs)
    click.echo(f"{_by(_image(twin).shape)} pixels: {sizes}")


def convolutional_twin(net: Net) -> tuple[NetParameter, Net]:
    """The fully convolutional twin of a classifier, with its weights.

    Args:
        net: in the TEST phase; its first input is N x C x H x W, of the size that it was trained for.

    Returns:
        The twin's message, and the twin.

    Raises:
        NetError: the net has no N x C x H x W input, nothing in it needs to change, or a layer cannot be changed.
    """
    _image(net)
    param = NetParameter(name=net.name)
    renamed: dict[str, str] = {}  # tops of layers that went -> what they were made of
    changed = []
    for layer in net.layers:
        if layer.type == "Split":  # the runtime's own
            renamed.update(dict.fromkeys(layer.param.top, layer.param.bottom[0]))
            continue
        new = LayerParameter()
        new.CopyFrom(layer.param)
        new.ClearField("blobs")
        bottoms = [net.blobs[name].shape for name in layer.param.bottom]
        if layer.type == "Flatten" and _feeds_only_dense(net, layer.param):
            renamed[layer.param.top[0]] = layer.param.bottom[0]
            continue
        if layer.type == "InnerProduct":
            _as_convolution(new, _source_shape(net, layer.param.bottom[0], renamed))
            changed.append(layer.name)
        elif layer.type == "Pooling" and layer.param.pooling_param.global_pooling:
            _as_window(new, bottoms[0])
            changed.append(layer.name)
        elif layer.type in ("Flatten", "Reshape"):
            raise NetError(
                f"layer '{layer.name}' ({layer.type}): what it makes has no positions any more; "
                "convolutionalize knows Flatten in front of InnerProduct only: take it out of the prototxt"
            )
        new.bottom[:] = [_origin(name, renamed) for name in layer.param.bottom]
        param.layer.append(new)
    if not changed:
        raise NetError(
            f"net '{net.name}': no InnerProduct and no global pooling in it; it takes any image size as it is"
        )
    twin = Net(param, TEST)
    for name, blobs in twin.params.items():
        for index, blob in enumerate(blobs):
            values = net.params[name][index].data
            if index == 0 and net.layer_dict[name].param.inner_product_param.transpose:
                values = values.T
            blob.data[...] = values.reshape(blob.data.shape)
    return param, twin


def largest_difference(net: Net, twin: Net, seed: int = 0) -> float:
    """How far the outputs of both are apart on noise of the classifier's size, relative to its largest score."""
    shape = _image(net).shape
    noise = np.random.default_rng(seed).normal(0, 50, shape).astype(np.float32)
    outputs = []
    for one in (net, twin):
        one.blobs[one.inputs[0]].reshape(*shape)
        one.reshape()
        one.blobs[one.inputs[0]].data[...] = noise
        outputs.append(one.forward())
    wanted, found = outputs
    apart = [np.abs(found[name].reshape(wanted[name].shape) - wanted[name]).max() for name in wanted]
    largest = max(float(np.abs(values).max()) for values in wanted.values())
    return float(max(apart)) / max(largest, float(np.finfo(np.float32).tiny))


def _image(net: Net) -> np.ndarray:
    if not net.inputs or len(net.blobs[net.inputs[0]].shape) != 4:
        raise NetError(
            f"net '{net.name}': its first input is not N x C x H x W; "
            "give the deploy prototxt, whose images come from an Input layer"
        )
    values: np.ndarray = net.blobs[net.inputs[0]].data
    return values


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _origin(name: str, renamed: dict[str, str]) -> str:
    while name in renamed:
        name = renamed[name]
    return name


def _source_shape(net: Net, bottom: str, renamed: dict[str, str]) -> tuple[int, ...]:
    """Shape of what an InnerProduct reads, before it was flattened."""
    return tuple(net.blobs[_origin(bottom, renamed)].shape)


def _feeds_only_dense(net: Net, flatten: LayerParameter) -> bool:
    readers = [layer for layer in net.layers if flatten.top[0] in layer.param.bottom]
    return bool(readers) and all(layer.type == "InnerProduct" for layer in readers)


def _as_convolution(layer: LayerParameter, bottom: tuple[int, ...]) -> None:
    """Make the message of an InnerProduct that of its Convolution."""
    dense = layer.inner_product_param
    if dense.axis not in (1, 1 - len(bottom)) or len(bottom) not in (2, 4):
        raise NetError(
            f"layer '{layer.name}' (InnerProduct): axis {dense.axis} of a bottom of shape {_by(bottom)}; "
            "only axis 1 of N x C x H x W, or of N x C, becomes a Convolution"
        )
    layer.type = "Convolution"
    made = layer.convolution_param
    made.num_output = dense.num_output
    height, width = bottom[2:] or (1, 1)
    if height == width:
        made.kernel_size.append(height)
    else:
        made.kernel_h, made.kernel_w = height, width
    if dense.HasField("bias_term"):
        made.bias_term = dense.bias_term
    for filler in ("weight_filler", "bias_filler"):
        if dense.HasField(filler):
            getattr(made, filler).CopyFrom(getattr(dense, filler))
    layer.ClearField("inner_product_param")


def _as_window(layer: LayerParameter, bottom: Sequence[int]) -> None:
    """Make global pooling the pooling over a window of the size that it has now."""
    pooling = layer.pooling_param
    pooling.ClearField("global_pooling")
    height, width = bottom[2:]
    if height == width:
        pooling.kernel_size = height
    else:
        pooling.kernel_h, pooling.kernel_w = height, width
