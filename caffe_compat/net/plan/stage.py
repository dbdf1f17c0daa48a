"""Chains: stretches of a net in which each layer's only bottom is the top of the layer before it, and their stages.

A chain's inner blobs are never seen, so a rewrite may compute them in part, in another order or not at all. It is made
of stages: a 2-D Convolution with the ReLU that follows it, or a MAX or AVE Pooling. Dropout does nothing in phase TEST.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from caffe_compat.layer.blob import Blob
from caffe_compat.layer.vision.convolution import Convolution
from caffe_compat.layer.vision.pooling import Pooling
from caffe_compat.net.graph import Node
from caffe_compat.proto import caffe_pb2 as pb

__all__ = ["Chain", "Stage", "find_chain", "is_convolution"]

Pair = tuple[int, int]


@dataclass(eq=False)
class Stage:
    """A Convolution, with or without a ReLU, or a Pooling.

    Attributes:
        node: the layer's.
        relu: whether a ReLU follows.
        on: the rewrites of a single convolution that it may use: "fuse", "winograd".
        dtype: what a Convolution computes in.
    """

    node: Node
    relu: bool = False
    on: frozenset[str] = frozenset()
    dtype: torch.dtype = torch.float32

    @property
    def pools(self) -> bool:
        """Whether it is a Pooling."""
        return isinstance(self.node.layer, Pooling)

    @property
    def lacks(self) -> bool:
        """Whether it is a Convolution with a kernel larger than the padded bottom, which Caffe allows in part."""
        layer = self.node.layer
        return isinstance(layer, Convolution) and any(layer.window.lacking(self.node.bottom[0].shape[2:]))

    @property
    def extent(self) -> Pair:
        """Rows and columns from the first to the last that one value of the top sees, both included."""
        layer = self.node.layer
        if isinstance(layer, Pooling):
            return layer.kernel
        assert isinstance(layer, Convolution)
        return layer.window.extent[0], layer.window.extent[1]

    @property
    def stride(self) -> Pair:
        """Rows and columns from one window to the next."""
        layer = self.node.layer
        return layer.stride if isinstance(layer, Pooling) else _pair(layer, "stride")

    @property
    def pad(self) -> Pair:
        """Zero rows and columns on each side."""
        layer = self.node.layer
        return layer.pad if isinstance(layer, Pooling) else _pair(layer, "pad")


def _pair(layer: object, name: str) -> Pair:
    assert isinstance(layer, Convolution)
    first, second = getattr(layer.window, name)
    return first, second


@dataclass(eq=False)
class Chain:
    """Consecutive nodes and the stages they make up."""

    nodes: list[Node]
    stages: list[Stage]

    @property
    def bottom(self) -> Blob:
        """What it reads."""
        return self.nodes[0].bottom[0]

    @property
    def top(self) -> Blob:
        """What it makes."""
        return self.nodes[-1].top[0]


def find_chain(nodes: Sequence[Node], first: int, last: int, seen: Callable[[Blob], bool]) -> Chain | None:
    """The longest chain that begins with the Convolution at ``first`` and ends no later than ``last``, or None.

    Args:
        nodes: the net's.
        first: index of a node.
        last: index of a node.
        seen: whether somebody may read a blob after the forward.
    """
    if not is_convolution(nodes[first]):
        return None
    chain = Chain([nodes[first]], [Stage(nodes[first])])
    for node in nodes[first + 1 : last + 1]:
        before = chain.nodes[-1]
        if not _links(before, node) or (not node.in_place and seen(before.top[0])) or not _add(chain, node):
            break
    return chain


def _links(before: Node, node: Node) -> bool:
    """Whether a node's only bottom is the only top of the one before; splits give every blob a single consumer."""
    return (
        node.layer.phase == pb.TEST
        and len(node.bottom) == len(node.top) == len(before.top) == 1
        and node.bottom[0] is before.top[0]
        and not any(before.loss_weights)
    )


def _add(chain: Chain, node: Node) -> bool:
    """Take a node into the chain, if it can be."""
    layer = node.layer
    if layer.type == "ReLU" and layer.param.relu_param.negative_slope == 0 and not chain.stages[-1].pools:
        chain.stages[-1].relu = True
    elif is_convolution(node) or (isinstance(layer, Pooling) and _pools_plainly(layer)):
        chain.stages.append(Stage(node))
    elif layer.type != "Dropout":
        return False
    chain.nodes.append(node)
    return True


def _pools_plainly(layer: Pooling) -> bool:
    param = layer.param.pooling_param
    return param.pool in (param.MAX, param.AVE) and not param.global_pooling


def is_convolution(node: Node) -> bool:
    """Whether it is a 2-D Convolution of one bottom, in phase TEST."""
    layer = node.layer
    return (
        isinstance(layer, Convolution)
        and layer.phase == pb.TEST
        and len(node.bottom) == len(node.top) == 1
        and layer.channel_axis == 1
        and layer.axes == 4
    )
