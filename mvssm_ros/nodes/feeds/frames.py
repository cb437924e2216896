"""Where the robot is when a set was taken."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from rclpy.time import Time
from std_msgs.msg import Header

from mvssm_ros.errors import UserError
from mvssm_ros.nodes.problems import Problems

Array = npt.NDArray[np.float64]
# Reference frame, frame, stamp in ns -> R [3, 3], t [3] m with x_frame = R x_reference + t.
Lookup = Callable[[str, str, int], tuple[Array, Array]]


class Frames:
    """Poses of frames in the reference frame.

    Args:
        lookup: asks TF; None where tf2_ros is not installed. Raises UserError.
        problems: told when a frame's pose is not known, and when it is again.
    """

    def __init__(self, lookup: Lookup | None, problems: Problems) -> None:
        self._lookup = lookup
        self._problems = problems

    def pose(self, frame: str, header: Header) -> tuple[Array, Array] | None:
        """R [3, 3], t [3] m with x_reference = R x_frame + t at the header's stamp; None: unknown."""
        kind = f"frame {frame}"
        if frame == header.frame_id:
            return np.eye(3), np.zeros(3)
        try:
            if self._lookup is None:
                raise UserError(
                    f"the pose of '{frame}' must come from TF, and tf2_ros is not installed"
                    " (ros-<distro>-tf2-ros-py); feeds that need it are not published, or unknown"
                )
            stamp_ns = Time.from_msg(header.stamp).nanoseconds
            R, t_m = self._lookup(header.frame_id, frame, stamp_ns)
        except UserError as error:
            self._problems.report(kind, f"feeds: {error}")
            return None
        self._problems.over(kind)
        return R.T, -R.T @ t_m
