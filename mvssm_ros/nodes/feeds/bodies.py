"""REP-155: /humans/bodies/tracked, and a TF frame body_<id> with its joints for everybody.

The parent of body_<id> is the reference frame, and that of the joints is body_<id>. A skeleton is
points: its joints are turned as the body is. That holds for the head too, which lies at the nose;
where she looks is not known.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
import numpy.typing as npt
from geometry_msgs.msg import Transform, TransformStamped, Vector3
from std_msgs.msg import Header

from mvssm_ros.msg import PersonArray
from mvssm_ros.nodes.feeds.base import Feed, PersonArrays
from mvssm_ros.nodes.rotations import matrix_from_quaternion

Array = npt.NDArray[np.float64]

_SIDES = {"left": "l", "right": "r"}
_JOINTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
# Joint of a skeleton -> link of REP-155's kinematic model. It has none for neck and mid_hip.
LINKS = {
    "nose": "head",
    **{f"{side}_{joint}": f"{s}_{joint}" for side, s in _SIDES.items() for joint in _JOINTS},
}


class BodiesFeed(Feed):
    """The ids of everybody who is tracked, also of those who are expected and not seen.

    Args:
        messages: hri_msgs.msg.
    """

    topic = "/humans/bodies/tracked"
    says_unknown = True  # the list is of what is tracked, and is empty when nobody is any more

    def __init__(self, messages: ModuleType) -> None:
        self.message_type = messages.IdsList

    def message(self, answer: PersonArray, people: list[PersonArrays]):
        return self.message_type(header=answer.header, ids=[p.person.id for p in people])


class BodyFramesFeed(Feed):
    """TF of everybody whose pose is known. Who is gone has no newer transforms; TF has no deletion.

    Args:
        messages: tf2_msgs.msg.
    """

    topic = "/tf"

    def __init__(self, messages: ModuleType) -> None:
        self.message_type = messages.TFMessage

    def message(self, answer: PersonArray, people: list[PersonArrays]):
        """None where there is nobody."""
        transforms = [each for p in people for each in _transforms(answer.header, p)]
        return self.message_type(transforms=transforms) if transforms else None


def _transforms(header: Header, person: PersonArrays) -> list[TransformStamped]:
    pose = person.person.pose
    origin_m = np.array([pose.position.x, pose.position.y, pose.position.z])
    if not np.isfinite(origin_m).all():
        return []
    body, q = f"body_{person.person.id}", pose.orientation
    found = [_transform(header, body, origin_m)]
    found[0].transform.rotation = q
    R = matrix_from_quaternion([q.x, q.y, q.z, q.w])
    inside = Header(stamp=header.stamp, frame_id=body)
    for name, joint_m in zip(person.skeleton.joints, (person.joints_m - origin_m) @ R):
        if name in LINKS and np.isfinite(joint_m).all():
            found.append(_transform(inside, f"{LINKS[name]}_{person.person.id}", joint_m))
    return found


def _transform(header: Header, child: str, position_m: Array) -> TransformStamped:
    x, y, z = (float(v) for v in position_m)
    transform = Transform(translation=Vector3(x=x, y=y, z=z))
    transform.rotation.w = 1.0
    return TransformStamped(header=header, child_frame_id=child, transform=transform)
