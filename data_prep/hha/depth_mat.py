"""Depth from a MATLAB file of any version."""

import io

import numpy as np

from caffe_compat.errors import DataError

__all__ = ["decode_depth_mat"]

_HDF5 = b"MATLAB 7.3", b"\x89HDF"
_LIKELY = ("depth", "depths", "rawDepth", "rawDepths")


def decode_depth_mat(data: bytes, name: str) -> np.ndarray:
    """The H x W array in a MATLAB file's content: its only one, or the one called depth (depths, rawDepth, rawDepths).

    Args:
        data: the content, of any version; 7.3 is HDF5.
        name: path, for messages.

    Returns:
        The array in MATLAB's orientation, with the file's type; values not checked.

    Raises:
        DataError: the file is damaged or no MATLAB file, or holds no such array or several.
    """
    import scipy.io  # slow to import

    try:
        arrays = _arrays_hdf5(data) if data.startswith(_HDF5) else scipy.io.loadmat(io.BytesIO(data))
    except Exception as error:  # both readers raise whatever a damaged byte leads them to
        raise DataError(f"depth '{name}' is damaged or not a MATLAB file ({error}); replace the file") from error
    images = {
        key: value
        for key, value in arrays.items()
        if isinstance(value, np.ndarray) and value.ndim == 2 and value.dtype.kind in "uif" and min(value.shape) > 1
    }
    chosen = next((key for key in _LIKELY if key in images), None) if len(images) != 1 else next(iter(images))
    if chosen is None:
        raise DataError(
            f"depth '{name}' holds {len(images)} H x W arrays ({', '.join(sorted(images)) or 'none'}); wanted one, or "
            f"one called {', '.join(_LIKELY[:-1])} or {_LIKELY[-1]}"
        )
    return images[chosen]


def _arrays_hdf5(data: bytes) -> dict[str, np.ndarray]:
    """MATLAB 7.3's arrays by name, axes in MATLAB's order."""
    import h5py  # slow to import

    with h5py.File(io.BytesIO(data), "r") as file:
        return {
            key: np.asarray(value).T
            for key, value in file.items()
            if isinstance(value, h5py.Dataset) and value.dtype.kind in "uif"
        }
