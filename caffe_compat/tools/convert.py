"""``convert IN OUT [PROTOTXT]``: weights from one kind of file to another, value for value.

    caffe-compat convert fcn8s-heavy-pascal.caffemodel fcn8s.pt
    caffe-compat convert old.caffemodel new.caffemodel.h5 deploy.prototxt

The suffixes tell the kinds; see ``weight_files`` for them and for the names of blobs. A blob of an old file (bias
1 x 1 x 1 x N) gets the shape that its layer's type has now. The prototxt, if given, decides: each of its layers must
find its blobs in IN, with as many values; they get the net's shapes, and a .caffemodel the net's order, types and
definitions. Layers of IN that the net does not have are carried along.
"""

from collections.abc import Sequence

import click
import numpy as np
from google.protobuf.message import Message

from caffe_compat import glog
from caffe_compat.errors import CaffeError, NetError, WeightsError
from caffe_compat.layer.contract import Layer
from caffe_compat.layer.python_layer import PyLayer
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST, NetParameter
from caffe_compat.proto.text import read_net
from caffe_compat.proto.weights import LayerWeights
from caffe_compat.tools.blob_shapes import current_shapes, without_leading_ones
from caffe_compat.tools.flags import FlagCommand
from caffe_compat.tools.weight_files import read_weights, suffix_of, write_weights

__all__ = ["convert", "convert_weights"]


@click.command(cls=FlagCommand)
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT")
@click.argument("prototxt", required=False)
def convert(source: str, target: str, prototxt: str | None) -> None:
    """Write the weights in IN as another kind of file to OUT, value for value.

    The suffixes tell the kinds: .caffemodel (IN: of any age), .caffemodel.h5 or .h5, .npz (keys layer/0, layer/1, ...),
    .pt or .pth (a torch state_dict: layer.weight, layer.bias, layer.blob2, ...), .safetensors (the same keys).

    PROTOTXT, best a deploy one, checks that every layer of its net finds its blobs in IN and gives them its shapes; a
    .caffemodel takes types and definitions from it.
    """
    layers = convert_weights(source, target, prototxt)
    blobs = [blob for layer in layers for blob in layer.blobs if blob is not None]
    with_blobs = sum(bool(layer.blobs) for layer in layers)
    click.echo(f"{target}: {with_blobs} layers, {len(blobs)} blobs, {sum(blob.size for blob in blobs)} values")


def convert_weights(source: str, target: str, prototxt: str | None = None) -> Sequence[LayerWeights]:
    """Do what the verb does; returns what was written.

    Raises:
        WeightsError: an unknown suffix, a file that cannot be read or written, weights that do not fit the prototxt.
        ParseError, NetError: the prototxt cannot be read, or its net not be built.
    """
    kind = suffix_of(target)
    layers = [current_shapes(layer) for layer in read_weights(source)]
    name = ""
    if prototxt is not None:
        param = read_net(prototxt)
        name = param.name
        layers = _Fitting(param, prototxt, source).fit(layers, owners_only=kind == ".h5")
    if kind == ".caffemodel":
        for layer in layers:
            if None in [blob if blob is None else 0 for blob in layer.blobs]:
                raise WeightsError(
                    f"{source}: layer '{layer.name}' leaves out a blob, as another layer owns it; give the net's "
                    "prototxt as third argument, which says which one"
                )
    elif kind != ".h5" and any(layer.diffs for layer in layers):
        glog.warning(f"{source}: its gradients are left out; only .caffemodel and .h5 hold them")
    write_weights(target, layers, name)
    return layers


class _Fitting:
    """Holds weights against a net: every layer's blobs must be there and get its shapes."""

    def __init__(self, param: NetParameter, prototxt: str, source: str) -> None:
        self.prototxt = prototxt
        self.source = source
        for layer in param.layer:
            _drop_fillers(layer)
        try:
            net = Net(param, phase=TEST)
        except CaffeError as error:
            raise NetError(
                f"{prototxt}: its shapes cannot be worked out: {error}; give the deploy prototxt, or one whose data is "
                "there"
            ) from error
        net.close()
        self.layers = [node.layer for node in net._graph.nodes]

    def fit(self, layers: Sequence[LayerWeights], owners_only: bool) -> list[LayerWeights]:
        given = {layer.name: layer for layer in layers if layer.blobs}
        owners: dict[str, np.ndarray] = {}
        fitted = []
        for layer in self.layers:
            own = given.pop(layer.name, LayerWeights(layer.name))
            if len(own.blobs) > len(layer.blobs) or (own.type and 0 < len(own.blobs) < len(layer.blobs)):
                raise WeightsError(
                    f"{self.source}: layer '{layer.name}' has {len(own.blobs)} blobs, that of {self.prototxt} "
                    f"{len(layer.blobs)}; give the prototxt of these weights, or rename the layer in it"
                )
            blobs = [self._blob(layer, own, i, owners, owners_only) for i in range(len(layer.blobs))]
            fitted.append(LayerWeights(layer.name, layer.type, blobs, layer.param, _like(own.diffs, blobs)))
        for name in given:
            glog.warning(f"{self.source}: layer '{name}' is not in {self.prototxt}; carried along as it is")
        return [*fitted, *given.values()]

    def _blob(
        self, layer: Layer | PyLayer, own: LayerWeights, index: int, owners: dict[str, np.ndarray], owners_only: bool
    ) -> np.ndarray | None:
        """Blob ``index`` of a layer in the net's shape; from its owner where the file leaves it out."""
        specs, shape = layer.param.param, layer.blobs[index].shape
        shared = specs[index].name if index < len(specs) else ""
        array = own.blobs[index] if index < len(own.blobs) else None
        if shared in owners:
            if owners_only:
                return None
            array = owners[shared] if array is None else array
        if array is None:
            raise WeightsError(
                f"{self.source}: has no blob {index} for layer '{layer.name}' of {self.prototxt} "
                f"({' x '.join(map(str, shape))}); give the prototxt of these weights"
            )
        found = without_leading_ones(array, len(shape))
        assert found is not None
        if found.shape != shape:
            hint = "give the prototxt of these weights"
            if found.size == layer.blobs[index].count:
                hint += (
                    "; as the counts are equal, nets.surgery.transplant(..., coerce=True) turns fully-connected "
                    "weights into convolutions"
                )
            raise WeightsError(
                f"{self.source}: layer '{layer.name}' blob {index} has shape {array.shape}, that of {self.prototxt} "
                f"{shape}; {hint}"
            )
        if shared:
            owners.setdefault(shared, found)
        return found


def _drop_fillers(message: Message) -> None:
    """Leave parameters at zero, which takes neither time nor memory."""
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        if descriptor.message_type.name == "FillerParameter":
            message.ClearField(descriptor.name)
        elif isinstance(value, Message):
            _drop_fillers(value)


def _like(diffs: Sequence[np.ndarray | None], blobs: Sequence[np.ndarray | None]) -> list[np.ndarray | None]:
    return [
        None if diff is None or blob is None else diff.reshape(blob.shape)
        for diff, blob in zip(diffs, blobs, strict=False)
    ]
