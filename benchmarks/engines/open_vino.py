"""OpenVINO on net.onnx."""

from collections.abc import Callable

import numpy as np
import openvino

from engines.work import Work

__all__ = ["forward"]


def forward(work: Work) -> Callable[[np.ndarray], np.ndarray]:
    """The net compiled for latency, at work.precision: by itself OpenVINO takes bf16 where the CPU has it."""
    settings = {
        "INFERENCE_NUM_THREADS": work.threads,
        "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[work.precision],
        "PERFORMANCE_HINT": "LATENCY",
    }
    core = openvino.Core()
    request = core.compile_model(f"{work.folder}/net.onnx", "CPU", settings).create_infer_request()

    def run(image: np.ndarray) -> np.ndarray:
        request.infer([image])
        return request.get_output_tensor(0).data

    return run
