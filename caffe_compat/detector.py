"""Detector: pycaffe's net that classifies windows of pictures, as R-CNN does.

    detector = caffe_compat.Detector("deploy.prototxt", "rcnn.caffemodel", mean=mean_bgr, raw_scale=255,
                                     channel_swap=(2, 1, 0), context_pad=16)
    for found in detector.detect_windows([("cat.jpg", [(10, 20, 110, 220)])]):      # ymin, xmin, ymax, xmax
        print(found["filename"], found["window"], found["prediction"])

Source: BVLC/caffe python/caffe/detector.py.
"""

import importlib
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from caffe_compat.classifier import picture_transformer
from caffe_compat.errors import CaffeError, DataError, NetError
from caffe_compat.io import load_image, resize_image
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST

__all__ = ["Detector", "SelectiveSearchError"]

_SEARCH = "selective_search_ijcv_with_python"


class SelectiveSearchError(CaffeError, ImportError):
    """Selective search is not installed; an ImportError too, as in pycaffe."""


class Detector(Net):
    """A TEST net that is run on windows, each cut out and resized to its first input.

    Args:
        model_file: the net's prototxt, with a batch of any size.
        pretrained_file: its weights.
        mean: to subtract, in the input's channel order and range; C values or C x H x W.
        input_scale: factor after the mean is subtracted.
        raw_scale: factor before, such as 255.
        channel_swap: order of channels, such as (2, 1, 0) for BGR.
        context_pad: how many pixels at each side of the input show what surrounds the window; None or 0: none.

    Attributes:
        transformer: what is done to each crop; see ``io.Transformer``.
        crop_dims: height, width and channels of the input.
        context_pad: as given.

    Raises:
        NetError, ParseError, WeightsError: as for Net; a context_pad that leaves no room for the window.
        ArrayError: a mean or channel order that does not fit the input.
    """

    def __init__(
        self,
        model_file: str | os.PathLike[str],
        pretrained_file: str | os.PathLike[str] | None,
        mean: np.ndarray | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
        context_pad: int | None = None,
    ) -> None:
        super().__init__(model_file, TEST, weights=pretrained_file)
        self.transformer = picture_transformer(self, mean, input_scale, raw_scale, channel_swap)
        self.configure_crop(context_pad)

    def detect_windows(
        self, images_windows: Iterable[tuple[str | os.PathLike[str], Iterable[Sequence[float]]]]
    ) -> list[dict[str, Any]]:
        """Run the net on windows of pictures.

        Args:
            images_windows: picture files, each with its windows: ymin, xmin, ymax, xmax in pixels.

        Returns:
            For each window, in order, ``filename``, ``window`` as given, and ``prediction``, the first output's row.

        Raises:
            ImageError: a picture cannot be read.
            DataError: a window with nothing of the picture in it.
        """
        found: list[dict[str, Any]] = []
        crops: list[np.ndarray] = []
        name = self.inputs[0]
        for filename, windows in images_windows:
            image = load_image(filename)
            for window in windows:
                crops.append(self.transformer.preprocess(name, self.crop(image, window)))
                found.append({"window": window, "filename": filename})
        if not crops:
            return []
        predictions = self.forward_all(None, **{name: np.stack(crops)})[self.outputs[0]]
        for one, prediction in zip(found, predictions, strict=True):
            one["prediction"] = prediction
        return found

    def detect_selective_search(self, image_fnames: Sequence[str | os.PathLike[str]]) -> list[dict[str, Any]]:
        """Run the net on the windows that selective search proposes; see ``detect_windows``.

        Raises:
            SelectiveSearchError: the package that runs it, in MATLAB, is not installed.
        """
        try:
            search = importlib.import_module(_SEARCH)
        except ModuleNotFoundError as error:
            if error.name != _SEARCH:
                raise
            raise SelectiveSearchError(
                f"selective search needs the Python package {_SEARCH} and MATLAB; install it from "
                f"https://github.com/sergeyk/{_SEARCH}, or propose windows yourself and call detect_windows "
                "(caffe-compat detect: -crop_mode=list)",
            ) from error
        paths = [os.path.abspath(name) for name in image_fnames]  # MATLAB has a working folder of its own
        windows = search.get_windows(paths, cmd="selective_search_rcnn")
        return self.detect_windows(zip(paths, windows, strict=True))

    def crop(self, im: np.ndarray, window: Sequence[float]) -> np.ndarray:
        """A window of a picture; with context_pad also what surrounds it, at the input's size, with the mean where the
        picture ends.

        Args:
            im: H x W x C.
            window: ymin, xmin, ymax, xmax, pixels.

        Raises:
            DataError: nothing of the picture is in the window.
        """
        box = np.array(window, np.float64)  # ymin, xmin, ymax, xmax
        if self.context_pad:
            return self._crop_with_context(im, box, self.context_pad)
        y1, x1, y2, x2 = box.astype(int)
        crop = im[y1:y2, x1:x2]
        if not crop.size:
            raise DataError(f"Detector.crop: window {tuple(window)} holds nothing of a picture of shape {im.shape}")
        return crop

    def _crop_with_context(self, im: np.ndarray, box: np.ndarray, pad: int) -> np.ndarray:
        size = int(self.crop_dims[1])  # R-CNN's inputs are square
        half = (box[2:] - box[:2] + 1) / 2
        centre = box[:2] + half
        half = half * size / (size - 2 * pad)
        begin, end = np.round(centre - half), np.round(centre + half)
        scale = size / (end - begin + 1)  # of the picture's pixels to the input's
        before = [round(value) for value in np.maximum(0, -begin) * scale]  # beyond the picture, input pixels
        limits = np.array(im.shape[:2])
        begin, end = np.clip(begin, 0, limits), np.clip(end, 0, limits)
        (y1, x1), (y2, x2) = begin.astype(int), end.astype(int)
        inside = [min(round(value), size - b) for value, b in zip((end - begin + 1) * scale, before, strict=True)]
        if y2 <= y1 or x2 <= x1 or min(inside) < 1:
            raise DataError(f"Detector.crop: window {tuple(box)} holds nothing of a picture of shape {im.shape}")
        crop = np.ones(self.crop_dims, np.float32) * self.crop_mean
        (y, x), (height, width) = before, inside
        crop[y : y + height, x : x + width] = resize_image(im[y1:y2, x1:x2], (height, width))
        return crop

    def configure_crop(self, context_pad: int | None) -> None:
        """Set how much context ``crop`` adds, and the mean that it fills up with, in the pictures' own range.

        Args:
            context_pad: pixels of the input at each side; None or 0 for none.

        Raises:
            NetError: it leaves no room for the window, or is below 0.
        """
        name = self.inputs[0]
        channels, height, width = self.blobs[name].shape[1:]
        self.crop_dims = np.array((height, width, channels))
        self.context_pad = context_pad
        if not context_pad:
            return
        if not 0 < 2 * context_pad < width:
            raise NetError(
                f"Detector: context_pad {context_pad} for an input of width {width}; give 0 to {(width - 1) // 2}"
            )
        self.crop_mean = np.zeros(self.crop_dims, np.float32)
        mean = self.transformer.mean.get(name)
        if mean is not None:
            planes = mean.reshape((1,) * (3 - mean.ndim) + mean.shape).transpose(1, 2, 0)  # H x W x C
            if name in self.transformer.channel_swap:
                planes = planes[:, :, np.argsort(self.transformer.channel_swap[name])]
            self.crop_mean = planes / self.transformer.raw_scale.get(name, 1)
