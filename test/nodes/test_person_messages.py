"""Tracked bodies as messages: nothing shifts, nothing unknown looks known."""

import math

import numpy as np
import pytest

from mvssm_ros.geometry.output_skeletons import OutputSkeleton
from mvssm_ros.geometry.skeletons import SKELETONS
from mvssm_ros.msg import Joint, Person
from mvssm_ros.nodes.person_messages import duration_msg, person_msg, skeleton_info_msg
from mvssm_ros.tracking.identity import Body, TrackState
from mvssm_ros.tracking.tracker import MovingBody

PANOPTIC = SKELETONS["panoptic15"]
OUTPUT = OutputSkeleton("panoptic15")
HIP, NECK = PANOPTIC.index("mid_hip"), PANOPTIC.index("neck")


def tracked(state=TrackState.CONFIRMED, moves=True, **changes):
    joints = np.zeros((15, 3))
    joints[:, 2] = np.arange(15) / 10
    joints[HIP], joints[NECK] = [1, 2, 0.9], [1, 2, 1.4]
    joints[PANOPTIC.index("left_hip")], joints[PANOPTIC.index("right_hip")] = (
        [1, 2.1, 0.9],
        [1, 1.9, 0.9],
    )
    fields = {
        "joints_m": joints,
        "covariance_m2": np.broadcast_to(np.diag([1e-4, 4e-4, 9e-4]), (15, 3, 3)).copy(),
        "joint_confidence": np.linspace(0.3, 1.0, 15),
        "observed": np.ones(15, bool),
        "view_mask": np.arange(15).astype(np.uint64) + np.uint64(2**63),
        "score": 0.75,
    }
    shapes = ((15, 3), (15, 3, 3), (3,), (3, 3))
    velocities = [np.full(shape, 0.5 if moves else np.nan) for shape in shapes]
    body = Body(**(fields | changes))
    return MovingBody(12, state, 3_500_000_000, 250_000_000, body, 0, *velocities)


def test_a_whole_person():
    message = person_msg(tracked(), OUTPUT)
    assert message.id == "p0012"
    assert message.track_state == Person.CONFIRMED
    assert (message.age.sec, message.age.nanosec) == (3, 500_000_000)
    assert (message.since_observed.sec, message.since_observed.nanosec) == (0, 250_000_000)
    assert message.confidence == 0.75
    assert len(message.joints) == 15
    joint = message.joints[4]
    assert joint.state == Joint.OBSERVED
    assert joint.position.z == pytest.approx(0.4)
    np.testing.assert_allclose(
        np.diag(np.reshape(joint.position_covariance, (3, 3))), [1e-4, 4e-4, 9e-4]
    )
    assert joint.view_mask == 2**63 + 4
    assert joint.confidence == pytest.approx(0.5)
    position, turn = message.pose.position, message.pose.orientation
    assert (position.x, position.y, position.z) == (1.0, 2.0, 0.9)
    np.testing.assert_allclose([turn.x, turn.y, turn.z, turn.w], [0, 0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(np.reshape(message.pose_covariance, (6, 6))[1, 1], 4e-4)
    assert message.size.y == pytest.approx(2.1)


def test_velocities_are_told():
    message = person_msg(tracked(), OUTPUT)
    assert (message.velocity.x, message.velocity.z) == (0.5, 0.5)
    assert list(message.velocity_covariance) == [0.5] * 9
    assert all(j.velocity.y == 0.5 for j in message.joints)


def test_velocities_that_are_unknown_say_so():
    message = person_msg(tracked(moves=False), OUTPUT)
    assert math.isnan(message.velocity.x)
    assert message.velocity_covariance[0] == -1
    assert all(math.isnan(j.velocity.y) for j in message.joints)


def test_a_missing_joint_keeps_its_place():
    body = tracked()
    body.body.joints_m[5] = np.nan
    joint = person_msg(body, OUTPUT).joints[5]
    assert joint.state == Joint.MISSING
    assert joint.confidence == 0
    assert joint.view_mask == 0
    assert math.isnan(joint.position.x)
    assert joint.position_covariance[0] == -1


def test_unknown_covariance_is_minus_one():
    body = tracked(covariance_m2=np.full((15, 3, 3), np.nan))
    message = person_msg(body, OUTPUT)
    assert [j.position_covariance[0] for j in message.joints] == [-1] * 15
    assert message.pose_covariance[0] == -1
    assert message.pose.orientation.w == pytest.approx(1)  # the pose itself is known


def test_unobserved_and_coasting_joints_are_predicted():
    half = np.arange(15) < 7
    seen = person_msg(tracked(observed=half), OUTPUT)
    assert [j.state for j in seen.joints] == [Joint.OBSERVED] * 7 + [Joint.PREDICTED] * 8
    coasting = person_msg(tracked(TrackState.COASTING), OUTPUT)
    assert {j.state for j in coasting.joints} == {Joint.PREDICTED}


def test_without_hips_the_pose_is_unknown_but_a_unit_quaternion():
    body = tracked()
    body.body.joints_m[HIP] = np.nan
    message = person_msg(body, OUTPUT)
    assert math.isnan(message.pose.position.x)
    assert message.pose.orientation.w == 1
    assert message.pose_covariance[0] == -1
    assert message.size.x == 0


def test_track_states_have_the_messages_values():
    assert [s.value for s in TrackState] == [
        Person.TENTATIVE,
        Person.CONFIRMED,
        Person.COASTING,
        Person.LOST,
    ]


def test_skeleton_info_describes_the_joints():
    info = skeleton_info_msg(PANOPTIC)
    assert info.name == "panoptic15"
    assert len(info.joint_names) == len(info.mirror) == 15
    edges = [(info.edges[i], info.edges[i + 1]) for i in range(0, len(info.edges), 2)]
    named = {(info.joint_names[a], info.joint_names[b]) for a, b in edges}
    assert ("left_elbow", "left_wrist") in named
    assert info.joint_names[info.mirror[PANOPTIC.index("left_knee")]] == "right_knee"


@pytest.mark.parametrize(
    ("ns", "expected"),
    [
        (0, (0, 0)),
        (1_500_000_000, (1, 500_000_000)),
        (-1, (-1, 999_999_999)),
        (10**20, (2**31 - 1, 10**20 % 10**9)),
    ],
)
def test_durations(ns, expected):
    message = duration_msg(ns)
    assert (message.sec, message.nanosec) == expected
