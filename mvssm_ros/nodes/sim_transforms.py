"""The cameras and the arm of a simulated rig on /tf_static and /tf, where tf2_msgs is installed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time
from std_msgs.msg import Header

from mvssm_ros.nodes import optional
from mvssm_ros.nodes.rotations import quaternion_from_matrix
from mvssm_ros.rig.rig_file import Rig
from mvssm_ros.simulation.arm import Frame


class SimTransforms:
    """Without tf2_msgs nothing is published, which is said once."""

    def __init__(self, node: Node, rig: Rig) -> None:
        self._frame = rig.reference_frame
        self._tf: Any = None
        self._messages = optional.tf2_msgs()
        if self._messages is None:
            node.get_logger().info(
                "tf2_msgs is not installed: no transforms of cameras and arm are published"
            )
            return
        message_type = self._messages.TFMessage
        self._tf = node.create_publisher(message_type, "/tf", QoSProfile(depth=100))
        self._static = node.create_publisher(
            message_type,
            "/tf_static",
            QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL),
        )
        self._cameras = [
            Frame(entry.frame_id, "", _pose(entry.R.T, entry.center_m))
            for entry in rig.cameras.values()
        ]
        self._told_static = False

    def publish(self, frames: Iterable[Frame], stamp_ns: int) -> None:
        """The arm's frames at this moment; what stands still is sent once."""
        if self._tf is None:
            return
        frames = list(frames)
        if not self._told_static:
            standing = [*self._cameras, *frames[:1]]  # the arm's base
            self._static.publish(self._message(standing, stamp_ns))
            self._told_static = True
        if frames:
            self._tf.publish(self._message(frames[1:], stamp_ns))

    def _message(self, frames: Iterable[Frame], stamp_ns: int) -> Any:
        return self._messages.TFMessage(
            transforms=[self._transform(frame, stamp_ns) for frame in frames]
        )

    def _transform(self, frame: Frame, stamp_ns: int) -> TransformStamped:
        x, y, z = (float(v) for v in frame.pose[:3, 3])
        qx, qy, qz, qw = (float(q) for q in quaternion_from_matrix(frame.pose[:3, :3]))
        return TransformStamped(
            header=Header(
                stamp=Time(nanoseconds=stamp_ns).to_msg(), frame_id=frame.parent or self._frame
            ),
            child_frame_id=frame.name,
            transform=Transform(
                translation=Vector3(x=x, y=y, z=z), rotation=Quaternion(x=qx, y=qy, z=qz, w=qw)
            ),
        )


def _pose(rotation: npt.NDArray[np.float64], place_m: Any) -> npt.NDArray[np.float64]:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, place_m
    return pose
