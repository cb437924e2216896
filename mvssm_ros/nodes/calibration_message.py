"""A refined rig as the message mvssm_ros/RigCalibration."""

from __future__ import annotations

from geometry_msgs.msg import Point, Pose, Quaternion
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo

from mvssm_ros.msg import CameraCalibration, RigCalibration
from mvssm_ros.nodes.rotations import quaternion_from_matrix
from mvssm_ros.rig.refine import CameraResult, Refinement
from mvssm_ros.rig.rig_file import CameraEntry


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
        _camera(refined.rig.cameras[found.name], found, with_intrinsics)
        for found in refined.cameras
        if found.refined
    ]
    return message


def _camera(entry: CameraEntry, found: CameraResult, with_intrinsics: bool) -> CameraCalibration:
    R, center_m = entry.R, entry.center_m
    assert R is not None  # it was refined
    assert center_m is not None
    x, y, z, w = quaternion_from_matrix(R.T).tolist()
    position = Point(**dict(zip("xyz", center_m.tolist(), strict=True)))
    return CameraCalibration(
        name=entry.name,
        pose=Pose(position=position, orientation=Quaternion(x=x, y=y, z=z, w=w)),
        pose_covariance=found.pose_covariance.ravel().tolist(),
        intrinsics=_intrinsics(entry) if with_intrinsics else CameraInfo(),
    )


def _intrinsics(entry: CameraEntry) -> CameraInfo:
    K, distortion, size_px = entry.K, entry.distortion, entry.size_px
    assert K is not None  # it was refined
    assert distortion is not None
    assert size_px is not None
    return CameraInfo(
        width=size_px[0],
        height=size_px[1],
        distortion_model=entry.distortion_model,
        d=distortion.tolist(),
        k=K.ravel().tolist(),
    )
