"""People as pose_node would publish them."""

import numpy as np
import pytest
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import Header

from mvssm_ros.msg import Joint, Person, PersonArray

from ..conftest import stamp, standing_person

NAN = float("nan")


def make_person(number=1, x_m=0.0, y_m=0.0, velocity=(0.0, 0.0, 0.0), sigma_m=0.0, **fields):
    """Standing, all joints moving alike."""
    person = Person(id=f"p{number:04d}", track_state=Person.CONFIRMED)
    for x, y, z in standing_person(x_m, y_m):
        joint = Joint(state=Joint.OBSERVED, confidence=0.9)
        joint.position = Point(x=float(x), y=float(y), z=float(z))
        joint.velocity = Vector3(x=velocity[0], y=velocity[1], z=velocity[2])
        joint.position_covariance = (sigma_m**2 * np.eye(3)).reshape(-1)
        person.joints.append(joint)
    person.velocity = Vector3(x=velocity[0], y=velocity[1], z=velocity[2])
    person.velocity_covariance = np.zeros(9)
    person.pose.position = Point(x=x_m, y=y_m, z=0.95)
    person.pose_covariance = (sigma_m**2 * np.eye(6)).reshape(-1)
    for name, value in fields.items():
        setattr(person, name, value)
    return person


def make_answer(*people, cameras_used=0b1111) -> PersonArray:
    return PersonArray(
        header=Header(stamp=stamp(7), frame_id="map"),
        skeleton="panoptic15",
        cameras=["cam0", "cam1", "cam2", "cam3"],
        cameras_used=cameras_used,
        latency=Duration(nanosec=120_000_000),
        people=list(people),
    )


class FixedFrames:
    """Frames that stand still: name -> (R, t) in the reference frame."""

    def __init__(self, **frames):
        self.frames = {"map": (np.eye(3), np.zeros(3)), **frames}

    def pose(self, frame, header):
        return self.frames.get(frame or header.frame_id)


@pytest.fixture
def turned():
    """A robot at (2, 1) that looks along +y."""
    R = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    return FixedFrames(base_link=(R, np.array([2.0, 1.0, 0.0])))
