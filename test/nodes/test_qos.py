"""Quality of service over the real middleware: misfits are told while they last, and can be mended."""

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from mvssm_ros.errors import UserError
from mvssm_ros.msg import Keypoints2DArray
from mvssm_ros.nodes.demo_conductor import Conductor
from mvssm_ros.nodes.keypoints_node import KeypointsNode
from mvssm_ros.nodes.player_node import PlayerNode
from mvssm_ros.nodes.recorder_node import RecorderNode
from mvssm_ros.nodes.refine_node import RefineNode

from .conftest import INFO, without_intrinsics
from .test_pose_node import SUCCESS, send_sets, start

BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=5, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# Endpoints that rclpy itself makes on every node.
FROM_RCLPY = ("/rosout", "/parameter_events", "/clock", "/mvssm/transition_event")


@pytest.fixture
def heard(world):
    arrays: list[DiagnosticArray] = []
    world.hear(DiagnosticArray, "/diagnostics", arrays)
    return arrays


def qos_problems(heard) -> str:
    (value,) = [v.value for v in heard[-1].status[0].values if v.key == "qos_problems"]
    return value


def test_a_subscriber_that_asks_for_too_much_is_told_until_it_goes(
    world, rig_and_file, untrained_weights, heard
):
    rig, path = rig_and_file
    override = {"qos_overrides./people.publisher.reliability": "best_effort"}
    start(world, rig, path, untrained_weights, **override)
    world.spin_until(lambda: world.said("topic '/people'", "the subscriber 'tester' requests"))
    world.spin_until(lambda: world.status and "QoS" in world.status[-1].summary)
    (line,) = world.said("topic '/people'")
    assert "RELIABILITY reliable, offered is best_effort" in line
    assert "set the parameter qos_overrides./people.publisher.reliability" in line
    assert "Topic '/people': the subscriber 'tester'" in world.status[-1].summary
    world.spin_until(lambda: heard and qos_problems(heard) == "1")
    (deaf,) = [s for s in world.tester.subscriptions if s.topic_name == "/people"]
    world.tester.destroy_subscription(deaf)
    world.spin_until(lambda: world.said("QoS of '/people' problem is over", level=INFO))
    world.spin_until(lambda: "/people" not in world.status[-1].summary)
    world.spin_until(lambda: qos_problems(heard) == "0")
    assert len(world.said("the subscriber 'tester'")) == 1


@pytest.mark.parametrize("topic", ["markers", "rig_status", "/diagnostics", "feeds/cloud"])
def test_every_answer_is_looked_after(world, rig_and_file, untrained_weights, topic):
    rig, path = rig_and_file
    node = start(world, rig, path, untrained_weights)
    full_name = "/" + topic.lstrip("/")
    (message_type,) = [p.msg_type for p in node.publishers if p.topic_name == full_name]
    deaf = world.hear(message_type, topic, [], LATCHED)
    world.spin_until(lambda: world.said("DURABILITY transient_local, offered is volatile", topic))
    world.tester.destroy_subscription(deaf)
    world.spin_until(lambda: world.said(topic, "problem is over", level=INFO))


def test_a_cameras_publisher_that_offers_too_little_is_told_until_it_fits(
    world, rig_and_file, untrained_weights, heard
):
    rig, path = rig_and_file
    world.publisher(Keypoints2DArray, "/cam1/keypoints", BEST_EFFORT)
    override = {"qos_overrides./cam1/keypoints.subscription.reliability": "reliable"}
    start(world, rig, path, untrained_weights, **override)
    world.spin_until(lambda: world.said("camera 'cam1', topic '/cam1/keypoints'", "RELIABILITY"))
    world.spin_until(lambda: world.status and world.status[-1].cameras[1].message)
    message = world.status[-1].cameras[1].message
    assert "the publisher 'tester' offers RELIABILITY best_effort, requested is reliable" in message
    assert "qos_overrides./cam1/keypoints.subscription.reliability" in message
    send_sets(world, rig, range(2), cameras=["cam0", "cam2", "cam3"])
    world.spin_until(lambda: heard and qos_problems(heard) == "1")
    world.tester.destroy_publisher(world._publishers.pop("/cam1/keypoints"))
    world.spin_until(lambda: world.said("camera 'cam1': qos problem is over", level=INFO))
    send_sets(world, rig, range(10, 12))  # with a publisher that fits
    world.spin_until(lambda: qos_problems(heard) == "0")
    assert len(world.said("offers RELIABILITY")) == 1


def test_a_camera_that_sends_another_type_is_told(world, rig_and_file, untrained_weights):
    rig, path = rig_and_file
    start(world, rig, path, untrained_weights)
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=world.domain_id)
    driver = rclpy.create_node("driver", context=context)
    try:
        driver.create_publisher(Image, "/cam1/keypoints", 5)
        world.spin_until(lambda: world.said("camera 'cam1'", "the publisher 'driver' sends"))
        (line,) = world.said("the publisher 'driver' sends")
        assert "sensor_msgs/msg/Image, expected is mvssm_ros/msg/Keypoints2DArray" in line
    finally:
        driver.destroy_node()
        rclpy.try_shutdown(context=context)
    world.spin_until(lambda: world.said("camera 'cam1': qos problem is over", level=INFO))


# --- qos_overrides ---


def check_every_endpoint_is_overridable(world, node, publishes, subscribes) -> None:
    """All that the middleware shows of the node, except what rclpy makes, has its parameters."""
    name, namespace = node.get_name(), node.get_namespace()
    known = world.tester.get_node_names_and_namespaces
    world.spin_until(lambda: (name, namespace) in known())
    found = {}
    for kind, ask in (
        ("publisher", world.tester.get_publisher_names_and_types_by_node),
        ("subscription", world.tester.get_subscriber_names_and_types_by_node),
    ):
        expected = set(publishes if kind == "publisher" else subscribes)
        world.spin_until(lambda a=ask, e=expected: e <= {topic for topic, _ in a(name, namespace)})
        found[kind] = {topic for topic, _ in ask(name, namespace)} - set(FROM_RCLPY)
        assert found[kind] == expected
    for kind, topics in found.items():
        for topic in topics:
            for policy in ("history", "depth", "reliability", "durability"):
                assert node.has_parameter(f"qos_overrides.{topic}.{kind}.{policy}"), topic


def add(world, node_class, **parameters):
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    node = node_class(context=world.context, parameter_overrides=overrides)
    world.executor.add_node(node)
    world.nodes.append(node)
    return node


RECORDED = ["/people", "/markers", "/skeleton_info", "/rig_status", "/diagnostics"]
ANSWERS = [*RECORDED, "/camera_markers"]
FEEDS = [
    f"/feeds/{name}"
    for name in ("cloud", "scan", "poses", "followed", "min_distance", "predicted_paths")
]


@pytest.mark.parametrize("mode", ["images", "keypoints"])
def test_every_endpoint_of_pose_node(
    world, rig_and_file, untrained_weights, tmp_path, no_detector, mode
):
    rig, _ = rig_and_file
    path = tmp_path / "bare.yaml"
    without_intrinsics(rig).save(path)
    node = world.pose_node(rig_file=str(path), input=mode, model__weights=untrained_weights)
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    suffix = "image_raw" if mode == "images" else "keypoints"
    topics = [f"/{n}/{t}" for n in rig.cameras for t in (suffix, "camera_info")]
    topics.append("/calibration")
    check_every_endpoint_is_overridable(world, node, ANSWERS + FEEDS, topics)


def test_every_endpoint_of_the_player(world):
    pytest.importorskip("Pose2Sim", reason="the demo's videos are in the wheel of pose2sim")
    node = add(world, PlayerNode, lockstep=True)
    names = [camera.publisher.topic_name.split("/")[1] for camera in node._cameras]
    topics = [f"/{name}/{t}" for name in names for t in ("image_raw", "camera_info")]
    check_every_endpoint_is_overridable(world, node, topics, ["/people"])


def test_every_endpoint_of_the_refiner(world, rig_and_file):
    rig, path = rig_and_file
    node = add(world, RefineNode, rig_file=path)
    topics = [f"/{name}/keypoints" for name in rig.cameras]
    check_every_endpoint_is_overridable(world, node, ["/calibration"], topics)


def test_every_endpoint_of_the_keypoints_node(world):
    try:
        node = add(world, KeypointsNode, camera_names=["left"])
    except UserError as error:
        pytest.skip(str(error))  # no detector
    check_every_endpoint_is_overridable(world, node, ["/left/keypoints"], ["/left/image_raw"])


def test_every_endpoint_of_the_recorder(world, tmp_path):
    node = add(world, RecorderNode, bag=str(tmp_path / "bag"))
    check_every_endpoint_is_overridable(world, node, [], RECORDED)
    node.close()


def test_every_endpoint_of_the_demos_conductor(world, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(world.domain_id))
    with Conductor(lambda: None) as conductor:
        check_every_endpoint_is_overridable(world, conductor._node, [], ["/people", "/diagnostics"])


def test_an_override_that_is_none_is_refused_in_one_line(world, rig_and_file, untrained_weights):
    node = world.pose_node(
        rig_file=rig_and_file[1],
        input="keypoints",
        model__weights=untrained_weights,
        **{"qos_overrides./people.publisher.reliability": "fairly"},
    )
    assert node.trigger_configure() != SUCCESS
    world.spin_until(lambda: world.said("qos_overrides./people.publisher.reliability"))
    (line,) = world.said("'fairly', expected reliable or best_effort")
    assert "\n" not in line


@pytest.mark.parametrize(("policy", "value"), [("depth", 0), ("depth", "many"), ("history", 3)])
def test_overrides_of_the_recorder_that_are_none(world, tmp_path, policy, value):
    name = f"qos_overrides./people.subscription.{policy}"
    with pytest.raises(UserError, match=f"parameter '{name}' is '{value}', expected"):
        add(world, RecorderNode, **{"bag": str(tmp_path / "bag"), name: value})
