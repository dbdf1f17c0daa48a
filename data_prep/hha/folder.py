"""HHA images of a folder of depth files."""

import io
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from caffe_compat.errors import DataError
from data_prep.contents import Contents, check_sizes, sources_digest
from data_prep.file_writer import FileSet
from data_prep.hha.camera import Camera, camera_for
from data_prep.hha.depth_mat import decode_depth_mat
from data_prep.hha.encoding import encode_hha
from data_prep.png_files import decode_depth, png_mark, read_file, write_png

__all__ = ["HHAWriter", "depth_files", "read_depth_m"]

_SUFFIXES = (".png", ".npy", ".mat")
_VERSION = "hha 1"


def depth_files(folder: Path) -> list[str]:
    """Names of the depth files in a folder, sorted.

    Raises:
        DataError: there are none, or two would give the same HHA file.
    """
    names = sorted(path.name for path in folder.glob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
    if not names:
        raise DataError(f"no depth in '{folder}': wanted a folder of 16-bit PNGs (millimetres), .npy or .mat (metres)")
    stems: dict[str, str] = {}
    for name in names:
        if (other := stems.setdefault(Path(name).stem, name)) != name:
            raise DataError(f"'{folder}' holds '{other}' and '{name}', both for '{Path(name).stem}.png'; move one away")
    return names


def read_depth_m(data: bytes, name: str, per_metre: float = 1000.0) -> np.ndarray:
    """Depth in metres from a file's content: H x W float64.

    Args:
        data: of a 16-bit grey PNG, or of a .npy or .mat: whole numbers as in a PNG, or floats, which are metres.
        name: path, for messages and for the kind of file.
        per_metre: how many units of whole numbers make a metre.

    Raises:
        DataError: the content is damaged, or is no depth.
    """
    suffix = Path(name).suffix.lower()
    if suffix == ".mat":
        values = decode_depth_mat(data, name)
    elif suffix == ".npy":
        values = _load_npy(data, name)
    else:
        return decode_depth(data, name) / per_metre
    if values.ndim != 2 or values.dtype.kind not in "uif" or not values.size:
        raise DataError(f"depth '{name}' has shape {values.shape} of {values.dtype}; wanted H x W numbers")
    metres: np.ndarray = values.astype(np.float64) / (1.0 if values.dtype.kind == "f" else per_metre)
    if (metres < 0).any():
        raise DataError(f"depth '{name}' has {np.count_nonzero(metres < 0)} values below 0; 0 marks missing ones")
    return metres


def _load_npy(data: bytes, name: str) -> np.ndarray:
    try:
        values: np.ndarray = np.load(io.BytesIO(data), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"depth '{name}' is damaged or no array of numbers ({error}); replace the file") from error
    return values


@dataclass(frozen=True)
class HHAWriter:
    """Makes ``out/STEM.png`` of ``depth/NAME`` and ``raw/NAME``; call it with NAME.

    A file that was made of the same depth by the same settings is kept.

    Args:
        depth: folder of in-painted depth.
        raw: folder of raw depth (0, or NaN in arrays, where missing), same names, .png, .npy or .mat; None: ``depth``
            is raw itself.
        out: folder of the HHA images; must exist.
        camera: None: the Kinect's colour camera by the image's size.
        per_metre: units of whole numbers.
    """

    depth: Path
    raw: Path | None
    out: Path
    camera: Camera | None = None
    per_metre: float = 1000.0

    def files(self) -> FileSet:
        """What is written of each name."""
        camera = "by size" if self.camera is None else asdict(self.camera)
        settings = {"version": _VERSION, "camera": camera, "per_metre": self.per_metre}
        return FileSet(self.out, self, _stem, {"hha": "{key}.png"}, {"hha": Contents("hha")}, settings)

    def __call__(self, name: str) -> str:
        """``written`` or ``kept``.

        Raises:
            DataError: a file is missing, damaged or of another size, or gives no HHA.
            OSError: the image cannot be written.
        """
        path, raw_path = self.depth / name, self._raw_path(name)
        data = read_file(path, "depth")
        raw_data = data if raw_path == path else read_file(raw_path, "raw depth")
        mark = sources_digest((_VERSION, self.camera, self.per_metre), data, raw_data)
        target = self.out / f"{path.stem}.png"
        if png_mark(target) == mark:
            return "kept"
        depth_m = read_depth_m(data, str(path), self.per_metre)
        raw_m = depth_m if raw_path == path else read_depth_m(raw_data, str(raw_path), self.per_metre)
        check_sizes({f"depth '{path}'": depth_m.shape, f"raw depth '{raw_path}'": raw_m.shape})
        height, width = depth_m.shape
        camera = self.camera or camera_for(height, width, str(path))
        try:
            hha = encode_hha(depth_m, (raw_m == 0) | np.isnan(raw_m), camera)
        except DataError as error:
            raise DataError(f"depth '{path}': {error}") from error
        write_png(target, hha, mark)
        return "written"

    def _raw_path(self, name: str) -> Path:
        if self.raw is None:
            return self.depth / name
        choices = [self.raw / name, *((self.raw / name).with_suffix(suffix) for suffix in _SUFFIXES)]
        return next((path for path in choices if path.exists()), choices[0])


def _stem(name: str) -> str:
    return Path(name).stem
