"""planning_scene, as MoveIt's planning scene takes it."""

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message

from mvssm_ros.msg import Person
from mvssm_ros.nodes.feeds.base import present
from mvssm_ros.nodes.feeds.planning_scene import PlanningSceneFeed
from mvssm_ros.nodes.rotations import matrix_from_quaternion

from ..conftest import stamp
from .conftest import make_answer, make_person

messages = pytest.importorskip("moveit_msgs.msg", reason="needs moveit_msgs")
shapes = pytest.importorskip("shape_msgs.msg", reason="needs shape_msgs")

ADD, MOVE, REMOVE = b"\x00", b"\x03", b"\x01"
LIMBS = 14


class Scene:
    """What of MoveIt's planning scene is needed: it adds, moves and removes as that does."""

    def __init__(self) -> None:
        self.feed = PlanningSceneFeed(messages, shapes, k_sigma=2.0)
        self.objects: dict = {}
        self.operations: list[bytes] = []
        self.sent = 0

    def take(self, *people, index=None) -> None:
        """A set every 0.1 s."""
        self.sent += 1
        answer = make_answer(*people)
        answer.header.stamp = stamp(2 * self.sent if index is None else index)
        self.operations = []
        made = self.feed.message(answer, present(answer))
        if made is None:
            return
        scene = deserialize_message(serialize_message(made), messages.PlanningScene)
        assert scene.is_diff
        assert scene.robot_state.is_diff
        for each in scene.world.collision_objects:
            assert each.header.frame_id == "map"
            self.operations.append(each.operation)
            if each.operation == ADD:
                self.objects[each.id] = each
            elif each.operation == MOVE:
                assert not each.primitives
                assert not each.primitive_poses
                self.objects[each.id].pose = each.pose
            else:
                del self.objects[each.id]

    def holds(self, point_m) -> bool:
        return any(_distance_m(each, point_m) < 1e-6 for each in self.objects.values())


def _distance_m(limb, point_m) -> float:
    """From its surface, below 0 inside."""
    q, p = limb.pose.orientation, limb.pose.position
    R = matrix_from_quaternion([q.x, q.y, q.z, q.w])
    seen = R.T @ (np.asarray(point_m) - [p.x, p.y, p.z])
    cylinder, *balls = limb.primitives
    height_m, radius_m = cylinder.dimensions
    assert cylinder.type == shapes.SolidPrimitive.CYLINDER
    found = [max(abs(seen[2]) - height_m / 2, np.hypot(*seen[:2]) - radius_m)]
    for ball, pose in zip(balls, limb.primitive_poses[1:], strict=True):
        assert ball.type == shapes.SolidPrimitive.SPHERE
        center = np.array([pose.position.x, pose.position.y, pose.position.z])
        found.append(np.linalg.norm(seen - center) - ball.dimensions[0])
    return min(found)


def assert_it_holds(scene, person, k_sigma=2.0):
    """Every capsule of hers, tips and sides."""
    (arrays,) = present(make_answer(person))
    capsules = arrays.capsules(k_sigma)
    for start, end, radius in zip(capsules.starts_m, capsules.ends_m, capsules.radii_m):
        for share in (0.0, 0.5, 1.0):
            for way in np.concatenate([np.eye(3), -np.eye(3)]):
                assert scene.holds(start + share * (end - start) + 0.999 * radius * way)


def test_everybody_is_added_once_and_then_moved():
    scene = Scene()
    scene.take(make_person(1), make_person(2, x_m=3.0))
    assert scene.operations == [ADD] * 2 * LIMBS
    assert len(scene.objects) == 2 * LIMBS
    assert_it_holds(scene, make_person(1))
    scene.take(make_person(1, x_m=0.4), make_person(2, x_m=3.0))
    assert scene.operations == [MOVE] * 2 * LIMBS
    assert_it_holds(scene, make_person(1, x_m=0.4))
    assert not scene.holds((-0.3, 0.0, 1.2))


def test_who_grows_is_added_anew():
    scene = Scene()
    scene.take(make_person(1, sigma_m=0.01))
    scene.take(make_person(1, sigma_m=0.015))
    assert scene.operations == [MOVE] * LIMBS
    scene.take(make_person(1, sigma_m=0.1))
    assert scene.operations == [ADD] * LIMBS
    assert_it_holds(scene, make_person(1, sigma_m=0.1))
    scene.take(make_person(1, sigma_m=0.01))
    assert scene.operations == [ADD] * LIMBS


def test_a_limb_that_stretches_stays_inside():
    scene = Scene()
    scene.take(make_person(1))
    for stretch_m in (0.02, 0.05, 0.2, -0.3):
        person = make_person(1)
        for joint in person.joints:
            joint.position.z *= 1.0 + stretch_m
        scene.take(person)
        assert_it_holds(scene, person)


def test_who_is_lost_is_removed_at_once():
    scene = Scene()
    scene.take(make_person(1), make_person(2, x_m=3.0))
    scene.take(make_person(1), make_person(2, x_m=3.0, track_state=Person.LOST))
    assert sorted(scene.operations) == sorted([MOVE] * LIMBS + [REMOVE] * LIMBS)
    scene.take(index=4)  # no time after the set before
    assert scene.objects == {}
    scene.take()
    assert scene.operations == []


def test_not_more_than_ten_times_a_second():
    scene = Scene()
    taken = 0
    for index in range(40):  # 2 s of 20 Hz
        scene.take(make_person(1, x_m=0.01 * index), index=index)
        taken += bool(scene.operations)
    assert taken == 20


def test_a_time_that_was_set_back_does_not_stop_it():
    scene = Scene()
    scene.take(make_person(1), index=100)
    scene.take(make_person(1), index=3)
    assert scene.operations == [MOVE] * LIMBS


def test_who_begins_to_listen_gets_everybody_anew():
    scene = Scene()
    scene.take(make_person(1), make_person(2, x_m=3.0))
    scene.feed.begin()
    scene.take(make_person(1))
    assert sorted(scene.operations) == sorted([ADD] * LIMBS + [REMOVE] * LIMBS)
