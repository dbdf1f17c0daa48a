"""Labels that a dataset publishes as MATLAB arrays, one file to an image."""

import io

import numpy as np

from caffe_compat.errors import DataError

__all__ = ["decode_label_mat"]


def decode_label_mat(data: bytes, name: str, variable: str, lowest: int, highest: int) -> np.ndarray:
    """The numbers of a label file, as they are in it.

    Args:
        data: the file's content.
        name: path, for messages.
        variable: name of the array in the file.
        lowest: smallest number allowed.
        highest: largest number allowed.

    Returns:
        H x W int64.

    Raises:
        DataError: the file is damaged, is no MATLAB file, has no such variable, or that is no H x W array of whole
            numbers in the range.
    """
    import scipy.io  # slow to import

    try:
        label = np.asarray(scipy.io.loadmat(io.BytesIO(data), variable_names=[variable])[variable])
    except KeyError:
        held = ", ".join(one[0] for one in scipy.io.whosmat(io.BytesIO(data))) or "nothing"
        raise DataError(f"label '{name}' has no variable {variable} (it holds {held}); replace the file") from None
    except Exception as error:  # loadmat raises whatever a damaged byte leads it to
        raise DataError(f"label '{name}' is damaged or not a MATLAB file ({error}); replace the file") from error
    if label.ndim != 2 or label.dtype.kind not in "uif":
        raise DataError(
            f"label '{name}': {variable} is {label.ndim}-D {label.dtype}; wanted an H x W array of class numbers; "
            "replace the file"
        )
    outside = ~((label >= lowest) & (label <= highest) & (label == np.floor(label)))  # not-a-number is outside, too
    if outside.any():
        row, column = np.argwhere(outside)[0]
        raise DataError(
            f"label '{name}': value {label[row, column]} at row {row}, column {column} is outside {lowest} to "
            f"{highest}; so are {np.count_nonzero(outside)} of its {outside.size} pixels in all; correct the label"
        )
    return label.astype(np.int64)
