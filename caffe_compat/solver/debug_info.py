"""debug_info: the mean size of every activation, parameter and gradient, in the iterations that are displayed.

Source: BVLC/caffe src/caffe/net.cpp (ForwardDebugInfo, BackwardDebugInfo, Backward).
"""

import math

from caffe_compat import glog
from caffe_compat.errors import NetError
from caffe_compat.layer.blob import Blob
from caffe_compat.net.net import Net

__all__ = ["DebugInfo"]


class DebugInfo:
    """Logs what passes through a net while ``active``; blobs that a lean net has dropped are left out.

    Args:
        net: the net to watch.
    """

    def __init__(self, net: Net) -> None:
        self.active = False
        self._net = net
        net.after_forward(self._forward)
        net.after_backward(self._backward)

    def _forward(self, index: int) -> None:
        if not self.active:
            return
        owner, layer = self._net._layer_names[index], self._net.layers[index]
        for name in self._net.top_names[owner]:
            self._show("Forward", owner, f"top blob {name} data", self._net.blobs[name], diff=False)
        for i, blob in enumerate(layer.blobs):
            self._show("Forward", owner, f"param blob {i} data", blob, diff=False)

    def _backward(self, index: int) -> None:
        if not self.active:
            return
        owner, layer = self._net._layer_names[index], self._net.layers[index]
        for name in self._net.bottom_names[owner]:
            self._show("Backward", owner, f"bottom blob {name} diff", self._net.blobs[name], diff=True)
        for i, blob in enumerate(layer.blobs):
            self._show("Backward", owner, f"param blob {i} diff", blob, diff=True)

    def _show(self, direction: str, layer: str, what: str, blob: Blob, diff: bool) -> None:
        try:
            if diff and not blob.has_diff:
                return
            values = blob.diff_tensor() if diff else blob.tensor()
        except NetError:
            return  # dropped
        mean = float(values.abs().sum()) / max(1, blob.count)
        glog.log(f"    [{direction}] Layer {layer}, {what}: {glog.number(mean)}")

    def params(self) -> None:
        """Log the norms of all parameters and of their gradients."""
        if not self.active:
            return
        sums = [0.0] * 4
        for blob in self._net.learnable_params:
            data, diff = blob.tensor(), blob.diff_tensor()
            for i, value in enumerate((data.abs().sum(), diff.abs().sum(), data.square().sum(), diff.square().sum())):
                sums[i] += float(value)
        l1, l2 = sums[:2], [math.sqrt(value) for value in sums[2:]]
        glog.log(
            f"    [Backward] All net params (data, diff): L1 norm = ({glog.number(l1[0])}, {glog.number(l1[1])}); "
            f"L2 norm = ({glog.number(l2[0])}, {glog.number(l2[1])})"
        )
