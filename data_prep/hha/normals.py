"""Surface normals by fitting a plane to the square around each pixel."""

import numpy as np

from data_prep.hha.camera import Camera
from data_prep.hha.point_cloud import rays

__all__ = ["surface_normals"]

_STRIP_ROWS = 32  # worked on at a time, so that what lies between stays in the processor's cache


def surface_normals(depth: np.ndarray, missing: np.ndarray, camera: Camera, radius_px: int) -> np.ndarray:
    """The direction of the surface at each pixel, away from the camera.

    A plane n . P = 1 through the points of a square of side 2 radius + 1 is fitted by least squares to
    n . (X/Z, Y/Z, 1) = 1/Z, so every pixel weighs by its inverse depth. Pixels outside the image and missing ones do
    not count. The normal equations are solved by the adjugate matrix, without dividing by the determinant: only the
    direction is wanted.

    Args:
        depth: H x W, along Z, in any unit of length; also where it is missing (there it only decides on the sign).
        missing: H x W bool, pixels that take no part in the fit.
        camera: that took it.
        radius_px: 3 for the angle with gravity, 10 for gravity itself.

    Returns:
        3 x H x W float64 of length 1; NaN where a square holds no pixels to fit.

    Source: rgbdutils computeNormalsSquareSupport.m, for which every pixel belongs to the same superpixel.
    """
    z = np.asarray(depth, np.float64)
    height, width = z.shape
    x_z, y_z = rays(height, width, camera)
    y_z = y_z[:, np.newaxis]
    normals = np.empty((3, height, width))
    for top in range(0, height, _STRIP_ROWS):
        bottom = min(top + _STRIP_ROWS, height)
        around = slice(max(top - radius_px, 0), bottom + radius_px)
        inside = slice(top - around.start, bottom - around.start)
        with np.errstate(divide="ignore", invalid="ignore"):
            _fit(z[around], missing[around], x_z, y_z[around], radius_px, inside, normals[:, top:bottom])
            _turn_away(normals[:, top:bottom], x_z, y_z[top:bottom], z[top:bottom])
    return normals


def _fit(
    z: np.ndarray,
    missing: np.ndarray,
    x_z: np.ndarray,
    y_z: np.ndarray,
    radius: int,
    inside: slice,
    normals: np.ndarray,
) -> None:
    """Put the planes' directions, of any length and sign, for the rows ``inside`` into ``normals``."""
    inverse = 1 / z
    # A point at depth 0 has no direction: X/Z is NaN there and adds nothing, but its 1/Z is infinite.
    usable = ~(missing | np.isnan(z))
    direct = (usable & (z != 0)).astype(np.float64)
    inverse[~usable] = 0
    inverse_direct = np.where(z == 0, 0, inverse)
    xx, xy, x, yy, y, one, bx, by, b = (
        _box_sum(field, radius, inside)
        for field in (
            direct * (x_z * x_z),
            direct * (x_z * y_z),
            direct * x_z,
            direct * (y_z * y_z),
            direct * y_z,
            usable.astype(np.float64),
            inverse_direct * x_z,
            inverse_direct * y_z,
            inverse,
        )
    )
    c00, c01, c02 = yy * one - y * y, x * y - xy * one, xy * y - x * yy
    c11, c12, c22 = xx * one - x * x, xy * x - xx * y, xx * yy - xy * xy
    normals[0] = c00 * bx + c01 * by + c02 * b
    normals[1] = c01 * bx + c11 * by + c12 * b
    normals[2] = c02 * bx + c12 * by + c22 * b


def _turn_away(normals: np.ndarray, x_z: np.ndarray, y_z: np.ndarray, z: np.ndarray) -> None:
    """Length 1; first Nz >= 0, then N . P >= 0; a sign of 0 or NaN changes nothing."""
    n0, n1, n2 = normals
    scale = 1 / np.sqrt(n0 * n0 + n1 * n1 + n2 * n2)
    scale[n2 < 0] *= -1
    normals *= scale
    along = (n0 * x_z + n1 * y_z + n2) * z
    normals[:, along < 0] *= -1


def _box_sum(field: np.ndarray, radius: int, inside: slice) -> np.ndarray:
    """Sums over squares of side 2 radius + 1, zeros outside, for the rows ``inside``.

    Runs of 1, 2, 4, ... are added up: nothing is ever subtracted, so squares of zeros sum to 0 exactly and large
    neighbours leave no rounding behind, which running sums would.
    """
    height, width = field.shape
    padded = np.zeros((height + 2 * radius, width + 2 * radius))
    padded[radius : radius + height, radius : radius + width] = field
    rows = _run_sum(padded[inside.start : inside.stop + 2 * radius], 2 * radius + 1)
    return _run_sum(rows.T, 2 * radius + 1).T


def _run_sum(run: np.ndarray, size: int) -> np.ndarray:
    """Sums of ``size`` values along the first axis, as many as there are whole ones."""
    length = len(run) - size + 1
    total, start, many = None, 0, 1  # run[i] holds the sum of `many` values from i
    while many <= size:
        if size & many:
            part = run[start : start + length]
            total = part if total is None else total + part
            start += many
        many *= 2
        if many <= size:
            run = run[: -(many // 2)] + run[many // 2 :]
    return np.zeros_like(run[:length]) if total is None else total
