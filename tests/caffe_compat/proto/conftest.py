"""What the tests of weights files share."""

import numpy as np
import pytest

from caffe_compat.proto.caffe_pb2 import NetParameter


@pytest.fixture(scope="session")
def same():
    """Holds lists of arrays to be equal, value for value, and float32."""

    def hold(ours, theirs):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype == np.float32

    return hold


@pytest.fixture(scope="session")
def write_net():
    """Writes a net of one layer with these blobs, in the form of today or of V1, and gives the path."""

    def write(path, *blobs, old=False):
        net = NetParameter(name="n")
        if old:
            net.layers.add(name="l", type=14, blobs=blobs)
        else:
            net.layer.add(name="l", type="InnerProduct", blobs=blobs)
        path.write_bytes(net.SerializeToString())
        return path

    return write
