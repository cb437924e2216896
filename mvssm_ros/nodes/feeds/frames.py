"""Where the robot was when a set was taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from rclpy.time import Time
from std_msgs.msg import Header

from mvssm_ros.errors import UserError
from mvssm_ros.nodes import optional
from mvssm_ros.nodes.problems import Problems
from mvssm_ros.tracking.robot_links import parse_link

Array = npt.NDArray[np.float64]
# Reference frame, frame, stamp in ns -> R [3, 3], t [3] m with x_frame = R x_reference + t.
Lookup = Callable[[str, str, int], tuple[Array, Array]]


def robot_needs_tf(values: dict[str, Any], reference_frame: str) -> bool:
    """Whether the parameters feeds.* name frames whose place must come from TF.

    Raises:
        UserError: they do, and tf2_ros is not installed.
    """
    links = [parse_link(text) for text in values["feeds.min_distance.links"] if text]
    named = {values["feeds.robot_frame"], *(f for link in links for f in (link.first, link.second))}
    elsewhere = sorted(named - {"", reference_frame})
    if elsewhere and optional.tf2_ros() is None:
        raise UserError(
            f"feeds.robot_frame and feeds.min_distance.links name {elsewhere}, whose places must come"
            " from TF, and tf2_ros is not installed (ros-<distro>-tf2-ros-py); install it, or name"
            f" '{reference_frame}' only"
        )
    return bool(elsewhere)


class Frames:
    """Poses of frames in the reference frame. Each is looked up once a set.

    Args:
        lookup: asks TF, raises UserError; None where no other frame than the reference is asked for.
        problems: told when a frame's pose is not known, and when it is again.
    """

    def __init__(self, lookup: Lookup | None, problems: Problems) -> None:
        self._lookup = lookup
        self._problems = problems
        self._stamp_ns = -1  # of the set that the poses are of
        self._poses: dict[str, tuple[Array, Array] | None] = {}
        self._asked: set[str] = set()  # in this set
        self._reported: set[str] = set()

    def pose(self, frame: str, header: Header) -> tuple[Array, Array] | None:
        """R [3, 3], t [3] m with x_reference = R x_frame + t at the header's stamp; None: unknown.

        An empty name is the header's own frame.
        """
        if frame in ("", header.frame_id):
            return np.eye(3), np.zeros(3)
        stamp_ns = Time.from_msg(header.stamp).nanoseconds
        if stamp_ns != self._stamp_ns:
            self._stamp_ns, self._poses = stamp_ns, {}
        self._asked.add(frame)
        if frame not in self._poses:
            self._poses[frame] = self._ask(header.frame_id, frame, stamp_ns)
        return self._poses[frame]

    def end_set(self) -> None:
        """What was not asked for in it is nobody's problem."""
        for frame in self._reported - self._asked:
            self._problems.withdraw(_kind(frame))
        self._reported &= self._asked
        self._asked = set()

    def forget(self) -> None:
        """Nobody asks any more."""
        self._asked = set()
        self.end_set()

    def _ask(self, reference: str, frame: str, stamp_ns: int) -> tuple[Array, Array] | None:
        assert self._lookup is not None
        try:
            R, t_m = self._lookup(reference, frame, stamp_ns)
        except UserError as error:
            self._reported.add(frame)
            self._problems.report(_kind(frame), f"feeds: {error}")
            return None
        self._problems.over(_kind(frame))
        self._reported.discard(frame)
        return R.T, -R.T @ t_m


def _kind(frame: str) -> str:
    return f"frame {frame}"
