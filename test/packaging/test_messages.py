"""The messages as Python sees them, and their definitions as a reader sees them."""

import math
import re
from pathlib import Path

import pytest
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo

from mvssm_ros.msg import (
    CameraCalibration,
    CameraStatus,
    Joint,
    Keypoints2D,
    Keypoints2DArray,
    Person,
    PersonArray,
    RigCalibration,
    RigStatus,
    SkeletonInfo,
)

MSG_DIR = Path(__file__).resolve().parents[2] / "msg"


def sent(message):
    """Return what a subscriber gets when `message` is published."""
    return deserialize_message(serialize_message(message), type(message))


def test_people_survive_the_wire():
    joint = Joint(
        position=Point(x=1.0, y=-2.0, z=math.nan),
        position_covariance=[float(i) for i in range(9)],
        confidence=0.5,
        state=Joint.OBSERVED,
        view_mask=(1 << 63) | 1,
    )
    person = Person(
        id="person_7",
        track_state=Person.COASTING,
        age=Duration(sec=3, nanosec=500_000_000),
        pose_covariance=[float(i) for i in range(36)],
        joints=[joint] * 15,
    )
    people = PersonArray(
        skeleton="panoptic15", cameras=["left", "right"], cameras_used=0b11, people=[person]
    )
    people.header.stamp.sec = 12
    people.header.frame_id = "map"

    received = sent(people)

    assert received.header == people.header
    assert received.cameras == ["left", "right"]
    (person_received,) = received.people
    assert person_received.id == "person_7"
    assert person_received.track_state == Person.COASTING
    assert person_received.age == person.age
    assert list(person_received.pose_covariance) == list(range(36))
    assert len(person_received.joints) == 15
    joint_received = person_received.joints[14]
    assert (joint_received.position.x, joint_received.position.y) == (1.0, -2.0)
    assert math.isnan(joint_received.position.z)
    assert list(joint_received.position_covariance) == list(range(9))
    assert joint_received.view_mask == (1 << 63) | 1


def test_keypoints_survive_the_wire():
    keypoints = Keypoints2DArray(
        skeleton="coco17",
        width=1920,
        height=1080,
        people=[Keypoints2D(x=[1.5, 2.5], y=[3.5, 4.5], confidence=[1.0, 0.0])],
    )
    assert sent(keypoints) == keypoints


def test_calibrations_survive_the_wire():
    camera = CameraCalibration(name="left", intrinsics=CameraInfo(width=640, d=[0.1] * 5))
    calibration = RigCalibration(source="refined", cameras=[camera])
    assert sent(calibration) == calibration


def test_statuses_survive_the_wire():
    camera = CameraStatus(name="left", state=CameraStatus.STALE, dropped_late=2**40)
    status = RigStatus(cameras=[camera], sets_partial=3)
    assert sent(status) == status
    skeleton = SkeletonInfo(name="s", joint_names=["a", "b"], edges=[0, 1], mirror=[1, 0])
    assert sent(skeleton) == skeleton


@pytest.mark.parametrize(
    ("message", "names"),
    [
        (Joint, ["MISSING", "OBSERVED", "PREDICTED"]),
        (Person, ["TENTATIVE", "CONFIRMED", "COASTING", "LOST"]),
        (
            CameraStatus,
            [
                "WAITING",
                "OK",
                "STALE",
                "NO_CALIBRATION",
                "BAD_IMAGE",
                "DISAGREES",
                "FROZEN",
                "OUT_OF_STEP",
            ],
        ),
        (RigStatus, ["OK", "WARN", "ERROR"]),
    ],
)
def test_states_are_numbered_from_zero(message, names):
    assert [getattr(message, name) for name in names] == list(range(len(names)))


@pytest.mark.parametrize("path", sorted(MSG_DIR.glob("*.msg")), ids=lambda path: path.stem)
def test_every_field_and_constant_is_explained(path):
    fields = [line for line in path.read_text().splitlines() if re.match(r"[A-Za-z]", line)]
    assert fields, f"{path.name} defines nothing"
    silent = [line for line in fields if not re.search(r"#.{8,}", line)]
    assert silent == [], "fields without a comment that says unit and meaning"
