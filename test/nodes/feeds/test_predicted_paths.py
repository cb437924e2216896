"""feeds/predicted_paths: a second ahead, with growing doubt."""

import numpy as np
import pytest

from mvssm_ros.nodes.feeds.base import present
from mvssm_ros.nodes.feeds.predicted_paths import PredictedPathsFeed

from .conftest import NAN, make_answer, make_person


def paths(*people, k_sigma=2.0):
    answer = make_answer(*people)
    return PredictedPathsFeed(k_sigma).message(answer, present(answer)).paths


def test_they_go_on_as_they_go_now():
    (path,) = paths(make_person(4, x_m=1.0, velocity=(0.5, -1.0, 0.3)))
    assert path.id == "p0004"
    assert len(path.positions) == len(path.radii_m) == 10
    assert path.step.nanosec == 100_000_000
    last = path.positions[-1]
    assert (last.x, last.y, last.z) == pytest.approx((1.5, -1.0, 0.95))


def test_radii_grow_and_grow_faster_where_the_velocity_is_unknown():
    known, unknown = paths(make_person(1), make_person(2, velocity=(NAN, NAN, NAN)))
    assert (np.diff(known.radii_m) > 0).all()
    assert unknown.radii_m[-1] > known.radii_m[-1] + 0.5
    assert unknown.positions[-1].x == 0.0


def test_nobody_has_no_path():
    assert paths() == []
