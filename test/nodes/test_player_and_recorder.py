"""The player's film and the recorder's bag, over the real middleware."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from geometry_msgs.msg import Point
from mcap.reader import make_reader
from rclpy.parameter import Parameter
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from visualization_msgs.msg import MarkerArray

from mvssm_ros.demo_data import demo_rig, find_demo, read_frames
from mvssm_ros.errors import UserError
from mvssm_ros.msg import Joint, Person, PersonArray, RigStatus
from mvssm_ros.nodes.player_node import PlayerNode
from mvssm_ros.nodes.recorder_node import RecorderNode

from .conftest import ERROR, stamp


@pytest.fixture
def film():
    pytest.importorskip("Pose2Sim", reason="the demo's videos are in the wheel of pose2sim")
    return find_demo("single")


def add(world, node_class, **parameters):
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    node = node_class(context=world.context, parameter_overrides=overrides)
    world.executor.add_node(node)
    world.nodes.append(node)
    return node


def run_to_end(world, node) -> int:
    codes: list = []

    def ended():
        code = node.finish()
        if code is not None:
            codes.append(code)
        return bool(codes)

    world.spin_until(ended)
    return codes[0]


def ns(message) -> int:
    return Time.from_msg(message.header.stamp).nanoseconds


@pytest.mark.parametrize("transport", ["raw", "compressed"])
def test_it_plays_all_cameras_with_the_stamps_of_the_film_and_ends(
    world, film, transport, tmp_path
):
    images: dict = {name: [] for name in film.videos}
    infos: dict = {name: [] for name in film.videos}
    suffix, message_type = ("", Image) if transport == "raw" else ("/compressed", CompressedImage)
    for name in film.videos:
        world.hear(message_type, f"/{name}/image_raw{suffix}", images[name])
        world.hear(CameraInfo, f"/{name}/camera_info", infos[name])
    frames_file = tmp_path / "frames.json"
    player = add(
        world,
        PlayerNode,
        transport=transport,
        rate_hz=20.0,  # every third
        frames=4,
        frames_file=str(frames_file),
    )
    assert run_to_end(world, player) == 0
    world.spin_until(lambda: all(len(m) == 2 for m in (*images.values(), *infos.values())))
    player.close()
    sent = json.loads(frames_file.read_text())["sent"]
    assert [s["frame"] for s in sent] == [0, 3]
    rig = demo_rig("single")
    for name, received in images.items():
        assert [ns(m) for m in received] == [s["stamp_ns"] for s in sent]
        assert [ns(m) for m in infos[name]] == [s["stamp_ns"] for s in sent]
        assert received[0].header.frame_id == rig.cameras[name].frame_id
        np.testing.assert_array_equal(np.reshape(infos[name][0].k, (3, 3)), rig.cameras[name].K)
        assert (infos[name][0].width, infos[name][0].height) == rig.cameras[name].size_px
    assert sent[1]["stamp_ns"] - sent[0]["stamp_ns"] == 50_000_000
    first = next(read_frames(film.videos["cam03"]))
    message = images["cam03"][0]
    if transport == "raw":
        assert message.encoding == "bgr8"
        shown = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
        np.testing.assert_array_equal(shown[..., ::-1], first)
    else:
        shown = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
        assert np.abs(shown[..., ::-1].astype(int) - first).mean() < 5


def test_in_lockstep_nothing_is_sent_before_the_answer(world, film):
    images: list = []
    for name in film.videos:
        world.hear(CompressedImage, f"/{name}/image_raw/compressed", images)
    player = add(world, PlayerNode, transport="compressed", frames=2, lockstep=True)
    world.spin_until(lambda: len(images) == 4)
    world.spin_for(0.5)  # thirty times the distance of the frames
    assert len(images) == 4
    answers = world.publisher(PersonArray, "people")
    for expected in (8, 8):
        answer = PersonArray()
        answer.header.stamp = images[-1].header.stamp
        answers.publish(answer)
        world.spin_until(lambda n=expected: len(images) == n)
    assert run_to_end(world, player) == 0


def test_missing_answers_are_told_once(world, film):
    for name in film.videos:
        world.hear(CompressedImage, f"/{name}/image_raw/compressed", [])
    player = add(
        world,
        PlayerNode,
        transport="compressed",
        frames=5,
        lockstep=True,
        answer_within_s=0.1,
    )
    assert run_to_end(world, player) == 0
    world.spin_until(lambda: world.said("no answer on 'people' to frame 0"))
    assert len(world.said("no answer on 'people'")) == 1


@pytest.mark.usefixtures("film")
def test_without_subscribers_it_fails_and_names_the_topics(world):
    player = add(world, PlayerNode, subscribers_within_s=0.3)
    assert run_to_end(world, player) == 1
    world.spin_until(lambda: world.said("/cam01/image_raw", level=ERROR))


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("people", "crowd"),
        ("transport", "theora"),
        ("rate_hz", 120.0),
        ("frames", -1),
        ("slow_down", 0.0),
    ],
)
def test_parameters_of_the_player_that_cannot_be(world, parameter, value):
    with pytest.raises(UserError, match=f"parameter '{parameter}' is"):
        PlayerNode(context=world.context, parameter_overrides=[Parameter(parameter, value=value)])


def people_msg(index) -> PersonArray:
    joints = [Joint(position=Point(x=1.0 * j), view_mask=2**63) for j in range(15)]
    message = PersonArray(skeleton="panoptic15", cameras=["a", "b"], cameras_used=3)
    message.header.stamp = stamp(index)
    message.people = [Person(id=f"p{index:04d}", joints=joints)]
    return message


def test_the_bag_holds_what_was_sent_and_needs_no_package_to_read(world, tmp_path):
    from rosbags.highlevel import AnyReader

    bag = tmp_path / "bag"
    recorder = add(world, RecorderNode, bag=str(bag))
    world.wait_for_subscribers(["people", "markers", "rig_status"])
    for index in range(5):
        world.publisher(PersonArray, "people").publish(people_msg(index))
    world.publisher(MarkerArray, "markers").publish(MarkerArray())
    world.publisher(RigStatus, "rig_status").publish(RigStatus(sets_complete=7))
    world.spin_until(lambda: recorder.count == 7)
    (endpoint,) = world.tester.get_publishers_info_by_topic("people")
    recorder.close()
    world.nodes.remove(recorder)
    recorder.destroy_node()

    with AnyReader([bag]) as reader:  # with the definitions in the bag alone
        people = [
            reader.deserialize(data, connection.msgtype)
            for connection, _, data in reader.messages()
            if connection.topic == "/people"
        ]
        (connection,) = [c for c in reader.connections if c.topic == "/people"]
    assert [p.people[0].id for p in people] == [f"p{index:04d}" for index in range(5)]
    assert people[3].header.stamp.sec == stamp(3).sec
    assert people[0].people[0].joints[14].position.x == 14.0
    assert people[0].people[0].joints[0].view_mask == 2**63
    assert connection.digest == str(endpoint.topic_type_hash)

    (mcap_file,) = bag.glob("*.mcap")
    with mcap_file.open("rb") as stream:
        summary = make_reader(stream).get_summary()
    schemas = {s.name: s.encoding for s in summary.schemas.values()}
    assert schemas["mvssm_ros/msg/PersonArray"] == "ros2msg"
    assert {c.message_encoding for c in summary.channels.values()} == {"cdr"}
    metadata = (bag / "metadata.yaml").read_text()
    assert "storage_identifier: mcap" in metadata
    assert "message_count: 7" in metadata


def test_the_recorder_ends_when_people_falls_silent(world, tmp_path):
    recorder = add(world, RecorderNode, bag=str(tmp_path / "bag"), stop_after_silence_s=0.3)
    world.wait_for_subscribers(["people"])
    world.spin_for(0.6)
    assert recorder.finish() is None  # nothing has come yet: it waits
    world.publisher(PersonArray, "people").publish(people_msg(0))
    assert run_to_end(world, recorder) == 0
    recorder.close()
    world.nodes.remove(recorder)
    recorder.destroy_node()


def test_a_bag_that_exists_is_not_overwritten(world, tmp_path):
    (tmp_path / "bag").mkdir()
    with pytest.raises(UserError, match="exists already"):
        add(world, RecorderNode, bag=str(tmp_path / "bag"))
    with pytest.raises(UserError, match="parameter 'bag' is empty"):
        add(world, RecorderNode)
    assert not list(Path(tmp_path / "bag").iterdir())
