"""config/rviz/mvssm.rviz: every display has the topic, type and QoS that the nodes publish."""

from collections.abc import Iterator

import pytest
import yaml
from geometry_msgs.msg import PoseArray
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import LaserScan, PointCloud2
from visualization_msgs.msg import MarkerArray

from mvssm_ros.nodes import camera_markers, markers
from mvssm_ros.share import share_dir

from .test_pose_node import send_sets, start

TYPES = {  # what each display of RViz subscribes to
    "rviz_default_plugins/MarkerArray": MarkerArray,
    "rviz_default_plugins/PointCloud2": PointCloud2,
    "rviz_default_plugins/LaserScan": LaserScan,
    "rviz_default_plugins/PoseArray": PoseArray,
}
WITHOUT_TOPIC = {
    "rviz_default_plugins/Grid",
    "rviz_default_plugins/TF",
    "rviz_common/Group",
}
"""RViz's words for the policies."""
DURABILITY = {
    "Volatile": DurabilityPolicy.VOLATILE,
    "Transient Local": DurabilityPolicy.TRANSIENT_LOCAL,
}
RELIABILITY = {
    "Reliable": ReliabilityPolicy.RELIABLE,
    "Best Effort": ReliabilityPolicy.BEST_EFFORT,
}
HISTORY = {"Keep Last": HistoryPolicy.KEEP_LAST, "Keep All": HistoryPolicy.KEEP_ALL}


def every_display(displays) -> Iterator[dict]:
    for display in displays:
        yield display
        yield from every_display(display.get("Displays", []))


def read_config() -> dict:
    text = (share_dir() / "config" / "rviz" / "mvssm.rviz").read_text("utf-8")
    return yaml.safe_load(text)["Visualization Manager"]


DISPLAYS = list(every_display(read_config()["Displays"]))
SHOWN = {d["Topic"]["Value"]: d for d in DISPLAYS if "Topic" in d}


def requested(display) -> QoSProfile:
    topic = display["Topic"]
    return QoSProfile(
        history=HISTORY[topic["History Policy"]],
        depth=topic["Depth"],
        reliability=RELIABILITY[topic["Reliability Policy"]],
        durability=DURABILITY[topic["Durability Policy"]],
    )


@pytest.fixture
def publishers(world, rig_and_file, untrained_weights):
    """Of pose_node, by topic."""
    rig, path = rig_and_file
    node = start(world, rig, path, untrained_weights)
    return {publisher.topic_name: publisher for publisher in node.publishers}


def test_every_display_is_of_a_known_kind_and_named_once():
    for display in DISPLAYS:
        assert ("Topic" in display) == (display["Class"] in TYPES), display["Name"]
        assert display["Class"] in {*TYPES, *WITHOUT_TOPIC}
        assert display["Enabled"] == display["Value"]
    assert len({d["Name"] for d in DISPLAYS}) == len(DISPLAYS)
    assert len(SHOWN) == sum("Topic" in d for d in DISPLAYS)


def test_every_display_asks_for_what_is_published(publishers):
    assert SHOWN
    for topic, display in SHOWN.items():
        offered = publishers[topic]
        assert TYPES[display["Class"]] is offered.msg_type, topic
        asked, offers = requested(display), offered.qos_profile
        assert asked.depth == offers.depth, topic
        assert asked.history == offers.history, topic
        assert asked.reliability == offers.reliability, topic
        assert asked.durability == offers.durability, topic


def test_all_that_rviz_can_show_is_shown(publishers):
    kinds = set(TYPES.values())
    assert {topic for topic, p in publishers.items() if p.msg_type in kinds} == set(SHOWN)


@pytest.mark.parametrize("topic", ["/markers", "/camera_markers"])
def test_a_subscription_as_rviz_makes_it_receives(world, rig_and_file, untrained_weights, topic):
    rig, path = rig_and_file
    start(world, rig, path, untrained_weights)
    heard = []
    display = SHOWN[topic]
    world.hear(TYPES[display["Class"]], topic, heard, requested(display))
    send_sets(world, rig, range(3))
    world.spin_until(lambda: heard)


def test_the_namespaces_can_be_switched():
    assert tuple(SHOWN["/markers"]["Namespaces"]) == markers.NAMESPACES
    assert tuple(SHOWN["/camera_markers"]["Namespaces"]) == camera_markers.NAMESPACES


def test_the_fixed_frame_is_the_one_that_rig_files_have_by_default():
    assert read_config()["Global Options"]["Fixed Frame"] == "map"
