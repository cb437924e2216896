"""2D people of camera images, over the real middleware."""

import array

import cv2
import numpy as np
import pytest
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image

from mvssm_ros.demo_data import find_demo, read_frames
from mvssm_ros.errors import UserError
from mvssm_ros.frontends.mediapipe import MediaPipeDetector
from mvssm_ros.msg import Keypoints2DArray
from mvssm_ros.nodes import keypoints_node as module
from mvssm_ros.nodes.keypoints_node import KeypointsNode

from .conftest import stamp

pytestmark = pytest.mark.usefixtures("detector")


@pytest.fixture(scope="module")
def detector():
    try:
        return MediaPipeDetector()
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def frame():
    """[H, W, 3] RGB: a man."""
    pytest.importorskip("Pose2Sim", reason="the demo's videos are in the wheel of pose2sim")
    return next(read_frames(find_demo("single").videos["cam03"]))


def keypoints_node(world, **parameters) -> KeypointsNode:
    overrides = [Parameter(n.replace("__", "."), value=v) for n, v in parameters.items()]
    node = KeypointsNode(context=world.context, parameter_overrides=overrides)
    world.executor.add_node(node)
    world.nodes.append(node)
    return node


def raw(rgb, index) -> Image:
    message = Image(height=rgb.shape[0], width=rgb.shape[1], encoding="rgb8", step=3 * rgb.shape[1])
    message.data = array.array("B", rgb.tobytes())
    message.header.stamp = stamp(index)
    message.header.frame_id = "left_optical"
    return message


def jpeg(rgb, index) -> CompressedImage:
    data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    message = CompressedImage(format="jpeg", data=array.array("B", data))
    message.header = raw(rgb[:1, :1], index).header
    return message


def send_until(world, publisher, message, received):
    """Best-effort images may be lost: again and again until there is an answer."""
    for _ in range(100):
        publisher.publish(message)
        world.spin_for(0.3)
        if received:
            return received[-1]
    pytest.fail("no keypoints came")


@pytest.mark.parametrize("transport", ["raw", "compressed"])
def test_keypoints_are_those_of_the_detector(world, detector, frame, transport):
    received: list = []
    world.hear(Keypoints2DArray, "/left/keypoints", received)
    node = keypoints_node(world, camera_names=["left"], transport=transport)
    topic, make = (
        ("/left/image_raw", raw) if transport == "raw" else ("/left/image_raw/compressed", jpeg)
    )
    world.wait_for_subscribers([topic])
    image = make(frame, 3)
    answer = send_until(world, world.publisher(type(image), topic), image, received)
    node.close()
    assert answer.header == image.header
    assert (answer.width, answer.height) == (frame.shape[1], frame.shape[0])
    assert answer.skeleton == "blazepose33"
    expected = detector.detect(frame)
    assert len(answer.people) == len(expected) == 1
    (person,) = answer.people
    found = np.stack([person.x, person.y, person.confidence], -1)
    sure = expected[0, :, 2] > 0.8
    np.testing.assert_allclose(
        found[sure], expected[0][sure], atol=1e-3 if transport == "raw" else 8.0
    )


def test_an_image_that_cannot_be_read_is_told_and_the_next_one_is_answered(world, frame):
    received: list = []
    world.hear(Keypoints2DArray, "/left/keypoints", received)
    node = keypoints_node(world, camera_names=["left"])
    world.wait_for_subscribers(["/left/image_raw"])
    publisher = world.publisher(Image, "/left/image_raw")
    wide = raw(frame, 1)
    wide.encoding = "mono16"
    for _ in range(100):
        publisher.publish(wide)
        world.spin_for(0.2)
        if world.said("encoding 'mono16'"):
            break
    assert len(world.said("camera 'left'", "encoding 'mono16'")) == 1
    assert not received
    send_until(world, publisher, raw(frame, 2), received)
    assert node.streams[0].problems.message == ""
    node.close()


def test_silence_is_told_and_its_end(world, frame, monkeypatch):
    monkeypatch.setattr(module, "_SILENT_S", 0.5)
    node = keypoints_node(world, camera_names=["left"])
    world.spin_until(lambda: world.said("camera 'left': nothing comes on '/left/image_raw'"))
    publisher = world.publisher(Image, "/left/image_raw")
    for _ in range(100):
        publisher.publish(raw(frame[:64, :64], 1))
        world.spin_for(0.1)
        if not node.streams[0].problems.message:
            break
    assert not node.streams[0].problems.message
    node.close()


def test_without_listeners_no_image_is_looked_at(world, frame):
    node = keypoints_node(world, camera_names=["left"])
    world.wait_for_subscribers(["/left/image_raw"])
    wide = raw(frame[:64, :64], 1)
    wide.encoding = "mono16"  # would be reported
    publisher = world.publisher(Image, "/left/image_raw")
    for _ in range(5):
        publisher.publish(wide)
        world.spin_for(0.1)
    node.close()
    assert not world.said("camera 'left'")


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, "neither 'rig_file' nor 'camera_names'"),
        ({"rig_file": "/nowhere.yaml"}, "/nowhere.yaml"),
        ({"camera_names": ["left"], "transport": "smoke"}, "'smoke', expected 'raw' or"),
    ],
)
def test_mistakes_are_one_line(world, parameters, said):
    with pytest.raises(UserError, match=said) as error:
        keypoints_node(world, **parameters)
    assert "\n" not in str(error.value)


def test_cameras_of_the_rig_file(world, rig_and_file):
    _, path = rig_and_file
    keypoints_node(world, rig_file=path, camera_names=["cam2"])
    world.wait_for_subscribers(["/cam2/image_raw"])
    assert not world.tester.count_subscribers("/cam0/image_raw")
    with pytest.raises(UserError, match=r"\['cam9'\].*knows only"):
        keypoints_node(world, rig_file=path, camera_names=["cam9"])
