"""From nyu_depth_v2_labeled.mat to the files that the FCN release reads."""

from dataclasses import dataclass

import numpy as np

from caffe_compat.errors import DataError
from caffe_compat.proto.whole_file import replacing
from data_prep.contents import sources_digest
from data_prep.hha.camera import CROP_SIZE_PX, CROP_START_PX, Camera
from data_prep.hha.encoding import encode_hha
from data_prep.nyud import NYUDFolder, encode_segmentation, segmentation_mark
from data_prep.nyud_mat import ClassMapping, Frame, LabeledMat
from data_prep.png_files import png_mark, write_png

__all__ = ["NYUDExport"]

_VERSION = "nyud 2"
_MOST_MM = 0xFFFF
_CROP = tuple(slice(start, start + size) for start, size in zip(CROP_START_PX, CROP_SIZE_PX, strict=True))


@dataclass(frozen=True)
class NYUDExport:
    """Writes a frame's five files; call it with an id.

    Frames are cut to rows 46 to 470 and columns 41 to 600 (from 1), depth is rounded to millimetres, and HHA is made
    of these. Files that were made of the same frame by the same settings are kept.

    Args:
        mat: the frames.
        mapping: of their labels.
        folder: that gets the files; its folders must exist.
        camera: for HHA, of the cropped image.
    """

    mat: LabeledMat
    mapping: ClassMapping
    folder: NYUDFolder
    camera: Camera

    def __call__(self, image_id: str) -> str:
        """``written`` or ``kept``.

        Raises:
            DataError: the frame cannot be read, or holds no usable depth or labels.
            OSError: a file cannot be written.
        """
        frame = self.mat.read(image_id)
        mark = self._mark(frame)
        paths = {kind: self.folder.picture_path(kind, image_id) for kind in ("images", "depth", "rawdepth", "hha")}
        label_path = self.folder.label_path(image_id)
        if segmentation_mark(label_path) == mark and all(png_mark(path) == mark for path in paths.values()):
            return "kept"
        name = f"{self.mat.path}, image {image_id}"
        segmentation = self.mapping.map(frame.labels[_CROP], name)
        depth, raw = (_millimetres(values[_CROP], name) for values in (frame.depth_m, frame.raw_m))
        if not depth.all():
            raise DataError(
                f"depths of '{name}' have {np.count_nonzero(depth == 0)} pixels of 0; wanted in-painted depth"
            )
        try:
            hha = encode_hha(depth / 1000, raw == 0, self.camera)
        except DataError as error:
            raise DataError(f"depth of '{name}': {error}") from error
        pictures = {"images": frame.image[_CROP], "depth": depth, "rawdepth": raw, "hha": hha}
        for kind, path in paths.items():
            write_png(path, pictures[kind], mark)
        with replacing(label_path) as temporary:
            temporary.write_bytes(encode_segmentation(segmentation, mark))
        return "written"

    def _mark(self, frame: Frame) -> str:
        arrays = (frame.image, frame.depth_m, frame.raw_m, frame.labels, self.mapping.classes)
        return sources_digest((_VERSION, self.camera), *(np.ascontiguousarray(one).tobytes() for one in arrays))


def _millimetres(depth_m: np.ndarray, name: str) -> np.ndarray:
    """Metres as whole millimetres, uint16: multiplied in the file's own precision, halves up, as MATLAB does it.

    Products of single precision often end in exactly a half. Source: rcnn-depth, uint16(cropIt(depths(:,:,i)) * 1000).
    """
    product = depth_m * depth_m.dtype.type(1000)
    millimetres = np.floor(product.astype(np.float64) + 0.5)
    if not ((millimetres >= 0) & (millimetres <= _MOST_MM)).all():  # NaN is neither
        raise DataError(
            f"depth of '{name}' holds values that are no depth in metres (0 to {_MOST_MM / 1000}); "
            "download the file again"
        )
    return millimetres.astype(np.uint16)
