"""Where the cameras stand, from TF, where tf2_ros is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from rclpy.node import Node
from rclpy.time import Time

from mvssm_ros.errors import UserError
from mvssm_ros.nodes import optional
from mvssm_ros.nodes.rotations import matrix_from_quaternion

Array = npt.NDArray[np.float64]

_LATEST_WITHIN_S = 0.2  # a moving camera's newest transform may be this much older than the image


class TfExtrinsics:
    """Listens to /tf and /tf_static.

    Raises:
        UserError: tf2_ros is not installed.
    """

    def __init__(self, node: Node) -> None:
        tf2_ros = optional.tf2_ros()
        if tf2_ros is None:
            raise UserError(
                "extrinsics from TF need tf2_ros, which is not installed; install it with your ROS"
                " distribution (ros-<distro>-tf2-ros-py), or give extrinsics in the rig file"
            )
        self._errors: Any = tf2_ros.TransformException
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    def close(self) -> None:
        """Unsubscribe."""
        self._listener.unregister()

    def lookup(self, reference_frame: str, frame_id: str, stamp_ns: int) -> tuple[Array, Array]:
        """Extrinsics of a camera at a moment: R [3, 3] and t [3] m with x_cam = R x + t.

        A moving camera's transform often comes a little after its image; then the newest one is
        taken if it is not too old. A static transform holds at any time.

        Raises:
            UserError: TF does not connect the two frames (now).
        """
        try:
            transform = self._transform(reference_frame, frame_id, stamp_ns)
        except self._errors as error:
            raise UserError(
                f"TF does not know where '{frame_id}' is in '{reference_frame}' ({error}); publish"
                " it (static_transform_publisher), or give extrinsics in the rig file"
            ) from error
        rotation, translation = transform.transform.rotation, transform.transform.translation
        R = matrix_from_quaternion(np.array([rotation.x, rotation.y, rotation.z, rotation.w]))
        return R, np.array([translation.x, translation.y, translation.z])

    def _transform(self, reference_frame: str, frame_id: str, stamp_ns: int) -> Any:
        """The transform that takes points of the reference frame into the camera's frame."""
        try:
            return self._buffer.lookup_transform(
                frame_id, reference_frame, Time(nanoseconds=stamp_ns)
            )
        except self._errors:
            newest = self._buffer.lookup_transform(frame_id, reference_frame, Time())
            age_s = (stamp_ns - Time.from_msg(newest.header.stamp).nanoseconds) * 1e-9
            if abs(age_s) > _LATEST_WITHIN_S:
                raise
            return newest
