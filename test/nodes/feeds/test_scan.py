"""feeds/scan: a laser scanner that sees only people."""

import math

import numpy as np
import pytest

from mvssm_ros.nodes.feeds.base import present
from mvssm_ros.nodes.feeds.scan import ScanFeed, ray_distances_m

from .conftest import FixedFrames, make_answer, make_person


def seen(scan):
    """Angles and ranges of the rays that meet somebody."""
    ranges = np.array(scan.ranges)
    angles = scan.angle_min + scan.angle_increment * np.arange(len(ranges))
    hit = np.isfinite(ranges)
    return angles[hit], ranges[hit]


def test_a_person_ahead_of_a_turned_robot(turned):
    answer = make_answer(make_person(x_m=2.0, y_m=4.0))  # 3 m ahead of it
    scan = ScanFeed(turned, "base_link", k_sigma=0.0).message(answer, present(answer))
    assert scan.header.frame_id == "base_link"
    assert scan.header.stamp == answer.header.stamp
    angles, ranges = seen(scan)
    assert abs(angles.mean()) < 0.05
    assert 2.6 < ranges.min() < 3.0
    assert np.ptp(angles) < 0.4


def test_free_rays_are_inf_also_when_nobody_is_there(turned):
    answer = make_answer()
    scan = ScanFeed(turned, "base_link", k_sigma=0.0).message(answer, [])
    assert len(scan.ranges) == 720
    assert all(math.isinf(r) for r in scan.ranges)
    whole = scan.angle_min + scan.angle_increment * len(scan.ranges)
    assert whole == pytest.approx(math.pi, abs=1e-5)


def test_without_the_robots_pose_there_is_no_scan():
    answer = make_answer(make_person())
    feed = ScanFeed(FixedFrames(), "base_link", k_sigma=0.0)
    assert feed.message(answer, present(answer)) is None


def test_heights_outside_the_band_do_not_count():
    answer = make_answer(make_person(x_m=2.0))
    frames = FixedFrames(high=(np.eye(3), np.array([0.0, 0.0, 5.0])))
    scan = ScanFeed(frames, "high", k_sigma=0.0).message(answer, present(answer))
    assert len(seen(scan)[1]) == 0


def test_people_out_of_range_are_not_seen(turned):
    answer = make_answer(make_person(x_m=100.0))
    scan = ScanFeed(turned, "base_link", k_sigma=0.0).message(answer, present(answer))
    assert len(seen(scan)[1]) == 0


def test_rays_against_a_disc():
    distances = ray_distances_m(np.array([[2.0, 0.0]]), np.array([0.5]), 360)
    assert distances[180] == pytest.approx(1.5)  # straight ahead
    half_width = math.degrees(math.asin(0.25))
    assert np.isfinite(distances).sum() == 2 * int(half_width) + 1
    assert (ray_distances_m(np.array([[0.1, 0.0]]), np.array([0.5]), 8) == 0).all()
