"""pycaffe's ``caffe.io``: pictures and messages to arrays, and what a net's input wants done to them.

    transformer = caffe_compat.io.Transformer({"data": net.blobs["data"].data.shape})
    transformer.set_transpose("data", (2, 0, 1))        # H x W x C to C x H x W
    transformer.set_channel_swap("data", (2, 1, 0))     # RGB to BGR
    transformer.set_raw_scale("data", 255)              # 0 to 1 becomes 0 to 255
    transformer.set_mean("data", np.array([104.007, 116.669, 122.679]))
    net.blobs["data"].data[...] = transformer.preprocess("data", caffe_compat.io.load_image("cat.jpg"))

The functions on pictures are in pictures.py.

Source: BVLC/caffe python/caffe/io.py.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from caffe_compat.errors import CaffeError
from caffe_compat.pictures import ArrayError, ImageError, load_image, oversample, resize_image
from caffe_compat.proto import caffe_pb2  # scripts write caffe.io.caffe_pb2 too
from caffe_compat.proto import datum as _datum
from caffe_compat.proto.blobs import blob_chunks, read_blob
from caffe_compat.proto.caffe_pb2 import BlobProto, BlobProtoVector, Datum

__all__ = [
    "ArrayError",
    "ImageError",
    "Transformer",
    "array_to_blobproto",
    "array_to_datum",
    "arraylist_to_blobprotovecor_str",
    "arraylist_to_blobprotovector_str",
    "blobproto_to_array",
    "blobprotovector_str_to_arraylist",
    "caffe_pb2",
    "datum_to_array",
    "load_image",
    "oversample",
    "resize_image",
]

# -- messages ----------------------------------------------------------------------------------------------------------


def blobproto_to_array(blob: BlobProto, return_diff: bool = False) -> np.ndarray:
    """The values of a BlobProto, or its gradients: float64, of the blob's shape (4 axes if it has the legacy one).

    Raises:
        ArrayError: the values do not fill the shape, or there are no gradients.
    """
    message = np.frombuffer(blob.SerializeToString(), np.uint8)
    try:
        found = read_blob(message, 0, len(message), "BlobProto")
    except CaffeError as error:
        raise ArrayError(str(error)) from error
    values = found.diff if return_diff else found.data
    if values is None:
        raise ArrayError("BlobProto: it holds no diff; leave return_diff out, or save the net with its diffs")
    return values.astype(np.float64)


def array_to_blobproto(arr: np.ndarray, diff: np.ndarray | None = None) -> BlobProto:
    """A BlobProto with an array's values, as float32, and of the same shape its gradients.

    Raises:
        ArrayError: a diff of another shape, or more axes or values than a blob can have.
    """
    try:
        return BlobProto.FromString(b"".join(blob_chunks(arr, diff, "array_to_blobproto")))
    except CaffeError as error:
        raise ArrayError(str(error)) from error


def arraylist_to_blobprotovector_str(arraylist: Iterable[np.ndarray]) -> bytes:
    """A serialised BlobProtoVector of these arrays."""
    return BlobProtoVector(blobs=[array_to_blobproto(arr) for arr in arraylist]).SerializeToString()


arraylist_to_blobprotovecor_str = arraylist_to_blobprotovector_str  # as pycaffe spelt it for years


def blobprotovector_str_to_arraylist(s: bytes) -> list[np.ndarray]:
    """The arrays of a serialised BlobProtoVector, each as ``blobproto_to_array`` gives it."""
    return [blobproto_to_array(blob) for blob in BlobProtoVector.FromString(s).blobs]


def array_to_datum(arr: np.ndarray, label: int | None = None) -> Datum:
    """A Datum that holds a C x H x W array: uint8 as bytes, any other type as floats.

    Raises:
        ArrayError: the array has not three axes, or one of size 0.
    """
    try:
        return _datum.array_to_datum(arr, label)
    except CaffeError as error:
        raise ArrayError(str(error)) from error


def datum_to_array(datum: Datum) -> np.ndarray:
    """The values of a Datum, C x H x W: uint8 where it holds bytes (encoded pictures are decoded), else float64.

    Raises:
        ArrayError: the values do not fill channels x height x width, or the picture cannot be decoded.
    """
    try:
        values = _datum.datum_to_array(datum)
    except CaffeError as error:
        raise ArrayError(str(error)) from error
    return values.astype(np.uint8 if values.dtype == np.uint8 else np.float64)


# -- what a net's input wants ------------------------------------------------------------------------------------------


class Transformer:
    """Turns pictures into values for a net's inputs, and back, by settings for each input.

    Args:
        inputs: shape of each input blob, by name: N x C x H x W.

    Attributes:
        transpose, channel_swap, raw_scale, mean, input_scale: the settings made, by input.
    """

    def __init__(self, inputs: Mapping[str, Sequence[int]]) -> None:
        self.inputs = inputs
        self.transpose: dict[str, Sequence[int]] = {}
        self.channel_swap: dict[str, Sequence[int]] = {}
        self.raw_scale: dict[str, float] = {}
        self.mean: dict[str, np.ndarray] = {}
        self.input_scale: dict[str, float] = {}

    def preprocess(self, in_: str, data: np.ndarray) -> np.ndarray:
        """Values for a net's input: in this order to float32, resized, transposed, channels swapped, times raw_scale,
        minus the mean, times input_scale; what was not set is left out.

        Args:
            in_: name of the input.
            data: H' x W' x C, any number type; it is not changed.

        Returns:
            C x H x W, float32 (in the order of ``set_transpose``).
        """
        shape = self._shape(in_)
        values = np.array(data, np.float32)
        if values.shape[:2] != shape[2:]:
            values = resize_image(values, shape[2:])
        if in_ in self.transpose:
            values = values.transpose(self.transpose[in_])
        if in_ in self.channel_swap:
            values = values[list(self.channel_swap[in_])]
        if in_ in self.raw_scale:
            values *= self.raw_scale[in_]
        if in_ in self.mean:
            values -= self.mean[in_]
        if in_ in self.input_scale:
            values *= self.input_scale[in_]
        return values

    def deprocess(self, in_: str, data: np.ndarray) -> np.ndarray:
        """The picture that an input's values came from: ``preprocess`` backwards, but for the resizing.

        Args:
            in_: name of the input.
            data: (1 x) C x H x W, a float array; it is not changed.

        Returns:
            H x W x C.
        """
        self._shape(in_)
        values = data.copy().squeeze()
        if in_ in self.input_scale:
            values /= self.input_scale[in_]
        if in_ in self.mean:
            values += self.mean[in_]
        if in_ in self.raw_scale:
            values /= self.raw_scale[in_]
        if in_ in self.channel_swap:
            values = values[np.argsort(self.channel_swap[in_])]
        if in_ in self.transpose:
            values = values.transpose(np.argsort(self.transpose[in_]))
        return values

    def set_transpose(self, in_: str, order: Sequence[int]) -> None:
        """Order the axes: (2, 0, 1) makes C x H x W of a picture.

        Raises:
            ArrayError: not as many axes as one item of the input has.
        """
        axes = len(self._shape(in_)) - 1
        if len(order) != axes:
            raise ArrayError(f"set_transpose('{in_}'): {len(order)} axes given; one item of the input has {axes}")
        self.transpose[in_] = order

    def set_channel_swap(self, in_: str, order: Sequence[int]) -> None:
        """Order the channels, the first axis after the transpose: (2, 1, 0) makes BGR of RGB.

        Raises:
            ArrayError: not as many channels as the input has.
        """
        channels = self._shape(in_)[1]
        if len(order) != channels:
            raise ArrayError(f"set_channel_swap('{in_}'): {len(order)} channels given; the input has {channels}")
        self.channel_swap[in_] = order

    def set_raw_scale(self, in_: str, scale: float) -> None:
        """Multiply by this before the mean is subtracted: 255 for nets that want 0 to 255."""
        self._shape(in_)
        self.raw_scale[in_] = scale

    def set_mean(self, in_: str, mean: np.ndarray) -> None:
        """Subtract a mean, in the input's channel order and range.

        Args:
            in_: name of the input.
            mean: C values, one for each channel; or a picture, C x H x W (H x W if C is 1), of the input's size.

        Raises:
            ArrayError: another shape.
        """
        channels, *size = self._shape(in_)[1:]
        shape = mean.shape if mean.ndim != 2 else (1, *mean.shape)
        if mean.ndim == 1:
            if mean.shape != (channels,):
                raise ArrayError(f"set_mean('{in_}'): {len(mean)} values given; the input has {channels} channels")
            mean = mean[:, np.newaxis, np.newaxis]
        elif shape != (channels, *size):
            raise ArrayError(
                f"set_mean('{in_}'): a mean of shape {mean.shape}; {channels} values or the input's shape "
                f"{(channels, *size)} are wanted: crop or resize the mean, or give mean.mean(1).mean(1)"
            )
        self.mean[in_] = mean

    def set_input_scale(self, in_: str, scale: float) -> None:
        """Multiply by this last, after the mean was subtracted."""
        self._shape(in_)
        self.input_scale[in_] = scale

    def _shape(self, in_: str) -> tuple[int, ...]:
        if in_ not in self.inputs:
            raise ArrayError(f"Transformer: '{in_}' is not one of the net's inputs; they are: {', '.join(self.inputs)}")
        return tuple(self.inputs[in_])
