"""From a calibration's own world to the rig file's: metres, z up, z = 0 the floor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mvssm_ros.errors import UserError
from mvssm_ros.rig.importers.common import Array, Options
from mvssm_ros.rig.rig_file import CameraEntry
from mvssm_ros.rig.validation import rotation_from_quaternion

UNITS_M = {"m": 1.0, "cm": 0.01, "mm": 0.001}

# The rotation that takes the file's world to z up, by the axis of the file's world that is up
_TO_Z_UP: dict[str, Array] = {
    "z": np.eye(3),
    "neg-z": np.diag([1.0, -1, -1]),
    "y": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
    "neg-y": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "x": np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]]),
    "neg-x": np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]]),
}
UP_AXES = tuple(_TO_Z_UP)

# Columns: the optical axes (right, down, forward) of a level camera that looks along x (REP-103)
LEVEL_OPTICAL = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])


def place(
    cameras: dict[str, CameraEntry], options: Options, where: str, first_camera_world: bool
) -> dict[str, CameraEntry]:
    """Turn and move all cameras together into the rig file's world.

    Args:
        cameras: in the file's world, metres.
        first_camera_world: the file's world is the first camera's optical frame (Kalibr, stereo),
            so that the file does not know the floor, nor up.

    Raises:
        UserError: the file does not know the floor and the options do not say it either.
    """
    first = next(iter(cameras.values()), None)
    if first is None:
        return cameras
    if options.first_camera_pose is not None:
        pose = np.asarray(options.first_camera_pose, np.float64)
        R = rotation_from_quaternion(pose[3:], "--first-camera-pose: the quaternion")
        return _with_first_at(cameras, first, R, pose[:3])
    if options.first_camera_height_m is not None:
        at = np.array([0.0, 0.0, options.first_camera_height_m])
        return _with_first_at(cameras, first, LEVEL_OPTICAL, at)
    if first_camera_world:
        raise UserError(
            f"{where}: is in the frame of its first camera ({first.name}) and does not say where"
            " the floor is; add --first-camera-height M (if that camera looks level), or"
            " --first-camera-pose X Y Z QX QY QZ QW (its optical frame in the reference frame)"
        )
    M = _TO_Z_UP[options.up or "z"]
    return {name: _moved(entry, M, np.zeros(3)) for name, entry in cameras.items()}


def _with_first_at(
    cameras: dict[str, CameraEntry], first: CameraEntry, R: Array, position_m: Array
) -> dict[str, CameraEntry]:
    """Move all so that the first camera's optical axes are R's columns, and its centre there."""
    if first.R is None or first.center_m is None:
        raise UserError(f"camera {first.name}: has no extrinsics, so that nothing can be placed")
    M = R @ first.R
    shift = position_m - M @ first.center_m
    return {name: _moved(entry, M, shift) for name, entry in cameras.items()}


def _moved(entry: CameraEntry, M: Array, shift_m: Array) -> CameraEntry:
    """The camera in the world x' = M x + shift."""
    if entry.R is None or entry.t_m is None:
        return entry
    R = entry.R @ M.T
    return replace(entry, R=R, t_m=entry.t_m - R @ shift_m)
