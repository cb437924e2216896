"""Figures of tracking: what they are on answers whose figures are known."""

from dataclasses import replace

import numpy as np
import pytest

from mvssm_ros.learning import tracking
from mvssm_ros.learning.synthetic.crowds import make_crowd, walk_about
from mvssm_ros.predictor import Predictor
from mvssm_ros.tracking.identity import Body, IdentityTracker
from mvssm_ros.tracking.tracker import Tracker

pytest.importorskip("motmetrics")
NOISE_M = 0.02


def body(joints_m, rng):
    return Body(
        joints_m=joints_m + rng.normal(0, NOISE_M, joints_m.shape),
        covariance_m2=np.broadcast_to(NOISE_M**2 * np.eye(3), (15, 3, 3)).copy(),
        joint_confidence=np.ones(15),
        observed=np.ones(15, bool),
        view_mask=np.full(15, 3, np.uint64),
        score=1.0,
    )


@pytest.fixture(scope="module")
def recording():
    """Three people for twenty seconds, seen with honest noise and nobody missed."""
    rng = np.random.default_rng(0)
    times_s = np.arange(200) / 10
    truth = walk_about(rng, 3, times_s, np.zeros(2), np.full(2, 5.0))
    return tracking.Recording(
        [[body(j, rng) for j in rng.permutation(people)] for people in truth],
        np.round(1e9 * times_s).astype(np.int64),
        truth,
        np.ones((200, 3), bool),
        network_ms=0.0,
    )


@pytest.mark.parametrize("make", [Tracker, IdentityTracker])
def test_people_who_are_always_seen_keep_their_ids(recording, make):
    figures = tracking.evaluate(make(), recording)
    assert figures["switches"] == 0
    assert figures["IDF1"] > 99  # but for the first sets, which are tentative
    assert figures["missed"] == pytest.approx(100 * 2 / 200, abs=0.01)
    assert figures["false"] == 0
    assert recording.person_minutes == pytest.approx(1.0)


def test_what_is_measured_with_honest_noise_is_chi_squared_also_after_the_filter(recording):
    raw = tracking.evaluate(Tracker("none"), recording)
    assert raw["mean"] == pytest.approx(1.0, abs=0.05)
    assert raw["median"] == pytest.approx(1.0, abs=0.05)
    assert np.isnan(raw["velocity_rms_m_s"])
    filtered = tracking.evaluate(Tracker("kalman"), recording)
    assert filtered["mean"] == pytest.approx(1.0, abs=0.2)
    assert filtered["rms_mm"] < 0.95 * raw["rms_mm"]
    assert filtered["velocity_rms_m_s"] < 0.6


class Exchanged(IdentityTracker):
    """Confuses the first two ids for good after the first half."""

    def update(self, bodies, stamp_ns):
        other = {1: 2, 2: 1} if stamp_ns > 10e9 else {}
        tracked = super().update(bodies, stamp_ns)
        return [replace(t, number=other.get(t.number, t.number)) for t in tracked]


def test_exchanged_ids_count(recording):
    figures = tracking.evaluate(Exchanged(), recording)
    assert figures["switches"] == 2
    assert figures["switches_a_minute"] == pytest.approx(2.0)
    assert figures["IDF1"] == pytest.approx(100 * 2 / 3, abs=2)


def test_who_is_not_to_be_found_neither_helps_nor_harms(recording):
    findable = recording.findable.copy()
    findable[:, 2] = False
    figures = tracking.evaluate(Tracker(), replace(recording, findable=findable))
    assert figures["false"] == 0
    assert figures["missed"] == pytest.approx(100 * 2 / 200, abs=0.01)


class Late(IdentityTracker):
    """Tells where people were one set before."""

    def update(self, bodies, stamp_ns):
        tracked = super().update(bodies, stamp_ns)
        self.before, told = tracked, getattr(self, "before", tracked)
        return told


def test_a_known_delay_is_measured():
    joints = [2, 5, 8]
    assert tracking.delay_ms(Late(), 10.0, joints) == pytest.approx([100], abs=3)
    assert tracking.delay_ms(IdentityTracker(), 10.0, joints) == pytest.approx([0], abs=3)


@pytest.mark.slow
def test_the_network_follows_a_small_crowd():
    crowd = make_crowd(3, 2, 5, seconds=4.0)
    found = tracking.record(Predictor.from_pretrained(), crowd)
    figures = tracking.evaluate(Tracker(), found)
    assert figures["switches"] == 0
    assert figures["IDF1"] > 90  # two of forty sets are tentative
    table = tracking.markdown_table([{"people": 2, "tracker": "kalman", **figures}])
    assert table.count("\n") == 2
