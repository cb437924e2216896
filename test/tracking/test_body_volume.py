"""Capsules of a person, their surface, and how far they are from a robot's link."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvssm_ros.geometry.skeletons import SKELETONS
from mvssm_ros.tracking.body_volume import (
    Capsules,
    body_capsules,
    closest_points,
    limbs_of,
    surface_points,
    worst_sigma_m,
)

SKELETON = SKELETONS["panoptic15"]


def standing() -> np.ndarray:
    joints = np.zeros((15, 3))
    heights = {"neck": 1.45, "nose": 1.6, "mid_hip": 0.95, "shoulder": 1.4, "elbow": 1.1}
    heights |= {"wrist": 0.85, "hip": 0.93, "knee": 0.5, "ankle": 0.1}
    for j, name in enumerate(SKELETON.joints):
        side = {"left": 0.2, "right": -0.2}.get(name.split("_")[0], 0.0)
        joints[j] = 0.0, side, heights[name.removeprefix("left_").removeprefix("right_")]
    return joints


def capsule(start, end, radius=0.1) -> Capsules:
    return Capsules(
        np.array([start], float), np.array([end], float), np.array([radius]), np.array([[0, 1]])
    )


def test_every_bone_is_a_limb():
    limbs, radii_m, _ = limbs_of(SKELETON)
    assert {tuple(pair) for pair in limbs} == {tuple(e) for e in SKELETON.edge_indices}
    assert (radii_m > 0.04).all()


def test_uncertainty_inflates_the_limbs_it_concerns():
    joints, sure = standing(), np.zeros((15, 3, 3))
    unsure = sure.copy()
    wrist = SKELETON.index("left_wrist")
    unsure[wrist] = np.diag([0.0001, 0.0025, 0.0001])
    before = body_capsules(joints, sure, SKELETON, k_sigma=2.0)
    after = body_capsules(joints, unsure, SKELETON, k_sigma=2.0)
    grown = after.radii_m - before.radii_m
    concerned = (before.joints == wrist).any(-1)
    np.testing.assert_allclose(grown[concerned], 2 * 0.05)
    np.testing.assert_allclose(grown[~concerned], 0.0)


def test_limbs_with_an_unknown_joint_are_left_out_and_unknown_covariances_add_nothing():
    joints, covariance = standing(), np.full((15, 3, 3), np.nan)
    joints[SKELETON.index("left_knee")] = np.nan
    capsules = body_capsules(joints, covariance, SKELETON, k_sigma=3.0)
    assert len(capsules) == len(limbs_of(SKELETON)[0]) - 2
    assert np.isfinite(capsules.radii_m).all()
    assert len(body_capsules(np.full((15, 3), np.nan), covariance, SKELETON, 1.0)) == 0


def test_hands_reach_beyond_the_wrists():
    capsules = body_capsules(standing(), np.zeros((15, 3, 3)), SKELETON, 0.0)
    wrist = SKELETON.index("right_wrist")
    (row,) = np.flatnonzero(capsules.joints[:, 1] == wrist)
    assert np.linalg.norm(capsules.ends_m[row] - standing()[wrist]) == pytest.approx(0.2)


@pytest.mark.parametrize("end", [[0, 0, 1], [0.3, 0.2, 0.1], [0, 0, 0]])
def test_surface_points_lie_on_the_surface_and_leave_no_hole(end):
    one = capsule([0, 0, 0], end, 0.2)
    points = surface_points(one, 0.05)
    axis = np.array(end, float)
    t = (points @ axis / max(axis @ axis, 1e-12)).clip(0, 1)
    distance = np.linalg.norm(points - t[:, None] * axis, axis=-1)
    np.testing.assert_allclose(distance, 0.2, atol=1e-9)
    random = np.random.default_rng(0)
    directions = random.normal(size=(200, 3))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    shares = random.random((200, 1))
    ring = shares * axis + 0.2 * directions
    t = (ring @ axis / max(axis @ axis, 1e-12)).clip(0, 1)
    off = ring - t[:, None] * axis
    on = t[:, None] * axis + 0.2 * off / np.linalg.norm(off, axis=-1, keepdims=True)
    nearest = np.linalg.norm(on[:, None] - points[None], axis=-1).min(1)
    assert nearest.max() < 0.06


def test_nobody_has_no_surface():
    assert surface_points(
        capsule([0, 0, 0], [0, 0, 1]).__class__(
            np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0), np.zeros((0, 2), int)
        ),
        0.05,
    ).shape == (0, 3)


_numbers = st.floats(-3, 3, allow_nan=False).map(lambda v: round(v, 3))
_points = st.tuples(_numbers, _numbers, _numbers)


@given(a=_points, b=_points, c=_points, d=_points)
@settings(max_examples=200, deadline=None)
def test_closest_points_against_a_search(a, b, c, d):
    distance, on_body, on_link = closest_points(capsule(a, b), np.array(c), np.array(d))
    shares = np.linspace(0, 1, 101)[:, None]
    p = np.array(a) + shares * (np.array(b) - np.array(a))
    q = np.array(c) + shares * (np.array(d) - np.array(c))
    searched = np.linalg.norm(p[:, None] - q[None], axis=-1).min()
    assert distance[0] <= searched + 1e-9
    assert distance[0] >= searched - 0.11
    assert np.linalg.norm(on_body[0] - on_link[0]) == pytest.approx(distance[0])


def test_worst_sigma():
    np.testing.assert_allclose(worst_sigma_m(np.diag([0.01, 0.04, 0.0001])[None]), [0.2])
    np.testing.assert_allclose(worst_sigma_m(np.full((2, 3, 3), np.nan)), [0, 0])
