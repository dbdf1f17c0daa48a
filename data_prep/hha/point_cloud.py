"""From depth to points in space."""

import numpy as np

from data_prep.hha.camera import Camera

__all__ = ["point_cloud", "rays"]


def rays(height: int, width: int, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """X / Z of each column (width) and Y / Z of each row (height), with pixels counted from 1."""
    columns, rows = np.arange(1, width + 1), np.arange(1, height + 1)
    return (columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy


def point_cloud(depth: np.ndarray, camera: Camera) -> np.ndarray:
    """The point that each pixel sees: X to the right, Y down, Z away from the camera.

    Args:
        depth: H x W, along Z, in any unit of length.
        camera: that took it.

    Returns:
        3 x H x W float64, in the same unit.

    Source: rgbdutils getPointCloudFromZ.m.
    """
    z = np.asarray(depth, np.float64)
    height, width = z.shape
    x_z, y_z = rays(height, width, camera)
    return np.stack((x_z * z, y_z[:, np.newaxis] * z, z))
