"""The direction of gravity from surface normals, and heights along it."""

import numpy as np

from caffe_compat.errors import DataError

__all__ = ["gravity_direction", "gravity_rotation", "height_above_ground"]

_CAMERA_DOWN = (0.0, 1.0, 0.0)
_THRESHOLDS_DEG = (45, 15)
_ROUNDS = 5
_LEAST_TURN_DEG = 0.1
_LOWEST_CM = -90.0
_CAMERA_HEIGHT_CM = 130.0


def gravity_direction(normals: np.ndarray) -> np.ndarray:
    """The direction that most normals are along (floor, table tops) or across (walls).

    From the camera's own down, ten times: normals within a threshold of the direction, either way, count as floor,
    those within it of the plane across as wall; the new direction is the eigenvector of the smallest eigenvalue of
    the walls' scatter less the floors'. The threshold is 45 degrees five times, then 15.

    Args:
        normals: 3 x H x W, length 1; pixels with NaN do not count.

    Returns:
        3 float64 of length 1 in the camera's frame, pointing down.

    Raises:
        DataError: there are no normals, or they give no direction.

    Source: rgbdutils getYDir.m, processDepthImage in saveHHA.m.
    """
    flat = normals.reshape(3, -1)
    flat = flat[:, ~np.isnan(flat[0])]
    if not flat.size:
        raise DataError("no square of the depth holds a pixel that is not missing; check the raw depth")
    direction = np.array(_CAMERA_DOWN)
    for threshold in _THRESHOLDS_DEG:
        floor, wall = np.cos(np.radians(threshold)), np.sin(np.radians(threshold))
        for _ in range(_ROUNDS):
            along = np.abs(direction[0] * flat[0] + direction[1] * flat[1] + direction[2] * flat[2])
            scatter = _scatter(flat, (along < wall).astype(np.float64) - (along > floor))
            found = np.linalg.eigh(scatter)[1][:, 0]  # eigenvalues come in rising order
            sign = np.sign(direction @ found)
            if sign == 0:
                raise DataError("the depth's surfaces give no direction of gravity; check the depth and its unit")
            direction = found * sign
    return direction


def _scatter(flat: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted sum of the normals' outer products, 3 x 3."""
    scatter = np.empty((3, 3))
    for i in range(3):
        weighted = weight * flat[i]
        for j in range(i, 3):
            scatter[i, j] = scatter[j, i] = (weighted * flat[j]).sum()
    return scatter


def gravity_rotation(gravity: np.ndarray) -> np.ndarray:
    """The rotation that turns the camera's down (0, 1, 0) to gravity, about the axis across both; 3 x 3.

    None (the identity) where they are within 0.1 degrees. Its transpose turns points upright.

    Source: rgbdutils getRMatrix.m.
    """
    down, gravity = np.array(_CAMERA_DOWN), gravity / np.linalg.norm(gravity)
    angle = np.arccos(np.clip(down @ gravity, -1, 1))
    if np.degrees(angle) <= _LEAST_TURN_DEG:
        return np.eye(3)
    x, y, z = (axis := np.cross(down, gravity)) / np.linalg.norm(axis)
    across = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * across + (1 - np.cos(angle)) * (across @ across)


def height_above_ground(points_cm: np.ndarray, gravity: np.ndarray) -> np.ndarray:
    """How far each point is above the lowest one, against gravity.

    Where no point is 90 cm or more below the camera, the floor is not in view: it is taken to be 130 cm below.

    Args:
        points_cm: 3 x H x W.
        gravity: 3, length 1.

    Returns:
        H x W float64, centimetres; NaN for points of NaN.

    Source: processDepthImage in rcnn-depth saveHHA.m.
    """
    down = gravity_rotation(gravity)[:, 1]  # the second row of the transpose: a point's Y when turned upright
    x, y, z = points_cm
    height = -(down[0] * x + down[1] * y + down[2] * z)
    lowest = np.fmin.reduce(height, axis=None)
    return height + _CAMERA_HEIGHT_CM if not lowest <= _LOWEST_CM else height - lowest
