"""The simulated rig on the real middleware: cameras, truth, transforms, lost cameras, seeds."""

import json
from collections import defaultdict

import numpy as np
import pytest
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import serialize_message
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, Image

from mvssm_ros.errors import UserError
from mvssm_ros.msg import Joint, Keypoints2DArray, Person, PersonArray
from mvssm_ros.nodes import optional
from mvssm_ros.nodes.conversions import image_to_rgb
from mvssm_ros.nodes.sim_rig_node import SimRigNode
from mvssm_ros.simulation.rendering import Renderer
from mvssm_ros.simulation.scenario_file import load_scenario
from mvssm_ros.simulation.simulator import Simulator

CAMERAS = ["cam1", "cam2", "cam3", "cam4", "cam5"]


def add(world, **parameters):
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    return world._add(SimRigNode(context=world.context, parameter_overrides=overrides))


def remove(world, node):
    world.executor.remove_node(node)
    world.nodes.remove(node)
    node.destroy_node()


def ns(message) -> int:
    return Time.from_msg(message.header.stamp).nanoseconds


def hear_rig(world, cameras=CAMERAS, content=Keypoints2DArray, topic="keypoints"):
    """What each camera sends, its camera_info, and the truth."""
    heard = {name: [] for name in cameras}
    infos = {name: [] for name in cameras}
    truths: list[PersonArray] = []
    for name in cameras:
        world.hear(content, f"/{name}/{topic}", heard[name])
        world.hear(CameraInfo, f"/{name}/camera_info", infos[name])
    world.hear(PersonArray, "ground_truth", truths)
    return heard, infos, truths


def run_in_lockstep(world, tmp_path, heard, **parameters):
    """Play a scenario to its end, this test answering every set. Returns stamp -> set number."""
    frames_file = tmp_path / f"frames{len(list(tmp_path.iterdir()))}.json"
    node = add(world, lockstep=True, frames_file=str(frames_file), **parameters)
    answers = world.publisher(PersonArray, "people")
    last: dict[str, int] = {}

    def answer_and_ended():
        newest = [ns(messages[-1]) for messages in heard.values() if messages]
        if newest and max(newest) != last.get("ns"):
            last["ns"] = max(newest)
            message = PersonArray(cameras_used=1)
            message.header.stamp = Time(nanoseconds=last["ns"]).to_msg()
            answers.publish(message)
        return node.finish() is not None

    world.spin_until(answer_and_ended)
    assert node.finish() == 0
    node.close()
    remove(world, node)
    return {s["stamp_ns"]: s["frame"] for s in json.loads(frames_file.read_text())["sent"]}


def test_every_camera_and_the_truth_come_with_one_stamp(world, tmp_path):
    heard, infos, truths = hear_rig(world)
    numbers = run_in_lockstep(world, tmp_path, heard, scenario="crossing", seed=4, duration=1.0)
    assert list(numbers.values()) == list(range(10))
    world.spin_until(lambda: len(truths) == 10)
    world.spin_until(lambda: all(len(m) == 10 for m in (*heard.values(), *infos.values())))
    simulator = Simulator(load_scenario("crossing"), seed=4)
    rig = simulator.scenario.rig
    for i, truth in enumerate(truths):
        number = numbers[ns(truth)]
        assert number == i
        moment = simulator.moment(number)
        keypoints, _ = simulator.keypoints(moment)
        for view, name in enumerate(CAMERAS):
            message, info = heard[name][i], infos[name][i]
            assert ns(message) == ns(info) == ns(truth)
            assert message.header.frame_id == info.header.frame_id == f"{name}_optical_frame"
            assert message.skeleton == "panoptic15"
            assert (message.width, message.height) == (info.width, info.height) == (640, 480)
            np.testing.assert_allclose(info.k, rig.cameras[name].K.ravel())
            got = np.array([[p.x, p.y, p.confidence] for p in message.people]).transpose(0, 2, 1)
            np.testing.assert_array_equal(got, keypoints[view].astype(np.float32))
        check_truth(truth, moment)


def check_truth(truth, moment):
    assert truth.header.frame_id == "map"
    assert truth.skeleton == "panoptic15"
    assert truth.cameras == CAMERAS
    assert truth.cameras_used == 0b11111
    assert [person.id for person in truth.people] == ["anna", "ben"]
    for g, person in enumerate(truth.people):
        assert person.track_state == Person.CONFIRMED
        joints = person.joints
        at = np.array([[j.position.x, j.position.y, j.position.z] for j in joints])
        speed = np.array([[j.velocity.x, j.velocity.y, j.velocity.z] for j in joints])
        np.testing.assert_array_equal(at, moment.joints_m[g])
        np.testing.assert_array_equal(speed, moment.velocities_m_s[g])
        v, p = person.velocity, person.pose.position
        np.testing.assert_array_equal((v.x, v.y, v.z), moment.velocities_m_s[g, 2])
        np.testing.assert_array_equal((p.x, p.y, p.z), moment.joints_m[g, 2])
        for joint in joints:
            seen_by = int(joint.view_mask).bit_count()
            assert joint.state == (Joint.OBSERVED if seen_by >= 2 else Joint.PREDICTED)
            assert (np.array(joint.position_covariance) == 0).all()


def test_the_same_seed_gives_the_same_keypoints_byte_for_byte(world, tmp_path):
    def played(seed):
        heard, _, truths = hear_rig(world)
        numbers = run_in_lockstep(world, tmp_path, heard, scenario="walk", seed=seed, duration=0.8)
        world.spin_until(lambda: all(len(m) == len(numbers) for m in (truths, *heard.values())))
        found = [
            serialize_message(person)  # floats and their counts: nothing is padded
            for messages in heard.values()
            for message in messages
            for person in message.people
        ]
        for message in truths:
            for person in message.people:
                at = [(j.position.x, j.position.y, j.position.z) for j in person.joints]
                speed = [(j.velocity.x, j.velocity.y, j.velocity.z) for j in person.joints]
                found.append(person.id.encode() + np.array([at, speed]).tobytes())
        return found

    first = played(5)
    assert len(first) > 8 * 3 * 5
    assert played(5) == first
    assert played(6) != first


def test_images_are_the_rendered_ones(world, tmp_path):
    heard, infos, truths = hear_rig(world, content=Image, topic="image_raw")
    run_in_lockstep(
        world, tmp_path, heard, scenario="table", seed=1, duration=0.3, content="images"
    )
    world.spin_until(lambda: all(len(m) == 3 for m in (truths, *heard.values(), *infos.values())))
    simulator = Simulator(load_scenario("table"), seed=1)
    renderer = Renderer(simulator.cameras, simulator.scenario.rig.space, simulator.boxes)
    for view, name in ((0, "cam1"), (3, "cam4")):
        shown = image_to_rgb(heard[name][2], name, "image_raw")
        np.testing.assert_array_equal(shown, renderer.paint(simulator.moment(2), view))
        assert ns(heard[name][2]) == ns(infos[name][2]) == ns(truths[2])


def test_cameras_are_lost_and_found_again_while_it_runs(world):
    heard, infos, truths = hear_rig(world)
    node = add(world, scenario="crossing", rate=20.0)
    service = world.tester.create_client(SetParameters, "/sim_rig/set_parameters")
    world.spin_until(service.service_is_ready)

    def set_lost(*names):
        parameter = Parameter("lost_cameras", value=list(names) or [""]).to_parameter_msg()
        asked = service.call_async(SetParameters.Request(parameters=[parameter]))
        world.spin_until(asked.done)
        return asked.result().results[0]

    def heard_since(count):
        return {name: messages[count[name] :] for name, messages in heard.items()}

    world.spin_until(lambda: all(len(messages) > 3 for messages in heard.values()))
    assert set_lost("cam2", "cam4").successful
    world.spin_until(lambda: truths and truths[-1].cameras_used == 0b10101)
    from_ns = ns(truths[-1])
    count = {name: len(messages) for name, messages in heard.items()}
    world.spin_until(lambda: all(len(heard_since(count)[n]) > 5 for n in ("cam1", "cam3", "cam5")))
    for name in ("cam2", "cam4"):
        assert [m for m in (*heard[name], *infos[name]) if ns(m) >= from_ns] == []
    assert not any(j.view_mask & 0b01010 for p in truths[-1].people for j in p.joints)

    refused = set_lost("cam2", "cam9")
    assert not refused.successful
    assert refused.reason == (
        "parameter 'lost_cameras': there is no camera 'cam9' in scenario crossing, which has cam1,"
        " cam2, cam3, cam4, cam5"
    )
    assert set_lost().successful
    world.spin_until(lambda: truths[-1].cameras_used == 0b11111)
    count = {name: len(messages) for name, messages in heard.items()}
    world.spin_until(lambda: all(len(messages) > 2 for messages in heard_since(count).values()))
    remove(world, node)


def test_cameras_are_lost_for_the_seconds_that_were_asked_for(world, tmp_path):
    heard, _, truths = hear_rig(world)
    numbers = run_in_lockstep(
        world, tmp_path, heard, scenario="crossing", duration=1.0,
        lost_cameras=["cam2", "cam4"], lost_from=0.3, lost_until=0.6,
    )  # fmt: skip
    world.spin_until(
        lambda: len(truths) == 10 and all(len(heard[n]) == 10 for n in ("cam1", "cam5"))
    )
    for name in ("cam2", "cam4"):
        assert [numbers[ns(message)] for message in heard[name]] == [0, 1, 2, 6, 7, 8, 9]
    assert [t.cameras_used for t in truths] == [0b11111] * 3 + [0b10101] * 3 + [0b11111] * 4


def test_what_is_read_at_the_start_cannot_be_changed(world):
    add(world, scenario="crossing")
    service = world.tester.create_client(SetParameters, "/sim_rig/set_parameters")
    world.spin_until(service.service_is_ready)
    parameter = Parameter("scenario", value="walk").to_parameter_msg()
    asked = service.call_async(SetParameters.Request(parameters=[parameter]))
    world.spin_until(asked.done)
    (result,) = asked.result().results
    assert not result.successful
    assert "'scenario' is read at the start only" in result.reason


def test_stamps_keep_to_the_clock_and_numbers_to_the_stamps(world, tmp_path):
    """Without lockstep: sets that there was no time for are left out, not sent late."""
    frames_file = tmp_path / "frames.json"
    truths: list[PersonArray] = []
    world.hear(PersonArray, "ground_truth", truths)
    node = add(world, scenario="crossing", rate=20.0, duration=1.5, frames_file=str(frames_file))
    world.spin_until(lambda: node.finish() == 0)
    node.close()
    sent = json.loads(frames_file.read_text())
    first_ns = sent["sent"][0]["stamp_ns"]
    numbers = [each["frame"] for each in sent["sent"]]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] < 30
    for each in sent["sent"]:
        assert each["stamp_ns"] == first_ns + round(each["frame"] / 20.0 * 1e9)
    world.spin_until(lambda: ns(truths[-1]) == sent["sent"][-1]["stamp_ns"])


def test_transforms_of_cameras_and_arm(world, tmp_path):
    pytest.importorskip("tf2_msgs", reason="tf2_msgs is not installed")
    from tf2_msgs.msg import TFMessage

    heard, _, truths = hear_rig(world)
    moving, standing = [], []
    world.hear(TFMessage, "/tf", moving)
    latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    world.hear(TFMessage, "/tf_static", standing, latched)
    numbers = run_in_lockstep(world, tmp_path, heard, scenario="table", duration=0.5)
    world.spin_until(lambda: len(moving) == 5 and standing and len(truths) == 5)
    simulator = Simulator(load_scenario("table"), 0)
    fixed = {t.child_frame_id: t for t in standing[0].transforms}
    assert set(fixed) == {*(f"{name}_optical_frame" for name in CAMERAS), "arm_base"}
    for i, name in enumerate(CAMERAS):
        at = fixed[f"{name}_optical_frame"]
        assert at.header.frame_id == "map"
        place = at.transform.translation
        center_m = simulator.cameras.centers_m[i].numpy()
        np.testing.assert_allclose((place.x, place.y, place.z), center_m, atol=1e-5)
    message = moving[3]
    number = numbers[Time.from_msg(message.transforms[0].header.stamp).nanoseconds]
    links = [f.name for f in simulator.arm_frames(simulator.moment(number))][1:]
    assert [t.child_frame_id for t in message.transforms] == links
    parents = [t.header.frame_id for t in message.transforms]
    assert parents == ["arm_base", *links[:-1]]


def test_without_tf2_there_are_no_transforms_and_it_is_said_once(world, monkeypatch):
    monkeypatch.setattr(optional, "tf2_msgs", lambda: None)
    truths: list[PersonArray] = []
    world.hear(PersonArray, "ground_truth", truths)
    add(world, scenario="table", rate=20.0)
    world.spin_until(lambda: len(truths) > 5 and world.said("tf2_msgs is not installed", level=20))
    assert len(world.said("tf2_msgs", level=20)) == 1
    topics = defaultdict(list, world.tester.get_topic_names_and_types())
    assert not topics["/tf"]
    assert not topics["/tf_static"]


@pytest.mark.parametrize(
    ("parameters", "parts"),
    [
        ({"scenario": "nothing"}, ["scenario 'nothing'", "crossing"]),
        ({"content": "video"}, ["'content'", "'video'", "keypoints or images"]),
        ({"seed": -1}, ["'seed'", "-1"]),
        ({"rate": -2.0}, ["'rate'", "-2"]),
        ({"duration": float("nan")}, ["'duration'", "nan"]),
        ({"lost_from": 5.0, "lost_until": 5.0}, ["'lost_until'", "5", "'lost_from'"]),
        ({"lost_cameras": ["left"]}, ["'lost_cameras'", "'left'", "cam1"]),
    ],
)
def test_a_wrong_parameter_is_one_line(world, parameters, parts):
    with pytest.raises(UserError) as caught:
        add(world, **parameters)
    assert "\n" not in str(caught.value)
    assert all(part in str(caught.value) for part in parts)
