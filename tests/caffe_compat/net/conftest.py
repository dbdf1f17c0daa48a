"""``make_net``: a net from prototxt text. ``fill_net``: the same random weights and inputs for every net."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format

import caffe_compat
from caffe_compat.net.net import Net
from caffe_compat.proto import caffe_pb2 as pb


@pytest.fixture
def make_net() -> Callable[..., Net]:
    """make_net(text, phase=TEST, **keywords of Net)."""

    def make(text: str, phase: int | None = caffe_compat.TEST, **keywords: Any) -> Net:
        return Net(text_format.Parse(text, pb.NetParameter()), phase=phase, **keywords)

    return make


@pytest.fixture
def fill_net() -> Callable[..., Net]:
    """fill_net(net, seed=0): normal values in every parameter that is its own and in every input; gives the net."""

    def fill(net: Net, seed: int = 0) -> Net:
        rng = np.random.RandomState(seed)
        for blob in [*net.learnable_params, *(net.blobs[name] for name in net.inputs)]:
            blob.data[...] = rng.standard_normal(blob.shape)
        return net

    return fill
