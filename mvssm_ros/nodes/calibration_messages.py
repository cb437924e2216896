"""RigCalibration messages: read as strictly as a rig file, and written of a refined rig."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo

from mvssm_ros.errors import UserError
from mvssm_ros.msg import CameraCalibration, RigCalibration
from mvssm_ros.nodes.conversions import info_to_intrinsics, intrinsics_to_info
from mvssm_ros.nodes.rotations import quaternion_from_matrix
from mvssm_ros.rig import plausibility
from mvssm_ros.rig.rig_file import CameraEntry, Rig
from mvssm_ros.rig.validation import check_camera_matrix, rotation_from_quaternion

if TYPE_CHECKING:
    from mvssm_ros.rig.refine import CameraResult, Refinement


def calibrated_by(rig: Rig, message: RigCalibration, topic: str) -> Rig:
    """The rig with the calibration of the message; cameras it does not list stay the same objects.

    Raises:
        UserError: no camera, an unknown one or one twice, another reference frame, a pose that is
            none, intrinsics that are none, or a rig that contradicts itself (millimetres for
            metres). Then nothing of the message is to be used.
    """
    where = f"topic '{topic}'"
    if message.header.frame_id.removeprefix("/") != rig.reference_frame:
        raise UserError(
            f"{where}: header.frame_id is {message.header.frame_id!r:.60}, expected the rig's"
            f" reference frame '{rig.reference_frame}'"
        )
    names = [camera.name for camera in message.cameras]
    if not names:
        raise UserError(f"{where}: lists no camera")
    unknown = sorted(set(names) - set(rig.cameras))
    if unknown:
        raise UserError(
            f"{where}: camera {unknown[0]!r:.60} is not in the rig, which has {list(rig.cameras)}"
        )
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UserError(f"{where}: camera '{twice[0]}' is listed twice")
    new = {c.name: _entry(rig.cameras[c.name], c, where, topic) for c in message.cameras}
    calibrated = replace(rig, cameras={**rig.cameras, **new})
    plausibility.check(calibrated, where)
    return calibrated


def _entry(entry: CameraEntry, message: CameraCalibration, where: str, topic: str) -> CameraEntry:
    place = f"{where}: camera '{message.name}'"
    q, p = message.pose.orientation, message.pose.position
    to_world = rotation_from_quaternion([q.x, q.y, q.z, q.w], f"{place}: pose.orientation")
    position_m = np.array([p.x, p.y, p.z])
    if not np.isfinite(position_m).all():
        raise UserError(f"{place}: pose.position has a value that is not a finite number")
    placed = replace(entry, R=to_world.T, t_m=-to_world.T @ position_m)
    if not np.any(message.intrinsics.k):  # NaN counts as something
        return placed
    found = info_to_intrinsics(message.intrinsics, message.name, topic)
    check_camera_matrix(found.K, found.size_px, f"{place}: intrinsics")
    return replace(
        placed,
        K=found.K,
        distortion_model=found.distortion_model,
        distortion=found.distortion,
        size_px=found.size_px,
    )


def calibration_message(
    refined: Refinement, stamp_ns: int, source: str, with_intrinsics: bool
) -> RigCalibration:
    """The cameras that were refined.

    Args:
        stamp_ns: from when on it holds.
        source: where it comes from, for the receiver's log.
        with_intrinsics: the intrinsics were refined too; else they are left as zeros.
    """
    message = RigCalibration(source=source)
    message.header.stamp = Time(nanoseconds=stamp_ns).to_msg()
    message.header.frame_id = refined.rig.reference_frame
    message.cameras = [
        _camera_msg(refined.rig.cameras[found.name], found, with_intrinsics)
        for found in refined.cameras
        if found.refined
    ]
    return message


def _camera_msg(
    entry: CameraEntry, found: CameraResult, with_intrinsics: bool
) -> CameraCalibration:
    R, center_m = entry.R, entry.center_m
    assert R is not None  # it was refined
    assert center_m is not None
    x, y, z, w = quaternion_from_matrix(R.T).tolist()
    position = Point(**dict(zip("xyz", center_m.tolist(), strict=True)))
    return CameraCalibration(
        name=entry.name,
        pose=Pose(position=position, orientation=Quaternion(x=x, y=y, z=z, w=w)),
        pose_covariance=found.pose_covariance.ravel().tolist(),
        intrinsics=intrinsics_to_info(entry) if with_intrinsics else CameraInfo(),
    )
