"""What bf16 does to our scores, for random weights of several kinds: how far rounding reaches depends on them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from caffe_compat import TEST, Net
from engines.images import images
from engines.ours import begin, deploy_param, set_weights
from engines.work import Work
from measuring.agreement import agree

__all__ = ["compare_rounded", "kinds"]


def _without_bias(net: Net) -> None:
    set_weights(net)
    for layer in net.layers:
        if layer.type == "Convolution":
            layer.blobs[1].write(np.zeros(layer.blobs[1].shape, np.float32))


def _as_torch_begins(net: Net) -> None:
    """torch.nn.Conv2d's initial weights and biases: uniform within 1 / sqrt(fan in)."""
    set_weights(net)
    rng = np.random.default_rng(0)
    for layer in net.layers:
        if layer.type == "Convolution":
            most = float(np.prod(layer.blobs[0].shape[1:])) ** -0.5
            for blob in layer.blobs:
                blob.write((2 * rng.random(blob.shape, np.float32) - 1) * np.float32(most))


_KINDS: dict[str, Callable[[Net], None]] = {
    "as everywhere here: He's, biases of 0.1": set_weights,
    "He's, no biases": _without_bias,
    "PyTorch's initial ones": _as_torch_begins,
}


def kinds() -> dict[str, Any]:
    """Names of the kinds of weights."""
    return {"names": list(_KINDS)}


def compare_rounded(work: dict[str, Any], kind: str) -> dict[str, Any]:
    """Scores at bf16 beside those at fp32: the worst of several images.

    Args:
        work: the fields of a Work.
        kind: of weights, one of ``kinds``.
    """
    given = Work(**work)
    begin(given)
    scores = {}
    for precision in ("fp32", "bf16"):
        asked = replace(given, precision=precision)
        net = Net(deploy_param(asked), TEST, keep=["score"], precision=precision)
        _KINDS[kind](net)
        scores[precision] = [_forward(net, image) for image in images(given.shape)]
        del net
    found = [agree(low, full) for low, full in zip(scores["bf16"], scores["fp32"], strict=True)]
    return {"difference": max(one.difference for one in found), "argmax": min(one.argmax for one in found)}


def _forward(net: Net, image: np.ndarray) -> np.ndarray:
    net.blobs["data"].data[...] = image
    return net.forward()["score"].copy()
