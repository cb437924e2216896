"""Ids over sets: kept, given once, coasting, lost exactly once."""

import numpy as np
import pytest

from mvssm_ros.tracking.identity import (
    Body,
    IdentityTracker,
    TrackState,
    mean_joint_distance_m,
)

MS = 1_000_000
STAND = np.stack([np.zeros(15), np.zeros(15), np.linspace(0, 1.7, 15)], axis=1)


def body(x_m=0.0, y_m=0.0, missing=()):
    joints = STAND + np.array([x_m, y_m, 0.0])
    joints[list(missing)] = np.nan
    return Body(
        joints_m=joints,
        covariance_m2=np.broadcast_to(np.eye(3) * 1e-4, (15, 3, 3)).copy(),
        joint_confidence=np.full(15, 0.9),
        observed=np.ones(15, bool),
        view_mask=np.full(15, 0b101, np.uint64),
        score=0.8,
    )


def states(tracked):
    return {t.id: t.state for t in tracked}


def test_ids_are_valid_identifiers_and_stay_with_their_bodies():
    tracker = IdentityTracker()
    for tick in range(50):
        there = [body(x_m=0.03 * tick), body(x_m=3.0 - 0.03 * tick, y_m=1.0)]
        order = [0, 1] if tick % 2 else [1, 0]
        tracked = tracker.update([there[i] for i in order], tick * 33 * MS)
        where = {t.id: t.body.joints_m[0, 1] for t in tracked}
        assert where == {"p0001": 1.0, "p0002": 0.0}
        assert all(t.id.isidentifier() for t in tracked)
    assert {t.age_ns for t in tracked} == {49 * 33 * MS}


def test_a_body_is_tentative_until_seen_often_enough():
    tracker = IdentityTracker(confirm_sets=3)
    seen = [tracker.update([body()], tick * 33 * MS)[0].state for tick in range(4)]
    assert seen == [TrackState.TENTATIVE] * 2 + [TrackState.CONFIRMED] * 2


def test_a_confirmed_body_coasts_then_is_lost_exactly_once():
    tracker = IdentityTracker(coast_s=0.1, max_speed_m_s=2.0)
    for tick in range(3):
        tracker.update([body()], tick * 50 * MS)
    first = tracker.update([], 150 * MS)[0]
    assert first.state == TrackState.COASTING
    assert first.since_observed_ns == 50 * MS
    assert not first.body.observed.any()
    assert not first.body.view_mask.any()
    np.testing.assert_allclose(first.body.joints_m, STAND)
    np.testing.assert_allclose(first.body.covariance_m2[0], np.eye(3) * (1e-4 + 0.1**2))
    assert states(tracker.update([], 200 * MS)) == {"p0001": TrackState.COASTING}
    assert states(tracker.update([], 250 * MS)) == {"p0001": TrackState.LOST}
    assert tracker.update([], 300 * MS) == []


def test_a_coasting_body_is_found_again_under_its_id():
    tracker = IdentityTracker()
    for tick in range(3):
        tracker.update([body()], tick * 50 * MS)
    tracker.update([], 150 * MS)
    again = tracker.update([body(x_m=0.3)], 200 * MS)
    assert states(again) == {"p0001": TrackState.CONFIRMED}
    assert again[0].since_observed_ns == 0


def test_a_tentative_body_that_is_missed_is_lost_at_once():
    tracker = IdentityTracker()
    tracker.update([body()], 0)
    assert states(tracker.update([], 33 * MS)) == {"p0001": TrackState.LOST}
    assert tracker.update([], 66 * MS) == []


def test_somebody_beyond_the_gate_is_somebody_else():
    tracker = IdentityTracker(gate_m=0.5, max_speed_m_s=0.0)
    tracker.update([body()], 0)
    tracked = tracker.update([body(x_m=0.6)], 33 * MS)
    assert states(tracked) == {"p0001": TrackState.LOST, "p0002": TrackState.TENTATIVE}


def test_the_nearest_pairs_go_together_when_two_are_within_the_gate():
    tracker = IdentityTracker(gate_m=1.0)
    tracker.update([body(x_m=0.0), body(x_m=0.4)], 0)
    tracked = tracker.update([body(x_m=0.45), body(x_m=0.1)], 33 * MS)
    assert {t.id: round(float(t.body.joints_m[0, 0]), 2) for t in tracked} == {
        "p0001": 0.1,
        "p0002": 0.45,
    }


def test_two_bodies_in_one_place_get_two_ids():
    tracker = IdentityTracker()
    tracker.update([body()], 0)
    assert len({t.id for t in tracker.update([body(), body()], 33 * MS)}) == 2


def test_reset_loses_everybody_and_reuses_no_id():
    tracker = IdentityTracker()
    tracker.update([body(), body(x_m=2.0)], 1000 * MS)
    assert states(tracker.reset()) == {"p0001": TrackState.LOST, "p0002": TrackState.LOST}
    assert tracker.reset() == []
    assert states(tracker.update([body()], 0)) == {"p0003": TrackState.TENTATIVE}


def test_distance_uses_the_joints_known_in_both():
    a, b = body().joints_m, body(x_m=0.2, missing=[0, 3]).joints_m
    assert mean_joint_distance_m(a, b) == pytest.approx(0.2)
    assert mean_joint_distance_m(a, np.full((15, 3), np.nan)) == np.inf
