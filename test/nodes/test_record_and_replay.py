"""`mvssm record` and `mvssm replay` as processes, with a real pose_node at either end."""

import os
import signal
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock

from mvssm_ros.bags.reader import BagReader
from mvssm_ros.bags.writer import BagWriter
from mvssm_ros.errors import UserError
from mvssm_ros.msg import Keypoints2DArray, PersonArray
from mvssm_ros.nodes import qos
from mvssm_ros.nodes.replay_node import ReplayNode

from .conftest import standing_person

CLI = [sys.executable, "-m", "mvssm_ros.cli"]


def command(world, *words):
    """`mvssm WORDS` in the test's ROS domain."""
    return subprocess.Popen(
        [*CLI, *map(str, words)],
        env={**os.environ, "ROS_DOMAIN_ID": str(world.domain_id), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def started(world, rig_file, weights, **parameters):
    node = world.pose_node(
        rig_file=rig_file,
        input="keypoints",
        model__weights=weights,
        sync__deadline=5.0,
        **parameters,
    )
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    return node


def ended(world, node):
    node.close()
    world.executor.remove_node(node)
    world.nodes.remove(node)
    node.destroy_node()


def ns(message) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def in_short(answers):
    """By stamp: ids, states and joint positions [P, 15, 3] of everybody."""
    return {
        ns(m): [
            (p.id, p.track_state, [(j.position.x, j.position.y, j.position.z) for j in p.joints])
            for p in m.people
        ]
        for m in answers
    }


def check_same(again, live):
    """The same sets, ids and states; joints to a nanometre."""
    assert list(again) == list(live)
    for stamp_ns, people in live.items():
        assert [p[:2] for p in again[stamp_ns]] == [p[:2] for p in people]
        np.testing.assert_allclose(
            [p[2] for p in again[stamp_ns]], [p[2] for p in people], atol=1e-9
        )


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_recorded_stream_gives_the_same_people_offline_and_in_a_fresh_node(
    world, rig_and_file, trained_weights, tmp_path, storage
):
    rig, rig_file = rig_and_file
    bag = tmp_path / "bag"
    node = started(world, rig_file, trained_weights)
    recorder = command(world, "record", "--out", bag, "--rig", rig_file, "--storage", storage)
    world.publish_keypoints(rig, 0)  # makes the publishers, which the recorder looks for
    world.spin_until(
        lambda: all(
            world.tester.count_subscribers(t) >= n
            for t, n in [("/people", 2), *((f"/{name}/keypoints", 2) for name in rig.cameras)]
        )
    )
    world.spin_for(0.5)
    world.people.clear()
    for index in range(1, 13):
        walker = standing_person(x_m=-0.6 + 0.04 * index, y_m=0.5)
        world.publish_keypoints(rig, index, [walker, standing_person(0.5, -0.6)])
        world.spin_until(lambda n=index: len(world.answers) == n)  # nothing is dropped
    live = in_short(world.answers)
    ended(world, node)
    recorder.send_signal(signal.SIGINT)
    said = recorder.communicate(timeout=500)[0]
    assert recorder.returncode == 0, said
    assert "messages written to" in said
    assert "/cam0/keypoints 12" in said
    assert "nothing was recorded of" in said  # images, camera_info: nobody sends them here
    assert "/cam0/image_raw" in said

    offline = tmp_path / "offline"
    words = ["process", bag, "--rig", rig_file, "--out", offline]
    processing = command(world, *words)
    said = processing.communicate(timeout=500)[0]
    assert processing.returncode == 0, said
    with BagReader(offline) as result:
        found = [result.deserialize(t, d) for t, _, d in result.messages(["/people"])]
    check_same(in_short(found[:-1]), live)  # the last one: everybody is lost

    world.people.clear()
    world.spin_for(0.5)
    clock = storage == "sqlite3"  # once by the clock of this machine, once by the bag's
    node = started(world, rig_file, trained_weights, use_sim_time=clock)
    words = ["--rate", 0.3, "--wait", 30, *(["--clock"] if clock else [])]
    replay = command(world, "replay", bag, *words)
    world.spin_until(lambda: len(world.answers) == 12, timeout_s=100)
    again = in_short(world.answers)
    world.spin_until(lambda: replay.poll() is not None)
    assert replay.returncode == 0, replay.stdout.read()
    ended(world, node)
    assert {len(people) for people in live.values()} == {2}
    check_same(again, live)


@pytest.fixture
def small_bag(tmp_path):
    """Keypoints of two cameras and people, 0.1 s apart, from bag time 1000 s on."""
    path = tmp_path / "small"
    writer = BagWriter(path)
    profile = qos.answer_qos()
    topics = {
        name: writer.connection(name, type_name, profile)
        for name, type_name in [
            ("/a/keypoints", "mvssm_ros/msg/Keypoints2DArray"),
            ("/b/keypoints", "mvssm_ros/msg/Keypoints2DArray"),
            ("/people", "mvssm_ros/msg/PersonArray"),
        ]
    }
    from rclpy.serialization import serialize_message

    for index in range(5):
        for name, connection in topics.items():
            message = PersonArray() if name == "/people" else Keypoints2DArray()
            message.header.stamp.sec = index + 1
            writer.write(
                connection, 1000 * 10**9 + index * 10**8, bytes(serialize_message(message))
            )
    writer.close()
    return path


def replayer(world, bag, **parameters):
    overrides = [Parameter("bag", value=str(bag))]
    overrides += [Parameter(name, value=value) for name, value in parameters.items()]
    node = ReplayNode(context=world.context, parameter_overrides=overrides)
    world.executor.add_node(node)
    world.nodes.append(node)
    return node


def test_answers_are_played_only_when_asked_for(world, small_bag):
    a: list = []
    b: list = []
    world.hear(Keypoints2DArray, "/a/keypoints", a)
    world.hear(Keypoints2DArray, "/b/keypoints", b)
    node = replayer(world, small_bag, exclude=["/b/keypoints"], wait=30.0)
    world.spin_until(lambda: node.finish() == 0)
    world.spin_until(lambda: len(a) == 5)
    assert [m.header.stamp.sec for m in a] == [1, 2, 3, 4, 5]
    assert not b
    assert not world.people
    node.close()
    node = replayer(world, small_bag, topics=["/people"], wait=30.0)
    world.spin_until(lambda: node.finish() == 0)
    world.spin_until(lambda: len(world.people) == 5)
    assert len(a) == 5
    node.close()


def test_the_clock_tells_the_time_of_the_bag_and_goes_back_when_it_loops(world, small_bag):
    clock: list = []
    world.hear(Clock, "/clock", clock, 1000)
    node = replayer(world, small_bag, clock=True, loop=True, rate=2.0, wait=0.1)
    world.spin_until(lambda: node.count >= 25)  # each time round has ten messages
    node.close()
    world.spin_for(0.2)
    seconds = [c.clock.sec + c.clock.nanosec * 1e-9 for c in clock]
    assert min(seconds) >= 1000.0
    assert max(seconds) == pytest.approx(1000.4, abs=0.011)
    assert any(later < earlier - 0.3 for earlier, later in pairwise(seconds))


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_the_middle(world, small_bag, signal_number):
    heard: list = []
    world.hear(Keypoints2DArray, "/a/keypoints", heard)
    replay = command(world, "replay", small_bag, "--loop", "--wait", 1)
    world.spin_until(lambda: len(heard) > 6)
    replay.send_signal(signal_number)
    said = replay.communicate(timeout=500)[0]
    assert replay.returncode == 0, said
    assert "messages played from" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"rate": 0.0}, "parameter 'rate' is 0.0, expected above 0"),
        ({"topics": ["/c/keypoints"]}, "no topic '/c/keypoints' in it; it has /a/keypoints"),
        ({"exclude": ["/a/keypoints", "/b/keypoints"]}, "no topic in it can be played"),
    ],
)
def test_what_cannot_be_played_is_said(world, small_bag, parameters, expected):
    with pytest.raises(UserError, match=expected):
        replayer(world, small_bag, **parameters)


def test_a_topic_of_an_unknown_type_is_told_and_the_rest_is_recorded(world, tmp_path):
    from visualization_msgs.msg import InteractiveMarkerInit

    out = tmp_path / "bag"
    recorder = command(world, "record", "--out", out, "--topics", "/a/keypoints", "/absent")
    publisher = world.publisher(Keypoints2DArray, "/a/keypoints")
    world.publisher(InteractiveMarkerInit, "/markers/full")
    world.spin_until(lambda: publisher.get_subscription_count() > 0)
    publisher.publish(Keypoints2DArray(skeleton="coco17"))
    world.spin_for(0.5)
    recorder.send_signal(signal.SIGTERM)
    said = recorder.communicate(timeout=500)[0]
    assert recorder.returncode == 0, said
    assert "nothing was recorded of /absent" in said
    with BagReader(out) as bag:
        ((_, _, data),) = bag.messages(["/a/keypoints"])
        assert bag.deserialize("/a/keypoints", data).skeleton == "coco17"
        assert bag.topics["/a/keypoints"].reliable
