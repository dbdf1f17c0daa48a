"""HHA: depth as horizontal disparity, height above ground and angle with gravity, one byte each.

    from data_prep.hha import CAMERAS, encode_hha
    hha = encode_hha(depth_m, raw_m == 0, CAMERAS["color-cropped"])      # H x W x 3 uint8

This is what rcnn-depth's saveHHA.m gives, whose images FCN's NYUDv2 nets were trained on. Other programs called HHA
differ: Depth2HHA and its Python copy take the camera of whole frames for cropped images (``CAMERAS["color"]`` gives
that here), and the copy returns the channels in reverse.
"""

from dataclasses import dataclass

import numpy as np

from caffe_compat.errors import DataError
from data_prep.hha.camera import Camera
from data_prep.hha.gravity import gravity_direction, height_above_ground
from data_prep.hha.normals import surface_normals
from data_prep.hha.point_cloud import point_cloud

__all__ = ["Geometry", "depth_geometry", "encode_hha"]

_ANGLE_RADIUS_PX = 3
_GRAVITY_RADIUS_PX = 10
_NEAREST_CM = 100.0
_DISPARITY_CM = 31000.0
_ANGLE_SHIFT = 128 - 90


@dataclass(frozen=True)
class Geometry:
    """What a depth image says of the scene, in the camera's frame (X right, Y down, Z away).

    Attributes:
        points_cm: 3 x H x W.
        normals: 3 x H x W, length 1, NaN where there is nothing to fit a plane to.
        gravity: 3, length 1, pointing down.
        height_cm: H x W, above the lowest point.
        angle_deg: H x W, of the normal with gravity, 0 to 180; 180 where there is no normal.
    """

    points_cm: np.ndarray
    normals: np.ndarray
    gravity: np.ndarray
    height_cm: np.ndarray
    angle_deg: np.ndarray


def depth_geometry(depth_m: np.ndarray, missing: np.ndarray, camera: Camera) -> Geometry:
    """Points, normals, gravity, height and angle of a depth image.

    Args:
        depth_m: H x W, metres, in-painted: a value at every pixel.
        missing: H x W bool, where the raw depth has no value (is 0).
        camera: that took it.

    Raises:
        DataError: the shapes differ or are not H x W, or the depth gives no direction of gravity.
    """
    depth_m, missing = np.asarray(depth_m), np.asarray(missing)
    if depth_m.ndim != 2 or depth_m.shape != missing.shape:
        raise DataError(
            f"depth has shape {depth_m.shape} and the mask of missing pixels {missing.shape}; wanted H x W, both alike"
        )
    z = depth_m.astype(np.float64) * 100
    points = point_cloud(z, camera)
    missing = missing.astype(bool)
    normals = surface_normals(z, missing, camera, _ANGLE_RADIUS_PX)
    gravity = gravity_direction(surface_normals(z, missing, camera, _GRAVITY_RADIUS_PX))
    along = normals[0] * gravity[0] + normals[1] * gravity[1] + normals[2] * gravity[2]
    along[np.isnan(along)] = -1  # as MATLAB's max(-1, NaN)
    angle = np.degrees(np.arccos(np.clip(along, -1, 1, out=along)))
    return Geometry(points, normals, gravity, height_above_ground(points, gravity), angle)


def encode_hha(depth_m: np.ndarray, missing: np.ndarray, camera: Camera) -> np.ndarray:
    """The HHA image of a depth image.

    Channels: 31000 / depth in cm (255 below 121.6 cm); height above ground in cm (255 from 254.5 cm up); angle with
    gravity in degrees + 38 (38 to 218; 218 also where there is no normal). Rounded half up, as MATLAB's uint8 does.

    Args, Raises: as ``depth_geometry``.

    Returns:
        H x W x 3 uint8: disparity, height, angle.

    Source: rcnn-depth rcnn/saveHHA.m.
    """
    scene = depth_geometry(depth_m, missing, camera)
    image = np.empty((*scene.angle_deg.shape, 3), np.uint8)
    image[:, :, 0] = _to_byte(_DISPARITY_CM / np.fmax(scene.points_cm[2], _NEAREST_CM))
    image[:, :, 1] = _to_byte(scene.height_cm)
    image[:, :, 2] = _to_byte(scene.angle_deg + _ANGLE_SHIFT)
    return image


def _to_byte(values: np.ndarray) -> np.ndarray:
    """MATLAB's uint8(): halves away from zero, saturating, NaN to 0."""
    return np.clip(np.floor(np.nan_to_num(values, nan=0.0) + 0.5), 0, 255).astype(np.uint8)
