"""A thin voc-fcn8s trained on drawn images: its losses."""

from typing import Any

import numpy as np
from PIL import Image

from data_prep.shapes import draw_pair
from engines.ours import begin, solver
from engines.work import Work
from nets.catalogue import lookup
from nets.sources import InputData

__all__ = ["train"]

_CLASSES = (1, 6, 8, 15)
_IMAGES = 40
_MEAN = 120.0
_SETTINGS = {"base_lr": 0.003, "momentum": 0.9, "clip_gradients": 1.0}


def train(work: dict[str, Any], iterations: int, seed: int) -> dict[str, Any]:
    """Losses of each iteration, per pixel.

    Args:
        work: the fields of a Work; all images are brought to its size.
        iterations: how many.
        seed: of Dropout; the images and their order are the same for all.
    """
    given = Work(**work)
    begin(given)
    source = InputData({"data": given.shape, "label": given.label_shape})
    param = lookup("voc-fcn8s").build(source, width=given.channels, normalize=True)
    made = solver(given, param, random_seed=seed, **_SETTINGS)
    for name, blobs in made.net.params.items():
        if name.startswith("score"):  # zero at first, as in the released recipes
            for blob in blobs:
                blob.data[...] = 0
    pairs = [_pair(number, given) for number in range(_IMAGES)]
    losses = []
    for iteration in range(iterations):
        image, label = pairs[iteration % _IMAGES]
        made.net.blobs["data"].data[...] = image
        made.net.blobs["label"].data[...] = label
        made.step(1)
        losses.append(float(made.loss))
    return {"losses": losses}


def _pair(number: int, work: Work) -> tuple[np.ndarray, np.ndarray]:
    """3 x H x W, BGR minus mean, and H x W class numbers."""
    image, label = draw_pair(np.random.RandomState(number), _CLASSES)
    size = (work.width, work.height)
    sized = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR), np.float32)
    return sized[:, :, ::-1].transpose(2, 0, 1) - _MEAN, np.asarray(Image.fromarray(label).resize(size, 0), np.float32)
