"""A Split layer for every top that is used more than once, under Caffe's names.

The names show in net.blobs, in saved models and in logs: layer ``{blob}_{layer}_{top}_split`` with tops
``{blob}_{layer}_{top}_split_{k}``. A top with a loss weight of its own that is also consumed counts one use more; its
weight moves to the split's first top.

Source: BVLC/caffe src/caffe/util/insert_splits.cpp.
"""

from collections import defaultdict

from caffe_compat.errors import LayerError
from caffe_compat.proto import caffe_pb2 as pb

__all__ = ["insert_splits"]

Top = tuple[int, int]  # layer index, top index


def insert_splits(param: pb.NetParameter) -> pb.NetParameter:
    """A copy of the net in which every blob has at most one consumer.

    Raises:
        LayerError: a bottom that no earlier layer makes.
    """
    source, uses, weights = _uses(param)
    split = pb.NetParameter()
    split.CopyFrom(param)
    del split.layer[:]
    next_use: dict[Top, int] = defaultdict(int)
    for i, layer in enumerate(param.layer):
        copied = split.layer.add()
        copied.CopyFrom(layer)
        for j, blob in enumerate(layer.bottom):
            top = source[i, j]
            if uses[top] > 1:
                copied.bottom[j] = _split_top(param.layer[top[0]].name, blob, top[1], next_use[top])
                next_use[top] += 1
        for j, blob in enumerate(layer.top):
            if uses[i, j] > 1:
                split.layer.append(_split_layer(layer.name, blob, j, uses[i, j], weights[i, j]))
                if weights[i, j]:
                    copied.ClearField("loss_weight")
                    next_use[i, j] += 1
    return split


def _uses(param: pb.NetParameter) -> tuple[dict[tuple[int, int], Top], dict[Top, int], dict[Top, float]]:
    """Where each bottom comes from, how often each top is used, and each top's explicit loss weight."""
    last_top: dict[str, Top] = {}
    source: dict[tuple[int, int], Top] = {}
    uses: dict[Top, int] = defaultdict(int)
    weights: dict[Top, float] = defaultdict(float)
    for i, layer in enumerate(param.layer):
        for j, blob in enumerate(layer.bottom):
            if blob not in last_top:
                known = ", ".join(last_top) or "none"
                raise LayerError(
                    layer.name,
                    layer.type,
                    f"bottom {j} '{blob}' is not the top of any earlier layer; blobs made before it: {known}",
                )
            source[i, j] = last_top[blob]
            uses[last_top[blob]] += 1
        for j, blob in enumerate(layer.top):
            last_top[blob] = (i, j)
        for j, weight in enumerate(layer.loss_weight[: len(layer.top)]):
            weights[i, j] = weight
            if weight:
                uses[i, j] += 1
    return source, uses, weights


def _split_top(layer: str, blob: str, top: int, use: int) -> str:
    return f"{blob}_{layer}_{top}_split_{use}"


def _split_layer(layer: str, blob: str, top: int, uses: int, weight: float) -> pb.LayerParameter:
    made = pb.LayerParameter(name=f"{blob}_{layer}_{top}_split", type="Split", bottom=[blob])
    made.top.extend(_split_top(layer, blob, top, use) for use in range(uses))
    if weight:
        made.loss_weight.extend([weight] + [0.0] * (uses - 1))
    return made
