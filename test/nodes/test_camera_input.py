"""CameraInput without a middleware: what it does with stamps."""

from types import SimpleNamespace

import pytest
from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image

from mvssm_ros.nodes.camera_input import CameraInput
from mvssm_ros.rig.rig_file import CameraEntry


@pytest.fixture
def taken():
    return []


@pytest.fixture
def camera(taken):
    silent = SimpleNamespace(warning=lambda text: None, info=lambda text: None)
    node = SimpleNamespace(get_logger=lambda: silent, resolve_topic_name=lambda topic: topic)
    return CameraInput(
        node,
        CameraEntry.bare("left"),
        "/left/keypoints",
        "images",
        None,
        "map",
        lambda name, stamp_ns, message: taken.append((name, stamp_ns)),
    )


def image(sec, nanosec=0):
    message = Image()
    message.header.stamp = Time(sec=sec, nanosec=nanosec)
    return message


@pytest.mark.parametrize("sec", [0, -1, -(2**31)])
def test_a_stamp_before_1970_is_refused_and_does_not_end_the_node(camera, taken, sec):
    camera.take_message(image(sec))
    assert taken == []
    assert (camera.received, camera.bad) == (1, 1)
    assert (
        f"header.stamp is {sec if sec > -(2**31) else '-2.14748e+09'};" in camera.problems.message
    )


def test_a_good_stamp_is_handed_on_and_ends_the_problem(camera, taken):
    camera.take_message(image(0))
    camera.take_message(image(1_700_000_000, 5))
    assert taken == [("left", 1_700_000_000_000_000_005)]
    assert camera.problems.message == ""
