"""RigCalibration messages applied to a rig, or refused whole."""

import math

import numpy as np
import pytest

from mvssm_ros.errors import UserError
from mvssm_ros.nodes.calibration_messages import calibrated_by

from ..support.calibration_messages import rig_calibration
from .conftest import ring_of_cameras, without_intrinsics

TOPIC = "/calibration"


@pytest.fixture
def rig():
    return ring_of_cameras()


def test_pose_and_intrinsics_are_taken_and_the_other_cameras_stay(rig):
    bare = without_intrinsics(rig)
    found = calibrated_by(bare, rig_calibration(rig, ["cam1"], intrinsics=True), TOPIC)
    camera, true = found.cameras["cam1"], rig.cameras["cam1"]
    np.testing.assert_allclose(camera.R, true.R, atol=1e-9)
    np.testing.assert_allclose(camera.t_m, true.t_m, atol=1e-9)
    np.testing.assert_array_equal(camera.K, true.K)
    assert camera.size_px == true.size_px
    assert camera.image_topic == true.image_topic
    assert all(found.cameras[n] is bare.cameras[n] for n in ("cam0", "cam2", "cam3"))


def test_k_of_zeros_leaves_the_intrinsics(rig):
    found = calibrated_by(rig, rig_calibration(rig, list(rig.cameras)), TOPIC)
    assert all(found.cameras[n].K is rig.cameras[n].K for n in rig.cameras)


def every(message, do):
    for camera in message.cameras:
        do(camera)


def millimetres(camera):
    place = camera.pose.position
    place.x, place.y, place.z = 1000 * place.x, 1000 * place.y, 1000 * place.z


MISTAKES = {
    "another frame": (lambda m: setattr(m.header, "frame_id", "odom"), ["'odom'", "'map'"]),
    "no frame": (lambda m: setattr(m.header, "frame_id", ""), ["frame_id is ''", "'map'"]),
    "no camera": (lambda m: setattr(m, "cameras", []), ["lists no camera"]),
    "unknown camera": (lambda m: setattr(m.cameras[1], "name", "cam9"), ["'cam9'", "cam3"]),
    "twice": (lambda m: setattr(m.cameras[1], "name", "cam0"), ["'cam0'", "twice"]),
    "nan": (
        lambda m: setattr(m.cameras[1].pose.position, "x", math.nan),
        ["'cam1'", "pose.position", "finite"],
    ),
    "nan in the quaternion": (
        lambda m: setattr(m.cameras[1].pose.orientation, "x", math.nan),
        ["'cam1'", "pose.orientation", "unit quaternion"],
    ),
    "zero quaternion": (
        lambda m: setattr(m.cameras[1].pose, "orientation", type(m.cameras[1].pose.orientation)(w=0.0)),
        ["'cam1'", "pose.orientation", "norm is 0"],
    ),
    "millimetres": (lambda m: every(m, millimetres), ["millimetres", "1000"]),
    "one in millimetres": (lambda m: millimetres(m.cameras[1]), ["cam1", "m apart"]),
    "all in one place": (
        lambda m: every(m, lambda c: setattr(c, "pose", m.cameras[0].pose)),
        ["same place"],
    ),
    "nan in k": (lambda m: m.cameras[1].intrinsics.k.__setitem__(0, math.nan), ["'cam1'", "finite"]),
    "relative k": (
        lambda m: setattr(m.cameras[1].intrinsics, "k", [0.8, 0.0, 0.5, 0.0, 0.8, 0.5, 0.0, 0.0, 1.0]),
        ["'cam1'", "too short for pixels"],
    ),
    "unknown model": (
        lambda m: (
            setattr(m.cameras[1].intrinsics, "distortion_model", "thin_prism"),
            setattr(m.cameras[1].intrinsics, "d", [0.1] * 5),
        ),
        ["'cam1'", "thin_prism"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(MISTAKES))
def test_a_wrong_message_is_refused_in_one_line(rig, name):
    spoil, said = MISTAKES[name]
    message = rig_calibration(rig, list(rig.cameras), intrinsics=True)
    calibrated_by(rig, message, TOPIC)
    spoil(message)
    with pytest.raises(UserError) as error:
        calibrated_by(rig, message, TOPIC)
    assert "\n" not in str(error.value)
    for each in (TOPIC, *said):
        assert each in str(error.value)
