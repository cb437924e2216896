"""feeds/poses and feeds/followed: where people stand, and the one whom a robot follows. Not safety-rated."""

from __future__ import annotations

import math

from geometry_msgs.msg import PoseArray, PoseStamped

from mvssm_ros.msg import PersonArray
from mvssm_ros.nodes.feeds.base import Feed, PersonArrays
from mvssm_ros.nodes.feeds.frames import Frames


class PosesFeed(Feed):
    """The pose of everybody's body. Empty when nobody is there."""

    topic = "feeds/poses"
    message_type = PoseArray

    def message(self, answer: PersonArray, people: list[PersonArrays]) -> PoseArray:
        known = [p.person.pose for p in people if math.isfinite(p.person.pose.position.x)]
        return PoseArray(header=answer.header, poses=known)


class FollowedFeed(Feed):
    """One person's pose: first the nearest to ``frame``, then her, as long as she has her id.

    Args:
        frames: knows where ``frame`` is.
        frame: of the robot that follows; empty: the reference frame's origin.
        person_id: follow this person only; empty: whoever is nearest.
    """

    topic = "feeds/followed"
    message_type = PoseStamped

    def __init__(self, frames: Frames, frame: str, person_id: str = "") -> None:
        self._frames = frames
        self._frame = frame
        self.person_id = person_id
        self._followed = ""

    def message(self, answer: PersonArray, people: list[PersonArrays]) -> PoseStamped | None:
        """None while there is nobody to follow."""
        known = {p.person.id: p for p in people if math.isfinite(p.person.pose.position.x)}
        if self.person_id:
            self._followed = self.person_id
        elif self._followed not in known:
            self._followed = self._nearest(answer, known)
        person = known.get(self._followed)
        if person is None:
            return None
        return PoseStamped(header=answer.header, pose=person.person.pose)

    def _nearest(self, answer: PersonArray, known: dict[str, PersonArrays]) -> str:
        pose = self._frames.pose(self._frame or answer.header.frame_id, answer.header)
        if pose is None or not known:
            return ""
        _, at_m = pose

        def distance_m(person_id: str) -> float:
            position = known[person_id].person.pose.position
            return math.hypot(position.x - at_m[0], position.y - at_m[1])

        return min(sorted(known), key=distance_m)
