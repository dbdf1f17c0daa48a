"""The lines in which Caffe tells how it builds a net: layers, bottoms and tops, shapes, what needs backward.

They are many, so they are logged only inside ``logging_builds()``, which Caffe's tools turn on. Not among them: lines
of a loss's inner layers, of data layers' files and of shared parameters.

Source: BVLC/caffe src/caffe/net.cpp (Init, FilterNet, StateMeetsRule, AppendTop, AppendBottom).
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

from google.protobuf import text_format

from caffe_compat import glog
from caffe_compat.net.graph import Graph, Node
from caffe_compat.net.state_filter import filter_net
from caffe_compat.proto import caffe_pb2 as pb

__all__ = ["log_build", "logging_builds"]

_wanted = False


@contextmanager
def logging_builds() -> Iterator[None]:
    """Log how nets are built while the block runs."""
    global _wanted
    before, _wanted = _wanted, True
    try:
        yield
    finally:
        _wanted = before


def log_build(param: pb.NetParameter, graph: Graph) -> None:
    """Log how a net was built, if that is wanted.

    Args:
        param: the net as given, with its state.
        graph: what became of it.
    """
    if not _wanted:
        return
    for layer in param.layer:
        for rule in (*layer.include, *layer.exclude):
            _log_rule(param.state, rule, layer.name)
    text = text_format.MessageToString(filter_net(param), as_utf8=True).rstrip()
    glog.info("net.cpp:53", f"Initializing net from parameters: \n{text}")
    memory = 0
    for node in graph.nodes:
        memory = _log_node(node, memory)
    for node in reversed(graph.nodes):
        if node.need_backward:
            glog.info("net.cpp:200", f"{node.layer.name} needs backward computation.")
        else:
            glog.info("net.cpp:202", f"{node.layer.name} does not need backward computation.")
    for name in graph.outputs:
        glog.info("net.cpp:244", f"This network produces output {name}")
    glog.info("net.cpp:257", "Network initialization done.")


def _log_rule(state: pb.NetState, rule: pb.NetStateRule, layer: str) -> None:
    """Say the first thing in which the state does not meet a rule, if any."""
    where = f"specified by a rule in layer {layer}"
    if rule.HasField("phase") and rule.phase != state.phase:
        glog.info("net.cpp:296", f"The NetState phase ({state.phase}) differed from the phase ({rule.phase}) {where}")
    elif rule.HasField("min_level") and state.level < rule.min_level:
        glog.info(
            "net.cpp:304", f"The NetState level ({state.level}) is above the min_level ({rule.min_level}) {where}"
        )
    elif rule.HasField("max_level") and state.level > rule.max_level:
        glog.info(
            "net.cpp:312", f"The NetState level ({state.level}) is above the max_level ({rule.max_level}) {where}"
        )
    elif missing := [stage for stage in rule.stage if stage not in state.stage]:
        glog.info("net.cpp:325", f"The NetState did not contain stage '{missing[0]}' {where}")
    elif found := [stage for stage in rule.not_stage if stage in state.stage]:
        glog.info("net.cpp:339", f"The NetState contained a not_stage '{found[0]}' {where}")


def _log_node(node: Node, memory: int) -> int:
    """Log one layer; returns the bytes of all tops so far."""
    name = node.layer.name
    glog.info("layer_factory.hpp:77", f"Creating layer {name}")
    glog.info("net.cpp:86", f"Creating Layer {name}")
    for bottom in node.bottom_names:
        glog.info("net.cpp:408", f"{name} <- {bottom}")
    for i, top in enumerate(node.top_names):
        if i < len(node.bottom_names) and node.bottom_names[i] == top:
            glog.info("net.cpp:369", f"{name} -> {top} (in-place)")
        else:
            glog.info("net.cpp:382", f"{name} -> {top}")
    glog.info("net.cpp:124", f"Setting up {name}")
    for blob, weight in zip(node.top, node.loss_weights, strict=True):
        shape = blob.shape if not node.in_place or node.top_shapes is None else node.top_shapes[0]
        count = math.prod(shape)
        glog.info("net.cpp:131", f"Top shape: {' '.join([*map(str, shape), f'({count})'])}")
        if weight:
            glog.info("net.cpp:134", f"    with loss weight {glog.number(weight)}")
        memory += 4 * count
    glog.info("net.cpp:139", f"Memory required for data: {memory}")
    return memory
