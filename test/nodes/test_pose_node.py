"""pose_node on the real middleware, fed with the keypoints of a perfect detector."""

import math

import numpy as np
import pytest
import rclpy
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from rosgraph_msgs.msg import Clock
from std_srvs.srv import SetBool, Trigger
from visualization_msgs.msg import Marker

from mvssm_ros.msg import CameraStatus, Joint, Person, PersonArray, SkeletonInfo
from mvssm_ros.nodes.pose_node import PoseNode

from .conftest import INFO, stamp, standing_person

SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE


def start(world, rig, path, weights, **parameters):
    """An active node that listens to the keypoints of all cameras."""
    node = world.pose_node(rig_file=path, input="keypoints", model__weights=weights, **parameters)
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    world.wait_for_subscribers([f"/{name}/keypoints" for name in rig.cameras])
    world.spin_until(lambda: world.info)
    return node


@pytest.fixture
def empty_room(world, rig_and_file, untrained_weights):
    rig, path = rig_and_file
    return world, rig, start(world, rig, path, untrained_weights)


@pytest.fixture
def room(world, rig_and_file, trained_weights):
    rig, path = rig_and_file
    return world, rig, start(world, rig, path, trained_weights)


def send_sets(world, rig, indices, people_m=(), **options):
    """One set after the other, each when the one before has been answered."""
    for index in indices:
        answered = len(world.answers)
        world.publish_keypoints(rig, index, people_m, **options)
        world.spin_until(lambda before=answered: len(world.answers) > before)


def call(world, service_type, name, request):
    client = world.tester.create_client(service_type, name)
    world.spin_until(client.service_is_ready)
    future = client.call_async(request)
    world.spin_until(future.done)
    return future.result()


def test_every_set_is_answered_also_when_nobody_is_there(empty_room):
    world, rig, _ = empty_room
    send_sets(world, rig, range(5))
    assert [m.header.stamp for m in world.people] == [stamp(index) for index in range(5)]
    for message in world.people:
        assert message.header.frame_id == "map"
        assert message.skeleton == "panoptic15"
        assert list(message.cameras) == list(rig.cameras)
        assert message.cameras_used == 0b1111
        assert (message.stamp_spread.sec, message.stamp_spread.nanosec) == (0, 0)
        assert message.latency.sec > 0  # the stamps are of 2023
        assert list(message.people) == []


@pytest.mark.parametrize("from_tracks", [False, True], ids=["", "from tracks"])
def test_a_person_is_found_where_she_stands_and_keeps_her_id(room, from_tracks):
    world, rig, node = room
    node.set_parameters([Parameter("tracking.start_from_tracks", value=from_tracks)])
    send_sets(world, rig, range(4), [standing_person(0.3, -0.2)])
    for message in world.people:
        (person,) = message.people
        assert person.id == world.people[0].people[0].id
        assert len(person.joints) == 15
        found = np.array([[j.position.x, j.position.y, j.position.z] for j in person.joints])
        assert np.linalg.norm(found - standing_person(0.3, -0.2), axis=1).mean() < 0.15
        assert {j.view_mask for j in person.joints} <= set(range(16))
        assert any(j.state == Joint.OBSERVED for j in person.joints)
        position = person.pose.position
        assert math.hypot(position.x - 0.3, position.y + 0.2) < 0.15
        assert person.pose.orientation.w**2 + person.pose.orientation.z**2 > 0.9  # stands upright
    assert [m.people[0].track_state for m in world.people] == [Person.TENTATIVE] * 2 + [
        Person.CONFIRMED
    ] * 2
    expected_m = node._configured.answers.expected_poses_m(Time.from_msg(stamp(4)).nanoseconds)
    assert (expected_m is not None) == from_tracks
    assert not from_tracks or np.abs(expected_m - found).max() < 0.1
    world.spin_until(lambda: len(world.markers) >= 5)
    drawn = {(m.ns, m.id) for array in world.markers[1:] for m in array.markers}
    assert {"bones", "joints", "label", "ellipsoids"} <= {ns for ns, _ in drawn}
    assert len({number for ns, number in drawn if ns == "bones"}) == 1


def test_deactivating_loses_everybody_deletes_the_markers_and_says_so_with_an_empty_answer(room):
    world, rig, node = room
    send_sets(world, rig, range(3), [standing_person()])
    assert node.trigger_deactivate() == SUCCESS
    world.spin_until(lambda: len(world.people) == 5)
    lost, empty = world.people[3:]
    assert [p.track_state for p in lost.people] == [Person.LOST]
    assert lost.people[0].id == world.people[0].people[0].id
    assert list(empty.people) == []
    world.spin_until(lambda: world.markers[-1].markers[0].action == Marker.DELETEALL)
    for name in rig.cameras:
        assert world.tester.count_subscribers(f"/{name}/keypoints") == 0


def test_someone_who_leaves_coasts_and_is_lost_exactly_once(room):
    world, rig, _ = room
    send_sets(world, rig, range(3), [standing_person()])
    send_sets(world, rig, range(3, 40))  # tracking.coast is 1.5 s
    states = [[p.track_state for p in m.people] for m in world.people[3:]]
    flat = [s for present in states for s in present]
    assert flat == [Person.COASTING] * (len(flat) - 1) + [Person.LOST]
    assert len(flat) > 3
    assert states[-1] == []


def test_a_missing_camera_makes_partial_sets_and_is_named(empty_room):
    world, rig, _ = empty_room
    seeing = [name for name in rig.cameras if name != "cam2"]
    send_sets(world, rig, range(3), cameras=seeing)
    assert [m.cameras_used for m in world.people] == [0b1011] * 3
    world.spin_until(lambda: world.said("camera 'cam2'", "nothing received on '/cam2/keypoints'"))
    world.spin_until(lambda: world.status and world.status[-1].cameras[2].message)
    status = world.status[-1]
    assert status.cameras[2].state == CameraStatus.WAITING
    assert "nobody publishes it" in status.cameras[2].message
    assert status.sets_partial == 3
    assert [c.received for c in status.cameras] == [3, 3, 0, 3]


def test_when_all_cameras_stop_it_is_told_in_one_line(empty_room):
    world, rig, _ = empty_room
    send_sets(world, rig, range(4))
    world.spin_until(lambda: world.said("nothing more comes from any camera"))
    assert not world.said("nothing more comes on")
    send_sets(world, rig, range(4, 6))
    world.spin_until(lambda: world.said("input problem is over", level=INFO))


def test_too_few_cameras_give_no_answer_and_a_counted_drop(empty_room):
    world, rig, _ = empty_room
    world.publish_keypoints(rig, 0, cameras=["cam0"])
    world.spin_until(lambda: world.status and world.status[-1].sets_dropped_no_quorum == 1)
    assert world.people == []


def test_slow_inference_drops_whole_sets_and_counts_them(empty_room):
    world, rig, _ = empty_room
    for index in range(30):
        world.publish_keypoints(rig, index)

    world.spin_until(lambda: world.status and world.status[-1].sets_dropped_overwritten > 0)
    world.spin_until(
        lambda: len(world.people) == world.status[-1].sets_complete + world.status[-1].sets_partial
    )
    stamps = [Time.from_msg(m.header.stamp).nanoseconds for m in world.people]
    assert stamps == sorted(set(stamps))
    assert 0 < len(stamps) < 30


def test_skeleton_info_is_there_for_whoever_comes_later(empty_room):
    world, _, _ = empty_room
    latched = QoSProfile(
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )
    late: list[SkeletonInfo] = []
    world.hear(SkeletonInfo, "skeleton_info", late, latched)
    world.spin_until(lambda: late)
    assert late[0].joint_names[0] == "neck"


def test_enable_switches_the_cameras_off_and_on(empty_room):
    world, rig, _ = empty_room
    assert call(world, SetBool, "/mvssm/enable", SetBool.Request(data=False)).success
    topics = [f"/{name}/keypoints" for name in rig.cameras]
    world.spin_until(lambda: not any(world.tester.count_subscribers(t) for t in topics))
    assert call(world, SetBool, "/mvssm/enable", SetBool.Request(data=True)).success
    world.wait_for_subscribers(topics)
    send_sets(world, rig, range(2))


def test_reset_tracks_gives_new_ids(room):
    world, rig, _ = room
    send_sets(world, rig, range(2), [standing_person()])
    assert call(world, Trigger, "/mvssm/reset_tracks", Trigger.Request()).success
    world.spin_until(lambda: len(world.people) == 3)
    assert [p.track_state for p in world.people[2].people] == [Person.LOST]
    send_sets(world, rig, range(2, 3), [standing_person()])
    assert world.people[3].people[0].id != world.people[0].people[0].id


def test_time_set_back_is_survived_and_told(room):
    world, rig, _ = room
    send_sets(world, rig, range(100, 103), [standing_person()])
    world.publish_keypoints(rig, 0, [standing_person()])
    world.spin_until(lambda: len(world.people) == 5)
    assert [p.track_state for p in world.people[3].people] == [Person.LOST]
    assert world.people[4].header.stamp == stamp(0)
    assert world.people[4].people[0].id != world.people[0].people[0].id
    assert len(world.said("time was set back")) == 1


def test_what_may_change_while_running_and_what_may_not(empty_room):
    _, _, node = empty_room
    (allowed,) = node.set_parameters([Parameter("tracking.gate", value=0.25)])
    assert allowed.successful
    for name, value in (("rig_file", "/other.yaml"), ("sync.slop", 0.5)):
        (refused,) = node.set_parameters([Parameter(name, value=value)])
        assert not refused.successful
        assert f"'{name}' takes effect when the node is configured" in refused.reason
    (out_of_range,) = node.set_parameters([Parameter("tracking.gate", value=-1.0)])
    assert not out_of_range.successful


def test_markers_can_be_switched_off_while_running(room):
    world, rig, node = room
    send_sets(world, rig, range(2), [standing_person()])
    node.set_parameters([Parameter("publish.markers", value=False)])
    world.spin_until(lambda: world.markers[-1].markers[0].action == Marker.DELETEALL)
    count = len(world.markers)
    send_sets(world, rig, range(2, 5), [standing_person()])
    assert len(world.markers) == count


def test_it_can_be_taken_down_and_up_again(empty_room):
    world, rig, node = empty_room
    send_sets(world, rig, range(2))
    assert node.trigger_deactivate() == SUCCESS
    assert node.trigger_cleanup() == SUCCESS
    assert not world.tester.count_publishers("/people")
    (changed,) = node.set_parameters([Parameter("sync.slop", value=0.01)])
    assert changed.successful
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    world.wait_for_subscribers([f"/{name}/keypoints" for name in rig.cameras])
    answered = len(world.people)
    world.publish_keypoints(rig, 10)
    world.spin_until(lambda: len(world.people) > answered)


def test_with_simulated_time_the_deadline_is_a_simulated_one(
    world, rig_and_file, untrained_weights
):
    rig, path = rig_and_file
    start(world, rig, path, untrained_weights, use_sim_time=True)
    world.spin_until(lambda: world.said("use_sim_time is true but nothing has come on /clock"))
    clock = world.publisher(Clock, "/clock")
    seeing = [name for name in rig.cameras if name != "cam3"]

    def tell_time(index):
        clock.publish(Clock(clock=stamp(index)))
        world.spin_for(0.3)

    tell_time(0)
    world.publish_keypoints(rig, 0, cameras=seeing)
    world.spin_for(1.0)  # ten deadlines of real time
    assert world.people == []
    for index in range(1, 6):  # five times 50 ms
        tell_time(index)
    world.spin_until(lambda: world.people)
    assert world.people[0].cameras_used == 0b0111
    assert world.people[0].latency.sec == 0
    world.spin_until(lambda: world.said("clock problem is over", level=INFO))


def test_a_parameter_that_does_not_exist_is_named(world, rig_and_file, untrained_weights):
    rig, path = rig_and_file
    start(world, rig, path, untrained_weights, sync__slopp=0.1)
    world.spin_until(lambda: world.said("parameter 'sync.slopp'"))
    assert len(world.said("does not exist")) == 1


def test_answers_are_in_the_namespace_of_the_node(world, rig_and_file, untrained_weights):
    rig, path = rig_and_file
    heard: list[PersonArray] = []
    world.hear(PersonArray, "/robot1/people", heard)
    node = PoseNode(
        context=world.context,
        namespace="robot1",
        parameter_overrides=[
            Parameter("rig_file", value=path),
            Parameter("input", value="keypoints"),
            Parameter("model.weights", value=untrained_weights),
            Parameter("reference_frame", value="odom"),
        ],
    )
    world.executor.add_node(node)
    world.nodes.append(node)
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    world.wait_for_subscribers([f"/{name}/keypoints" for name in rig.cameras])
    world.publish_keypoints(rig, 0)
    world.spin_until(lambda: heard)
    assert heard[0].header.frame_id == "odom"


def test_the_context_of_a_test_is_its_own(world):
    assert not rclpy.ok()  # nothing has used the default context
