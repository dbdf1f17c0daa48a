"""Nodes, blobs and parameters of a net, wired and checked, and which of them need gradients.

Source: BVLC/caffe src/caffe/net.cpp, Net::Init, AppendTop, AppendBottom, AppendParam.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from caffe_compat.errors import NetError
from caffe_compat.layer.blob import Blob, Shape, check_count
from caffe_compat.layer.contract import BlobLayer, Layer, SourceLayer
from caffe_compat.layer.registry import create_layer
from caffe_compat.net.params import ParamTable
from caffe_compat.proto import caffe_pb2 as pb

__all__ = ["Graph", "Node", "build_graph"]


@dataclass(eq=False)
class Node:
    """One layer in its place in the net.

    Attributes:
        bottom, top: its blobs; an in-place layer has the same Blob in both.
        bottom_need_backward: whether backward writes each bottom's diff.
        param_need_backward: whether backward adds to each parameter's diff.
        need_backward: whether backward runs the layer at all.
        loss_weights: weight of each top in the net's loss.
        state: the layer's memory between forwards (Context.state).
    """

    index: int
    layer: Layer
    bottom: list[Blob] = field(default_factory=list)
    top: list[Blob] = field(default_factory=list)
    bottom_names: list[str] = field(default_factory=list)
    top_names: list[str] = field(default_factory=list)
    bottom_need_backward: list[bool] = field(default_factory=list)
    param_need_backward: list[bool] = field(default_factory=list)
    need_backward: bool = False
    loss_weights: list[float] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)
    _shaped_for: list[Shape] | None = None
    top_shapes: list[Shape] | None = None

    @property
    def in_place(self) -> bool:
        """Whether top 0 overwrites bottom 0."""
        return bool(self.bottom and self.top) and self.bottom[0] is self.top[0]

    def setup(self) -> None:
        """Set the layer up for the bottoms' present shapes and give the tops theirs."""
        if isinstance(self.layer, BlobLayer):
            self.layer.setup_blobs(self.bottom, self.top)
        else:
            self.layer.setup([b.shape for b in self.bottom])
        self.reshape()

    def reshape(self) -> None:
        """Give the tops the shapes that follow from the bottoms'; cheap when nothing changed."""
        if isinstance(self.layer, BlobLayer):
            for top in self.top:
                top.revive_data()
            self.layer.reshape_blobs(self.bottom, self.top)
            return
        if isinstance(self.layer, SourceLayer) and self._shaped_for is not None:
            return  # from then on each batch shapes the tops
        shapes = [b.shape for b in self.bottom]
        if shapes != self._shaped_for:
            found = self.layer.reshape(shapes)
            self.top_shapes = None if found is None else [self._checked(s, i) for i, s in enumerate(found)]
            self._shaped_for = shapes
        for i, top in enumerate(self.top):
            known = self.top_shapes[i] if self.top_shapes is not None else (shapes + [(0,)])[min(i, len(shapes))]
            if top.shape != known:
                top.reshape(*known)

    def _checked(self, shape: Sequence[int], top: int) -> Shape:
        try:
            return check_count(shape, f"top {top} '{self.top_names[top]}'")
        except NetError as error:
            raise self.layer.error(str(error)) from error


@dataclass
class Graph:
    """A net's nodes in prototxt order, its blobs by name in order of making, its inputs, outputs and parameters."""

    name: str
    nodes: list[Node]
    blobs: dict[str, Blob]
    inputs: list[str]
    outputs: list[str]
    params: ParamTable


def build_graph(param: pb.NetParameter) -> Graph:
    """Wire a filtered, split net.

    Raises:
        LayerError: a layer that cannot be built here; the message names it.
        NetError: a net without layers.
    """
    if not param.layer:
        raise NetError(f"net '{param.name}' has no layers in phase {pb.Phase.Name(param.state.phase)}")
    builder = _Builder(param.state.phase)
    for message in param.layer:
        builder.add(message)
    nodes = builder.nodes
    _prune(nodes)
    if param.force_backward:
        _force(nodes)
    return Graph(param.name, nodes, builder.blobs, builder.inputs, sorted(builder.unused), builder.params)


class _Builder:
    """Adds layer after layer, as Net::Init's main loop does."""

    def __init__(self, phase: int) -> None:
        self.phase = phase
        self.nodes: list[Node] = []
        self.blobs: dict[str, Blob] = {}
        self.unused: set[str] = set()
        self.inputs: list[str] = []
        self.params = ParamTable()
        self._needs: dict[Blob, bool] = {}

    def add(self, message: pb.LayerParameter) -> None:
        phase = message.phase if message.HasField("phase") else self.phase
        layer = create_layer(message, phase)
        node = Node(len(self.nodes), layer)
        self._connect(node, message)
        node.setup()
        node.loss_weights = self._loss_weights(node, message)
        needs = any(self._needs[b] for b in node.bottom)
        self.params.check_count(layer)
        for i in range(len(layer.blobs)):
            needs |= self.params.append(layer, i)
        node.param_need_backward = [self.params.spec(layer, i).lr_mult != 0 for i in range(len(layer.blobs))]
        node.need_backward = needs
        for top in node.top:
            self._needs[top] = self._needs.get(top, False) or needs
        self.nodes.append(node)

    def _connect(self, node: Node, message: pb.LayerParameter) -> None:
        layer = node.layer
        if len(message.propagate_down) not in (0, len(message.bottom)):
            raise layer.error(
                f"{len(message.propagate_down)} propagate_down values for {len(message.bottom)} bottoms; "
                "give one for each bottom or none"
            )
        for i, name in enumerate(message.bottom):
            if name not in self.unused:
                raise layer.error(f"bottom {i} '{name}' is unknown or was consumed already")
            blob = self.blobs[name]
            node.bottom.append(blob)
            node.bottom_names.append(name)
            self.unused.discard(name)
            told = message.propagate_down[i] if message.propagate_down else self._needs[blob]
            node.bottom_need_backward.append(told)
        for i in range(layer.top_count):
            named = i < len(message.top)
            name = message.top[i] if named else f"({layer.name} top {i})"
            if i < len(message.bottom) and name == message.bottom[i]:
                blob = node.bottom[i]
            elif name in self.blobs:
                raise layer.error(f"top {i} '{name}' is made by an earlier layer too; rename one of them")
            else:
                blob = self.blobs[name] = Blob()
            node.top.append(blob)
            node.top_names.append(name)
            if named:  # one that the prototxt does not name is no output, as in Caffe
                self.unused.add(name)
            if layer.type == "Input":
                self.inputs.append(name)

    @staticmethod
    def _loss_weights(node: Node, message: pb.LayerParameter) -> list[float]:
        if len(message.loss_weight) not in (0, len(node.top), len(message.top)):
            raise node.layer.error(
                f"{len(message.loss_weight)} loss_weight values for {len(node.top)} tops; give one for each top or none"
            )
        given = list(message.loss_weight)
        return [given[i] if i < len(given) else node.layer.default_loss_weight(i) for i in range(len(node.top))]


def _prune(nodes: list[Node]) -> None:
    """No backward where it cannot reach a loss, or where every consumer refuses to propagate down."""
    under_loss: set[str] = set()
    skipped: set[str] = set()
    for node in reversed(nodes):
        contributes = any(
            w != 0 or name in under_loss for w, name in zip(node.loss_weights, node.top_names, strict=True)
        )
        if node.need_backward and all(name in skipped for name in node.top_names):
            node.need_backward = False
            node.bottom_need_backward = [False] * len(node.bottom)
        if not contributes:
            node.need_backward = False
            node.bottom_need_backward = [False] * len(node.bottom)
        for i, name in enumerate(node.bottom_names):
            if contributes:
                under_loss.add(name)
            if not node.bottom_need_backward[i]:
                skipped.add(name)


def _force(nodes: list[Node]) -> None:
    """force_backward: every layer, every parameter, and every bottom that allows it (labels do not)."""
    for node in nodes:
        node.need_backward = True
        node.bottom_need_backward = [
            need or node.layer.allows_force_backward(i) for i, need in enumerate(node.bottom_need_backward)
        ]
        node.param_need_backward = [True] * len(node.param_need_backward)
