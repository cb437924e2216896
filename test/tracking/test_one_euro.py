"""The One Euro filter against its published formula, and its behaviour on NaN and odd steps."""

import math

import numpy as np

from mvssm_ros.tracking.one_euro import OneEuro

MS = 1_000_000


def published(values, rate_hz, min_cutoff, beta, d_cutoff):
    """Algorithm 1 of the paper for one value, written from its text."""

    def alpha(cutoff):
        tau = 1 / (2 * math.pi * cutoff)
        return 1 / (1 + tau * rate_hz)

    x, dx, out = values[0], 0.0, [values[0]]
    for value in values[1:]:
        dx += alpha(d_cutoff) * ((value - x) * rate_hz - dx)
        x += alpha(min_cutoff + beta * abs(dx)) * (value - x)
        out.append(x)
    return out


def test_one_moving_axis_is_as_published():
    values = np.cumsum(np.random.default_rng(0).normal(0, 0.05, 40))
    smooth = OneEuro(1.3, 2.5, 0.9)
    out = []
    for i, value in enumerate(values):
        joints = np.zeros((15, 3))
        joints[:, 1] = value
        out.append(smooth(joints, i * 50 * MS)[4, 1])
    np.testing.assert_allclose(out, published(list(values), 20.0, 1.3, 2.5, 0.9))


def test_it_quietens_a_joint_that_stands_and_follows_one_that_moves():
    rng = np.random.default_rng(0)
    smooth, still, lag = OneEuro(), [], []
    for i in range(200):
        joints = np.zeros((2, 3))
        joints[1, 0] = 2.0 * i / 30
        out = smooth(joints + rng.normal(0, 0.01, (2, 3)), round(i * 1e9 / 30))
        still.append(out[0, 0])
        lag.append(joints[1, 0] - out[1, 0])
    assert np.std(still[50:]) < 0.007
    assert np.mean(lag[50:]) / 2.0 < 0.04


def test_a_joint_that_is_missing_for_a_while_stays_missing_and_comes_back():
    smooth = OneEuro()
    smooth(np.zeros((1, 3)), 0)
    assert np.isnan(smooth(np.full((1, 3), np.nan), 100 * MS)).all()
    position = smooth(np.ones((1, 3)), 200 * MS)
    assert (0.5 < position).all()
    assert (position <= 1.0).all()


def test_the_same_stamp_twice_changes_nothing():
    smooth = OneEuro()
    smooth(np.zeros((1, 3)), 0)
    position = smooth(np.ones((1, 3)), 0)
    np.testing.assert_array_equal(position, np.zeros((1, 3)))
