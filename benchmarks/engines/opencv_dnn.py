"""OpenCV's dnn on the same prototxt and caffemodel; opencv-python-headless below 5, the last to read Caffe files."""

from collections.abc import Callable

import cv2
import numpy as np

from engines.work import Work

__all__ = ["forward"]


def forward(work: Work) -> Callable[[np.ndarray], np.ndarray]:
    """The net read from net.prototxt and net.caffemodel."""
    cv2.setNumThreads(work.threads)
    net = cv2.dnn.readNetFromCaffe(f"{work.folder}/net.prototxt", f"{work.folder}/net.caffemodel")

    def run(image: np.ndarray) -> np.ndarray:
        net.setInput(image)
        return net.forward("score")

    return run
