"""People over time: ids through crossings, gaps and twins; states, velocities and covariances."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from people_passing import joints_m

from mvssm_ros.tracking.identity import Body, TrackState
from mvssm_ros.tracking.tracker import FILTERS, MovingBody, Tracker

MS = 1_000_000
STEP_S = 0.1
STAND = joints_m(np.zeros(1))[0] - joints_m(np.zeros(1))[0].mean(0) * [1, 1, 0]


def body(joints, sigma_m=0.01, rng=None, score=0.8):
    joints = np.array(joints, float)
    if rng is not None:
        joints = joints + rng.normal(0, sigma_m, joints.shape)
    return Body(
        joints_m=joints,
        covariance_m2=np.broadcast_to(np.eye(3) * sigma_m**2, (15, 3, 3)).copy(),
        joint_confidence=np.full(15, 0.9),
        observed=np.isfinite(joints[:, 0]),
        view_mask=np.full(15, 0b101, np.uint64),
        score=score,
    )


def at(x_m=0.0, y_m=0.0, **kw):
    return body(STAND + np.array([x_m, y_m, 0.0]), **kw)


def seen(tracked):
    """id -> where it is (x of the mean joint), of those seen now."""
    now = (TrackState.TENTATIVE, TrackState.CONFIRMED)
    return {t.number: float(np.nanmean(t.body.joints_m[:, 0])) for t in tracked if t.state in now}


def states(tracked):
    return {t.number: t.state for t in tracked}


def confirmed(tracker, *bodies, sets=5):
    """A tracker that has seen the bodies in sets sets; the stamp of the last."""
    for tick in range(sets):
        tracker.update(list(bodies), tick * 100 * MS)
    return (sets - 1) * 100 * MS


@pytest.mark.parametrize("apart_m", [0.3, 0.5])
def test_people_who_cross_keep_their_ids(apart_m):
    rng = np.random.default_rng(0)
    tracker = Tracker()
    for tick in range(60):
        x = -3.0 + 0.1 * tick
        bodies = [at(x, 0.0, rng=rng), at(-x, apart_m, rng=rng), at(0.0, -1.5 + x / 2, rng=rng)]
        order = rng.permutation(3)
        tracked = tracker.update([bodies[i] for i in order], tick * 100 * MS)
        where = {t.number: np.nanmean(t.body.joints_m, 0) for t in tracked}
        if tick == 0:
            first = {i + 1: int(order[i]) for i in range(3)}
        for number, which in first.items():
            expected = bodies[which].joints_m.mean(0)
            np.testing.assert_allclose(where[number], expected, atol=0.05)
    assert states(tracked) == dict.fromkeys((1, 2, 3), TrackState.CONFIRMED)


def test_an_occlusion_of_one_second_on_the_way():
    rng = np.random.default_rng(0)
    tracker = Tracker()
    for tick in range(60):
        hidden = 25 <= tick < 35
        here = [] if hidden else [at(-3 + 0.1 * tick, 0.0, rng=rng)]
        tracked = tracker.update([*here, at(1.0, 1.2, rng=rng)], tick * 100 * MS)
        if hidden:
            assert states(tracked) == {1: TrackState.COASTING, 2: TrackState.CONFIRMED}
    assert states(tracked) == {1: TrackState.CONFIRMED, 2: TrackState.CONFIRMED}


def test_a_second_without_any_camera():
    tracker = Tracker()
    stamp = confirmed(tracker, at(0.0), at(1.5))
    tracked = tracker.update([at(1.6), at(0.1)], stamp + 1000 * MS)
    assert seen(tracked) == pytest.approx({1: 0.1, 2: 1.6}, abs=0.1)


def test_half_the_cameras_lost_ids_stay_and_the_covariances_grow():
    rng = np.random.default_rng(0)
    tracker, deviation = Tracker(), []
    for tick in range(60):
        sigma = 0.06 if 30 <= tick < 45 else 0.01
        x = -2 + 0.08 * tick
        tracked = tracker.update(
            [at(x, sigma_m=sigma, rng=rng), at(x, 0.8, sigma_m=sigma, rng=rng)], tick * 100 * MS
        )
        assert states(tracked).keys() == {1, 2}
        deviation.append(np.sqrt(np.trace(tracked[0].body.covariance_m2[2]) / 3))
    assert deviation[44] > 2 * deviation[29]
    assert deviation[59] == pytest.approx(deviation[29], rel=0.2)


def test_who_leaves_one_pair_of_cameras_for_another_keeps_the_id():
    """Between the two nobody sees all of him, and the second pair sees him 4 cm elsewhere."""
    rng = np.random.default_rng(0)
    tracker = Tracker()
    for tick in range(50):
        joints = STAND + np.array([-2.5 + 0.1 * tick, 0.04 * (tick > 26), 0.0])
        if 20 <= tick < 27:
            joints[rng.random(15) < 0.6] = np.nan
        one = body(joints, 0.04 if 20 <= tick < 27 else 0.01, rng)
        mask = np.full(15, 0b0011 if tick < 24 else 0b1100, np.uint64)
        here = [] if tick in (23, 24) else [replace(one, view_mask=mask)]
        tracked = tracker.update(here, tick * 100 * MS)
        assert states(tracked).keys() == {1}
    assert np.isfinite(tracked[0].body.joints_m).all()


def test_where_people_are_expected_is_told_and_changes_nothing():
    rng = np.random.default_rng(0)
    tracker = Tracker()
    assert tracker.start_poses_m(0).shape == (0, 15, 3)
    half = STAND.copy()
    half[9:] = np.nan
    for tick in range(20):
        tracker.update([at(0.1 * tick, rng=rng), body(half + 3)], tick * 100 * MS)
    for _ in range(2):
        expected = tracker.start_poses_m(2000 * MS)
        assert expected.shape == (1, 15, 3)  # not the one of whom half is unknown
        np.testing.assert_allclose(expected[0], STAND + np.array([2.0, 0.0, 0.0]), atol=0.05)


def test_the_second_body_of_one_person_is_nobody():
    tracker = Tracker()
    for tick in range(10):
        twin = at(0.1) if tick % 2 else at(0.08, 0.08)
        assert states(tracker.update([at(0.0), twin], tick * 100 * MS)).keys() == {1}


def test_lost_is_said_once_and_ids_are_never_used_again():
    tracker = Tracker(coast_s=0.5)
    stamp = confirmed(tracker, at())
    said = [states(tracker.update([], stamp + k * 100 * MS)) for k in range(1, 9)]
    assert said == [{1: TrackState.COASTING}] * 5 + [{1: TrackState.LOST}] + [{}] * 2
    assert seen(tracker.update([at()], stamp + 2000 * MS)).keys() == {2}


def test_a_tentative_person_who_is_missed_is_lost_at_once():
    tracker = Tracker(confirm_sets=3)
    assert states(tracker.update([at()], 0)) == {1: TrackState.TENTATIVE}
    assert states(tracker.update([], 100 * MS)) == {1: TrackState.LOST}
    assert tracker.update([], 200 * MS) == []


def test_reset_loses_everybody_and_time_may_begin_again():
    tracker = Tracker()
    stamp = confirmed(tracker, at(), at(2.0))
    lost = tracker.reset()
    assert states(lost) == {1: TrackState.LOST, 2: TrackState.LOST}
    assert {t.age_ns for t in lost} == {stamp}
    assert tracker.reset() == []
    assert states(tracker.update([at()], 0)) == {3: TrackState.TENTATIVE}


def test_what_coasts_is_not_observed_and_goes_on():
    rng = np.random.default_rng(0)
    tracker = Tracker()
    for tick in range(20):
        last = tracker.update([at(0.1 * tick, rng=rng)], tick * 100 * MS)[0]
    gone = [tracker.update([], (19 + k) * 100 * MS)[0] for k in range(1, 11)]
    assert not gone[0].body.observed.any()
    assert not gone[0].body.view_mask.any()
    assert gone[0].since_observed_ns == 100 * MS
    assert gone[0].age_ns == 2000 * MS
    way = [float(np.mean((g.body.joints_m - last.body.joints_m)[:, 0])) for g in gone]
    assert 0.05 < way[0] < 0.15
    assert 0.3 < way[-1] < 0.8
    deviation = [g.body.covariance_m2[2, 0, 0] for g in gone]
    assert (np.diff(deviation) > 0).all()


def test_joints_that_were_never_seen_stay_unknown():
    tracker = Tracker()
    half = STAND.copy()
    half[7:] = np.nan
    one = tracker.update([body(half)], 0)[0]
    assert np.isnan(one.body.joints_m[7:]).all()
    assert np.isnan(one.body.covariance_m2[7:]).all()
    assert np.isnan(one.joint_velocity_m_s[7:]).all()
    assert np.isfinite(one.body.joints_m[:7]).all()
    nothing = replace(body(half), joints_m=np.full((15, 3), np.nan))
    assert states(tracker.update([nothing], 100 * MS)) == {1: TrackState.LOST}


@pytest.mark.parametrize("kind", FILTERS)
def test_what_each_filter_says_of_somebody_who_walks(kind):
    rng = np.random.default_rng(0)
    tracker = Tracker(kind)
    for tick in range(40):
        measured = at(0.1 * tick, rng=rng)
        told = tracker.update([measured], tick * 100 * MS)[0]
    assert isinstance(told, MovingBody)
    if kind == "kalman":
        np.testing.assert_allclose(told.velocity_m_s, [1.0, 0.0, 0.0], atol=0.15)
        np.testing.assert_allclose(told.joint_velocity_m_s.mean(0), [1.0, 0.0, 0.0], atol=0.15)
        assert np.isfinite(told.velocity_covariance_m2_s2).all()
    else:
        np.testing.assert_array_equal(told.body.covariance_m2, measured.covariance_m2)
        assert np.isnan(told.velocity_m_s).all()
        assert np.isnan(told.joint_velocity_m_s).all()
    if kind == "none":
        np.testing.assert_array_equal(told.body.joints_m, measured.joints_m)
    np.testing.assert_allclose(told.body.joints_m, STAND + np.array([3.9, 0, 0]), atol=0.06)


def test_how_fast_somebody_moves_who_was_seen_once_is_not_known():
    tracker = Tracker(confirm_sets=1)
    (first,) = tracker.update([at(0.0)], 0)
    assert first.state == TrackState.CONFIRMED
    for told in (first.velocity_m_s, first.joint_velocity_m_s, first.velocity_covariance_m2_s2):
        assert np.isnan(told).all()
    (second,) = tracker.update([at(0.1)], 100 * MS)
    assert second.velocity_m_s[0] > 0.3


def test_an_unknown_filter_is_refused():
    with pytest.raises(ValueError, match="kalman"):
        Tracker("median")


def test_filtered_joints_are_nearer_to_the_truth_than_measured_ones():
    rng = np.random.default_rng(0)
    stamps_s = np.arange(120) / 30
    truth = joints_m(stamps_s)
    error = {}
    for kind in ("none", "kalman"):
        tracker, rng = Tracker(kind), np.random.default_rng(0)
        said = [
            tracker.update([body(t, 0.03, rng)], round(s * 1e9))[0].body.joints_m
            for t, s in zip(truth, stamps_s)
        ]
        error[kind] = np.linalg.norm(np.array(said)[30:] - truth[30:], axis=-1).mean()
    assert error["kalman"] < 0.85 * error["none"]


@settings(max_examples=60, deadline=None)
@given(
    sets=st.lists(
        st.tuples(
            st.integers(1, 3_000),  # ms since the set before
            st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), max_size=5),
        ),
        max_size=15,
    ),
    seed=st.integers(0, 2**31),
    kind=st.sampled_from(FILTERS),
)
def test_whatever_comes_ids_are_unique_and_lost_once_and_bodies_used_once(sets, seed, kind):
    rng = np.random.default_rng(seed)
    tracker, stamp, lost, known = Tracker(kind), 0, set(), set()
    for step_ms, places in sets:
        stamp += step_ms * MS
        bodies = []
        for k, place in enumerate(places):
            joints = STAND + np.array([*place, 0.0])
            joints[rng.random(15) < 0.3] = np.nan
            bodies.append(body(joints, score=k / 10))  # the score tells the bodies apart
        tracked = tracker.update(bodies, stamp)
        numbers = [t.number for t in tracked]
        assert len(set(numbers)) == len(numbers)
        assert not lost & set(numbers)
        now = [t for t in tracked if t.state in (TrackState.TENTATIVE, TrackState.CONFIRMED)]
        scores = [t.body.score for t in now if t.since_observed_ns == 0]
        assert len(set(scores)) == len(scores)
        assert set(numbers) - known == {n for n in numbers if n > max(known, default=0)}
        known |= set(numbers)
        lost |= {t.number for t in tracked if t.state == TrackState.LOST}
        for t in now:
            known_joints = np.isfinite(t.body.joints_m[:, 0])
            assert np.isfinite(t.body.covariance_m2[known_joints]).all()


def after_going_astray(scale, agreed=True, away_m=1.2):
    """States after two people have stood 0.7 m apart, one was not found for half a second and
    somebody `scale` times as large is found `away_m` further, where the other one has gone too."""
    rng = np.random.default_rng(0)
    tracker = Tracker()
    for tick in range(20):
        tracker.update([at(0.0, rng=rng), at(0.7, rng=rng)], tick * 100 * MS)
    for tick in range(20, 25):
        tracker.update([at(0.7, -0.15 * (tick - 19), rng=rng)], tick * 100 * MS)
    for tick in range(25, 31):
        place = np.array([0.0, -away_m, 0.0])
        new = replace(body(scale * STAND + place, rng=rng), agreed=agreed)
        tracked = tracker.update([at(0.7, -0.9, rng=rng), new], tick * 100 * MS)
    return states(tracked)


def test_who_is_found_where_nobody_foresaw_is_known_by_the_build():
    found = after_going_astray(1.0)
    assert found == {1: TrackState.CONFIRMED, 2: TrackState.CONFIRMED}


@pytest.mark.parametrize("scale", [0.8, 1.25])
def test_somebody_of_another_build_is_somebody_new(scale):
    found = after_going_astray(scale)
    assert found == {1: TrackState.COASTING, 2: TrackState.CONFIRMED, 3: TrackState.CONFIRMED}


def test_who_is_too_far_away_to_have_come_is_somebody_new():
    assert after_going_astray(1.0, away_m=4.0)[3] == TrackState.CONFIRMED


def test_whom_the_cameras_disagree_about_takes_nobodys_id():
    found = after_going_astray(1.0, agreed=False)
    assert found == {1: TrackState.COASTING, 2: TrackState.CONFIRMED, 3: TrackState.TENTATIVE}


def after_turning_back_unseen(scale):
    """Ids [left, right], soon and in the end, of two people, the right one `scale` times as large,
    who walk towards each other, are not seen for half a second, and come back the way they came."""
    rng = np.random.default_rng(0)
    tracker, said = Tracker(), []
    for tick in range(62):
        away_m = 0.2 + 0.15 * abs(tick - 20)
        left = body(STAND - [away_m, 0, 0], rng=rng)
        right = body(scale * STAND + [away_m, 0, 0], rng=rng)
        unseen = 18 < tick < 24
        tracked = tracker.update([] if unseen else [right, left], tick * 100 * MS)
        by_place = sorted(seen(tracked).items(), key=lambda item: item[1])
        said.append([number for number, _ in by_place])
    return said[17], said[26], said[-1]


def test_two_who_were_taken_for_one_another_are_told_apart_by_their_builds():
    before, soon, in_the_end = after_turning_back_unseen(1.2)
    assert soon == before[::-1]  # as they seemed to have walked on
    assert in_the_end == before


def test_two_of_the_same_build_stay_whom_they_seem():
    before, soon, in_the_end = after_turning_back_unseen(1.0)
    assert in_the_end == soon == before[::-1]


def test_two_who_have_not_met_are_not_exchanged_whatever_their_builds():
    rng = np.random.default_rng(0)
    tracker = Tracker()
    for tick in range(60):
        scale = 1.2 if tick < 30 else 1.0
        left = body(scale * STAND - [1.0, 0, 0], rng=rng)
        right = body(2.2 * STAND - scale * STAND + [1.0, 0, 0], rng=rng)
        by_place = seen(tracker.update([left, right], tick * 100 * MS))
        assert by_place[1] < 0 < by_place[2]


@pytest.mark.parametrize("agreed", [True, False])
def test_whom_the_cameras_disagree_about_exchanges_no_id(agreed):
    rng = np.random.default_rng(0)
    tracker = Tracker()
    for tick in range(40):
        large, small = (1.2, 1.0) if tick < 16 else (1.0, 1.2)
        left = replace(body(large * STAND - [0.4, 0, 0], rng=rng), agreed=agreed)
        right = replace(body(small * STAND + [0.4, 0, 0], rng=rng), agreed=agreed)
        by_place = seen(tracker.update([left, right], tick * 100 * MS))
    assert (by_place[1] > 0) == agreed
