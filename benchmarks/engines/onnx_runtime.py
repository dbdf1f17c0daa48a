"""ONNX Runtime on net.onnx."""

from collections.abc import Callable

import numpy as np
import onnxruntime

from engines.work import Work

__all__ = ["forward"]


def forward(work: Work) -> Callable[[np.ndarray], np.ndarray]:
    """A session on the CPU, all graph optimizations on (the default)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = work.threads
    session = onnxruntime.InferenceSession(f"{work.folder}/net.onnx", options, providers=["CPUExecutionProvider"])

    def run(image: np.ndarray) -> np.ndarray:
        return session.run(["score"], {"data": image})[0]

    return run
