"""feeds/min_distance: distances, speeds, and what is unknown stays unknown."""

import math

import numpy as np
import pytest

from mvssm_ros.errors import UserError
from mvssm_ros.nodes.feeds.base import present
from mvssm_ros.nodes.feeds.min_distance import MinDistanceFeed, parse_link

from .conftest import NAN, FixedFrames, make_answer, make_person


def separation(answer, links=("map",), frames=None, k_sigma=2.0):
    feed = MinDistanceFeed(frames or FixedFrames(), list(links), k_sigma)
    return feed.message(answer, present(answer)).links


def test_the_nearest_part_of_the_nearest_person():
    answer = make_answer(
        make_person(1, x_m=5.0), make_person(2, x_m=2.0, velocity=(-1.0, 0.0, 0.0))
    )
    tool = FixedFrames(tool=(np.eye(3), np.array([0.0, 0.2, 1.45])))
    (link,) = separation(answer, ["tool@0.1"], tool)
    assert link.person_id == "p0002"
    assert link.joint == "left_shoulder"
    assert link.distance_m == pytest.approx(2.0 - 0.09 - 0.1, abs=0.02)
    assert link.closing_speed_m_s == pytest.approx(1.0, abs=0.01)
    assert link.human_speed_m_s == pytest.approx(1.0)
    assert link.latency_s == pytest.approx(0.12)
    gap = np.array([link.on_person.x - link.on_link.x, link.on_person.y - link.on_link.y])
    assert np.linalg.norm(gap) == pytest.approx(link.distance_m, abs=0.02)


def test_walking_past_does_not_close_in():
    answer = make_answer(make_person(x_m=2.0, velocity=(0.0, 1.0, 0.0)))
    tool = FixedFrames(tool=(np.eye(3), np.array([0.0, 0.0, 1.2])))
    (link,) = separation(answer, ["tool"], tool)
    assert abs(link.closing_speed_m_s) < 0.2
    assert link.human_speed_m_s == pytest.approx(1.0)


def test_uncertainty_is_subtracted_and_told():
    def nearest(sigma_m):
        return separation(make_answer(make_person(x_m=2.0, sigma_m=sigma_m)))[0]

    assert nearest(0.03).uncertainty_m == pytest.approx(0.06)
    assert nearest(0.0).distance_m - nearest(0.03).distance_m == pytest.approx(0.06, abs=1e-6)


def test_a_link_between_two_frames():
    frames = FixedFrames(
        elbow=(np.eye(3), np.array([1.0, -2.0, 1.0])), wrist=(np.eye(3), np.array([1.0, 2.0, 1.0]))
    )
    between, point = separation(
        make_answer(make_person(x_m=2.0)), ["elbow:wrist@0.05", "elbow"], frames
    )
    assert between.distance_m < 0.9
    assert point.distance_m > 1.9


def test_nobody_is_infinitely_far():
    (link,) = separation(make_answer())
    assert link.distance_m == math.inf
    assert link.person_id == ""
    assert math.isnan(link.closing_speed_m_s)


def test_what_is_unknown_is_nan_and_never_far():
    person = make_person(x_m=2.0)
    too_few = make_answer(person, cameras_used=0b0001)
    assert math.isnan(separation(too_few)[0].distance_m)
    assert math.isnan(separation(make_answer(cameras_used=0))[0].distance_m)
    (gone,) = separation(make_answer(person), ["tool"])  # no pose of the robot
    assert math.isnan(gone.distance_m)
    nowhere = make_person(2)
    for joint in nowhere.joints:
        joint.position.x = joint.position.y = joint.position.z = NAN
    (link,) = separation(make_answer(person, nowhere))
    assert math.isnan(link.distance_m)
    still = make_person(x_m=2.0, velocity=(NAN, NAN, NAN))
    (link,) = separation(make_answer(still))
    assert math.isfinite(link.distance_m)
    assert math.isnan(link.closing_speed_m_s)


@pytest.mark.parametrize("text", ["", "a:b:c", "a@wide", "a@-1", ":b", "a@nan"])
def test_links_that_are_none(text):
    with pytest.raises(UserError, match=r"feeds\.min_distance\.links has"):
        parse_link(text)
