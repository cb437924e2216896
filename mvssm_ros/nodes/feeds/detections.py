"""feeds/detections: people as boxes, vision_msgs/Detection3DArray. Not safety-rated."""

from __future__ import annotations

import math
from types import ModuleType

from geometry_msgs.msg import Point, Pose, Vector3

from mvssm_ros.msg import PersonArray
from mvssm_ros.nodes.feeds.base import Feed, PersonArrays
from mvssm_ros.nodes.feeds.boxes import box_around
from mvssm_ros.nodes.rotations import matrix_from_quaternion


class DetectionsFeed(Feed):
    """Everybody whose pose is known: a box along the body's axes, its id, class "person".

    Args:
        messages: vision_msgs.msg.
        k_sigma: boxes grow by so many standard deviations.
    """

    topic = "feeds/detections"

    def __init__(self, messages: ModuleType, k_sigma: float) -> None:
        self._messages = messages
        self.message_type = messages.Detection3DArray
        self.k_sigma = k_sigma

    def message(self, answer: PersonArray, people: list[PersonArrays]):
        """Empty when nobody is there."""
        found = [self._detection(answer, p) for p in people]
        return self.message_type(header=answer.header, detections=[d for d in found if d])

    def _detection(self, answer: PersonArray, person: PersonArrays):
        pose = person.person.pose
        q = pose.orientation
        if not math.isfinite(pose.position.x):
            return None
        box = box_around(person, matrix_from_quaternion([q.x, q.y, q.z, q.w]), self.k_sigma)
        if box is None:
            return None
        (x, y, z), (depth, width, height) = box[0].tolist(), box[1].tolist()
        detection = self._messages.Detection3D(header=answer.header, id=person.person.id)
        detection.bbox.center = Pose(position=Point(x=x, y=y, z=z), orientation=q)
        detection.bbox.size = Vector3(x=depth, y=width, z=height)
        result = self._messages.ObjectHypothesisWithPose()
        result.hypothesis.class_id = "person"
        result.hypothesis.score = float(person.person.confidence)
        result.pose.pose = pose
        result.pose.covariance = person.person.pose_covariance
        detection.results = [result]
        return detection
