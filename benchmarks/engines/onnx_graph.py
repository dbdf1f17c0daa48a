"""Steps to an ONNX file, as ONNX Runtime and OpenVINO read it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines.steps import Step

__all__ = ["write_onnx"]

_OPSET = 13
_IR_VERSION = 8


def write_onnx(path: Path, steps: Sequence[Step], data_shape: Sequence[int]) -> None:
    """Write the file; its input is ``data``, its output bears the last step's name."""
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def constant(name: str, values: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(values, name))
        return name

    def add(op: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
        nodes.append(helper.make_node(op, list(inputs), [output], name=f"{op}_{output}", **attributes))

    for step in steps:
        out = f"{step.name}_linear" if step.relu else step.name
        sides = {"kernel_shape": [step.kernel] * 2, "strides": [step.stride] * 2}
        if step.kind in ("convolution", "deconvolution"):
            named = zip(("weight", "bias"), (step.weight, step.bias), strict=True)
            given = [constant(f"{step.name}_{name}", value) for name, value in named if value is not None]
            op = "Conv" if step.kind == "convolution" else "ConvTranspose"
            add(op, [*step.bottoms, *given], out, pads=[step.pad] * 4, **sides)
        elif step.kind == "max_pool":
            add("MaxPool", step.bottoms, out, ceil_mode=1, **sides)
        elif step.kind == "crop":
            starts = np.array(step.offset[2:], np.int64)
            ends = starts + np.array(step.top_shape[2:], np.int64)
            bounds = {"starts": starts, "ends": ends, "axes": np.array([2, 3], np.int64)}
            add("Slice", [*step.bottoms, *(constant(f"{step.name}_{n}", v) for n, v in bounds.items())], out)
        else:
            add("Add", step.bottoms, out)
        if step.relu:
            add("Relu", [out], step.name)
    data = helper.make_tensor_value_info("data", TensorProto.FLOAT, list(data_shape))
    score = helper.make_tensor_value_info(steps[-1].name, TensorProto.FLOAT, list(steps[-1].top_shape))
    graph = helper.make_graph(nodes, "net", [data], [score], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    path.write_bytes(model.SerializeToString())
