"""Pinhole cameras by name or by their four numbers.

Source: nyu-hooks getCameraParam.m, cropCamera.m and cropIt.m (calibration of NYU Depth V2's Kinect).
"""

from dataclasses import astuple, dataclass
from math import isfinite

from caffe_compat.errors import DataError

__all__ = ["CAMERAS", "CROP_SIZE_PX", "CROP_START_PX", "FULL_SIZE_PX", "Camera", "camera_for", "parse_camera"]

FULL_SIZE_PX = (480, 640)
"""Rows and columns of a Kinect frame."""

CROP_START_PX = (45, 40)
"""First row and column, from 0, of the part of a frame that benchmarks use (from 1: rows 46-470, columns 41-600)."""

CROP_SIZE_PX = (425, 560)
"""Rows and columns of that part."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    Args:
        fx: focal length, pixels.
        fy: likewise.
        cx: column of the principal point, pixels; the first column is 1, as in MATLAB.
        cy: row of the principal point, likewise.

    Raises:
        DataError: a number is not finite, or a focal length not above 0.
    """

    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        if not all(isfinite(value) for value in astuple(self)) or self.fx <= 0 or self.fy <= 0:
            raise DataError(
                f"camera {self.fx:g},{self.fy:g},{self.cx:g},{self.cy:g}: wanted four finite numbers, "
                "fx,fy,cx,cy in pixels, with focal lengths fx and fy above 0"
            )

    def cropped(self, top_px: int = CROP_START_PX[0], left_px: int = CROP_START_PX[1]) -> "Camera":
        """The camera of an image from which rows at the top and columns at the left were cut off."""
        return Camera(self.fx, self.fy, self.cx - left_px, self.cy - top_px)


_COLOR = Camera(518.85790117450188, 519.46961112127485, 325.58244941119034, 253.73616633400465)
_DEPTH = Camera(582.62448167737955, 582.69103270988637, 313.04475870804731, 238.44389626620386)

CAMERAS: dict[str, Camera] = {
    "color": _COLOR,
    "color-cropped": _COLOR.cropped(),
    "depth": _DEPTH,
    "depth-cropped": _DEPTH.cropped(),
}
"""The Kinect's colour and depth cameras, for whole frames (480 x 640) and for cropped ones (425 x 560).

NYUDv2's depths lie in the colour image's frame. rcnn-depth, whose features FCN was trained on, takes ``color-cropped``.
"""


def parse_camera(text: str) -> Camera:
    """A camera by its name, or by ``fx,fy,cx,cy``.

    Raises:
        DataError: neither.
    """
    if text in CAMERAS:
        return CAMERAS[text]
    try:
        fx, fy, cx, cy = (float(word) for word in text.split(","))
    except ValueError:
        raise DataError(
            f"camera {text!r} is not known; name one of {', '.join(CAMERAS)}, "
            "or give its four numbers in pixels as fx,fy,cx,cy"
        ) from None
    return Camera(fx, fy, cx, cy)


def camera_for(height: int, width: int, name: str) -> Camera:
    """The Kinect's colour camera by an image's size.

    Args:
        height: rows.
        width: columns.
        name: of the image, for the message.

    Raises:
        DataError: the size is neither that of a whole frame nor that of a cropped one.
    """
    known = {FULL_SIZE_PX: "color", CROP_SIZE_PX: "color-cropped"}
    if (height, width) not in known:
        raise DataError(
            f"depth '{name}' is {width} x {height} pixels (width x height); a camera is known only for 640 x 480 and "
            f"560 x 425; name one of {', '.join(CAMERAS)} or give fx,fy,cx,cy with --camera"
        )
    return CAMERAS[known[height, width]]
