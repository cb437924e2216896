"""From the people of a set to the message `people`: identity, motion, the skeleton asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rclpy.time import Time
from std_msgs.msg import Header

from mvssm_ros.geometry.output_skeletons import OutputSkeleton
from mvssm_ros.msg import PersonArray
from mvssm_ros.nodes.person_messages import duration_msg, person_msg
from mvssm_ros.rig.image_set import ImageSet
from mvssm_ros.tracking.bodies import bodies_of
from mvssm_ros.tracking.identity import TrackState
from mvssm_ros.tracking.tracker import MovingBody, Tracker

if TYPE_CHECKING:
    from mvssm_ros.predictor import People


class AnswerWriter:
    """Keeps the identities. Not thread-safe. ``latency`` of its messages is for the caller to set.

    Args:
        cameras: all of the rig, in its order: bit i of every mask is cameras[i].
        reference_frame: frame_id of everything.
    """

    def __init__(self, cameras: list[str], reference_frame: str) -> None:
        self.output = OutputSkeleton("panoptic15")
        self._cameras = cameras
        self._frame = reference_frame
        self._tracker = Tracker()
        self._start_from_tracks = False
        self._wary = True  # who is seen by few of the cameras that ought to is not believed at once
        self._last_stamp_ns: int | None = None  # of the last set

    def apply(self, values: dict[str, Any]) -> None:
        """Take over the parameters tracking.*, filter.* and publish.skeleton."""
        self.output = OutputSkeleton(values["publish.skeleton"])
        self._start_from_tracks = values["tracking.start_from_tracks"]
        self._wary = values["calibration.leave_out"]
        self._tracker.filter_type = values["filter.type"]
        self._tracker.gate_m = values["tracking.gate"]
        self._tracker.max_speed_m_s = values["tracking.max_speed"]
        self._tracker.coast_s = values["tracking.coast"]
        self._tracker.confirm_sets = values["tracking.confirm_sets"]

    def expected_poses_m(self, stamp_ns: int) -> np.ndarray | None:
        """[K, 15, 3]: where people will be at a stamp; None: they are not to be looked for there."""
        return self._tracker.start_poses_m(stamp_ns) if self._start_from_tracks else None

    def answer(self, image_set: ImageSet, people: People | None) -> tuple[PersonArray, np.ndarray]:
        """The answer for one set, and who of ``people`` is confirmed, [P] bool.

        Args:
            image_set: what was used; its cameras are the views of ``people``, in that order.
            people: None: the set tells nothing, so no camera counts as used.
        """
        bits = np.array([1 << self._cameras.index(name) for name in image_set.cameras], np.uint64)
        bodies = [] if people is None else bodies_of(people, bits, self._wary)
        self._last_stamp_ns = image_set.stamp_ns
        tracked = self._tracker.update(bodies, image_set.stamp_ns)
        message = self._message(tracked)
        message.cameras_used = 0 if people is None else int(bits.sum())
        message.stamp_spread = duration_msg(image_set.spread_ns)
        confirmed = np.zeros(len(bodies), bool)
        confirmed[[t.index for t in tracked if t.state == TrackState.CONFIRMED]] = True
        return message, confirmed

    def give_up(self) -> PersonArray | None:
        """Everybody is lost; None where nobody was there."""
        lost = self._tracker.reset()
        return self._message(lost) if lost else None

    def nobody(self) -> PersonArray:
        """An answer without people, that tells nothing."""
        return self._message([])

    def header(self) -> Header:
        """Before the first set there is no image whose stamp it could be: then 0."""
        stamp = Time(nanoseconds=self._last_stamp_ns or 0).to_msg()
        return Header(stamp=stamp, frame_id=self._frame)

    def _message(self, tracked: list[MovingBody]) -> PersonArray:
        return PersonArray(
            header=self.header(),
            skeleton=self.output.skeleton.name,
            cameras=self._cameras,
            people=[person_msg(body, self.output) for body in tracked],
        )
