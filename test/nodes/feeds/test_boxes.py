"""feeds/detections and feeds/obstacles: boxes around people."""

import math

import numpy as np
import pytest
from geometry_msgs.msg import Point, Pose, Quaternion
from rclpy.serialization import deserialize_message, serialize_message

from mvssm_ros.nodes.feeds.base import present
from mvssm_ros.nodes.feeds.boxes import box_around

from .conftest import NAN, make_answer, make_person


def test_a_box_holds_all_limbs_with_their_flesh():
    (person,) = present(make_answer(make_person(x_m=2.0, y_m=1.0)))
    center, size = box_around(person, np.eye(3), k_sigma=0.0)
    assert center[:2] == pytest.approx([2.0, 1.0], abs=0.15)
    low, high = center - size / 2, center + size / 2
    assert (low <= person.joints_m.min(0)).all()
    assert (high >= person.joints_m.max(0)).all()
    assert low[2] == pytest.approx(0.08 - 0.05 - 0.08, abs=0.02)  # the foot below the ankle
    assert 1.6 < high[2] < 2.0


def test_nobody_has_no_box():
    person = make_person()
    for joint in person.joints:
        joint.position.x = NAN
    (arrays,) = present(make_answer(person))
    assert box_around(arrays, np.eye(3), 2.0) is None


def nowhere(number):
    person = make_person(number, pose=Pose(position=Point(x=NAN, y=NAN, z=NAN)))
    for joint in person.joints:
        joint.position.x = NAN
    return person


def test_detections():
    messages = pytest.importorskip("vision_msgs.msg", reason="needs vision_msgs")
    from mvssm_ros.nodes.feeds.detections import DetectionsFeed

    quarter = Quaternion(z=math.sqrt(0.5), w=math.sqrt(0.5))
    person = make_person(3, x_m=2.0, sigma_m=0.01, confidence=0.75)
    person.pose.orientation = quarter
    answer = make_answer(person, nowhere(4))
    made = DetectionsFeed(messages, 2.0).message(answer, present(answer))
    found = deserialize_message(serialize_message(made), messages.Detection3DArray)
    assert found.header == answer.header
    (detection,) = found.detections
    assert detection.id == "p0003"
    assert detection.header == answer.header
    (result,) = detection.results
    assert result.hypothesis.class_id == "person"
    assert result.hypothesis.score == 0.75
    assert result.pose.pose == person.pose
    assert list(result.pose.covariance) == list(person.pose_covariance)
    assert detection.bbox.center.orientation == quarter
    size = detection.bbox.size
    upright = box_around(present(answer)[0], np.eye(3), 2.0)[1]
    assert (size.y, size.x, size.z) == pytest.approx(upright)  # she is turned by 90 degrees
    assert detection.bbox.center.position.x == pytest.approx(2.0, abs=0.15)
    assert DetectionsFeed(messages, 2.0).message(make_answer(), []).detections == []


def test_obstacles():
    messages = pytest.importorskip("nav2_dynamic_msgs.msg", reason="needs nav2_dynamic_msgs")
    from mvssm_ros.nodes.feeds.obstacles import ObstaclesFeed

    feed = ObstaclesFeed(messages, 2.0)

    def obstacles(*people):
        answer = make_answer(*people)
        made = feed.message(answer, present(answer))
        return deserialize_message(serialize_message(made), messages.ObstacleArray).obstacles

    walking = make_person(3, x_m=2.0, velocity=(1.0, -0.5, 0.0), sigma_m=0.1, confidence=0.5)
    still = make_person(4, velocity=(NAN, NAN, NAN))
    first, second = obstacles(walking, still)
    assert first.score == 0.5
    assert first.position.x == pytest.approx(2.0, abs=0.15)
    assert (first.velocity.x, first.velocity.y) == (1.0, -0.5)
    assert 1.6 < first.size.z < 2.4
    assert list(first.position_covariance) == pytest.approx((0.01 * np.eye(3)).reshape(-1))
    assert math.isnan(second.velocity.x)
    again, _ = obstacles(walking, still)
    assert list(again.uuid.uuid) == list(first.uuid.uuid) != list(second.uuid.uuid)
    assert len(obstacles(walking, nowhere(5))) == 1
    assert obstacles() == []
