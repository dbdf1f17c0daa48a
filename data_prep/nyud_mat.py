"""NYU Depth V2 as its authors publish it: nyu_depth_v2_labeled.mat, the split, and the mapping to 40 classes.

    nyu_depth_v2_labeled.mat   2.8 GB, MATLAB 7.3 (HDF5): images, depths, rawDepths, labels of 1,449 frames
                               http://horatio.cs.nyu.edu/mit/silberman/nyu_depth_v2/nyu_depth_v2_labeled.mat
    splits.mat                 trainNdxs (795) and testNdxs (654)
                               http://horatio.cs.nyu.edu/mit/silberman/indoor_seg_sup/splits.mat
    classMapping40.mat         mapClass: one of 40 classes for each of the 894 labels; className: their names
                               (or labels40.mat, the mapped labels of all frames: see nyud_labels40.py).
                               benchmarkData/metadata/ of Gupta's benchmark (s-gupta/rcnn-depth, eccv14-data.tgz);
                               also in the repositories ankurhanda/nyuv2-meta-data and VainF/nyuv2-python-toolkit

HDF5 shows MATLAB's arrays with their axes in reverse: an H x W x 3 x N array is N x 3 x W x H.
"""

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from caffe_compat.errors import DataError
from data_prep.hha.camera import FULL_SIZE_PX
from data_prep.seg_folder import folder_contents
from data_prep.sources import download_hint

__all__ = ["FIRST_ID", "ClassMapping", "Frame", "LabeledMat", "find_file", "read_mapping", "read_splits"]

FIRST_ID = 5001
"""The id of the first frame, as Gupta's benchmark numbers them; FCN's lists hold these numbers."""

CLASSES = 40
_PARTS = {"images": (3,), "depths": (), "rawDepths": (), "labels": ()}
_MISSING = (
    "wanted the variables images, depths, rawDepths and labels of nyu_depth_v2_labeled.mat (MATLAB 7.3, about 2.8 GB)"
)


@dataclass(frozen=True)
class Frame:
    """One frame, whole.

    Attributes:
        image: 480 x 640 x 3 uint8, RGB.
        depth_m: 480 x 640, metres, in-painted.
        raw_m: 480 x 640, metres, 0 where the sensor gave nothing.
        labels: 480 x 640, 0 (none) to 894.
    """

    image: np.ndarray
    depth_m: np.ndarray
    raw_m: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class LabeledMat:
    """The file of frames, from which one frame at a time is read.

    Args:
        path: of nyu_depth_v2_labeled.mat.
    """

    path: Path

    @property
    def count(self) -> int:
        """Number of frames.

        Raises:
            DataError: the file is missing, damaged or another one.
        """
        return int(self._open()["images"].shape[0])

    def read(self, image_id: str) -> Frame:
        """A frame by its id.

        Raises:
            DataError: there is no such frame, or the file is damaged there.
        """
        file, count = self._open(), self.count
        if not image_id.isascii() or not image_id.isdigit() or not 0 <= int(image_id) - FIRST_ID < count:
            raise DataError(
                f"'{self.path}' has no image {image_id!r}: its {count} images are {FIRST_ID} to "
                f"{FIRST_ID + count - 1}; correct the list"
            )
        index = int(image_id) - FIRST_ID
        try:
            image, depth, raw, labels = (file[name][index] for name in _PARTS)
        except (OSError, RuntimeError) as error:
            raise DataError(
                f"'{self.path}' is damaged at image {image_id} ({error}); download the file again"
            ) from error
        return Frame(image.transpose(2, 1, 0), depth.T, raw.T, labels.T)  # 3 x W x H -> H x W x 3; W x H -> H x W

    def read_labels(self, index: int) -> np.ndarray:
        """The labels of a frame by its position, from 0: 480 x 640.

        Raises:
            DataError: the file is damaged there.
        """
        try:
            labels: np.ndarray = self._open()["labels"][index].T
        except (OSError, RuntimeError) as error:
            raise DataError(
                f"'{self.path}' is damaged at image {FIRST_ID + index} ({error}); download the file again"
            ) from error
        return labels

    def _open(self) -> Any:
        return _opened(self.path)


@lru_cache(maxsize=2)
def _opened(path: Path) -> Any:
    """The open HDF5 file, its contents checked; one to a process."""
    import h5py  # slow to import

    try:
        file = h5py.File(path, "r")
    except FileNotFoundError:
        raise DataError(f"'{path}' is not there; give the path of nyu_depth_v2_labeled.mat") from None
    except OSError as error:
        raise DataError(
            f"'{path}' cannot be opened as HDF5 ({error}); {_MISSING}; if it is that file, download it again"
        ) from error
    missing = [name for name in _PARTS if not isinstance(file.get(name), h5py.Dataset)]
    if missing:
        raise DataError(f"'{path}' has no {', '.join(missing)}; {_MISSING}")
    count = file["images"].shape[0]
    for name, channels in _PARTS.items():
        wanted = (count, *channels, *FULL_SIZE_PX[::-1])
        if file[name].shape != wanted:
            raise DataError(
                f"'{path}': {name} is {' x '.join(map(str, file[name].shape[::-1]))}, "
                f"wanted {' x '.join(map(str, wanted[::-1]))}; give the file as it is published"
            )
    return file


@dataclass(frozen=True)
class ClassMapping:
    """From the labels of the file to the classes of the benchmark.

    Attributes:
        classes: class (1 to 40, 0 = none) of each label, label 0 first; uint8.
        names: of classes 1 to 40; empty where the file has none.
    """

    classes: np.ndarray
    names: tuple[str, ...] = ()

    def map(self, labels: np.ndarray, name: str) -> np.ndarray:
        """Classes 0 to 40 of labels, uint8, same shape.

        Raises:
            DataError: a label is not in the mapping.
        """
        if labels.max(initial=0) >= len(self.classes):
            row, column = np.argwhere(labels >= len(self.classes))[0]
            raise DataError(
                f"labels of '{name}': {labels[row, column]} at row {row}, column {column}, but the mapping knows "
                f"1 to {len(self.classes) - 1}; give the mapping for nyu_depth_v2_labeled.mat's 894 labels"
            )
        mapped: np.ndarray = self.classes[labels]
        return mapped


def read_mapping(path: Path) -> ClassMapping:
    """The mapping in classMapping40.mat.

    Raises:
        DataError: the file is missing or damaged, has no mapClass, or that holds other numbers than 0 to 40.
    """
    values = np.ravel(_variable(path, "mapClass", "classMapping40.mat"))
    if values.dtype.kind not in "uif" or not len(values) or not np.isin(values, np.arange(CLASSES + 1)).all():
        raise DataError(
            f"'{path}': mapClass holds other values than the classes 0 to {CLASSES}; "
            "wanted the 40-class mapping, classMapping40.mat (not the one to 13 or 37 classes)"
        )
    try:
        cells = np.ravel(_variable(path, "className", "classMapping40.mat"))
        names = tuple(str(np.ravel(one)[0]) for one in cells if isinstance(one, np.ndarray))
    except (DataError, IndexError):
        names = ()
    return ClassMapping(np.concatenate(([0], values)).astype(np.uint8), names if len(names) == CLASSES else ())


def read_splits(path: Path, count: int) -> dict[str, list[str]]:
    """The official split in splits.mat: ``trainval`` (795 frames) and ``test`` (654), under FCN's names.

    NYU's own word for the first is train; FCN's lists divide it again into train and val.

    Args:
        path: of splits.mat.
        count: number of frames there are.

    Raises:
        DataError: the file is missing, damaged, or names frames that are not there, twice or in both.
    """
    splits = {}
    for name, variable in (("trainval", "trainNdxs"), ("test", "testNdxs")):
        values = np.ravel(_variable(path, variable, "splits.mat"))
        if values.dtype.kind not in "uif" or not len(values) or values.min() < 1 or values.max() > count:
            raise DataError(f"'{path}': {variable} holds other values than the frames 1 to {count}")
        splits[name] = [str(FIRST_ID - 1 + int(value)) for value in values]
    both = splits["trainval"] + splits["test"]
    if len(set(both)) < len(both):
        raise DataError(f"'{path}' names a frame twice, or for both training and test; download splits.mat again")
    return splits


def find_file(source: Path, name: str, given: Path | None, option: str, what: str) -> Path:
    """A file that was named, or that lies in the source folder.

    Raises:
        DataError: it is not there.
    """
    places = [given] if given is not None else [source / name, *sorted(source.glob(f"*/{name}"))]
    for path in places:
        if path.is_file():
            return path
    if given is not None:
        raise DataError(f"{option} '{given}' is not there; give {what}")
    raise DataError(
        f"no {name} in '{source}' (found {folder_contents(source)}): {what}; put it there or name it with {option}; "
        f"{download_hint('nyud')}"
    )


def _variable(path: Path, name: str, wanted: str) -> np.ndarray:
    """A variable of a .mat file of any version."""
    import h5py  # slow to import, as the next
    import scipy.io

    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"'{path}' cannot be read ({error.strerror}); wanted {wanted}") from error
    try:
        if data[:19].startswith(b"MATLAB 7.3") or data.startswith(b"\x89HDF"):
            with h5py.File(io.BytesIO(data), "r") as file:
                return np.asarray(file[name]).T
        return np.asarray(scipy.io.loadmat(io.BytesIO(data), variable_names=[name])[name])
    except KeyError:
        raise DataError(f"'{path}' has no variable {name}; wanted {wanted}") from None
    except Exception as error:  # loadmat raises whatever a damaged byte leads it to
        raise DataError(f"'{path}' is damaged or not a MATLAB file ({error}); download {wanted} again") from error
