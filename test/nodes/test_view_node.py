"""view_node and `mvssm view`: what they show of a real node's answers, and how they end."""

import http.client
import signal
import socket

import cv2
import numpy as np
import pytest
from geometry_msgs.msg import Point, Pose, Quaternion
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.serialization import serialize_message
from rclpy.time import Time
from recorded_scene import rows_of, values_at
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CompressedImage, Image
from viewer_process import end, free_ports, refused, view

from mvssm_ros.bags.message_types import ros_type_name
from mvssm_ros.bags.writer import BagWriter
from mvssm_ros.msg import (
    CameraCalibration,
    CameraStatus,
    Joint,
    Person,
    PersonArray,
    RigCalibration,
    RigStatus,
)
from mvssm_ros.nodes import qos
from mvssm_ros.viewing import health

from .conftest import stamp, standing_person

pytest.importorskip("rerun", reason="the viewer library is not installed")

RED, BLUE = (220, 30, 20), (20, 40, 210)
SUCCESS = TransitionCallbackReturn.SUCCESS


def picture(color) -> np.ndarray:
    return np.full((480, 640, 3), color, np.uint8)


def raw_image(stamp) -> Image:
    image = Image(width=640, height=480, encoding="rgb8", step=3 * 640, data=picture(RED).tobytes())
    image.header.stamp = stamp
    return image


def jpeg_image(stamp) -> CompressedImage:
    _, jpeg = cv2.imencode(".jpg", picture(BLUE)[..., ::-1])
    image = CompressedImage(format="jpeg", data=jpeg.tobytes())
    image.header.stamp = stamp
    return image


def mean_color(blob) -> np.ndarray:
    decoded = cv2.imdecode(np.array(blob[0], np.uint8).ravel(), cv2.IMREAD_COLOR)
    return decoded[..., ::-1].mean((0, 1))


def stamp_ns(index: int) -> int:
    return Time.from_msg(stamp(index)).nanoseconds


def shifted(rig, name) -> RigCalibration:
    """A calibration that puts a camera 5 cm higher."""
    entry = rig.cameras[name]
    x, y, z, w = Rotation.from_matrix(entry.R.T).as_quat().tolist()
    place = dict(zip("xyz", (entry.center_m + np.array([0.0, 0.0, 0.05])).tolist(), strict=True))
    pose = Pose(position=Point(**place), orientation=Quaternion(x=x, y=y, z=z, w=w))
    message = RigCalibration(cameras=[CameraCalibration(name=name, pose=pose)])
    message.header.frame_id = rig.reference_frame
    return message


def test_what_a_real_node_publishes_is_shown_and_saved(
    world, rig_and_file, trained_weights, tmp_path
):
    rig, path = rig_and_file
    file = tmp_path / "all.rrd"
    node = world.pose_node(rig_file=path, input="keypoints", model__weights=trained_weights)
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    process = view(world, "--rig", path, "--port", str(free_ports()), "--save", str(file))
    try:
        assert "http://127.0.0.1:" in process.stdout.readline()
        # of pose_node and of the viewer
        topics = [f"/{name}/keypoints" for name in rig.cameras]
        world.spin_until(lambda: all(world.tester.count_subscribers(t) == 2 for t in topics))
        images = world.publisher(Image, "/cam0/image_raw")
        for index in range(12):
            answered = len(world.answers)
            images.publish(raw_image(stamp(index)))
            someone = [standing_person(0.02 * index, 0.0)] if index < 8 else []
            world.publish_keypoints(rig, index, someone)
            world.spin_until(lambda before=answered: len(world.answers) > before)
        calibration = world.publisher(RigCalibration, "calibration", qos.latched_qos())
        calibration.publish(shifted(rig, "cam3"))
        lost = [Person.LOST]
        world.spin_until(lambda: [p.track_state for p in world.people[-1].people] == lost)
        known = len(world.status)
        world.spin_until(lambda: len(world.status) > known + 3)  # time for the viewer to read it
        output = end(process)
    finally:
        process.kill()
        process.wait()
    assert "warning" not in output.lower()
    rows = rows_of(file)
    (name,) = {person.id for message in world.answers for person in message.people}
    shown = values_at(rows, f"/world/people/{name}/joints", "Points3D:positions")
    for message in world.answers[:8]:
        joints = [(j.position.x, j.position.y, j.position.z) for j in message.people[0].joints]
        known = np.array(joints)[np.isfinite(joints).all(-1)]
        found = shown[Time.from_msg(message.header.stamp).nanoseconds]
        np.testing.assert_allclose(found, known, atol=1e-5)
    gone = values_at(rows, f"/world/people/{name}", "Clear:is_recursive")
    assert max(gone) > max(shown)
    blobs = values_at(rows, "/world/cameras/cam0/image", "EncodedImage:blob")
    assert 1 <= len(blobs) <= 4  # of 12 in 0.6 s: 5 Hz
    np.testing.assert_allclose(mean_color(blobs[max(blobs)]), RED, atol=6)
    assert values_at(rows, "/world/cameras/cam1/keypoints", "Points2D:positions")
    colors = values_at(rows, "/world/cameras/cam2", "Pinhole:color")
    assert rgb(colors[min(colors)]) in (health.GOOD, health.BAD)
    assert values_at(rows, "/plots/rate/cam2", "Scalars:scalars")
    assert values_at(rows, "/log", "TextLog:text")
    places = [r.values["Transform3D:translation"][0][2] for r in rows
              if r.path == "/world/cameras/cam3" and "Transform3D:translation" in r.values]  # fmt: skip
    np.testing.assert_allclose(sorted(places), [2.0, 2.05], atol=1e-5)


def rgb(color) -> tuple[int, int, int]:
    return (color[0] >> 24, color[0] >> 16 & 255, color[0] >> 8 & 255)


def test_nobody_publishes_and_the_viewer_says_so(world, tmp_path):
    file = tmp_path / "nothing.rrd"
    process = view(world, "--port", str(free_ports()), "--save", str(file))
    try:
        assert "http://127.0.0.1:" in process.stdout.readline()
        world.spin_until(lambda: world.said("nothing has come on '/rig_status'"))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=500)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    texts = values_at(rows_of(file), "/status", "TextDocument:text").values()
    assert any("/rig_status" in text[0] for text in texts)


def test_the_page_and_its_data_are_for_this_machine_alone(world):
    port = free_ports()
    process = view(world, "--port", str(port))
    try:
        assert process.stdout.readline().startswith(f"mvssm view: http://127.0.0.1:{port} ")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=500)
        connection.request("GET", "/re_viewer.js")
        assert connection.getresponse().status == 200
        for each in (port, port + 1):
            socket.create_connection(("127.0.0.1", each), timeout=10).close()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.2", each), timeout=10)
        end(process)
        for each in (port, port + 1):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", each), timeout=10)
    finally:
        process.kill()
        process.wait()


def test_whoever_listens_for_others_is_warned(world):
    process = view(world, "--port", str(free_ports()), "--host", "127.0.0.2")
    try:
        world.spin_until(lambda: world.said("127.0.0.2", "password"))
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=500)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert "http://127.0.0.2:" in output


@pytest.mark.parametrize("taken", [0, 1], ids=["page", "data"])
def test_a_port_in_use_is_told_in_one_line(world, taken):
    port = free_ports()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port + taken))
        other.listen()
        line = refused(view(world, "--port", str(port)))
    assert f"port {port + taken} of 127.0.0.1" in line
    assert "--port" in line


def test_an_address_of_another_machine_is_told_in_one_line(world):
    assert "192.0.2.1" in refused(view(world, "--host", "192.0.2.1"))


# --- bags ---


def someone(name: str, x_m: float) -> Person:
    joints = []
    for x, y, z in standing_person(x_m, 0.0):
        joint = Joint(position=Point(x=x, y=y, z=z), state=Joint.OBSERVED)
        joint.position_covariance = (np.eye(3) * 0.001).ravel().tolist()
        joints.append(joint)
    return Person(id=name, track_state=Person.CONFIRMED, joints=joints)


@pytest.fixture
def bag(tmp_path):
    """Two people; one of them leaves after 5 of 10 answers. Images of two cameras."""
    folder = tmp_path / "bag"
    written = BagWriter(folder)
    cameras = ["cam0", "cam1", "cam2", "cam3"]
    kinds = {
        "/robot/people": PersonArray,
        "/robot/rig_status": RigStatus,
        "/cam0/image_raw": Image,
        "/cam1/image_raw/compressed": CompressedImage,
        "/elsewhere/image_raw": Image,
    }
    topics = {
        t: written.connection(t, ros_type_name(kind), qos.answer_qos()) for t, kind in kinds.items()
    }
    for index in range(10):
        people = [someone("p0001", 0.05 * index)] + [someone("p0002", -1.0)] * (index < 5)
        answer = PersonArray(skeleton="panoptic15", cameras=cameras, cameras_used=15, people=people)
        answer.header.frame_id = "map"
        status = RigStatus(cameras=[CameraStatus(name=n, state=CameraStatus.OK) for n in cameras])
        for message in (answer, status):
            message.header.stamp = stamp(index)
        messages = (answer, status, raw_image(stamp(index)), jpeg_image(stamp(index)))
        for topic, message in zip(topics, (*messages, raw_image(stamp(index))), strict=True):
            written.write(topics[topic], stamp_ns(index), serialize_message(message))
    written.close()
    return folder


def saved(world, bag, file, *arguments) -> str:
    """What `mvssm view BAG --save FILE` says."""
    process = view(world, str(bag), "--save", str(file), *arguments)
    output, _ = process.communicate(timeout=500)
    assert process.returncode == 0, output
    return output


def check_recording(rows) -> None:
    shown = values_at(rows, "/world/people/p0001/joints", "Points3D:positions")
    assert sorted(shown) == [stamp_ns(index) for index in range(10)]
    for index in range(10):
        expected = standing_person(0.05 * index, 0.0)
        np.testing.assert_allclose(shown[stamp_ns(index)], expected, atol=1e-5)
    gone = values_at(rows, "/world/people/p0002", "Clear:is_recursive")
    assert set(gone) == {stamp_ns(5)}
    for camera, color in (("cam0", RED), ("cam1", BLUE)):
        blobs = values_at(rows, f"/world/cameras/{camera}/image", "EncodedImage:blob")
        assert sorted(blobs) == [stamp_ns(0), stamp_ns(4), stamp_ns(8)]  # 5 of 20 Hz
        np.testing.assert_allclose(mean_color(blobs[stamp_ns(4)]), color, atol=6)
    assert not [row for row in rows if "elsewhere" in row.path]


@pytest.mark.parametrize("with_rig", [True, False], ids=["rig file", "no rig file"])
def test_a_bag_is_shown_at_its_stamps(world, bag, rig_and_file, tmp_path, with_rig):
    _, path = rig_and_file
    file = tmp_path / "bag.rrd"
    output = saved(world, bag, file, *(["--rig", path] if with_rig else []))
    assert "warning" not in output
    rows = rows_of(file)
    check_recording(rows)
    assert bool(values_at(rows, "/world/cameras/cam0", "Pinhole:color")) == with_rig


def test_an_sqlite3_bag_is_shown_too(world, bag, tmp_path):
    from rosbags.convert import convert
    from rosbags.rosbag2 import StoragePlugin

    from mvssm_ros.bags.message_types import message_types

    older, file = tmp_path / "sqlite3", tmp_path / "bag.rrd"
    convert(
        srcs=[bag],
        dst=older,
        dst_storage=StoragePlugin.SQLITE3,
        dst_version=9,
        compress=None,
        compress_mode="none",
        default_typestore=message_types(),
        typestore=None,
        exclude_topics=[],
        include_topics=[],
        exclude_msgtypes=[],
        include_msgtypes=[],
    )
    saved(world, older, file)
    check_recording(rows_of(file))


def test_a_bag_with_nothing_to_show_is_told_in_one_line(world, tmp_path):
    folder = tmp_path / "empty"
    written = BagWriter(folder)
    written.connection("/somewhere", ros_type_name(RigCalibration), qos.answer_qos())
    written.close()
    assert "nothing to show" in refused(view(world, str(folder), "--save", str(tmp_path / "x.rrd")))


@pytest.mark.parametrize(
    ("others", "said"), [("/ground_truth", "messages of"), ("/robot2/people", "several nodes")]
)
def test_of_several_the_people_are_shown(world, bag, tmp_path, others, said):
    """What `mvssm record` makes beside a simulated rig has the truth too."""
    both = tmp_path / "both"
    written = BagWriter(both)
    kind = ros_type_name(PersonArray)
    topics = {t: written.connection(t, kind, qos.answer_qos()) for t in ("/people", others)}
    for index in range(3):
        people = PersonArray(skeleton="panoptic15", people=[someone("p0001", 0.1 * index)])
        people.header.stamp = stamp(index)
        truth = PersonArray(skeleton="panoptic15", people=[someone("anna", 0.1 * index)])
        truth.header.stamp = stamp(index)
        for topic, message in zip(topics.values(), (people, truth), strict=True):
            written.write(topic, stamp_ns(index), serialize_message(message))
    written.close()
    file = tmp_path / "both.rrd"
    process = view(world, str(both), "--save", str(file))
    output, _ = process.communicate(timeout=500)
    assert said in output
    if process.returncode == 0:
        rows = rows_of(file)
        assert len(values_at(rows, "/world/people/p0001/joints", "Points3D:positions")) == 3
        assert not values_at(rows, "/world/people/anna/joints", "Points3D:positions")


def test_a_damaged_bag_is_told_in_one_line(world, bag, tmp_path):
    (data,) = bag.glob("*.mcap")
    data.write_bytes(data.read_bytes()[:2000])
    assert str(bag) in refused(view(world, str(bag), "--save", str(tmp_path / "x.rrd")))


def test_a_bag_stays_in_the_browser_until_it_is_ended(world, bag):
    port = free_ports()
    process = view(world, str(bag), "--port", str(port))
    try:
        assert f"http://127.0.0.1:{port}" in process.stdout.readline()
        assert "40 messages" in process.stdout.readline()
        end(process, signal.SIGTERM)
    finally:
        process.kill()
        process.wait()


def test_signals_end_it_whenever_they_come(world, bag):
    """Many, one on another's heels: none may wait for what it has interrupted."""
    process = view(world, str(bag), "--port", str(free_ports()))
    try:
        process.stdout.readline()
        process.stdout.readline()
        for _ in range(50):
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()
