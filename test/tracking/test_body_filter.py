"""The filter of a body: honest, numerically safe, indifferent to how time is cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from mvssm_ros.geometry.skeletons import PANOPTIC15
from mvssm_ros.tracking import body_filter as bf

STAND = np.stack([np.zeros(15), np.linspace(-0.2, 0.2, 15), np.linspace(0.1, 1.7, 15)], axis=1)
HIP, WRIST = PANOPTIC15.index("mid_hip"), PANOPTIC15.index("left_wrist")


def noise(sigma_m=0.01, n=1):
    return np.broadcast_to(sigma_m**2 * np.eye(3), (n, 15, 3, 3)).copy()


def walk(velocity, steps, step_s=0.1, sigma_m=0.005):
    """The filter after steps sets of a body that moves evenly, and where the body is then."""
    rng = np.random.default_rng(0)
    motion = bf.begin(STAND[None], noise(sigma_m))
    place = np.zeros(3)
    for _ in range(steps):
        place = place + np.asarray(velocity) * step_s
        seen = STAND + place + rng.normal(0, sigma_m, STAND.shape)
        motion = bf.correct(bf.predict(motion, step_s), seen[None], noise(sigma_m))
    return motion, STAND + place


def assert_sound(motion):
    """All covariances are symmetric and positive, over position and velocity together."""
    whole = np.concatenate(
        [
            np.concatenate([motion.pp, motion.pv], -1),
            np.concatenate([motion.pv.swapaxes(-1, -2), motion.vv], -1),
        ],
        -2,
    )
    np.testing.assert_array_equal(motion.pp, motion.pp.swapaxes(-1, -2))
    scale = np.abs(whole).max(initial=1e-12)
    assert np.linalg.eigvalsh(whole).min(initial=0.0) > -1e-9 * scale
    assert np.isfinite(whole).all()


def test_a_linear_track_of_the_models_own_noise_has_chi_squared_errors():
    """Trunks that accelerate as the filter thinks: position and velocity errors are chi-squared."""
    rng = np.random.default_rng(1)
    n, step_s, sigma = 60, 0.1, 0.02
    trunk = bf.TRUNK
    position = np.tile(STAND, (n, 1, 1))
    velocity = rng.normal(0, 0.3, (n, 1, 3)) * np.ones((1, 15, 1))
    motion = bf.begin(position + rng.normal(0, sigma, position.shape), noise(sigma, n))
    spread = np.sqrt(bf.ACCELERATION[:, None] * step_s)
    errors2, speeds2, surprises = [], [], []
    for step in range(80):
        push = rng.normal(0, 1, velocity.shape) * spread
        position = position + step_s * (velocity + 0.5 * push)
        velocity = velocity + push
        measured = position + rng.normal(0, sigma, position.shape)
        motion = bf.predict(motion, step_s)
        if step >= 20:
            gap = measured - motion.position_m
            surprises.append(bf.squared_distance(gap, motion.pp + noise(sigma, n))[:, trunk])
        motion = bf.correct(motion, measured, noise(sigma, n))
        if step >= 20:
            errors2.append(bf.squared_distance(motion.position_m - position, motion.pp)[:, trunk])
            speeds2.append(bf.squared_distance(motion.velocity_m_s - velocity, motion.vv)[:, trunk])
    for found in (surprises, errors2):
        assert np.mean(found) == pytest.approx(3.0, rel=0.2)
        assert np.median(found) == pytest.approx(chi2.median(3), rel=0.2)
        assert np.mean(np.array(found) < chi2.ppf(0.95, 3)) == pytest.approx(0.95, abs=0.04)
    assert np.mean(speeds2) == pytest.approx(3.0, rel=0.35)


def test_the_velocity_of_somebody_who_walks_is_found():
    motion, _ = walk([1.0, -0.5, 0.0], 20)
    velocity, covariance = bf.body_velocity(motion)
    np.testing.assert_allclose(velocity[0], [1.0, -0.5, 0.0], atol=0.1)
    assert 0 < np.trace(covariance[0]) < 0.3


def test_who_is_not_seen_walks_on_and_stops_and_grows_less_sure():
    motion, last = walk([1.0, 0.0, 0.0], 20)
    way, deviation = [], []
    for _ in range(40):
        motion = bf.predict(motion, 0.1)
        way.append(motion.position_m[0, HIP, 0] - last[HIP, 0])
        deviation.append(np.sqrt(motion.pp[0, HIP, 0, 0]))
        assert_sound(motion)
    assert way[1] == pytest.approx(bf.HOLD_S, abs=0.05)
    assert way[-1] == pytest.approx(bf.HOLD_S + bf.FADE_S, abs=0.1)
    assert (np.diff(deviation) > 0).all()
    assert deviation[9] > 0.3  # after a second he may be anywhere near


def test_joints_that_are_not_measured_go_with_the_body():
    motion, place = walk([0.0, 0.0, 0.0], 10)
    for step in range(1, 11):
        seen = place + np.array([0.08 * step, 0.0, 0.0])
        seen[WRIST] = np.nan
        motion = bf.correct(bf.predict(motion, 0.1), seen[None], noise(0.005))
    assert motion.position_m[0, WRIST, 0] - place[WRIST, 0] == pytest.approx(0.8, abs=0.12)
    assert motion.pp[0, WRIST, 0, 0] > 10 * motion.pp[0, HIP, 0, 0]


def test_a_joint_seen_for_the_first_time_begins_where_it_is_seen():
    first = STAND.copy()
    first[WRIST] = np.nan
    motion = bf.begin(first[None], noise())
    assert not motion.known[0, WRIST]
    motion = bf.correct(bf.predict(motion, 0.1), STAND[None], noise())
    np.testing.assert_allclose(motion.position_m[0, WRIST], STAND[WRIST])
    assert_sound(motion)


def test_a_few_joints_far_off_move_the_body_little_and_a_jump_of_all_is_followed():
    motion, place = walk([0.0, 0.0, 0.0], 20)
    motion = bf.predict(motion, 0.1)
    wrong = place.copy()
    wrong[[WRIST, WRIST + 3]] += 0.8
    after = bf.correct(motion, wrong[None], noise())
    assert np.linalg.norm(after.position_m[0, WRIST] - place[WRIST]) < 0.6 * 0.8 * np.sqrt(3)
    others = np.delete(np.arange(15), [WRIST, WRIST + 3])
    np.testing.assert_allclose(after.position_m[0, others], place[others], atol=0.02)
    after = bf.correct(motion, place[None] + 0.15, noise())
    np.testing.assert_allclose(after.position_m[0], place + 0.15, atol=0.02)


def test_half_the_cameras_lost_means_less_sure():
    sure, _ = walk([0.5, 0.0, 0.0], 20, sigma_m=0.005)
    unsure, _ = walk([0.5, 0.0, 0.0], 20, sigma_m=0.05)
    assert (unsure.pp[0, :, 0, 0] > 9 * sure.pp[0, :, 0, 0]).all()


def test_how_time_is_cut_makes_no_difference_to_a_prediction_far_ahead():
    motion, _ = walk([1.0, 0.3, 0.0], 10)
    one = bf.predict(motion, 1.0)
    many = motion
    for _ in range(50):
        many = bf.predict(many, 0.02)
    trunk = bf.TRUNK
    np.testing.assert_allclose(many.position_m[0, trunk], one.position_m[0, trunk], atol=0.05)
    deviation = [np.sqrt(m.pp[0, trunk, 0, 0]) for m in (one, many)]
    np.testing.assert_allclose(deviation[0], deviation[1], rtol=0.25)


@pytest.mark.parametrize("step_s", [0.0, -3.0])
def test_no_time_or_time_set_back_changes_nothing(step_s):
    motion, _ = walk([1.0, 0.0, 0.0], 3)
    later = bf.predict(motion, step_s)
    np.testing.assert_array_equal(later.position_m, motion.position_m)
    np.testing.assert_array_equal(later.pp, motion.pp)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.floats(0.0, 30.0), min_size=1, max_size=12),
    sigmas=st.lists(st.floats(1e-6, 30.0), min_size=12, max_size=12),
    seed=st.integers(0, 2**31),
)
def test_any_steps_noises_and_gaps_leave_sound_covariances(steps, sigmas, seed):
    rng = np.random.default_rng(seed)
    motion = bf.begin(np.tile(STAND, (3, 1, 1)), noise(0.02, 3))
    for step_s, sigma in zip(steps, sigmas):
        seen = STAND + rng.normal(0, 0.3, (3, 15, 3))
        seen[rng.random((3, 15)) < 0.4] = np.nan
        covariance = noise(sigma, 3)
        covariance[rng.random((3, 15)) < 0.1] = np.nan
        motion = bf.correct(bf.predict(motion, step_s), seen, covariance)
        assert_sound(motion)
        assert np.isfinite(motion.position_m).all()
        assert np.isfinite(motion.velocity_m_s).all()


def test_nobody_is_predicted_and_corrected_without_ado():
    none = bf.nobody()
    assert len(bf.predict(none, 0.1)) == 0
    assert len(bf.correct(none, np.zeros((0, 15, 3)), np.zeros((0, 15, 3, 3)))) == 0
