"""REP-155's list of bodies and their TF frames."""

import numpy as np
import pytest
from geometry_msgs.msg import Point, Pose, Quaternion
from rclpy.serialization import deserialize_message, serialize_message

from mvssm_ros.geometry.skeletons import SKELETONS
from mvssm_ros.msg import Person
from mvssm_ros.nodes.feeds.base import present
from mvssm_ros.nodes.feeds.bodies import LINKS, BodiesFeed, BodyFramesFeed
from mvssm_ros.nodes.rotations import matrix_from_quaternion

from .conftest import NAN, make_answer, make_person

# The links of REP-155's kinematic model that a skeleton of joints can have, but for the body itself.
REP_155 = {"head"} | {
    f"{side}_{joint}"
    for side in "lr"
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
}


@pytest.mark.parametrize("name", sorted(SKELETONS))
def test_every_skeleton_has_the_links_of_rep_155(name):
    links = {LINKS[joint] for joint in SKELETONS[name].joints if joint in LINKS}
    assert REP_155 - {"head"} <= links <= REP_155


def test_the_published_one_has_them_all():
    assert set(LINKS.values()) == REP_155
    assert set(LINKS) <= set(SKELETONS["panoptic15"].joints)


def test_the_ids_of_those_who_are_tracked():
    messages = pytest.importorskip("hri_msgs.msg", reason="needs hri_msgs")
    lost = make_person(1, track_state=Person.LOST)
    doubtful = make_person(2, track_state=Person.TENTATIVE)
    coasting = make_person(3, track_state=Person.COASTING)
    answer = make_answer(lost, doubtful, coasting, make_person(4))
    made = BodiesFeed(messages).message(answer, present(answer))
    found = deserialize_message(serialize_message(made), messages.IdsList)
    assert found.header == answer.header
    assert found.ids == ["p0003", "p0004"]
    assert BodiesFeed(messages).message(make_answer(), []).ids == []


def test_frames_put_the_joints_where_they_are():
    messages = pytest.importorskip("tf2_msgs.msg", reason="needs tf2_msgs")
    person = make_person(7, x_m=1.5, y_m=-0.5)
    person.pose.orientation = Quaternion(x=0.1, y=0.2, z=-0.3, w=float(np.sqrt(0.86)))
    elbow = SKELETONS["panoptic15"].index("left_elbow")
    person.joints[elbow].position.x = NAN
    nowhere = make_person(8, pose=Pose(position=Point(x=NAN, y=NAN, z=NAN)))
    answer = make_answer(person, nowhere)
    made = BodyFramesFeed(messages).message(answer, present(answer))
    found = deserialize_message(serialize_message(made), messages.TFMessage).transforms
    body, *joints = found
    assert (body.header.frame_id, body.child_frame_id) == ("map", "body_p0007")
    assert body.header.stamp == answer.header.stamp
    q, t = body.transform.rotation, body.transform.translation
    R = matrix_from_quaternion([q.x, q.y, q.z, q.w])
    assert {j.child_frame_id for j in joints} == {f"{link}_p0007" for link in REP_155 - {"l_elbow"}}
    placed = {}
    for joint in joints:
        assert joint.header.frame_id == "body_p0007"
        assert joint.header.stamp == answer.header.stamp
        assert joint.transform.rotation == Quaternion(w=1.0)
        inside = joint.transform.translation
        placed[joint.child_frame_id] = R @ [inside.x, inside.y, inside.z] + [t.x, t.y, t.z]
    knee = person.joints[SKELETONS["panoptic15"].index("right_knee")].position
    assert placed["r_knee_p0007"] == pytest.approx([knee.x, knee.y, knee.z])
    nose = person.joints[SKELETONS["panoptic15"].index("nose")].position
    assert placed["head_p0007"] == pytest.approx([nose.x, nose.y, nose.z])
    assert BodyFramesFeed(messages).message(make_answer(), []) is None
