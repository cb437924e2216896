"""feeds/obstacles: people as moving boxes, nav2_dynamic_msgs/ObstacleArray. Not safety-rated."""

from __future__ import annotations

import uuid
from types import ModuleType

import numpy as np
from geometry_msgs.msg import Point, Vector3

from mvssm_ros.msg import PersonArray
from mvssm_ros.nodes.feeds.base import Feed, PersonArrays
from mvssm_ros.nodes.feeds.boxes import box_around


class ObstaclesFeed(Feed):
    """Everybody of whom anything is known: an upright box, how it moves, and a UUID that stays.

    A velocity that is not known is NaN, and so is its covariance; the message has no other way.

    Args:
        messages: nav2_dynamic_msgs.msg.
        k_sigma: boxes grow by so many standard deviations.
    """

    topic = "feeds/obstacles"

    def __init__(self, messages: ModuleType, k_sigma: float) -> None:
        self._messages = messages
        self.message_type = messages.ObstacleArray
        self.k_sigma = k_sigma
        self._run = uuid.uuid4()  # ids begin anew with every run

    def message(self, answer: PersonArray, people: list[PersonArrays]):
        """Empty when nobody is there."""
        found = [self._obstacle(p) for p in people]
        return self.message_type(header=answer.header, obstacles=[o for o in found if o])

    def _obstacle(self, person: PersonArrays):
        box = box_around(person, np.eye(3), self.k_sigma)
        if box is None:
            return None
        (x, y, z), (depth, width, height) = box[0].tolist(), box[1].tolist()
        vx, vy, vz = person.velocity_m_s.tolist()
        obstacle = self._messages.Obstacle(score=float(person.person.confidence))
        obstacle.uuid.uuid = np.frombuffer(uuid.uuid5(self._run, person.person.id).bytes, np.uint8)
        obstacle.position = Point(x=x, y=y, z=z)
        obstacle.velocity = Vector3(x=vx, y=vy, z=vz)
        obstacle.size = Vector3(x=depth, y=width, z=height)
        pose_covariance = np.array(person.person.pose_covariance).reshape(6, 6)
        if pose_covariance[0, 0] < 0:
            pose_covariance[:] = np.nan
        obstacle.position_covariance = pose_covariance[:3, :3].reshape(-1)
        obstacle.velocity_covariance = person.velocity_covariance.reshape(-1)
        return obstacle
