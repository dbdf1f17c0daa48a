"""HHA images from depth, and the pieces they are made of: points, normals, gravity, height."""

from data_prep.hha.agreement import Agreement, compare_hha
from data_prep.hha.camera import CAMERAS, Camera, camera_for, parse_camera
from data_prep.hha.encoding import Geometry, depth_geometry, encode_hha
from data_prep.hha.gravity import gravity_direction, gravity_rotation, height_above_ground
from data_prep.hha.normals import surface_normals
from data_prep.hha.point_cloud import point_cloud

__all__ = [
    "CAMERAS",
    "Agreement",
    "Camera",
    "Geometry",
    "camera_for",
    "compare_hha",
    "depth_geometry",
    "encode_hha",
    "gravity_direction",
    "gravity_rotation",
    "height_above_ground",
    "parse_camera",
    "point_cloud",
    "surface_normals",
]
