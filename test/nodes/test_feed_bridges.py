"""Feeds in other packages' messages, and REP-155: on the middleware where installed, else refused."""

import math
import sys

import pytest

from mvssm_ros.nodes import optional

from .conftest import WARN, standing_person
from .test_feeds_node import AT_M, configure_fails
from .test_pose_node import send_sets, start
from .test_security_policy import OPT_IN

NEEDED = {
    "bridges__moveit": "moveit_msgs",
    "bridges__nav2_dynamic": "nav2_dynamic_msgs",
    "bridges__detection3d": "vision_msgs",
}
WHAT = {
    "moveit_msgs": "install ros-<distro>-moveit-msgs",
    "nav2_dynamic_msgs": "from source, github.com/ros-navigation/navigation2_dynamic",
    "vision_msgs": "install ros-<distro>-vision-msgs",
}


def hide(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, f"{package}.msg", None)


@pytest.mark.parametrize("parameter", NEEDED)
def test_a_bridge_without_its_package_is_refused(
    world, rig_and_file, untrained_weights, monkeypatch, parameter
):
    package = NEEDED[parameter]
    hide(monkeypatch, package)
    line = configure_fails(world, rig_and_file[1], untrained_weights, **{parameter: True})
    assert f"'{parameter.replace('__', '.')}' is true, but {package} is not installed" in line
    assert WHAT[package] in line


def test_rep_155_without_any_package_is_refused(
    world, rig_and_file, untrained_weights, monkeypatch
):
    hide(monkeypatch, "hri_msgs")
    hide(monkeypatch, "tf2_msgs")
    line = configure_fails(world, rig_and_file[1], untrained_weights, rep155__enable=True)
    assert "neither hri_msgs nor tf2_msgs is installed" in line
    assert "ros-<distro>-hri-msgs and ros-<distro>-tf2-msgs" in line


def test_rep_155_without_hri_msgs_is_tf_only(world, rig_and_file, trained_weights, monkeypatch):
    messages = pytest.importorskip("tf2_msgs.msg", reason="needs tf2_msgs")
    hide(monkeypatch, "hri_msgs")
    rig, path = rig_and_file
    heard = []
    world.hear(messages.TFMessage, "/tf", heard)
    node = start(world, rig, path, trained_weights, rep155__enable=True)
    world.spin_until(lambda: world.said("rep155.enable: hri_msgs is not installed", level=WARN))
    (line,) = world.said("rep155.enable: hri_msgs is not installed", level=WARN)
    assert "ros-<distro>-hri-msgs" in line
    wait_for(world, node, "/tf")
    send_sets(world, rig, range(4), [standing_person(*AT_M)])
    world.spin_until(lambda: heard)
    assert "/humans/bodies/tracked" not in topics_of(node)


def test_rep_155_without_tf2_msgs_is_the_list_only(
    world, rig_and_file, untrained_weights, monkeypatch
):
    pytest.importorskip("hri_msgs.msg", reason="needs hri_msgs")
    hide(monkeypatch, "tf2_msgs")
    rig, path = rig_and_file
    node = start(world, rig, path, untrained_weights, rep155__enable=True)
    world.spin_until(lambda: world.said("rep155.enable: tf2_msgs is not installed", level=WARN))
    assert "/humans/bodies/tracked" in topics_of(node)
    assert "/tf" not in topics_of(node)


def test_nothing_of_this_unless_it_is_asked_for(world, rig_and_file, untrained_weights):
    rig, path = rig_and_file
    assert not topics_of(start(world, rig, path, untrained_weights)) & OPT_IN


def topics_of(node) -> set[str]:
    return {publisher.topic_name for publisher in node.publishers}


def wait_for(world, node, topic) -> None:
    """Until the node knows that somebody listens."""
    (publisher,) = [p for p in node.publishers if p.topic_name == topic]
    world.spin_until(lambda: publisher.get_subscription_count() > 0)


def bridged(world, rig_and_file, weights, message_type, topic, parameter):
    """A person has been seen in four sets; what was heard."""
    rig, path = rig_and_file
    heard = []
    world.hear(message_type, topic, heard)
    node = start(world, rig, path, weights, **{parameter: True})
    wait_for(world, node, topic)
    send_sets(world, rig, range(4), [standing_person(*AT_M)])
    return node, heard


def test_rep_155(world, rig_and_file, trained_weights):
    ids = pytest.importorskip("hri_msgs.msg", reason="needs hri_msgs")
    frames = pytest.importorskip("tf2_msgs.msg", reason="needs tf2_msgs")
    tracked = []
    world.hear(ids.IdsList, "/humans/bodies/tracked", tracked)
    node, heard = bridged(
        world, rig_and_file, trained_weights, frames.TFMessage, "/tf", "rep155__enable"
    )
    world.spin_until(lambda: heard and tracked and tracked[-1].ids)
    (person,) = world.answers[-1].people
    body = heard[-1].transforms[0]
    assert (body.header.frame_id, body.child_frame_id) == ("map", f"body_{person.id}")
    assert (body.transform.translation.x, body.transform.translation.y) == pytest.approx(
        AT_M, abs=0.05
    )
    assert f"l_wrist_{person.id}" in {t.child_frame_id for t in heard[-1].transforms}
    assert tracked[-1].ids == [person.id]
    node.trigger_deactivate()
    world.spin_until(lambda: tracked[-1].ids == [])
    assert {"/tf", "/humans/bodies/tracked"} <= topics_of(node) & OPT_IN


def test_tf2_looks_the_frames_up(world, rig_and_file, trained_weights):
    """A listener of tf2_ros, on another node."""
    tf2_ros = pytest.importorskip("tf2_ros")
    from rclpy.time import Time

    rig, path = rig_and_file
    buffer = tf2_ros.Buffer()
    listener = tf2_ros.TransformListener(buffer, world.tester)
    try:
        node = start(world, rig, path, trained_weights, rep155__enable=True)
        wait_for(world, node, "/tf")
        send_sets(world, rig, range(4), [standing_person(*AT_M)])
        (person,) = world.answers[-1].people
        frame = f"r_knee_{person.id}"
        seen = Time.from_msg(world.answers[-1].header.stamp)
        world.spin_until(lambda: buffer.can_transform("map", frame, seen))
        found = buffer.lookup_transform("map", frame, seen)
        place = found.transform.translation
        assert math.dist((place.x, place.y), (AT_M[0] + 0.02, AT_M[1] - 0.12)) < 0.05
    finally:
        listener.unregister()


def test_moveit(world, rig_and_file, trained_weights):
    if optional.moveit_msgs() is None or optional.shape_msgs() is None:
        pytest.skip("needs moveit_msgs and shape_msgs")
    messages = optional.moveit_msgs()
    scene = "/planning_scene"
    node, heard = bridged(
        world, rig_and_file, trained_weights, messages.PlanningScene, scene, "bridges__moveit"
    )
    world.spin_until(lambda: heard)
    (person,) = world.answers[-1].people
    objects = heard[0].world.collision_objects
    assert {each.operation for each in objects} == {messages.CollisionObject.ADD}
    assert f"{person.id}_left_elbow_left_wrist" in {each.id for each in objects}
    assert heard[0].is_diff
    (trunk,) = [each for each in objects if each.id == f"{person.id}_neck_mid_hip"]
    place = trunk.pose.position
    assert math.dist((place.x, place.y), AT_M) < 0.05
    node.trigger_deactivate()
    world.spin_until(
        lambda: (
            {each.operation for each in heard[-1].world.collision_objects}
            == {messages.CollisionObject.REMOVE}
        )
    )
    assert {each.id for each in heard[-1].world.collision_objects} == {each.id for each in objects}


def test_moveit_keeps_whom_it_has_while_nothing_is_known(world, rig_and_file, trained_weights):
    if optional.moveit_msgs() is None or optional.shape_msgs() is None:
        pytest.skip("needs moveit_msgs and shape_msgs")
    messages = optional.moveit_msgs()
    scene = "/planning_scene"
    node, heard = bridged(
        world, rig_and_file, trained_weights, messages.PlanningScene, scene, "bridges__moveit"
    )
    world.spin_until(lambda: heard)
    sent = len(heard)
    node._configured.answers.give_up()  # as after 5 s without any set
    world.spin_until(lambda: not world.people[-1].cameras_used)
    world.spin_for(0.5)
    assert len(heard) == sent
    rig, _ = rig_and_file
    send_sets(world, rig, [10])  # the cameras are back, and she is gone
    world.spin_until(lambda: len(heard) > sent)
    removed = heard[-1].world.collision_objects
    assert {each.operation for each in removed} == {messages.CollisionObject.REMOVE}


def test_nav2s_dynamic_obstacles(world, rig_and_file, trained_weights):
    messages = pytest.importorskip("nav2_dynamic_msgs.msg", reason="needs nav2_dynamic_msgs")
    _, heard = bridged(
        world,
        rig_and_file,
        trained_weights,
        messages.ObstacleArray,
        "/feeds/obstacles",
        "bridges__nav2_dynamic",
    )
    world.spin_until(lambda: heard and heard[-1].obstacles)
    (obstacle,) = heard[-1].obstacles
    assert math.dist((obstacle.position.x, obstacle.position.y), AT_M) < 0.2


def test_detections(world, rig_and_file, trained_weights):
    messages = pytest.importorskip("vision_msgs.msg", reason="needs vision_msgs")
    _, heard = bridged(
        world,
        rig_and_file,
        trained_weights,
        messages.Detection3DArray,
        "/feeds/detections",
        "bridges__detection3d",
    )
    world.spin_until(lambda: heard and heard[-1].detections)
    (detection,) = heard[-1].detections
    assert detection.id == world.answers[-1].people[0].id
    center = detection.bbox.center.position
    assert math.dist((center.x, center.y), AT_M) < 0.2
