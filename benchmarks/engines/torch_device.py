"""Threads and device of PyTorch, on which ours runs too."""

import torch

from engines.work import Work

__all__ = ["begin", "finish"]


def begin(work: Work) -> None:
    """Set the threads; on CUDA compute fp32 as fp32, without TF32.

    Raises:
        NotImplementedError: the device is not there.
    """
    torch.set_num_threads(work.threads)
    if work.device == "cpu":
        return
    if not torch.cuda.is_available():
        raise NotImplementedError(f"device {work.device}: PyTorch finds no CUDA device here")
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def finish(work: Work) -> None:
    """Wait for what has been begun on the device."""
    if work.device != "cpu":
        torch.cuda.synchronize(work.device)
