"""HDF5Output: writes its two bottoms to an HDF5 file."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from caffe_compat.errors import DataError
from caffe_compat.layer.blob import Shape
from caffe_compat.layer.contract import Context, Count, Layer
from caffe_compat.layer.registry import register
from caffe_compat.proto.whole_file import replacing

if TYPE_CHECKING:
    import h5py

__all__ = ["HDF5Output"]


@register
class HDF5Output(Layer):
    """Writes datasets ``data`` and ``label``, rows of every forward one after the other; has no top and no gradient.

    The file is replaced at the first forward and whole after each one. (Caffe fails at the second forward, where its
    dataset is there already.)

    Bottoms:  data, label: N x ..., of at most 4 axes, written with 4 (1s at the end).
    Tops:     none.
    Params:   hdf5_output_param.file_name: relative to the working folder when the net is built.
    Raises:   LayerError: no file_name, or bottoms of different N or more than 4 axes.
              DataError: the file cannot be written, or rows of another shape than before.
    Source:   BVLC/caffe src/caffe/layers/hdf5_output_layer.cpp.
    """

    type = "HDF5Output"
    bottoms = Count.exactly(2)
    tops = Count.exactly(0)

    _begun = False

    def setup(self, bottom_shapes: Sequence[Shape]) -> None:
        """Check where the file goes."""
        name = self.param.hdf5_output_param.file_name
        if not name:
            raise self.error("hdf5_output_param.file_name is missing; name the file to write")
        self._path = os.path.abspath(name)
        folder = os.path.dirname(self._path)
        if os.path.isdir(self._path) or not os.path.isdir(folder) or not os.access(folder, os.W_OK):
            raise DataError(
                f"layer '{self.name}' (HDF5Output): cannot write '{name}'; name a file in a writable folder"
            )

    def reshape(self, bottom_shapes: Sequence[Shape]) -> list[Shape]:
        """No tops."""
        data, label = bottom_shapes
        if max(len(data), len(label)) > 4:
            raise self.error(f"bottoms of shape {data} and {label}; at most 4 axes can be written")
        if data[:1] != label[:1]:
            raise self.error(f"bottoms of shape {data} and {label}; both must have the same number of rows")
        return []

    def forward(
        self, bottoms: Sequence[torch.Tensor], blobs: Sequence[torch.Tensor], context: Context
    ) -> list[torch.Tensor]:
        """Write the rows."""
        if not context.replay:
            import h5py  # slow to import

            rows = [_four_axes(bottom.detach().cpu().float().numpy()) for bottom in bottoms]
            try:
                if self._begun:
                    with h5py.File(self._path, "r+") as file:
                        self._append(file, rows)
                else:
                    with replacing(self._path) as temporary, h5py.File(temporary, "w") as file:
                        for name, values in zip(("data", "label"), rows, strict=True):
                            file.create_dataset(name, data=values, maxshape=(None, *values.shape[1:]))
            except OSError as error:
                raise DataError(f"{self._path}: cannot be written: {error}") from error
            self._begun = True
        return []

    def _append(self, file: "h5py.File", rows: Sequence[np.ndarray]) -> None:
        for name, values in zip(("data", "label"), rows, strict=True):
            if file[name].shape[1:] != values.shape[1:]:
                raise DataError(
                    f"{self._path}: dataset '{name}' has rows of shape {file[name].shape[1:]}; those of this forward "
                    f"are {values.shape[1:]}; write bottoms of different shapes to different files"
                )
        for name, values in zip(("data", "label"), rows, strict=True):
            dataset = file[name]
            dataset.resize(len(dataset) + len(values), axis=0)
            dataset[-len(values) :] = values


def _four_axes(values: np.ndarray) -> np.ndarray:
    return values.reshape(*values.shape, *[1] * (4 - values.ndim))
