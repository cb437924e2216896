"""What it costs to say who is there: tracking, filling a PersonArray, serialising it (benchmark)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rclpy.serialization import serialize_message

from mvssm_ros.geometry.skeletons import SKELETONS
from mvssm_ros.msg import PersonArray
from mvssm_ros.nodes.answers import bodies_of
from mvssm_ros.nodes.person_messages import person_msg
from mvssm_ros.tracking.identity import IdentityTracker

if TYPE_CHECKING:
    from mvssm_ros.predictor import People

_PERIOD_NS = 33_000_000


class PeopleSerializer:
    """One answer after the other to bytes, as the node does it but for the sending."""

    def __init__(self) -> None:
        self._tracker = IdentityTracker()
        self._skeleton = SKELETONS["panoptic15"]

    def __call__(self, people: People, number: int) -> bytes:
        bits = np.array([1 << t for t in range(len(people.reprojection_px))], np.uint64)
        tracked = self._tracker.update(bodies_of(people, bits), number * _PERIOD_NS)
        message = PersonArray(skeleton=self._skeleton.name)
        message.people = [person_msg(body, self._skeleton) for body in tracked]
        return bytes(serialize_message(message))
