"""What a full ROS install adds: used where it is there, done without where it is not."""

import array
import sys

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image

from mvssm_ros.errors import UserError
from mvssm_ros.nodes import optional
from mvssm_ros.nodes.conversions import image_to_rgb
from mvssm_ros.nodes.extrinsics import TfExtrinsics
from mvssm_ros.nodes.rotations import quaternion_from_matrix
from mvssm_ros.rig.rig_file import CameraEntry, Rig

SUCCESS = TransitionCallbackReturn.SUCCESS
MODULES = ("message_filters", "cv_bridge", "tf2_ros", "tf_transformations")
MESSAGES = (
    *("tf2_msgs", "hri_msgs", "moveit_msgs", "shape_msgs", "nav2_dynamic_msgs", "vision_msgs"),
)


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_that_are_not_installed_are_none(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, f"{name}.msg", None)
    assert getattr(optional, name)() is None


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_that_are_installed_are_the_messages(name):
    assert getattr(optional, name)() is pytest.importorskip(f"{name}.msg")


@pytest.mark.parametrize("name", MODULES)
def test_a_package_that_is_not_installed_is_none(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    assert getattr(optional, name)() is None


@pytest.mark.parametrize("name", MODULES)
def test_a_package_that_is_installed_is_the_package(name):
    module = pytest.importorskip(name)
    assert getattr(optional, name)() is module


def test_without_tf2_cameras_that_need_it_are_named(monkeypatch):
    monkeypatch.setattr(optional, "tf2_ros", lambda: None)
    with pytest.raises(UserError, match="extrinsics of camera left, right from TF need tf2_ros"):
        TfExtrinsics(None, ["left", "right"])


@pytest.mark.parametrize("installed", [False, True], ids=["plain rclpy", "message_filters"])
def test_the_node_answers_with_and_without_message_filters(
    world, rig_and_file, untrained_weights, monkeypatch, installed
):
    if installed:
        pytest.importorskip("message_filters")
    else:
        monkeypatch.setitem(sys.modules, "message_filters", None)
    rig, path = rig_and_file
    node = world.pose_node(rig_file=path, input="keypoints", model__weights=untrained_weights)
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    topics = [f"/{name}/keypoints" for name in rig.cameras]
    world.wait_for_subscribers(topics)
    world.publish_keypoints(rig, 0)
    world.spin_until(lambda: world.people)
    assert node.trigger_deactivate() == SUCCESS
    world.spin_until(lambda: not any(world.tester.count_subscribers(t) for t in topics))


def test_an_encoding_of_cv_bridge_only():
    pytest.importorskip("cv_bridge")
    message = Image(height=4, width=4, encoding="nv21", step=4)
    message.data = array.array("B", [128] * 24)
    assert image_to_rgb(message, "cam01", "/cam01/image_raw").shape == (4, 4, 3)


def test_without_cv_bridge_that_encoding_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv_bridge", None)
    message = Image(height=4, width=4, encoding="nv21", step=4)
    with pytest.raises(UserError, match=r"camera 'cam01'.*unknown encoding 'nv21'.*cv_bridge"):
        image_to_rgb(message, "cam01", "/cam01/image_raw")


def test_extrinsics_come_from_tf(world, rig_and_file, tmp_path, untrained_weights):
    """A rig file without extrinsics, the cameras' places on /tf_static, one camera's missing."""
    pytest.importorskip("tf2_ros")
    from tf2_msgs.msg import TFMessage

    rig, _ = rig_and_file
    nowhere = {
        n: CameraEntry(**{**e.__dict__, "R": None, "t_m": None}) for n, e in rig.cameras.items()
    }
    path = tmp_path / "rig_without_extrinsics.yaml"
    Rig("map", rig.space, nowhere).save(path)
    static = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    transforms = []
    for name, entry in list(rig.cameras.items())[:3]:
        transform = TransformStamped(child_frame_id=entry.frame_id)
        transform.header.frame_id = "map"
        place, turn = transform.transform.translation, transform.transform.rotation
        place.x, place.y, place.z = (float(v) for v in -entry.R.T @ entry.t_m)
        turn.x, turn.y, turn.z, turn.w = (float(q) for q in quaternion_from_matrix(entry.R.T))
        transforms.append(transform)
        assert name in rig.cameras
    world.publisher(TFMessage, "/tf_static", static).publish(TFMessage(transforms=transforms))
    node = world.pose_node(rig_file=str(path), input="keypoints", model__weights=untrained_weights)
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    world.wait_for_subscribers([f"/{name}/keypoints" for name in rig.cameras])
    world.spin_for(1.0)
    for index in range(2):
        world.publish_keypoints(rig, index)
        world.spin_for(0.3)
    world.spin_until(lambda: world.people)
    assert world.people[-1].cameras_used == 0b0111
    used = node._configured.inputs["cam1"].calibrated(0)
    np.testing.assert_allclose(used.R, rig.cameras["cam1"].R, atol=1e-9)
    np.testing.assert_allclose(used.t_m, rig.cameras["cam1"].t_m, atol=1e-9)
