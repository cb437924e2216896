"""Are synthetic people made like people, and do they move and stand like people?"""

from __future__ import annotations

import numpy as np
import pytest

from mvssm_ros.learning.synthetic import people

N = 400
NECK, NOSE, MID_HIP = 0, 1, 2
SHOULDERS, ELBOWS, WRISTS = [3, 9], [4, 10], [5, 11]
HIPS, KNEES, ANKLES = [6, 12], [7, 13], [8, 14]


def crowd(posture: str | None = None, seed: int = 0):
    rng = np.random.default_rng(seed)
    bodies = people.sample_bodies(rng, N)
    motion = people.sample_motion(rng, N, posture)
    return bodies, motion, people.forward_kinematics(bodies, motion)


def distance(joints: np.ndarray, a: list[int], b: list[int]) -> np.ndarray:
    return np.linalg.norm(joints[:, a] - joints[:, b], axis=-1)


def test_every_pose_keeps_the_lengths_of_its_body():
    bodies, _, joints = crowd()
    for a, b, length in (
        (HIPS, KNEES, bodies.thigh),
        (KNEES, ANKLES, bodies.shank),
        (SHOULDERS, ELBOWS, bodies.upper_arm),
        (ELBOWS, WRISTS, bodies.forearm),
    ):
        np.testing.assert_allclose(distance(joints, a, b), length, atol=2e-5)
    hip_width = distance(joints, [6], [12])[:, 0]
    np.testing.assert_allclose(hip_width, bodies.hip_half.sum(-1), atol=2e-5)


def test_proportions_are_human():
    bodies, _, _ = crowd()
    stature = bodies.stature[:, None]
    assert bodies.stature.min() >= 1.0
    assert bodies.stature.max() <= 2.0
    assert 0.15 < (bodies.stature < 1.4).mean() < 0.35  # children
    for length, low, high in (
        (bodies.thigh, 0.19, 0.29),
        (bodies.shank, 0.18, 0.29),
        (bodies.upper_arm, 0.13, 0.20),
        (bodies.forearm, 0.115, 0.175),
        (bodies.shoulder_half * 2, 0.16, 0.25),
        (bodies.hip_half * 2, 0.085, 0.145),
    ):
        share = length / stature
        assert low < share.min()
        assert share.max() < high
        assert (np.abs(length[:, 0] / length[:, 1] - 1) < 0.09).all()
        assert np.abs(length[:, 0] / length[:, 1] - 1).max() > 0.005  # not exactly symmetric


def test_middle_of_the_hips_and_neck_lie_where_our_skeleton_says():
    _, _, joints = crowd()
    np.testing.assert_allclose(joints[:, MID_HIP], joints[:, HIPS].mean(1), atol=1e-5)
    # the sides differ by a few per cent, so the shoulders' middle is not the chest's
    off = np.linalg.norm(joints[:, NECK] - joints[:, SHOULDERS].mean(1), axis=-1)
    assert off.max() < 0.037
    assert off.mean() > 0.004


def test_angles_stay_in_the_limits_of_the_joints():
    _, motion, _ = crowd()
    limits = np.deg2rad(np.array(list(people.LIMITS_DEG.values())))
    assert (motion.angles >= limits[:, 0] - 1e-6).all()
    assert (motion.angles <= limits[:, 1] + 1e-6).all()


def test_knees_never_bend_forward():
    for posture in people.MODES:
        _, _, joints = crowd(posture)
        thigh = joints[:, KNEES] - joints[:, HIPS]
        shank = joints[:, ANKLES] - joints[:, KNEES]
        to_the_left = joints[:, 6] - joints[:, 12]
        bend = (np.cross(thigh, shank) * to_the_left[:, None]).sum(-1)
        assert bend.min() > -1e-5, posture
        cosine = (thigh * shank).sum(-1) / (distance(joints, HIPS, KNEES) *
                                            distance(joints, KNEES, ANKLES))  # fmt: skip
        assert cosine.min() > np.cos(np.deg2rad(151)), posture


def test_nobody_sinks_into_or_floats_above_the_ground():
    bodies, motion, joints = crowd()
    assert joints[..., 2].min() > 0.01
    on_ground = motion.lift_m == 0
    assert 0.93 < on_ground.mean() < 1.0
    # standing and walking people stand on a foot
    for posture in ("standing", "walking", "lunging"):
        bodies, motion, joints = crowd(posture)
        ground = motion.lift_m[:, None]
        sole = joints[:, ANKLES, 2] - ground - bodies.ankle_height[:, None]
        np.testing.assert_allclose(sole.min(-1), 0, atol=1e-5, err_msg=posture)


@pytest.mark.parametrize("posture", ["standing", "walking"])
def test_those_who_stand_are_upright_and_as_tall_as_they_should_be(posture: str):
    bodies, motion, joints = crowd(posture)
    up = joints[..., 2] - motion.lift_m[:, None]
    assert (up[:, NOSE] > up[:, NECK]).mean() > 0.99
    assert (up[:, NECK] > up[:, MID_HIP] + 0.2).all()
    assert (up[:, MID_HIP, None] > up[:, KNEES] + 0.1).all()
    reach = up[:, NOSE] / bodies.stature
    assert 0.85 < np.median(reach) < 0.95  # eyes and nose of a man of 1.8 m are at 1.65 m
    ahead = np.stack([np.cos(motion.heading), np.sin(motion.heading)], -1)
    nose = ((joints[:, NOSE] - joints[:, NECK])[:, :2] * ahead).sum(-1)
    assert (nose > 0).mean() > 0.97


def test_postures_differ_as_their_names_say():
    height = {}
    for posture in people.MODES:
        bodies, _, joints = crowd(posture)
        height[posture] = np.median((joints[:, NECK, 2] - joints[:, ANKLES, 2].min(-1))
                                    / bodies.stature)  # fmt: skip
    assert height["standing"] > 0.72
    assert height["sitting"] < 0.62 < height["walking"]
    assert height["crouching"] < 0.5
    assert height["lying"] < 0.25
    _, _, joints = crowd("lying")
    assert np.median(np.abs(joints[:, NECK, 2] - joints[:, MID_HIP, 2])) < 0.15


def test_left_is_left():
    _, motion, joints = crowd("standing")
    left = np.stack([-np.sin(motion.heading), np.cos(motion.heading)], -1)
    for a, b in (SHOULDERS, HIPS):
        assert (((joints[:, a] - joints[:, b])[:, :2] * left).sum(-1) > 0).all()


def test_walkers_move_ahead_and_their_velocities_are_those_of_the_motion():
    bodies, motion, _ = crowd("walking")
    speed = np.linalg.norm(motion.velocity_mps, axis=-1)
    assert speed.min() >= 0.6
    assert speed.max() <= 2.0
    velocity = people.joint_velocities(bodies, motion, step_s=0.01)
    np.testing.assert_allclose(velocity[:, MID_HIP, :2], motion.velocity_mps, atol=2e-3)
    ahead = np.stack([np.cos(motion.heading), np.sin(motion.heading)], -1)
    assert ((velocity[:, MID_HIP, :2] * ahead).sum(-1) > 0.5).all()
    limbs = np.linalg.norm(velocity, axis=-1)
    assert 1.0 < limbs[:, WRISTS].max() < 20
    _, resting, _ = crowd("sitting")
    assert np.linalg.norm(resting.velocity_mps, axis=-1).max() <= 0.4


def test_the_same_seed_gives_the_same_people():
    np.testing.assert_array_equal(crowd(seed=3)[2], crowd(seed=3)[2])
    assert np.abs(crowd(seed=3)[2] - crowd(seed=4)[2]).max() > 0.1
