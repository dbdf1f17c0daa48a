"""The net as files, for the engines that read files: written once, in a process of its own."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from caffe_compat import TEST, Net
from caffe_compat.proto.text import write_text
from engines.ours import deploy_param, set_weights
from engines.steps import steps_of
from engines.work import Work

__all__ = ["write"]


def write(work: dict[str, Any], kinds: Sequence[str]) -> dict[str, Any]:
    """Write net.prototxt and net.caffemodel (kind caffe), net.onnx, net.param and net.bin (kind ncnn) to work.folder.

    Raises:
        ImportError: kind onnx, and the package is not installed; the other kinds have been written.
    """
    given = replace(Work(**work), precision="fp32")
    folder, param = Path(given.folder), deploy_param(given)
    net = Net(param, TEST)
    set_weights(net)
    if "caffe" in kinds:
        write_text(folder / "net.prototxt", param)
        net.save(folder / "net.caffemodel")
    if "ncnn" in kinds:
        from engines.ncnn_graph import write_ncnn

        write_ncnn(folder / "net.param", folder / "net.bin", steps_of(param, net))
    if "onnx" in kinds:
        from engines.onnx_graph import write_onnx

        write_onnx(folder / "net.onnx", steps_of(param, net), given.shape)
    return {"files": sorted(path.name for path in folder.iterdir())}
