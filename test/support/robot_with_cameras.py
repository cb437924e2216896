"""A robot that drives and turns with cameras of a rig on it, and the transforms it publishes."""

from dataclasses import replace

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time

from mvssm_ros.nodes.rotations import quaternion_from_matrix
from mvssm_ros.rig.rig_file import Rig

STATIC_QOS = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def transform(parent, child, matrix, stamp_ns=0) -> TransformStamped:
    """The pose [4, 4] of the child in its parent as a message."""
    made = TransformStamped(child_frame_id=child)
    made.header.frame_id = parent
    made.header.stamp = Time(nanoseconds=stamp_ns).to_msg()
    place, turn = made.transform.translation, made.transform.rotation
    place.x, place.y, place.z = (float(v) for v in matrix[:3, 3])
    turn.x, turn.y, turn.z, turn.w = (float(v) for v in quaternion_from_matrix(matrix[:3, :3]))
    return made


def camera_pose(entry) -> np.ndarray:
    """[4, 4], of the optical frame in the reference frame."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = entry.R.T, -entry.R.T @ entry.t_m
    return pose


def static_transforms(rig, skip=()) -> list[TransformStamped]:
    """Of all cameras, in the reference frame."""
    return [
        transform(rig.reference_frame, entry.frame_id, camera_pose(entry))
        for name, entry in rig.cameras.items()
        if name not in skip
    ]


def without_extrinsics(rig) -> Rig:
    bare = {n: replace(e, R=None, t_m=None) for n, e in rig.cameras.items()}
    return replace(rig, cameras=bare)


class RobotWithCameras:
    """Frames: reference frame -> odom (static) -> base_link (moving) -> its cameras (static).

    It drives circles of 0.3 m radius at 0.47 m/s and turns to and fro by 0.2 rad, at up to
    0.63 rad/s: with a pose 50 ms old, people in the middle of the ring are up to 5 cm off.

    Args:
        rig: where all cameras are while the robot is at its start.
        on_board: the names of its cameras; the others stand in the room.
    """

    def __init__(self, rig: Rig, on_board: list[str]) -> None:
        self.rig, self.on_board = rig, on_board
        self._odom = np.eye(4)
        self._odom[:3, 3] = 0.5, -0.3, 0.0
        to_base = np.linalg.inv(self._odom @ self._base(0))
        self._mounts = {name: to_base @ camera_pose(rig.cameras[name]) for name in on_board}

    def rig_at(self, stamp_ns: int) -> Rig:
        """Where the cameras really are."""
        cameras = dict(self.rig.cameras)
        for name, mount in self._mounts.items():
            inverse = np.linalg.inv(self._odom @ self._base(stamp_ns) @ mount)
            cameras[name] = replace(cameras[name], R=inverse[:3, :3], t_m=inverse[:3, 3])
        return replace(self.rig, cameras=cameras)

    def static(self) -> list[TransformStamped]:
        mounts = [
            transform("base_link", self.rig.cameras[name].frame_id, mount)
            for name, mount in self._mounts.items()
        ]
        odom = transform(self.rig.reference_frame, "odom", self._odom)
        return [*static_transforms(self.rig, skip=self.on_board), odom, *mounts]

    def moving(self, stamp_ns: int) -> TransformStamped:
        return transform("odom", "base_link", self._base(stamp_ns), stamp_ns)

    def _base(self, stamp_ns: int) -> np.ndarray:
        time_s = stamp_ns % 1_000_000_000_000 / 1e9
        around, yaw = 2 * np.pi * time_s / 4, 0.2 * np.sin(2 * np.pi * time_s / 2)
        pose = np.eye(4)
        pose[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
        pose[:2, 3] = 0.3 * np.cos(around), 0.3 * np.sin(around)
        return pose
