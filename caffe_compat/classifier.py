"""Classifier: pycaffe's net that takes pictures and gives class probabilities.

    classifier = caffe_compat.Classifier("deploy.prototxt", "net.caffemodel", image_dims=(256, 256),
                                         mean=mean_bgr, raw_scale=255, channel_swap=(2, 1, 0))
    probabilities = classifier.predict([caffe_compat.io.load_image("cat.jpg")])     # 1 x classes

Source: BVLC/caffe python/caffe/classifier.py.
"""

import os
from collections.abc import Sequence

import numpy as np

from caffe_compat.errors import NetError
from caffe_compat.io import Transformer, oversample, resize_image
from caffe_compat.net.net import Net
from caffe_compat.proto.caffe_pb2 import TEST

__all__ = ["Classifier", "picture_transformer"]

_oversample = oversample  # an argument of predict has that name


class Classifier(Net):
    """A TEST net whose first input is an image and whose first output is class probabilities.

    Args:
        model_file: the net's prototxt, with a batch of any size.
        pretrained_file: its weights.
        image_dims: height and width to which pictures are resized before cropping, pixels; None: the input's own size.
        mean: to subtract, in the input's channel order and range; C values or C x H x W.
        input_scale: factor after the mean is subtracted.
        raw_scale: factor before, such as 255.
        channel_swap: order of channels, such as (2, 1, 0) for BGR.

    Attributes:
        transformer: what is done to each crop; see ``io.Transformer``.
        crop_dims: height and width of the input.
        image_dims: as given.

    Raises:
        NetError, ParseError, WeightsError: as for Net.
        ArrayError: a mean or channel order that does not fit the input.
    """

    def __init__(
        self,
        model_file: str | os.PathLike[str],
        pretrained_file: str | os.PathLike[str] | None,
        image_dims: Sequence[int] | None = None,
        mean: np.ndarray | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
    ) -> None:
        super().__init__(model_file, TEST, weights=pretrained_file)
        self.transformer = picture_transformer(self, mean, input_scale, raw_scale, channel_swap)
        self.crop_dims = np.array(self.blobs[self.inputs[0]].shape[2:])
        self.image_dims: Sequence[int] | np.ndarray = self.crop_dims if image_dims is None else image_dims

    def predict(self, inputs: Sequence[np.ndarray], oversample: bool = True) -> np.ndarray:
        """Class probabilities of pictures.

        Args:
            inputs: N pictures, each H x W x C, as ``io.load_image`` gives them; sizes may differ.
            oversample: the mean over ten crops (see ``io.oversample``); False takes the centre crop alone.

        Returns:
            N x classes; without oversampling the first output as it is.

        Raises:
            NetError: no pictures, or image_dims smaller than the net's input.
        """
        height, width = (int(size) for size in self.image_dims)
        down, right = height - int(self.crop_dims[0]), width - int(self.crop_dims[1])
        if min(down, right) < 0:
            raise NetError(
                f"Classifier: image_dims {height} x {width} are smaller than the net's input, "
                f"{self.crop_dims[0]} x {self.crop_dims[1]}; give larger ones or none"
            )
        if not len(inputs):
            raise NetError("Classifier.predict: no pictures; give a list of H x W x C arrays")
        images = np.stack([resize_image(image, (height, width)) for image in inputs])  # N x H x W x C
        if oversample:
            crops = _oversample(images, self.crop_dims)  # 10 N x h x w x C
        else:
            y, x = down // 2, right // 2
            crops = images[:, y : y + self.crop_dims[0], x : x + self.crop_dims[1]]
        name = self.inputs[0]
        caffe_in = np.stack([self.transformer.preprocess(name, crop) for crop in crops])  # N x C x h x w
        predictions = self.forward_all(None, **{name: caffe_in})[self.outputs[0]]
        if oversample:
            predictions = predictions.reshape(len(inputs), 10, -1).mean(1)
        return predictions


def picture_transformer(
    net: Net,
    mean: np.ndarray | None,
    input_scale: float | None,
    raw_scale: float | None,
    channel_swap: Sequence[int] | None,
) -> Transformer:
    """A Transformer from pictures, H x W x C, to the net's first input; the settings that are None are left out.

    Raises:
        NetError: the net has no input, or one that is not N x C x H x W.
        ArrayError: a setting that does not fit the input.
    """
    if not net.inputs or len(net.blobs[net.inputs[0]].shape) != 4:
        found = f"'{net.inputs[0]}' {net.blobs[net.inputs[0]].shape}" if net.inputs else "none"
        raise NetError(f"net '{net.name}': an input of N x C x H x W is needed for pictures; its first input: {found}")
    name = net.inputs[0]
    transformer = Transformer({name: net.blobs[name].shape})
    transformer.set_transpose(name, (2, 0, 1))
    if mean is not None:
        transformer.set_mean(name, mean)
    if input_scale is not None:
        transformer.set_input_scale(name, input_scale)
    if raw_scale is not None:
        transformer.set_raw_scale(name, raw_scale)
    if channel_swap is not None:
        transformer.set_channel_swap(name, channel_swap)
    return transformer
