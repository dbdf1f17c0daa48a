"""Crop: a window out of one blob, as large as another."""

from collections.abc import Sequence

import torch

from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Count, Layer
from caffe_compat.layer.registry import register

__all__ = ["Crop"]


@register
class Crop(Layer):
    """Cuts a window of the reference's size out of the data, on every axis from ``axis`` on.

    The reference (bottom[1]) lends only its shape and gets no gradient; outside the window the data's gradient is 0.

    Bottoms:  data: any shape; reference: a shape with the data's number of axes, no larger than data minus offset.
    Tops:     y: data's shape before ``axis``, reference's from ``axis`` on.
    Params:   crop_param.axis: the first axis that is cropped; may count from the end.
              crop_param.offset: where the window begins, elements: none (0), one for all axes, or one per cropped axis.
    Raises:   LayerError: window not inside the data, wrong number of offsets, axis out of range.
    Source:   BVLC/caffe src/caffe/layers/crop_layer.cpp.
    """

    type = "Crop"
    bottoms = Count.exactly(2)

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Read the axis and check the number of offsets."""
        self._offsets(bottom_shapes[0])

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """The data's shape before the axis, the reference's from there on."""
        data, reference = bottom_shapes
        axis, offsets = self._offsets(data)
        if len(reference) < len(data):
            raise self.error(
                f"bottom[1] has {len(reference)} axes (shape {reference}) and bottom[0] {len(data)} (shape {data}); "
                "the reference must have as many axes as the data"
            )
        for i in range(axis, len(data)):
            if offsets[i] + reference[i] > data[i]:
                raise self.error(
                    f"crop leaves axis {i}: offset {offsets[i]} + size {reference[i]} > {data[i]}; "
                    "lower crop_param.offset or check bottom[1]"
                )
        self.start = offsets
        self.size = (*data[:axis], *reference[axis : len(data)])
        return [self.size]

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """A copy of the window."""
        window = tuple(slice(start, start + size) for start, size in zip(self.start, self.size, strict=True))
        return [bottoms[0][window].clone()]

    def _offsets(self, shape: Shape) -> tuple[int, Shape]:
        """The first cropped axis, and one offset for every axis of the data (0 before it)."""
        p = self.param.crop_param
        axis = self.axis(p.axis, len(shape), "crop_param.axis")
        cropped = len(shape) - axis
        given = tuple(p.offset)
        if len(given) > 1 and len(given) != cropped:
            raise self.error(
                f"{len(given)} offsets are given for the {cropped} axes from axis {axis} on; "
                f"give crop_param.offset once, or {cropped} times"
            )
        return axis, (0,) * axis + (given if len(given) > 1 else (given or (0,)) * cropped)
