"""ncnn on net.param and net.bin; Winograd is on, as by default. Batch 1 only."""

from collections.abc import Callable

import ncnn
import numpy as np

from engines.work import Work

__all__ = ["forward"]


def forward(work: Work) -> Callable[[np.ndarray], np.ndarray]:
    """The net with ncnn's default options.

    Raises:
        NotImplementedError: the batch is above 1.
        ValueError: the files cannot be read.
    """
    if work.batch != 1:
        raise NotImplementedError(f"it takes one image per call; the batch is {work.batch}")
    net = ncnn.Net()
    net.opt.num_threads = work.threads
    if net.load_param(f"{work.folder}/net.param") or net.load_model(f"{work.folder}/net.bin"):
        raise ValueError(f"ncnn does not read {work.folder}/net.param and net.bin")

    def run(image: np.ndarray) -> np.ndarray:
        extractor = net.create_extractor()
        extractor.input("data", ncnn.Mat(image[0]))
        status, score = extractor.extract("score")
        if status:
            raise ValueError(f"ncnn's forward ended with status {status}")
        return np.array(score)[None]

    return run
