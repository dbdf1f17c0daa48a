r"""A net message as a picture: layers as boxes, blobs as octagons, drawn by Graphviz.

Needs the Python package ``pydot``, and Graphviz's ``dot`` program for anything but ``.dot`` and ``.raw`` text. Both are
looked for only when a picture is asked for.

    draw_net_to_file(net, "net.png", rankdir="TB", phase=caffe_pb2.TEST)

``rankdir`` is the direction of data: LR (left to right), TB (top to bottom) or BT. Labels break lines (``\n``) where
data runs sideways, and use spaces where it runs up or down.

Source: BVLC/caffe python/caffe/draw.py. Where we differ: a rule of ``include`` or ``exclude`` without a phase counts
for both; every blob has the blob's style; two layers that read alike stay two boxes.
"""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

from caffe_compat.errors import CaffeError, LayerError
from caffe_compat.proto import caffe_pb2

__all__ = [
    "DrawError",
    "choose_color_by_layertype",
    "draw_net",
    "draw_net_to_file",
    "get_edge_label",
    "get_layer_label",
    "get_layer_lr_mult",
    "get_pooling_types_dict",
    "get_pydot_graph",
]

NEURON_LAYER_STYLE = {"shape": "record", "fillcolor": "#90EE90", "style": "filled"}
LAYER_STYLE_DEFAULT = {"shape": "record", "fillcolor": "#6495ED", "style": "filled"}
BLOB_STYLE = {"shape": "octagon", "fillcolor": "#E0E0E0", "style": "filled"}

_COLORS = {"Convolution": "#FF5050", "Deconvolution": "#FF5050", "Pooling": "#FF9900", "InnerProduct": "#CC33FF"}
_LEARNING = ("Convolution", "Deconvolution", "InnerProduct")
_TEXT_FORMATS = ("dot", "raw")


class DrawError(CaffeError, ImportError):
    """pydot or Graphviz is not installed."""


def _pydot() -> ModuleType:
    try:
        return importlib.import_module("pydot")
    except ImportError:
        raise DrawError("drawing a net needs the package pydot, which is not installed; pip install pydot") from None


def get_pooling_types_dict() -> dict[int, str]:
    """Names of the pooling methods by number: ``{0: 'MAX', 1: 'AVE', 2: 'STOCHASTIC'}``."""
    return {number: name for name, number in caffe_pb2.PoolingParameter.PoolMethod.items()}


def get_edge_label(layer: caffe_pb2.LayerParameter) -> str:
    """What is written at a layer's tops: the batch size of Data, the channels of layers that have ``num_output``."""
    if layer.type == "Data":
        return f"Batch {layer.data_param.batch_size}"
    if layer.type in ("Convolution", "Deconvolution"):
        return str(layer.convolution_param.num_output)
    if layer.type == "InnerProduct":
        return str(layer.inner_product_param.num_output)
    return '""'


def get_layer_lr_mult(layer: caffe_pb2.LayerParameter) -> tuple[float, float]:
    """lr_mult of weight and bias of a Convolution, Deconvolution or InnerProduct layer.

    Raises:
        LayerError: another type, or more than two ``param``.
    """
    if layer.type not in _LEARNING:
        raise LayerError(layer.name, layer.type, f"no learning rate multiplier; only {', '.join(_LEARNING)} have one")
    if len(layer.param) > 2:
        raise LayerError(layer.name, layer.type, f"{len(layer.param)} param given, but it has 2 blobs; remove the rest")
    default = caffe_pb2.ParamSpec()
    weight, bias = (*layer.param, default, default)[:2]
    return weight.lr_mult, bias.lr_mult


def get_layer_label(layer: caffe_pb2.LayerParameter, rankdir: str, display_lrm: bool = False) -> str:
    """The text in a layer's box, in double quotes: name, type, kernel size, stride, pad, and lr_mult if asked for."""
    separator = " " if rankdir in ("TB", "BT") else r"\n"
    lines = [layer.name]
    if layer.type == "Pooling":
        pool = layer.pooling_param
        lines.append(f"(Pooling {get_pooling_types_dict()[pool.pool]})")
        lines += _spatial(pool.kernel_size, pool.stride, pool.pad)
    elif layer.type in ("Convolution", "Deconvolution"):
        conv = layer.convolution_param
        lines.append(f"({layer.type})")
        lines += _spatial((*conv.kernel_size, 1)[0], (*conv.stride, 1)[0], (*conv.pad, 0)[0])
    else:
        lines.append(f"({layer.type})")
    if display_lrm and layer.type in _LEARNING and any(get_layer_lr_mult(layer)):
        lines.append("lr mult: {:.1f}, {:.1f}".format(*get_layer_lr_mult(layer)))
    return f'"{separator.join(lines)}"'


def _spatial(kernel_size: int, stride: int, pad: int) -> list[str]:
    return [f"kernel size: {kernel_size}", f"stride: {stride}", f"pad: {pad}"]


def choose_color_by_layertype(layertype: str) -> str:
    """The fill colour of a layer's box, as ``#RRGGBB``."""
    return _COLORS.get(layertype, LAYER_STYLE_DEFAULT["fillcolor"])


def _in_phase(layer: caffe_pb2.LayerParameter, phase: int | None) -> bool:
    if phase is None:
        return True
    if layer.include and layer.exclude:
        raise LayerError(layer.name, layer.type, "both include and exclude are given; keep one of them")

    def meets(rule: caffe_pb2.NetStateRule) -> bool:
        return not rule.HasField("phase") or rule.phase == phase

    if layer.include:
        return any(meets(rule) for rule in layer.include)
    return not any(meets(rule) for rule in layer.exclude)


def get_pydot_graph(
    caffe_net: caffe_pb2.NetParameter,
    rankdir: str,
    label_edges: bool = True,
    phase: int | None = None,
    display_lrm: bool = False,
) -> Any:
    """The net as a ``pydot.Dot``.

    Args:
        caffe_net: in the current format (``layer``, not ``layers``).
        rankdir: LR, TB or BT.
        label_edges: write sizes at the edges (``get_edge_label``).
        phase: TRAIN or TEST for the layers of that phase alone; None for all.
        display_lrm: write lr_mult into the boxes of layers that learn.

    Raises:
        DrawError: pydot is not installed.
        LayerError: a layer with both include and exclude, where a phase is given.
    """
    pydot = _pydot()
    graph = pydot.Dot(_quoted(caffe_net.name or "Net"), graph_type="digraph", rankdir=rankdir)
    blobs: set[str] = set()
    for index, layer in enumerate(caffe_net.layer):
        if not _in_phase(layer, phase):
            continue
        in_place = len(layer.bottom) == len(layer.top) == 1 and layer.bottom[0] == layer.top[0]
        color = choose_color_by_layertype(layer.type)
        style = NEURON_LAYER_STYLE if in_place else {**LAYER_STYLE_DEFAULT, "fillcolor": color}
        box = _quoted(f"layer {index} {layer.name}")
        graph.add_node(pydot.Node(box, label=get_layer_label(layer, rankdir, display_lrm), **style))
        for blob in [*layer.bottom, *layer.top]:
            if blob not in blobs:
                blobs.add(blob)
                graph.add_node(pydot.Node(_quoted(f"blob {blob}"), label=_quoted(blob), **BLOB_STYLE))
        for blob in layer.bottom:
            graph.add_edge(pydot.Edge(_quoted(f"blob {blob}"), box))
        for blob in layer.top:
            label = get_edge_label(layer) if label_edges else '""'
            graph.add_edge(pydot.Edge(box, _quoted(f"blob {blob}"), label=_quoted(label.strip('"'))))
    return graph


def _quoted(text: str) -> str:
    return '"' + text.replace('"', r"\"") + '"'


def draw_net(
    caffe_net: caffe_pb2.NetParameter,
    rankdir: str,
    ext: str = "png",
    phase: int | None = None,
    display_lrm: bool = False,
) -> bytes:
    """The picture as the bytes of a file of format ``ext``; ``dot`` and ``raw`` are Graphviz's text.

    Raises:
        DrawError: pydot or Graphviz is not installed.
    """
    graph = get_pydot_graph(caffe_net, rankdir, phase=phase, display_lrm=display_lrm)
    if ext in _TEXT_FORMATS:
        text: str = graph.to_string()
        return text.encode()
    try:
        picture: bytes = graph.create(format=ext)
    except FileNotFoundError as error:
        raise DrawError(f"drawing a {ext} needs Graphviz, whose program dot is not on the PATH; install it") from error
    return picture


def draw_net_to_file(
    caffe_net: caffe_pb2.NetParameter,
    filename: str,
    rankdir: str = "LR",
    phase: int | None = None,
    display_lrm: bool = False,
) -> None:
    """Draw the net into a file; its suffix chooses the format.

    Raises:
        DrawError: pydot or Graphviz is not installed; no file is made then.
    """
    picture = draw_net(caffe_net, rankdir, Path(filename).suffix.removeprefix("."), phase, display_lrm)
    Path(filename).write_bytes(picture)
