"""Checks of single calibration values, as they also come from camera_info and TF."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvssm_ros.errors import UserError
from mvssm_ros.rig import validation

K = np.array([[700.0, 0, 640], [0, 700, 360], [0, 0, 1]])


def test_camera_matrix_from_nine_numbers():
    np.testing.assert_array_equal(validation.check_camera_matrix(K.ravel(), (1280, 720), "x"), K)


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.zeros(9), "all zero, so the camera is uncalibrated"),
        (K[:2], "expected a 3x3 camera matrix, got 6 numbers"),
        (K * np.nan, "not a finite number"),
        (K.T, "is it transposed"),
        (np.diag([1.0, 1, 1]), "too short for pixels"),
        (np.diag([-700.0, 700, 1]), "must be above 0 px"),
        (K * 2, "the camera matrix must be"),
    ],
)
def test_unusable_camera_matrices(matrix, words):
    with pytest.raises(UserError, match=f"camera cam1: .*{words}"):
        validation.check_camera_matrix(matrix, (1280, 720), "camera cam1")


def test_distortion_row_of_nothing_is_zero():
    row, fisheye = validation.distortion_row("plumb_bob", None)
    assert row.tolist() == [0.0] * 8
    assert not fisheye


quaternions = st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(
    lambda q: np.linalg.norm(q) > 0.1
)


@given(quaternions, st.floats(0.995, 1.005))
@settings(deadline=None)
def test_quaternions_give_rotations_and_rotations_pass(q, rounding):
    unit = np.array(q) / np.linalg.norm(q)
    R = validation.rotation_from_quaternion(unit * rounding, "x")
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(R) == pytest.approx(1)
    np.testing.assert_allclose(R @ unit[:3], unit[:3], atol=1e-12)  # the axis stays
    assert np.trace(R) == pytest.approx(4 * unit[3] ** 2 - 1)  # 1 + 2 cos(angle)
    np.testing.assert_array_equal(validation.check_rotation(R, "x"), R)
    with pytest.raises(UserError, match="mirrors"):
        validation.check_rotation(-R, "x")


@given(quaternions, st.lists(st.floats(-1e-3, 1e-3), min_size=9, max_size=9))
@settings(deadline=None)
def test_rounded_rotations_become_exact_and_stay_near(q, noise):
    R = validation.rotation_from_quaternion(np.array(q) / np.linalg.norm(q), "x")
    rounded = R + np.reshape(noise, (3, 3))
    exact = validation.check_rotation(rounded, "x")
    np.testing.assert_allclose(exact @ exact.T, np.eye(3), atol=1e-8)
    np.testing.assert_allclose(exact, R, atol=4e-3)
