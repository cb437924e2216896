"""Extrinsics from TF: the real tf2 given transforms by hand, no middleware in between."""

import time

import numpy as np
import pytest
import rclpy

from mvssm_ros.errors import UserError
from mvssm_ros.nodes.extrinsics import TfExtrinsics

from ..support.robot_with_cameras import RobotWithCameras, transform
from .conftest import ring_of_cameras

pytest.importorskip("tf2_ros", reason="TF needs tf2_ros")

S = 1_000_000_000
T0_NS = 1_700_000_000 * S
CAMERA = "cam1"
FRAME = "cam1_optical_frame"


@pytest.fixture
def tf(monkeypatch):
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=0)
    node = rclpy.create_node("listener", context=context)
    made = TfExtrinsics(node)
    yield made
    made.close()
    node.destroy_node()
    rclpy.try_shutdown(context=context)


@pytest.fixture
def robot(tf):
    """Everything static is published."""
    made = RobotWithCameras(ring_of_cameras(), [CAMERA])
    for each in made.static():
        tf.set_transform_static(each, "test")
    return made


def drive(tf, robot, stamps_ns):
    for stamp_ns in stamps_ns:
        tf.set_transform(robot.moving(stamp_ns), "test")


def millimetres_off(robot, placed, stamp_ns):
    """Of what is seen 4 m in front of the camera."""
    true = robot.rig_at(stamp_ns).cameras[CAMERA]
    point = true.R.T @ (np.array([0, 0, 4.0]) - true.t_m)
    return 1000 * np.linalg.norm(placed.R @ point + placed.t_m - [0, 0, 4.0])


def at_50_hz(start_ns, seconds):
    return range(start_ns, start_ns + round(seconds * S), S // 50)


def test_between_two_transforms(tf, robot):
    drive(tf, robot, at_50_hz(T0_NS, 2))
    for stamp_ns in (T0_NS + S, T0_NS + S + 7_000_000, T0_NS + S + 390_000_000):
        placed = tf.lookup("map", FRAME, stamp_ns)
        assert placed.moving
        assert millimetres_off(robot, placed, stamp_ns) < 1.0


def test_the_motion_goes_on_for_some_hundredths_of_a_second(tf, robot):
    drive(tf, robot, at_50_hz(T0_NS, 2))
    newest_ns = at_50_hz(T0_NS, 2)[-1]
    for ahead_ms in (10, 30, 50):
        stamp_ns = newest_ns + ahead_ms * 1_000_000
        placed = tf.lookup("map", FRAME, stamp_ns)
        assert millimetres_off(robot, placed, stamp_ns) < 15  # the newest pose: up to 51
    with pytest.raises(UserError, match=r"'odom' to 'base_link'.*ended 0\.06 s before.*publisher"):
        tf.lookup("map", FRAME, newest_ns + 60_000_000)


def test_nothing_is_interpolated_over_a_long_gap(tf, robot):
    drive(tf, robot, at_50_hz(T0_NS, 1))
    drive(tf, robot, at_50_hz(T0_NS + 4 * S, 1))
    with pytest.raises(UserError, match=r"'odom' to 'base_link' has a gap of 3\.02 s"):
        tf.lookup("map", FRAME, T0_NS + 4 * S - 10_000_000)
    late_ns = T0_NS + 4 * S + 10_000_000
    assert millimetres_off(robot, tf.lookup("map", FRAME, late_ns), late_ns) < 1.0


def test_an_image_older_than_tf_is_refused(tf, robot):
    drive(tf, robot, at_50_hz(T0_NS, 1))
    with pytest.raises(UserError, match="begins after the image"):
        tf.lookup("map", FRAME, T0_NS - S)


def test_a_static_chain_is_looked_up_once_and_again_when_it_changes(tf, robot):
    first = tf.lookup("map", "cam0_optical_frame", T0_NS)
    assert not first.moving
    assert tf.lookup("map", "cam0_optical_frame", T0_NS + 99 * S) is first
    np.testing.assert_allclose(first.R, robot.rig.cameras["cam0"].R, atol=1e-9)
    np.testing.assert_allclose(first.t_m, robot.rig.cameras["cam0"].t_m, atol=1e-9)
    tf.set_transform_static(transform("map", "cam0_optical_frame", np.eye(4)), "test")
    second = tf.lookup("map", "cam0_optical_frame", T0_NS)
    np.testing.assert_allclose(second.t_m, 0, atol=1e-9)


def test_what_was_static_may_begin_to_move(tf, robot):
    assert not tf.lookup("map", "cam0_optical_frame", T0_NS).moving
    for stamp_ns in at_50_hz(T0_NS, 1):
        tf.set_transform(transform("map", "cam0_optical_frame", np.eye(4), stamp_ns), "test")
    placed = tf.lookup("map", "cam0_optical_frame", T0_NS + S // 2)
    assert placed.moving
    np.testing.assert_allclose(placed.R, np.eye(3), atol=1e-9)


def test_a_static_transform_of_nonsense_is_told_and_not_the_old_one_used(tf, robot):
    tf.lookup("map", "cam0_optical_frame", T0_NS)
    bad = transform("map", "cam0_optical_frame", np.eye(4))
    bad.transform.rotation.w = 0.0
    tf.set_transform_static(bad, "test")
    with pytest.raises(UserError, match="'map' to 'cam0_optical_frame': the norm of its quater"):
        tf.lookup("map", "cam0_optical_frame", T0_NS)


def test_frames_that_nobody_publishes(tf, robot):
    with pytest.raises(UserError, match="TF does not know where 'moon' is in 'map': nobody pub"):
        tf.lookup("map", "moon", T0_NS)
    with pytest.raises(
        UserError, match="'cam1_optical_frame' is in 'map': its tree ends at 'base_link'"
    ):
        tf.lookup("map", FRAME, T0_NS)


def test_after_time_was_set_back_the_old_motion_is_forgotten(tf, robot):
    drive(tf, robot, at_50_hz(T0_NS + 60 * S, 1))
    drive(tf, robot, at_50_hz(T0_NS, 1))
    stamp_ns = T0_NS + S // 2 + 3_000_000
    assert millimetres_off(robot, tf.lookup("map", FRAME, stamp_ns), stamp_ns) < 1.0


def test_the_robots_own_frames_are_not_waited_for(tf, robot):
    """They are asked for after a set has been solved, which took its time."""
    drive(tf, robot, at_50_hz(T0_NS, 1))
    newest_ns = at_50_hz(T0_NS, 1)[-1]
    waited = []
    tf._changed.wait_for = lambda *args: waited.append(args)
    R, t_m = tf.lookup_pose("map", FRAME, newest_ns + 30_000_000)
    assert waited == []
    placed = tf.lookup("map", FRAME, newest_ns + 30_000_000)
    assert len(waited) == 1
    np.testing.assert_array_equal(R, placed.R)
    np.testing.assert_array_equal(t_m, placed.t_m)


def test_what_is_dead_is_not_waited_for(tf, robot):
    drive(tf, robot, at_50_hz(T0_NS, 1))
    for edge in tf._tree.chain("map", FRAME):
        edge.heard_s = time.monotonic() - 5
    waited = []
    tf._changed.wait_for = lambda *args: waited.append(args)
    with pytest.raises(UserError, match="ended"):
        tf.lookup("map", FRAME, T0_NS + 10 * S)
    assert waited == []
