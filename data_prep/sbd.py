"""SBD, the Semantic Boundaries Dataset: segmentation labels for more of PASCAL VOC's images.

    benchmark_RELEASE/dataset/img/ID.jpg   images
                              cls/ID.mat   labels: GTcls.Segmentation, uint8, 21 classes
                              train.txt    8,498 ids
                              val.txt      2,857 ids

Labels may also be palette or grey PNGs, cls/ID.png, where the .mat is not there. ``LabelPNGs`` makes such files, as
convert_sbdd.py of the FCN release does.

Source: Hariharan et al., Semantic Contours from Inverse Detectors (ICCV 2011), the download's README.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from caffe_compat.errors import DataError
from caffe_compat.proto.whole_file import replacing
from data_prep.contents import Contents
from data_prep.file_writer import FileSet
from data_prep.labels import decode_label, encode_label, voc_palette
from data_prep.seg_folder import SegFolder, folder_contents
from data_prep.sources import download_hint

__all__ = ["LabelPNGs", "SBDFolder", "decode_gtcls", "decode_sbd_label", "encode_gtcls", "find_sbd", "sbd_root"]

_PARTS = ("img", "cls")
_PNG_START = b"\x89PNG"
_PLACES = ("", "dataset", "benchmark_RELEASE/dataset", "sbdd/dataset", "sbd/dataset")


@dataclass(frozen=True)
class SBDFolder(SegFolder):
    """SBD's ``dataset`` folder: ``root`` holds img, cls and the lists."""

    title = "SBD"

    @property
    def name(self) -> str:
        """``sbd``."""
        return "sbd"

    @property
    def list_folder(self) -> Path:
        """The dataset folder itself."""
        return self.root

    def image_path(self, image_id: str) -> Path:
        """img/ID.jpg."""
        return self.root / "img" / f"{image_id}.jpg"

    def label_path(self, image_id: str) -> Path:
        """cls/ID.mat; cls/ID.png where only that is there."""
        path = self.root / "cls" / f"{image_id}.mat"
        image = path.with_suffix(".png")
        return image if image.exists() and not path.exists() else path

    def decode_label(self, data: bytes, name: str) -> np.ndarray:
        """Class numbers of a GTcls .mat, or of a PNG."""
        return decode_sbd_label(data, name)


@dataclass(frozen=True)
class LabelPNGs:
    """Writes ``out/ID.png``, a label in VOC's palette; call it with an id.

    Args:
        folder: that holds the labels.
        out: gets the PNGs; must exist.
    """

    folder: SegFolder
    out: Path

    def files(self) -> FileSet:
        """What is written of each id."""
        contents = Contents("label", self.folder.classes, self.folder.void)
        return FileSet(self.out, self, str, {"label": "{key}.png"}, {"label": contents}, {"palette": "VOC"})

    def __call__(self, image_id: str) -> str:
        """``written``, or ``kept`` where the same is there.

        Raises:
            DataError: the label is missing or damaged, or holds other values than the classes.
            OSError: the file cannot be written.
        """
        content = encode_label(self.folder.read_label(image_id), voc_palette())
        path = self.out / f"{image_id}.png"
        if path.exists() and path.read_bytes() == content:
            return "kept"
        with replacing(path) as temporary:
            temporary.write_bytes(content)
        return "written"


def sbd_root(source: Path) -> Path | None:
    """Where SBD's dataset folder is, whole or not; None if there is none. ``source`` as for ``find_sbd``."""
    places = (source / place for place in _PLACES)
    return next((root for root in places if any((root / part).is_dir() for part in _PARTS)), None)


def find_sbd(source: Path) -> SBDFolder:
    """SBD's dataset folder at or below ``source``.

    Args:
        source: the folder ``dataset``, ``benchmark_RELEASE``, the one in which the archive was unpacked, or one that
            holds ``sbdd/dataset`` as the FCN release has it.

    Raises:
        DataError: there is none, or a part of it is missing.
    """
    root = sbd_root(source)
    if root is None:
        raise DataError(
            f"no SBD dataset at '{source}': looked for a folder with img, cls and train.txt, there and in "
            f"dataset or benchmark_RELEASE/dataset below it; found {folder_contents(source)}; "
            "give the folder benchmark_RELEASE that SBD's benchmark.tgz unpacks to, or the dataset folder in it; "
            f"{download_hint('sbd')}"
        )
    missing = [part for part in _PARTS if not (root / part).is_dir()]
    if not (root / "train.txt").is_file():
        missing.append("train.txt")
    if missing:
        raise DataError(
            f"SBD dataset '{root}' lacks {', '.join(missing)}; found {folder_contents(root)}; "
            "unpack SBD's benchmark.tgz again"
        )
    return SBDFolder(root)


def decode_sbd_label(data: bytes, name: str) -> np.ndarray:
    """Class numbers of a PNG, or of a GTcls .mat: H x W uint8; by the content, and of damaged files by the name.

    Raises:
        DataError: as ``decode_label`` or ``decode_gtcls``.
    """
    matlab = data.startswith(b"MATLAB") or name.lower().endswith(".mat") and not data.startswith(_PNG_START)
    return decode_gtcls(data, name) if matlab else decode_label(data, name)


def decode_gtcls(data: bytes, name: str) -> np.ndarray:
    """Class numbers from the content of a ``cls/*.mat`` file.

    Args:
        data: the file's content.
        name: path, for messages.

    Returns:
        H x W uint8.

    Raises:
        DataError: the file is damaged, is no MATLAB file, has no GTcls.Segmentation, or that is no array of classes.
    """
    import scipy.io  # slow to import

    try:
        content = scipy.io.loadmat(io.BytesIO(data), variable_names=["GTcls"])
    except Exception as error:  # loadmat raises whatever a damaged byte leads it to
        raise DataError(f"label '{name}' is damaged or not a MATLAB file ({error}); replace the file") from error
    try:
        label = np.asarray(content["GTcls"][0]["Segmentation"][0])
    except (KeyError, IndexError, ValueError, TypeError):
        raise DataError(
            f"label '{name}' has no GTcls.Segmentation; "
            "wanted a file of SBD's cls folder (inst holds instances, not classes)"
        ) from None
    if label.ndim != 2 or label.dtype.kind not in "ui":
        raise DataError(
            f"label '{name}': GTcls.Segmentation is {label.ndim}-D {label.dtype}; "
            "wanted an H x W array of class numbers; replace the file"
        )
    if label.dtype != np.uint8:
        if label.size and (label.min() < 0 or label.max() > 255):
            raise DataError(
                f"label '{name}': values {label.min()} to {label.max()}; wanted class numbers; replace the file"
            )
        label = label.astype(np.uint8)
    return label


def encode_gtcls(label: np.ndarray) -> bytes:
    """The content of a ``cls/*.mat`` file for an H x W uint8 label."""
    out = io.BytesIO()
    present = np.setdiff1d(np.unique(label), [0, 255]).astype(np.uint8)
    import scipy.io  # slow to import

    scipy.io.savemat(out, {"GTcls": {"Segmentation": label, "CategoriesPresent": present}}, do_compression=True)
    return out.getvalue()
