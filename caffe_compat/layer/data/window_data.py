"""WindowData: batches of windows cut out of pictures, as R-CNN trains on."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from caffe_compat.errors import DataError, WeightsError
from caffe_compat.layer.contract import Count
from caffe_compat.layer.data.image_data import read_image
from caffe_compat.layer.data.prefetch import BatchSource, PrefetchingLayer
from caffe_compat.layer.data.random_stream import RandomStream
from caffe_compat.layer.data.resize import resize_bilinear
from caffe_compat.layer.registry import register
from caffe_compat.proto import caffe_pb2 as pb
from caffe_compat.proto.blobs import read_blobproto
from caffe_compat.proto.datum import decode_image

__all__ = ["WindowData"]

_CHANNELS = 3  # pictures are always read in colour


@register
class WindowData(PrefetchingLayer):
    """Background and then foreground windows, drawn at random, each warped to a square and less the mean, times scale.

    A window whose overlap is at least fg_threshold is foreground and keeps its class; one below bg_threshold is
    background, class 0; others are not used. Each batch has floor(batch_size fg_fraction) foreground windows. With
    context_pad the window is first enlarged so that after warping that many pixels of context surround it; what lies
    outside the picture stays 0. crop_mode square also enlarges it to a square.

    Bottoms:  none.
    Tops:     data: batch_size x 3 x crop_size x crop_size, BGR; label: batch_size.
    Params:   window_data_param.source: a window file, in which each picture is "# index path channels height width
              windows" followed by that many "class overlap x1 y1 x2 y2"; batch_size, scale, fg_threshold,
              bg_threshold, fg_fraction, context_pad, crop_mode, cache_images, root_folder;
              transform_param.crop_size, mirror, mean_file, mean_value (its scale has no effect, as in Caffe).
    Raises:   LayerError: parameters that are missing or contradict each other.
              DataError: a window file or picture that cannot be read, no window of a kind that is needed, a window
              that leaves its picture.
    Source:   BVLC/caffe src/caffe/layers/window_data_layer.cpp.
    """

    type = "WindowData"
    tops = Count.exactly(2)

    def open_source(self) -> tuple[BatchSource, int]:
        """Read the window file, and with cache_images the pictures."""
        param, transform = self.param.window_data_param, self.param.transform_param
        if param.batch_size < 1 or transform.crop_size < 1:
            raise self.error("it needs window_data_param.batch_size and transform_param.crop_size, each 1 or more")
        if param.crop_mode not in ("warp", "square"):
            raise self.error(f"window_data_param.crop_mode '{param.crop_mode}' is unknown; known: warp, square")
        if not 0 <= param.fg_fraction <= 1:
            raise self.error(f"window_data_param.fg_fraction {param.fg_fraction} is not from 0 to 1")
        if 2 * param.context_pad >= transform.crop_size:
            raise self.error(
                f"window_data_param.context_pad {param.context_pad} leaves nothing of crop_size {transform.crop_size}"
            )
        return _Windows(param, transform, self._mean()), self.param.data_param.prefetch

    def _mean(self) -> np.ndarray:
        """What is subtracted: 3 x crop_size x crop_size, or 3 x 1 x 1."""
        transform = self.param.transform_param
        crop = transform.crop_size
        if not transform.HasField("mean_file"):
            values = np.asarray(list(transform.mean_value) or [0], np.float32)
            if len(values) not in (1, _CHANNELS):
                raise self.error(f"transform_param has {len(values)} mean_value; give 1 or {_CHANNELS}")
            return np.broadcast_to(values, _CHANNELS).reshape(-1, 1, 1)
        if transform.mean_value:
            raise self.error("transform_param has both mean_file and mean_value; give one of them")
        try:
            mean = read_blobproto(transform.mean_file)
        except WeightsError as failure:
            raise self.error(f"transform_param.mean_file: {failure}") from failure
        mean = mean.reshape(mean.shape[-3:]) if mean.shape[:-3] in ((), (1,)) else mean
        if mean.ndim != 3 or len(mean) != _CHANNELS or min(mean.shape[1:]) < crop:
            raise self.error(
                f"transform_param.mean_file {transform.mean_file}: shape {mean.shape}; "
                f"{_CHANNELS} x H x W of at least crop_size {crop} is wanted"
            )
        at = (mean.shape[2] - crop) // 2  # Caffe takes both offsets from the width
        if at + crop > mean.shape[1]:
            raise self.error(f"transform_param.mean_file {transform.mean_file}: shape {mean.shape}; use a square mean")
        return np.array(mean[:, at : at + crop, at : at + crop])


class _Picture(NamedTuple):
    path: str
    data: bytes | None  # the file's bytes, where pictures are cached


class _Window(NamedTuple):
    picture: _Picture
    label: int
    box: tuple[int, int, int, int]  # x1, y1, x2, y2: pixels, both ends inside


class _Windows:
    """Batches of windows."""

    def __init__(self, param: pb.WindowDataParameter, transform: pb.TransformationParameter, mean: np.ndarray) -> None:
        self._param = param
        self._crop = transform.crop_size
        self._mirror = transform.mirror
        self._mean = mean
        self._stream = RandomStream()
        fraction = np.float32(param.batch_size) * np.float32(param.fg_fraction)
        foreground, background = _read_windows(param)
        self._kinds = [(background, param.batch_size - int(fraction)), (foreground, int(fraction))]
        for (windows, count), kind in zip(self._kinds, ("background", "foreground"), strict=True):
            if count and not windows:
                raise DataError(
                    f"{param.source}: has no {kind} windows, but fg_fraction {param.fg_fraction} wants {count} in each "
                    "batch; change fg_fraction or the thresholds"
                )

    def load(self) -> list[np.ndarray]:
        data = np.zeros((self._param.batch_size, _CHANNELS, self._crop, self._crop), np.float32)
        labels = np.empty(self._param.batch_size, np.float32)
        item = 0
        for windows, count in self._kinds:
            for _ in range(count):
                window = windows[self._stream.below(len(windows))]
                self._cut(window, self._mirror and self._stream.below(2) == 1, data[item])
                labels[item] = window.label
                item += 1
        return [data, labels]

    def state(self) -> dict[str, Any]:
        return {"stream": self._stream.state()}

    def restore(self, state: dict[str, Any]) -> None:
        self._stream.restore(state["stream"])

    def close(self) -> None:
        pass

    def _cut(self, window: _Window, mirror: bool, out: np.ndarray) -> None:
        """Write a window to ``out``, 3 x crop x crop."""
        picture = window.picture
        if picture.data is not None:
            image = decode_image(picture.data, True, f"{self._param.source}: '{picture.path}'")
        else:
            image = read_image(picture.path, True, self._param.source)
        x1, y1, x2, y2 = window.box
        top = left = 0
        height = width = self._crop
        if self._param.context_pad or self._param.crop_mode == "square":
            (x1, y1, x2, y2), (left, top), (width, height) = self._enlarge(
                window, image.shape[2], image.shape[1], mirror
            )
        if not (0 <= x1 <= x2 < image.shape[2] and 0 <= y1 <= y2 < image.shape[1]) or width < 1 or height < 1:
            raise DataError(
                f"{self._param.source}: window {window.box} (x1, y1, x2, y2) leaves '{picture.path}', which is "
                f"{image.shape[2]} wide and {image.shape[1]} high, both ends counted from 0; correct the window file"
            )
        warped = resize_bilinear(image[:, y1 : y2 + 1, x1 : x2 + 1], height, width)
        if mirror:
            warped = warped[:, :, ::-1]
        place = np.s_[:, top : top + height, left : left + width]
        mean = self._mean[place] if self._mean.shape[1] > 1 else self._mean
        out[place] = (warped - mean) * np.float32(self._param.scale)

    def _enlarge(
        self, window: _Window, image_width: int, image_height: int, mirror: bool
    ) -> tuple[tuple[int, int, int, int], tuple[int, int], tuple[int, int]]:
        """The box with its context inside the picture; where it goes in the crop (x, y); its size there (x, y)."""
        x1, y1, x2, y2 = window.box
        half = [np.float32(x2 - x1 + 1) / 2, np.float32(y2 - y1 + 1) / 2]
        centre = [np.float32(x1) + half[0], np.float32(y1) + half[1]]
        if self._param.crop_mode == "square":
            half = [max(half)] * 2
        context = np.float32(self._crop) / np.float32(self._crop - 2 * self._param.context_pad)
        low, high, place, size = [0, 0], [0, 0], [0, 0], [0, 0]
        for axis, extent in ((0, image_width), (1, image_height)):
            first = _round(centre[axis] - half[axis] * context)
            last = _round(centre[axis] + half[axis] * context)
            before, after = max(0, -first), max(0, last - extent + 1)
            scale = np.float32(self._crop) / np.float32(last - first + 1)
            low[axis], high[axis] = first + before, last - after
            size[axis] = _round(np.float32(high[axis] - low[axis] + 1) * scale)
            place[axis] = _round(np.float32(after if axis == 0 and mirror else before) * scale)
            size[axis] = min(size[axis], self._crop - place[axis])
        return (low[0], low[1], high[0], high[1]), (place[0], place[1]), (size[0], size[1])


def _round(value: np.float32) -> int:
    """To the nearest whole number, halves away from zero, as C's round."""
    return int(math.copysign(math.floor(abs(float(value)) + 0.5), value))


def _read_windows(param: pb.WindowDataParameter) -> tuple[list[_Window], list[_Window]]:
    """The foreground and the background windows of a window file."""
    try:
        words = iter(Path(param.source).read_text(encoding="utf-8", errors="surrogateescape").split())
    except OSError as error:
        raise DataError(
            f"window_data_param.source '{param.source}' cannot be read: {error.strerror}; it is a window file"
        ) from error
    foreground: list[_Window] = []
    background: list[_Window] = []
    pictures = 0
    try:
        for mark in words:
            if mark != "#" or int(next(words)) != pictures:
                raise ValueError(f"'# {pictures}' was expected")
            picture = _read_picture(param, next(words))
            channels, _, _ = [int(next(words)) for _ in range(3)]
            if channels != _CHANNELS:
                raise ValueError(f"{channels} channels; pictures are read with {_CHANNELS}")
            for _ in range(int(next(words))):
                label, overlap, box = _read_window(words)
                if overlap >= np.float32(param.fg_threshold):
                    if label <= 0:
                        raise ValueError(f"a foreground window (overlap {overlap:g}) of class {label}, not above 0")
                    foreground.append(_Window(picture, label, box))
                elif overlap < np.float32(param.bg_threshold):
                    background.append(_Window(picture, 0, box))
            pictures += 1
    except (ValueError, StopIteration) as error:
        what = str(error) if isinstance(error, ValueError) else "it ends in the middle"
        raise DataError(f"{param.source}: not a window file, at picture {pictures}: {what}") from error
    if not pictures:
        raise DataError(f"{param.source}: lists no pictures; it is a window file")
    return foreground, background


def _read_picture(param: pb.WindowDataParameter, path: str) -> _Picture:
    path = param.root_folder + path
    if not param.cache_images:
        return _Picture(path, None)
    try:
        return _Picture(path, Path(path).read_bytes())
    except OSError as error:
        raise DataError(f"{param.source}: '{path}' cannot be read: {error.strerror}; correct root_folder") from error


def _read_window(words: Iterator[str]) -> tuple[int, np.float32, tuple[int, int, int, int]]:
    label, overlap = int(next(words)), np.float32(next(words))
    x1, y1, x2, y2 = int(next(words)), int(next(words)), int(next(words)), int(next(words))
    return label, overlap, (x1, y1, x2, y2)
