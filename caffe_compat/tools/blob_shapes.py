"""Shapes of blobs in files of Caffe's first years, when every blob had four axes.

A bias of N values is 1 x 1 x 1 x N there, a fully-connected weight 1 x 1 x O x I. Caffe takes such shapes from a
four-axis BlobProto, but neither from HDF5 nor from a current one, and torch takes neither. What the shape is now
follows from the layer's type: only these types had blobs then.
"""

from dataclasses import replace

import numpy as np

from caffe_compat.proto.weights import LayerWeights

__all__ = ["current_shapes", "without_leading_ones"]

# Axes that each blob has now.
_AXES = {"Convolution": (4, 1), "Deconvolution": (4, 1), "InnerProduct": (2, 1), "PReLU": (1,)}

Array = np.ndarray | None


def without_leading_ones(array: Array, axes: int) -> Array:
    """The same values with this many axes, if the axes to drop are all of size 1; otherwise the array as it is."""
    if array is None or array.ndim <= axes or any(size != 1 for size in array.shape[: array.ndim - axes]):
        return array
    return array.reshape(array.shape[array.ndim - axes :])


def current_shapes(layer: LayerWeights) -> LayerWeights:
    """The layer with blobs (and diffs) of the old four-axis form in the shape that its type has now; no copy."""
    axes = _AXES.get(layer.type, ())

    def shaped(arrays: list[Array]) -> list[Array]:
        return [
            without_leading_ones(array, axes[i]) if i < len(axes) and array is not None and array.ndim == 4 else array
            for i, array in enumerate(arrays)
        ]

    return replace(layer, blobs=shaped(layer.blobs), diffs=shaped(layer.diffs))
