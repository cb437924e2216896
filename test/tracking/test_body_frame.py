"""The body frame against bodies turned by known rotations, its covariance against sampling."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mvssm_ros.geometry.skeletons import SKELETONS
from mvssm_ros.tracking.body_frame import body_frame

PANOPTIC = SKELETONS["panoptic15"]
UPRIGHT_M = {  # facing +x, left is +y
    "neck": (0.0, 0.0, 1.45),
    "nose": (0.1, 0.0, 1.6),
    "mid_hip": (0.0, 0.0, 0.95),
    "left_shoulder": (0.0, 0.2, 1.45),
    "left_elbow": (0.0, 0.25, 1.15),
    "left_wrist": (0.1, 0.3, 0.9),
    "left_hip": (0.0, 0.12, 0.95),
    "left_knee": (0.02, 0.12, 0.5),
    "left_ankle": (0.0, 0.12, 0.08),
}
JOINTS_M = np.array(
    [
        UPRIGHT_M[name]
        if name in UPRIGHT_M
        else np.array(UPRIGHT_M[name.replace("right", "left")]) * [1, -1, 1]
        for name in PANOPTIC.joints
    ]
)
COVARIANCE_M2 = np.broadcast_to(np.diag([4e-4, 1e-4, 9e-4]), (15, 3, 3))


def test_an_upright_body_facing_x_has_the_worlds_axes():
    frame = body_frame(JOINTS_M, COVARIANCE_M2, PANOPTIC)
    np.testing.assert_allclose(frame.rotation, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(frame.origin_m, [0, 0, 0.95])
    np.testing.assert_allclose(frame.size_m, [0.1, 0.6, 1.6 - 0.08])


@pytest.mark.parametrize("angles_deg", [(90, 0, 0), (-135, 20, 0), (30, 80, -40), (10, 0, 90)])
def test_it_turns_with_the_body(angles_deg):
    turn = Rotation.from_euler("zyx", angles_deg, degrees=True).as_matrix()
    moved = JOINTS_M @ turn.T + [1.0, -2.0, 0.3]
    frame = body_frame(moved, COVARIANCE_M2, PANOPTIC)
    np.testing.assert_allclose(frame.rotation, turn, atol=1e-12)
    np.testing.assert_allclose(frame.origin_m, turn @ [0, 0, 0.95] + [1.0, -2.0, 0.3])
    np.testing.assert_allclose(frame.size_m, [0.1, 0.6, 1.52], atol=1e-12)


def test_shoulders_stand_in_for_missing_hips_and_nothing_for_a_missing_neck():
    joints = JOINTS_M.copy()
    joints[PANOPTIC.index("left_hip")] = np.nan
    np.testing.assert_allclose(
        body_frame(joints, COVARIANCE_M2, PANOPTIC).rotation, np.eye(3), atol=1e-12
    )
    joints[PANOPTIC.index("neck")] = np.nan
    assert body_frame(joints, COVARIANCE_M2, PANOPTIC) is None


def test_a_body_without_width_has_no_frame():
    flat = JOINTS_M * [1.0, 0.0, 1.0]
    assert body_frame(flat, COVARIANCE_M2, PANOPTIC) is None


def test_its_covariance_is_that_of_repeated_noisy_measurements():
    rng = np.random.default_rng(0)
    turn = Rotation.from_euler("zyx", [40, 25, 0], degrees=True).as_matrix()
    joints = JOINTS_M @ turn.T
    sigma_m = np.array([4e-3, 2e-3, 6e-3])
    covariance = np.broadcast_to(np.diag(sigma_m**2), (15, 3, 3))
    samples = []
    for _ in range(4000):
        frame = body_frame(joints + rng.normal(size=(15, 3)) * sigma_m, covariance, PANOPTIC)
        small = Rotation.from_matrix(frame.rotation @ turn.T).as_rotvec()
        samples.append(np.concatenate([frame.origin_m - joints[PANOPTIC.index("mid_hip")], small]))
    measured = np.sqrt(np.diag(np.cov(np.array(samples).T)))
    predicted = np.sqrt(np.diag(body_frame(joints, covariance, PANOPTIC).covariance))
    np.testing.assert_allclose(predicted, measured, rtol=0.1)
