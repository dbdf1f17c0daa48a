"""The engines by name; one of them built, run and timed in this process."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from statistics import median
from typing import Any

import numpy as np

from engines.images import images
from engines.work import Work
from measuring.own_process import peak_bytes
from measuring.timing import time_calls

__all__ = ["ENGINES", "Engine", "time_engine"]


@dataclass(frozen=True)
class Engine:
    """Where an engine is.

    Args:
        module: its module in this folder.
        forward: its function for a forward.
        step: that for a solver step; empty where it has none.
        reads: kind of files it reads, as ``files.write`` knows them; empty where none.
        precisions: it knows.
        cuda: whether it knows device ``cuda:0``.
    """

    module: str
    forward: str = "forward"
    step: str = ""
    reads: str = ""
    precisions: tuple[str, ...] = ("fp32",)
    cuda: bool = False


_BOTH = ("fp32", "bf16")
ENGINES = {
    "ours (lean)": Engine("ours", step="step", reads="caffe", precisions=_BOTH, cuda=True),
    "ours (no file)": Engine("ours", "forward_in_memory", precisions=_BOTH, cuda=True),
    "torch": Engine("plain_torch", step="step", precisions=_BOTH, cuda=True),
    "torch channels_last": Engine(
        "plain_torch", "channels_last_forward", "channels_last_step", precisions=_BOTH, cuda=True
    ),
    "opencv": Engine("opencv_dnn", reads="caffe"),
    "onnxruntime": Engine("onnx_runtime", reads="onnx"),
    "openvino": Engine("open_vino", reads="onnx", precisions=_BOTH),
    "ncnn": Engine("ncnn_net", reads="ncnn"),
}


def time_engine(
    engine: str, task: str, work: dict[str, Any], repeats: int, warm_up: int = 2, scores: str = ""
) -> dict[str, Any]:
    """Seconds of each call and peak memory of one engine.

    Args:
        engine: one of ``ENGINES``.
        task: ``forward`` or ``step``.
        work: the fields of a Work.
        repeats: timed calls, each on another image than the one before.
        warm_up: calls before.
        scores: path of an .npy file that takes the first image's scores, after everything has been measured.

    Raises:
        NotImplementedError: the engine has not the device or the precision.
        ImportError: it is not installed.
    """
    given, known = Work(**work), ENGINES[engine]
    if given.device != "cpu" and not known.cuda:
        raise NotImplementedError("it is measured on the CPU only")
    if given.precision not in known.precisions:
        raise NotImplementedError(f"it is not measured at {given.precision}")
    run: Callable[[np.ndarray], Any] = getattr(import_module(f"engines.{known.module}"), getattr(known, task))(given)
    shown = images(given.shape)
    seconds = time_calls(run, shown, repeats, warm_up)
    found = {"seconds": median(seconds), "all_seconds": seconds, "bytes": peak_bytes()}
    if scores:
        np.save(scores, run(shown[0]))
    return found
