"""DataTransformer: what transform_param does to each image on its way into a batch.

y = (x - mean) * scale, on a crop, perhaps mirrored. Computed in float32 in this order, so TEST values are Caffe's own.

Source: BVLC/caffe src/caffe/data_transformer.cpp.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from caffe_compat.errors import CaffeError, DataError, WeightsError
from caffe_compat.layer.blob import Shape
from caffe_compat.layer.data.random_stream import RandomStream
from caffe_compat.proto import caffe_pb2 as pb
from caffe_compat.proto.blobs import read_blobproto
from caffe_compat.proto.datum import datum_to_array

__all__ = ["DataTransformer"]


class DataTransformer:
    """Crops, mirrors, subtracts the mean from and scales images, as transform_param says.

    - crop_size: a square, at a random place in TRAIN; at floor((H - c) / 2), floor((W - c) / 2) in TEST.
    - mirror: left and right are swapped with probability 1/2, in both phases.
    - mean_file: a binaryproto C x H x W of the images' own size, cropped where the image is; or mean_value: one for
      all channels, or one for each.
    - scale: a factor, after the mean.

    Args:
        param: transform_param.
        phase: pb.TRAIN or pb.TEST.
        error: makes the exception for parameters that cannot be (a layer's ``error``).

    Raises:
        CaffeError: made by ``error``: mean_file and mean_value together, or a mean_file that cannot be read.
    """

    def __init__(self, param: pb.TransformationParameter, phase: int, error: Callable[[str], CaffeError]) -> None:
        self.param = param
        self._train = phase == pb.TRAIN
        self._values = np.asarray(param.mean_value, np.float32).reshape(-1, 1, 1)
        self._mean: np.ndarray | None = None
        if param.HasField("mean_file"):
            if param.mean_value:
                raise error("transform_param has both mean_file and mean_value; give one of them")
            try:
                mean = np.array(read_blobproto(param.mean_file), np.float32)
            except WeightsError as failure:
                raise error(f"transform_param.mean_file: {failure}") from failure
            while mean.ndim > 3 and mean.shape[0] == 1:
                mean = mean[0]
            if mean.ndim != 3:
                raise error(
                    f"transform_param.mean_file {param.mean_file}: shape {mean.shape}; a mean image is C x H x W"
                )
            self._mean = mean
        draws = param.mirror or (self._train and param.crop_size > 0)
        self._stream = RandomStream() if draws else None

    def image(self, datum: pb.Datum, where: str) -> np.ndarray:
        """The pixels of a Datum, decoded if need be as force_color or force_gray says: C x H x W, uint8 or float32.

        Raises:
            DataError: the Datum does not hold what it says, or both force_color and force_gray are set.
        """
        if not datum.encoded:
            return datum_to_array(datum, source=where)
        if self.param.force_color and self.param.force_gray:
            raise DataError(f"{where}: transform_param has both force_color and force_gray; give one of them")
        forced = self.param.force_color or self.param.force_gray
        return datum_to_array(datum, self.param.force_color if forced else None, where)

    def top_shape(self, image: Shape, where: str) -> Shape:
        """C x H' x W' that an image of this C x H x W becomes.

        Raises:
            DataError: the image does not fit crop_size, mean_file or mean_value; the message begins with ``where``.
        """
        channels, height, width = image
        crop = self.param.crop_size
        if crop > min(height, width):
            raise DataError(
                f"{where}: the image, {height} x {width}, is smaller than transform_param.crop_size {crop}; "
                "lower crop_size or resize the images"
            )
        if self._mean is not None and self._mean.shape != image:
            raise DataError(
                f"{where}: the image is {_words(image)}, but mean_file {self.param.mean_file} is "
                f"{_words(self._mean.shape)}; they must be equal: use mean_value for images of other sizes"
            )
        if len(self._values) not in (0, 1, channels):
            raise DataError(
                f"{where}: {len(self._values)} mean_value for an image of {channels} channels; give 1 or {channels}"
            )
        return (channels, crop, crop) if crop else image

    def transform(self, image: np.ndarray, out: np.ndarray, where: str) -> None:
        """Write the transformed image.

        Args:
            image: C x H x W, uint8 or float32, BGR.
            out: float32 of ``top_shape(image.shape)``, overwritten.
            where: the image's name, for messages.

        Raises:
            DataError: as of ``top_shape``.
        """
        _, height, width = self.top_shape(image.shape, where)
        mirror = self.param.mirror and self._below(2) == 1
        top, left = (self._offset(image.shape[axis] - size) for axis, size in ((1, height), (2, width)))
        window = np.s_[:, top : top + height, left : left + width]
        if mirror:
            out = out[:, :, ::-1]
        if self._mean is not None:
            np.subtract(image[window], self._mean[window], out=out)
        elif len(self._values):
            np.subtract(image[window], self._values, out=out)
        else:
            out[...] = image[window]
        if self.param.scale != 1:
            out *= np.float32(self.param.scale)

    def state(self) -> dict[str, Any] | None:
        """Where the random stream is; None where nothing is drawn."""
        return self._stream.state() if self._stream else None

    def restore(self, state: dict[str, Any] | None) -> None:
        """Go back to where ``state`` was taken."""
        if self._stream and state:
            self._stream.restore(state)

    def _offset(self, room: int) -> int:
        """Where the crop begins, with ``room`` pixels to spare."""
        return self._below(room + 1) if self._train and self.param.crop_size else room // 2

    def _below(self, n: int) -> int:
        assert self._stream is not None
        return self._stream.below(n)


def _words(shape: Shape) -> str:
    return " x ".join(map(str, shape))
