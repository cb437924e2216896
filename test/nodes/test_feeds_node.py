"""The planners' feeds of a running pose_node, as its subscribers hear them."""

import math
import sys

import numpy as np
import pytest
from geometry_msgs.msg import PoseArray, PoseStamped, TransformStamped
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import LaserScan, PointCloud2

from mvssm_ros.msg import PredictedPaths, Separation
from mvssm_ros.nodes.feeds.cloud import CloudFeed
from mvssm_ros.rig.image_set import ImageSet

from .conftest import ERROR, INFO, stamp, standing_person
from .test_pose_node import send_sets, start

FAILURE = TransitionCallbackReturn.FAILURE
TYPES = {
    "cloud": PointCloud2,
    "scan": LaserScan,
    "poses": PoseArray,
    "followed": PoseStamped,
    "min_distance": Separation,
    "predicted_paths": PredictedPaths,
}
SILENT_WHEN_UNKNOWN = set(TYPES) - {"min_distance"}
HOWEVER_OLD = {"feeds__min_distance__timeout": 0.0}  # the stamps are of 2023
AT_M = (1.2, 0.4)


class Planner:
    """Listens to feeds: `heard` by name."""

    def __init__(self, world, names=tuple(TYPES)) -> None:
        self.heard: dict[str, list] = {name: [] for name in names}
        self._world = world
        self._subscriptions = {
            name: world.hear(TYPES[name], f"feeds/{name}", self.heard[name]) for name in names
        }

    def wait_for(self, node) -> None:
        """Until the node knows that it is heard."""
        topics = {f"/feeds/{name}" for name in self.heard}
        mine = [p for p in node.publishers if p.topic_name in topics]
        assert len(mine) == len(topics)
        self._world.spin_until(lambda: all(p.get_subscription_count() for p in mine))

    def stop(self, name: str) -> None:
        self._world.tester.destroy_subscription(self._subscriptions.pop(name))

    def last(self, name: str, index: int):
        """Its message of a set."""

        def found():
            return [m for m in self.heard[name] if m.header.stamp == stamp(index)]

        self._world.spin_until(found)
        (message,) = found()
        return message

    @property
    def counts(self) -> dict[str, int]:
        return {name: len(messages) for name, messages in self.heard.items()}


@pytest.fixture
def planned(world, rig_and_file, trained_weights):
    """A person at AT_M has been seen in five sets."""
    rig, path = rig_and_file
    planner = Planner(world)
    node = start(world, rig, path, trained_weights, **HOWEVER_OLD)
    planner.wait_for(node)
    send_sets(world, rig, range(5), [standing_person(*AT_M)])
    for name in TYPES:
        planner.last(name, 4)
    return world, rig, node, planner


def points_of(cloud):
    """[N, 3] m."""
    table = np.frombuffer(cloud.data, np.float32).reshape(-1, cloud.point_step // 4)
    assert len(table) == cloud.width
    return table[:, :3].astype(float)


def test_every_feed_shows_the_person_where_she_stands(planned):
    world, _, _, planner = planned
    person = world.answers[4].people[0]
    points = points_of(planner.last("cloud", 4))
    assert len(points) > 100
    low, high = points.min(0), points.max(0)
    assert np.abs((low + high)[:2] / 2 - AT_M).max() < 0.12
    assert low[2] < 0.1
    assert high[2] > 1.6

    scan = planner.last("scan", 4)
    ranges = np.array(scan.ranges)
    angles = scan.angle_min + scan.angle_increment * np.arange(len(ranges))
    hit = np.isfinite(ranges)
    assert scan.header.frame_id == "map"
    assert abs(angles[hit].mean() - math.atan2(AT_M[1], AT_M[0])) < 0.1
    assert 0.6 < ranges[hit].min() < math.hypot(*AT_M)

    (pose,) = planner.last("poses", 4).poses
    assert math.dist((pose.position.x, pose.position.y), AT_M) < 0.05
    assert planner.last("followed", 4).pose == pose == person.pose

    (link,) = planner.last("min_distance", 4).links
    assert (link.link, link.person_id) == ("map", person.id)
    feet_m = math.hypot(*AT_M) - 0.2
    assert feet_m - 0.3 < link.distance_m < feet_m + 0.1
    assert abs(link.closing_speed_m_s) < 0.3
    assert 0 < link.uncertainty_m < 0.3
    assert link.latency_s > 1e6  # since 2023

    (path,) = planner.last("predicted_paths", 4).paths
    assert path.id == person.id
    assert math.dist((path.positions[-1].x, path.positions[-1].y), AT_M) < 0.5


def test_where_nobody_is_that_is_said_for_every_set(world, rig_and_file, untrained_weights):
    rig, path = rig_and_file
    planner = Planner(world)
    node = start(world, rig, path, untrained_weights, **HOWEVER_OLD)
    planner.wait_for(node)
    send_sets(world, rig, range(3))
    for index in range(3):
        assert planner.last("cloud", index).width == 0
        assert all(math.isinf(r) for r in planner.last("scan", index).ranges)
        assert planner.last("poses", index).poses == []
        assert planner.last("predicted_paths", index).paths == []
        assert planner.last("min_distance", index).links[0].distance_m == math.inf
    assert planner.heard["followed"] == []


def test_a_set_that_tells_nothing_is_unknown_and_never_free(planned):
    world, rig, node, planner = planned
    before = planner.counts
    stamps_ns = {name: Time.from_msg(stamp(5)).nanoseconds for name in rig.cameras}
    node._configured.answers.publish_unknown(ImageSet(stamps_ns, dict.fromkeys(rig.cameras)))
    (link,) = planner.last("min_distance", 5).links
    assert math.isnan(link.distance_m)
    assert math.isnan(link.closing_speed_m_s)
    world.spin_for(0.5)
    for name in SILENT_WHEN_UNKNOWN:
        assert planner.counts[name] == before[name], name


def test_after_deactivation_nothing_stale_is_left(planned):
    world, _, node, planner = planned
    before = planner.counts
    node.trigger_deactivate()
    world.spin_until(lambda: planner.counts["predicted_paths"] > before["predicted_paths"])
    world.spin_for(1.5)
    farewells = {name: count - before[name] for name, count in planner.counts.items()}
    assert farewells.pop("min_distance") == 2  # everybody is lost, the node stops
    assert farewells.pop("followed") == 0
    assert set(farewells.values()) == {1}  # and silence
    last = {name: messages[-1] for name, messages in planner.heard.items()}
    assert last["cloud"].width == 0
    assert all(math.isinf(r) for r in last["scan"].ranges)
    assert last["poses"].poses == last["predicted_paths"].paths == []
    assert math.isnan(last["min_distance"].links[0].distance_m)


def test_it_goes_on_after_another_activation(planned):
    world, rig, node, planner = planned
    node.trigger_deactivate()
    node.trigger_activate()
    world.wait_for_subscribers([f"/{name}/keypoints" for name in rig.cameras])
    send_sets(world, rig, range(10, 14), [standing_person(*AT_M)])
    assert planner.last("cloud", 13).width > 100


def test_with_a_camera_less_people_are_still_there(planned):
    world, rig, _, planner = planned
    send_sets(world, rig, range(5, 8), [standing_person(*AT_M)], cameras=["cam0", "cam1", "cam2"])
    assert world.answers[-1].cameras_used == 0b0111
    assert math.isfinite(planner.last("min_distance", 7).links[0].distance_m)
    assert planner.last("cloud", 7).width > 100


def test_who_is_hidden_is_still_kept_clear_of(planned):
    world, rig, _, planner = planned
    send_sets(world, rig, range(5, 7))  # nobody is seen any more: coasting
    assert planner.last("cloud", 6).width > 100
    assert math.isfinite(planner.last("min_distance", 6).links[0].distance_m)


# --- age ---


def test_images_that_are_too_old_are_unknown_and_the_log_says_why(
    world, rig_and_file, trained_weights
):
    rig, path = rig_and_file
    planner = Planner(world, ["min_distance"])
    planner.wait_for(start(world, rig, path, trained_weights))
    send_sets(world, rig, range(4), [standing_person(*AT_M)])
    (link,) = planner.last("min_distance", 3).links
    assert math.isnan(link.distance_m)
    assert link.latency_s > 1e6
    world.spin_until(lambda: world.said("feeds/min_distance is unknown: the images were"))
    world.spin_until(
        lambda: world.status and "feeds.min_distance.timeout" in world.status[-1].summary
    )


def test_when_sets_stop_coming_the_distance_becomes_unknown(world, rig_and_file, trained_weights):
    """On the cameras' clock, a moment after each set."""
    rig, path = rig_and_file
    planner = Planner(world, ["min_distance"])
    node = start(world, rig, path, trained_weights, use_sim_time=True)
    planner.wait_for(node)
    clock = world.publisher(Clock, "/clock")
    for index in range(5):
        now_ns = Time.from_msg(stamp(index)).nanoseconds + 20_000_000
        clock.publish(Clock(clock=Time(nanoseconds=now_ns).to_msg()))
        world.spin_until(lambda now=now_ns: node.get_clock().now().nanoseconds == now)
        send_sets(world, rig, [index], [standing_person(*AT_M)])
    (link,) = planner.last("min_distance", 4).links
    assert math.isfinite(link.distance_m)
    assert link.latency_s == pytest.approx(0.02)
    answered = len(world.people)
    world.spin_until(lambda: math.isnan(planner.heard["min_distance"][-1].links[0].distance_m))
    unknown = planner.heard["min_distance"][-1]
    assert unknown.links[0].link == "map"
    assert math.isnan(unknown.links[0].latency_s)
    assert Time.from_msg(unknown.header.stamp).nanoseconds == now_ns
    assert len(world.people) == answered  # it needed no set


# --- what a feed costs the others ---


def test_a_feed_that_fails_is_told_and_people_go_on(planned, monkeypatch):
    world, rig, _, planner = planned

    def fail(*args):
        raise RuntimeError("no paint left")

    monkeypatch.setattr(CloudFeed, "message", fail)
    send_sets(world, rig, range(5, 8), [standing_person(*AT_M)])
    planner.last("predicted_paths", 7)
    clouds = planner.counts["cloud"]
    assert clouds == planner.counts["poses"] - 3
    world.spin_until(lambda: world.said("feeds/cloud cannot be made", "no paint left", level=ERROR))
    world.spin_until(lambda: world.status and "no paint left" in world.status[-1].summary)
    planner.stop("cloud")  # who is not heard is not asked
    world.spin_until(lambda: not world.tester.count_subscribers("/feeds/cloud"))
    for index in range(8, 40):
        send_sets(world, rig, [index], [standing_person(*AT_M)])
        if world.said("feed feeds/cloud problem is over", level=INFO):
            break
    world.spin_until(lambda: "no paint left" not in world.status[-1].summary)


def test_feeds_that_nobody_hears_are_not_made(world, rig_and_file, trained_weights, monkeypatch):
    rig, path = rig_and_file
    made = []
    for output in start(world, rig, path, trained_weights)._configured.answers.feeds._outputs:
        monkeypatch.setattr(output.feed, "message", lambda *args: made.append(args))
    send_sets(world, rig, range(4), [standing_person(*AT_M)])
    assert world.answers[-1].people
    assert made == []


# --- parameters ---


def set_parameter(node, name, value):
    (result,) = node.set_parameters([Parameter(name, value=value)])
    return result


def test_changes_take_effect_while_running(planned):
    world, rig, node, planner = planned
    person = world.answers[4].people[0]

    def after(index):
        send_sets(world, rig, [index], [standing_person(*AT_M)])
        return planner.last("cloud", index).width, planner.last("min_distance", index).links[0]

    assert set_parameter(node, "feeds.k_sigma", 0.0).successful
    points, link = after(5)
    assert link.uncertainty_m == 0.0
    assert set_parameter(node, "feeds.k_sigma", 5.0).successful
    assert set_parameter(node, "feeds.cloud.spacing", 0.05).successful
    more, nearer = after(6)
    assert more > 2 * points
    assert nearer.uncertainty_m > 0.0
    assert nearer.distance_m < link.distance_m
    assert set_parameter(node, "feeds.follow", "p9999").successful
    planner.last("followed", 6)
    after(7)
    assert stamp(7) not in [m.header.stamp for m in planner.heard["followed"]]
    assert set_parameter(node, "feeds.follow", person.id).successful
    after(8)
    assert planner.last("followed", 8).pose.position.x == pytest.approx(AT_M[0], abs=0.05)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("feeds.k_sigma", math.nan, "range"),
        ("feeds.k_sigma", -1.0, "range"),
        ("feeds.cloud.spacing", 0.0, "range"),
        ("feeds.follow", "bob", "is 'bob', expected the id of a person"),
        ("feeds.robot_frame", "base link", "is 'base link', expected a frame of TF"),
        ("feeds.min_distance.links", ["tool@-1"], "has 'tool@-1'; expected FRAME or FRAME:FRAME"),
    ],
)
def test_nonsense_is_refused(world, name, value, reason):
    node = world.pose_node()
    before = node.get_parameter(name).value
    result = set_parameter(node, name, value)
    assert not result.successful
    assert reason in result.reason
    assert node.get_parameter(name).value == before


def test_where_the_robot_is_cannot_change_while_running(planned):
    result = set_parameter(planned[2], "feeds.robot_frame", "base_link")
    assert not result.successful
    assert "takes effect when the node is configured" in result.reason


def configure_fails(world, path, weights, **parameters) -> str:
    """The one line that says why."""
    node = world.pose_node(rig_file=path, input="keypoints", model__weights=weights, **parameters)
    assert node.trigger_configure() == FAILURE
    world.spin_until(lambda: world.said(level=ERROR))
    (line,) = world.said(level=ERROR)
    assert "\n" not in line
    assert not [p for p in node.publishers if "/feeds/" in p.topic_name]
    return line


def test_a_robot_without_tf_is_refused(world, rig_and_file, untrained_weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2_ros", None)
    robot = {"feeds__robot_frame": "base_link", "feeds__min_distance__links": ["map", "tool@0.1"]}
    line = configure_fails(world, rig_and_file[1], untrained_weights, **robot)
    assert "['base_link', 'tool']" in line
    assert "tf2_ros is not installed (ros-<distro>-tf2-ros-py)" in line


def test_the_reference_frame_needs_no_tf(world, rig_and_file, untrained_weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2_ros", None)
    rig, path = rig_and_file
    robot = {"feeds__robot_frame": "map", "feeds__min_distance__links": ["map@0.5"]}
    planner = Planner(world, ["min_distance"])
    planner.wait_for(start(world, rig, path, untrained_weights, **robot, **HOWEVER_OLD))
    send_sets(world, rig, range(1))
    assert planner.last("min_distance", 0).links[0].link == "map@0.5"


def test_a_robot_in_tf(world, rig_and_file, trained_weights):
    """It stands at (1.2, -1.6), looks along +y, and its tool's place is published by nobody."""
    pytest.importorskip("tf2_ros")
    from tf2_msgs.msg import TFMessage

    rig, path = rig_and_file
    latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    base = TransformStamped(child_frame_id="base_link")
    base.header.frame_id = "map"
    base.transform.translation.x, base.transform.translation.y = 1.2, -1.6
    base.transform.rotation.z = base.transform.rotation.w = math.sqrt(0.5)
    world.publisher(TFMessage, "/tf_static", latched).publish(TFMessage(transforms=[base]))
    planner = Planner(world)
    node = start(
        world,
        rig,
        path,
        trained_weights,
        feeds__robot_frame="base_link",
        feeds__min_distance__links=["base_link@0.3", "tool"],
        **HOWEVER_OLD,
    )
    planner.wait_for(node)
    world.wait_for_subscribers(["/tf_static"])
    world.spin_for(1.0)
    send_sets(world, rig, range(4), [standing_person(*AT_M), standing_person(-1.5, -1.0)])
    scan = planner.last("scan", 3)
    assert scan.header.frame_id == "base_link"
    ranges = np.array(scan.ranges)
    ahead = ranges[np.abs(np.linspace(-math.pi, math.pi, len(ranges))) < 0.1]
    assert 1.6 < ahead.min() < 2.0
    base, tool = planner.last("min_distance", 3).links
    feet_m = 2.0 - 0.2 - 0.3
    assert feet_m - 0.2 < base.distance_m < feet_m + 0.1
    assert math.isnan(tool.distance_m)
    assert planner.last("followed", 3).pose.position.x == pytest.approx(AT_M[0], abs=0.1)
    world.spin_until(lambda: world.said("feeds: TF does not know where 'tool' is in 'map'"))
