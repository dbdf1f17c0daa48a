"""HHA of a room whose planes, tilt and heights are known exactly."""

import numpy as np
import pytest

from caffe_compat.errors import DataError
from data_prep.hha import (
    CAMERAS,
    Camera,
    depth_geometry,
    encode_hha,
    gravity_direction,
    gravity_rotation,
    height_above_ground,
    point_cloud,
    surface_normals,
)

CAMERA = Camera(60.0, 62.0, 41.5, 30.25)
SIZE = (60, 80)
TILT = np.radians(12)
DOWN = np.array([0.0, np.cos(TILT), np.sin(TILT)])  # the camera looks 12 degrees towards the floor
AHEAD = np.array([0.0, -np.sin(TILT), np.cos(TILT)])
FLOOR_CM, WALL_CM = 120.0, 320.0


def room():
    """Depth in cm of a floor 120 cm below the camera and a wall 320 cm ahead of it, and which pixels see the floor."""
    columns, rows = np.arange(1, SIZE[1] + 1), np.arange(1, SIZE[0] + 1)
    ray = np.stack(
        np.broadcast_arrays((columns - CAMERA.cx) / CAMERA.fx, ((rows - CAMERA.cy) / CAMERA.fy)[:, None], 1.0)
    )
    with np.errstate(divide="ignore"):
        floor = FLOOR_CM / np.maximum(np.tensordot(DOWN, ray, 1), 1e-9)
    wall = WALL_CM / np.tensordot(AHEAD, ray, 1)
    return np.minimum(floor, wall), floor < wall


def inner(mask, radius):
    """Pixels whose whole square lies in the mask and in the image."""
    padded = np.pad(mask, radius)
    height, width = mask.shape
    squares = [padded[i : i + height, j : j + width] for i in range(2 * radius + 1) for j in range(2 * radius + 1)]
    return np.logical_and.reduce(squares)


def seen(shape=SIZE):
    return np.zeros(shape, bool)


def test_points_lie_where_the_room_is():
    depth, floor = room()
    points = point_cloud(depth, CAMERA)
    np.testing.assert_allclose(np.tensordot(DOWN, points, 1)[floor], FLOOR_CM)
    np.testing.assert_allclose(np.tensordot(AHEAD, points, 1)[~floor], WALL_CM)
    assert points[0, 0, 0] == pytest.approx((1 - 41.5) / 60 * depth[0, 0])


@pytest.mark.parametrize("radius", [1, 3, 4, 10])
def test_normals_are_those_of_the_planes_away_from_the_camera(radius):
    depth, floor = room()
    normals = surface_normals(depth, seen(), CAMERA, radius)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=0), 1)
    whole = inner(floor, radius)
    assert whole.any()
    np.testing.assert_allclose(normals[:, whole], np.broadcast_to(DOWN[:, None], (3, whole.sum())), atol=1e-6)
    whole = inner(~floor, radius)
    np.testing.assert_allclose(normals[:, whole], np.broadcast_to(AHEAD[:, None], (3, whole.sum())), atol=1e-6)


def test_pixels_at_the_edge_are_fitted_to_what_is_in_the_image():
    depth, _ = room()
    normals = surface_normals(depth, seen(), CAMERA, 3)
    np.testing.assert_allclose(normals[:, 0, 0], AHEAD, atol=1e-6)
    np.testing.assert_allclose(normals[:, -1, -1], DOWN, atol=1e-6)


def test_the_fit_equals_the_plain_sums_over_each_square():
    """The windowed normal equations against a loop over pixels, depth noise and holes included."""
    random = np.random.RandomState(0)
    depth = room()[0] * random.uniform(0.98, 1.02, SIZE)
    missing = random.uniform(size=SIZE) < 0.3
    normals = surface_normals(depth, missing, CAMERA, 2)
    points = point_cloud(depth, CAMERA)
    for row, column in [(0, 0), (1, 40), (30, 30), (59, 79), (58, 3), (20, 78)]:
        square = np.s_[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
        x, y, z = points[(slice(None), *square)][:, ~missing[square]]
        design = np.stack((x / z, y / z, np.ones_like(z)), axis=1)
        normal = np.linalg.solve(design.T @ design, design.T @ (1 / z))
        normal *= np.sign(normal @ points[:, row, column]) / np.linalg.norm(normal)
        np.testing.assert_allclose(normals[:, row, column], normal, atol=1e-6)


def test_missing_pixels_do_not_count_and_large_holes_have_no_normal():
    depth, _ = room()
    missing = seen()
    missing[5:25, 10:40] = True
    broken = np.where(missing, 5.0, depth)
    normals = surface_normals(broken, missing, CAMERA, 3)
    none = inner(missing, 3)
    assert none.any()
    np.testing.assert_array_equal(np.isnan(normals[0]), none)
    np.testing.assert_allclose(normals[:, 4, 20], AHEAD, atol=1e-6)
    hha = encode_hha(broken / 100, missing, CAMERA)
    assert (hha[none][:, 2] == 218).all()


def test_gravity_is_found():
    depth, _ = room()
    np.testing.assert_allclose(gravity_direction(surface_normals(depth, seen(), CAMERA, 3)), DOWN, atol=2e-3)


def test_all_three_channels():
    depth, floor = room()
    scene = depth_geometry(depth / 100, seen(), CAMERA)
    assert np.degrees(np.arccos(scene.gravity @ DOWN)) < 1  # squares across the room's edge belong to neither plane
    whole = inner(floor, 3)
    np.testing.assert_allclose(scene.angle_deg[whole], 0, atol=1)
    np.testing.assert_allclose(scene.angle_deg[inner(~floor, 3)], 90, atol=1)
    np.testing.assert_allclose(scene.height_cm[floor], 0, atol=8)
    hha = encode_hha(depth / 100, seen(), CAMERA)
    assert hha.shape == (*SIZE, 3)
    assert hha.dtype == np.uint8
    np.testing.assert_array_equal(hha[:, :, 0], np.floor(np.minimum(31000 / np.maximum(depth, 100), 255) + 0.5))
    np.testing.assert_array_equal(hha[:, :, 1], np.floor(np.clip(scene.height_cm, 0, 255) + 0.5))
    assert set(np.unique(hha[:, :, 2][whole])) <= {38, 39}
    assert (hha[:, :, 0][depth < 121.5] == 255).all()


def test_heights_and_the_floor_that_is_not_seen():
    points = np.zeros((3, 1, 4))
    points[1] = [[-50, 0, 89.5, np.nan]]
    np.testing.assert_allclose(height_above_ground(points, DOWN * 0 + [0, 1, 0]), [[180, 130, 40.5, np.nan]])
    points[1, 0, 2] = 90
    np.testing.assert_allclose(height_above_ground(points, np.array([0.0, 1, 0])), [[140, 90, 0, np.nan]])


def test_the_rotation_turns_down_to_gravity():
    rotation = gravity_rotation(DOWN)
    np.testing.assert_allclose(rotation @ [0, 1, 0], DOWN)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    near = np.array([0, np.cos(np.radians(0.09)), np.sin(np.radians(0.09))])
    np.testing.assert_array_equal(gravity_rotation(near), np.eye(3))
    turned = np.array([0, np.cos(np.radians(0.11)), np.sin(np.radians(0.11))])
    assert gravity_rotation(turned)[2, 1] > 0


def test_depth_without_a_direction_is_refused():
    depth, _ = room()
    with pytest.raises(DataError, match="no square of the depth holds a pixel that is not missing; check the raw"):
        encode_hha(depth / 100, np.ones(SIZE, bool), CAMERA)
    with pytest.raises(DataError, match=r"depth has shape \(60, 80\) and the mask of missing pixels \(2,\); wanted"):
        encode_hha(depth, np.zeros(2), CAMERA)
    nowhere = np.full((3, 2, 2), np.sqrt(0.5))  # neither floor nor wall at any threshold
    nowhere[2] = 0
    with pytest.raises(DataError, match="surfaces give no direction of gravity; check the depth and its unit"):
        gravity_direction(nowhere)


def test_walls_alone_give_gravity():
    walls = np.full((3, 2, 2), np.nan)
    walls[:, 0, 0] = [1, 0, 0]
    walls[:, 0, 1] = [0, np.sin(0.1), np.cos(0.1)]
    np.testing.assert_allclose(gravity_direction(walls), [0, np.cos(0.1), -np.sin(0.1)], atol=1e-12)


def test_the_crop_moves_the_principal_point():
    color, cropped = CAMERAS["color"], CAMERAS["color-cropped"]
    assert (cropped.cx, cropped.cy) == pytest.approx((285.58244941119034, 208.73616633400465))
    assert (cropped.fx, cropped.fy) == (color.fx, color.fy)
    depth = np.random.RandomState(0).uniform(1, 4, (480, 640))
    whole = point_cloud(depth, color)[:, 45:470, 40:600]
    np.testing.assert_allclose(point_cloud(depth[45:470, 40:600], cropped), whole)


@pytest.mark.parametrize("radius", [0, 3, 10])
def test_strips_of_rows_change_no_bit(monkeypatch, radius):
    random = np.random.RandomState(radius)
    depth, missing = random.uniform(50, 900, (75, 40)), random.uniform(size=(75, 40)) < 0.3
    depth[random.uniform(size=depth.shape) < 0.01] = 0
    found = []
    for rows in (1000, 32, 7, 1):
        monkeypatch.setattr("data_prep.hha.normals._STRIP_ROWS", rows)
        found.append(surface_normals(depth, missing, CAMERAS["color"], radius))
    assert np.isfinite(found[0]).any()
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
