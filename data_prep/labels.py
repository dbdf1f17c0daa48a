"""Label images: class numbers per pixel, read from palette or grey PNGs and checked.

A label is an H x W uint8 array: 0 is the background, 1 and up the classes, and one value (255) marks void pixels,
which neither the loss nor the scores count.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from caffe_compat.errors import DataError

__all__ = [
    "VOC_CLASSES",
    "VOID",
    "check_label",
    "decode_label",
    "encode_label",
    "label_from_colours",
    "pixel_counts",
    "read_label",
    "voc_palette",
]

VOID = 255
"""The label value of pixels that do not count."""

VOC_CLASSES: tuple[str, ...] = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
"""PASCAL VOC's 21 classes in label order."""

_INDEX_MODES = ("P", "L", "I;16", "I")


def voc_palette() -> np.ndarray:
    """The VOC palette: 256 x 3 uint8, RGB; row 255 (void) is (224, 224, 192).

    Bit b of a class number goes to bit 7 - b // 3 of channel b % 3.
    """
    numbers = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        palette[:, bit % 3] |= ((numbers >> bit & 1) << (7 - bit // 3)).astype(np.uint8)
    return palette


def decode_label(data: bytes, name: str) -> np.ndarray:
    """Class numbers from the bytes of a palette or grey image file.

    Args:
        data: the file's content.
        name: path or key, for messages.

    Returns:
        H x W uint8; values are not checked against any set of classes.

    Raises:
        DataError: the file is damaged or no image, holds colours instead of class numbers, or a number above 255.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            mode = image.mode
            if mode not in _INDEX_MODES:
                raise DataError(
                    f"label '{name}' is an image of mode {mode}; wanted class numbers, as a palette or grey PNG; "
                    "give the dataset's own label files, or convert the colours with "
                    "data_prep.labels.label_from_colours"
                )
            values = np.array(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"label '{name}' is damaged or not an image ({error}); replace the file") from error
    if values.dtype != np.uint8:
        _check_values(values, (values < 0) | (values > 255), name, "the range 0 to 255")
        values = values.astype(np.uint8)
    return values


def read_label(path: Path, classes: int = len(VOC_CLASSES), void: int | None = VOID) -> np.ndarray:
    """Class numbers from a palette or grey image file, checked; H x W uint8.

    Raises:
        DataError: as ``decode_label`` and ``check_label``; the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"label '{path}' cannot be read ({error.strerror}); check the dataset's folder") from error
    label = decode_label(data, str(path))
    check_label(label, str(path), classes, void)
    return label


def encode_label(label: np.ndarray, palette: np.ndarray | None = None) -> bytes:
    """A PNG of class numbers: with a palette as VOC's own files, without as plain grey, which Caffe reads.

    Args:
        label: H x W uint8.
        palette: 256 x 3 RGB, colours to show the numbers in.
    """
    image = Image.fromarray(np.ascontiguousarray(label, np.uint8))
    if palette is not None:
        image.putpalette(palette.astype(np.uint8).tobytes())
    out = io.BytesIO()
    image.save(out, format="PNG")
    return out.getvalue()


def label_from_colours(colours: np.ndarray, name: str, palette: np.ndarray | None = None) -> np.ndarray:
    """Class numbers of an image painted in a palette's colours.

    Args:
        colours: H x W x 3 uint8, RGB.
        name: path or key, for messages.
        palette: N x 3 RGB; the VOC palette unless given.

    Returns:
        H x W uint8.

    Raises:
        DataError: a colour is not in the palette.
    """
    palette = voc_palette() if palette is None else palette
    numbers = np.full(1 << 24, -1, np.int16)
    numbers[_packed(palette)] = np.arange(len(palette))
    label = numbers[_packed(colours)]
    if (label < 0).any():
        row, column = np.argwhere(label < 0)[0]
        raise DataError(
            f"label '{name}': colour {tuple(int(v) for v in colours[row, column])} at row {row}, column {column} "
            "is not in the palette; give the palette that the file was painted with"
        )
    return label.astype(np.uint8)


def _packed(colours: np.ndarray) -> np.ndarray:
    wide = colours.astype(np.int64)
    return (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]


def check_label(label: np.ndarray, name: str, classes: int = len(VOC_CLASSES), void: int | None = VOID) -> None:
    """Hold a label's values against the classes.

    Args:
        label: array of integers whose last two axes are H x W.
        name: file or key, for messages.
        classes: number of classes; 0 to classes - 1 are allowed.
        void: the value besides, or None.

    Raises:
        DataError: naming the file, the first value outside, its pixel and how many there are.
    """
    known = np.zeros(256, bool)
    known[:classes] = True
    if void is not None:
        known[void] = True
    if known[label].all():
        return
    allowed = f"the classes 0 to {classes - 1}" + (f" (void is {void})" if void is not None else " (there is no void)")
    _check_values(label.reshape(label.shape[-2:]), ~known[label].reshape(label.shape[-2:]), name, allowed)


def _check_values(label: np.ndarray, outside: np.ndarray, name: str, allowed: str) -> None:
    if not outside.any():
        return
    row, column = np.argwhere(outside)[0]
    raise DataError(
        f"label '{name}': value {int(label[row, column])} at row {row}, column {column} is outside {allowed}; "
        f"so are {np.count_nonzero(outside)} of its {outside.size} pixels in all; "
        "correct the label or the number of classes"
    )


def pixel_counts(label: np.ndarray) -> dict[int, int]:
    """How many pixels hold each value that occurs."""
    counts = np.bincount(label.ravel(), minlength=256)
    return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
