"""feeds/min_distance: distances, speeds, and what is unknown stays unknown."""

import math

import numpy as np
import pytest

from mvssm_ros.errors import UserError
from mvssm_ros.msg import Person
from mvssm_ros.nodes.feeds.base import present
from mvssm_ros.nodes.feeds.min_distance import MinDistanceFeed
from mvssm_ros.tracking.robot_links import parse_link

from .conftest import NAN, FixedFrames, make_answer, make_person


def separation(answer, links=("map",), frames=None, k_sigma=2.0):
    feed = MinDistanceFeed(frames or FixedFrames(), list(links), k_sigma)
    return feed.message(answer, present(answer, feed.counts_doubtful)).links


def test_the_nearest_part_of_the_nearest_person():
    """A tool 1.8 m beside her left shoulder, and 0.25 m above it, toward which she walks."""
    answer = make_answer(make_person(1, x_m=5.0), make_person(2, x_m=2.0, velocity=(0.0, 1.0, 0.0)))
    tool = FixedFrames(tool=(np.eye(3), np.array([2.0, 2.0, 1.7])))
    (link,) = separation(answer, ["tool@0.1"], tool)
    assert link.person_id == "p0002"
    assert link.joint == "left_shoulder"
    assert link.distance_m == pytest.approx(math.hypot(1.8, 0.25) - 0.09 - 0.1, abs=1e-6)
    assert link.closing_speed_m_s == pytest.approx(1.8 / math.hypot(1.8, 0.25))
    assert link.human_speed_m_s == pytest.approx(1.0)
    assert link.latency_s == pytest.approx(0.12)
    a, b = link.on_person, link.on_link
    assert math.dist((a.x, a.y, a.z), (b.x, b.y, b.z)) == pytest.approx(link.distance_m)


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


def test_a_link_in_the_middle_of_a_person_has_no_direction():
    inside = FixedFrames(tool=(np.eye(3), np.array([0.0, 0.0, 1.2])))
    (link,) = separation(make_answer(make_person(velocity=(1.0, 0.0, 0.0))), ["tool@0.1"], inside)
    assert link.distance_m == pytest.approx(-0.18 - 0.1)
    assert math.isnan(link.closing_speed_m_s)
    assert link.human_speed_m_s == pytest.approx(1.0)


def test_who_is_tentative_may_be_there():
    doubtful = make_person(1, x_m=2.0, track_state=Person.TENTATIVE)
    (link,) = separation(make_answer(doubtful, make_person(2, x_m=3.0)))
    assert link.person_id == "p0001"
    lost = make_person(1, x_m=2.0, track_state=Person.LOST)
    assert separation(make_answer(lost))[0].distance_m == math.inf


def test_a_joint_that_may_be_anywhere_is_not_far():
    """In the feeds for maps people grow by 0.5 m at most; here by all that is not known."""
    (link,) = separation(make_answer(make_person(x_m=4.0, sigma_m=1.0)))
    assert link.uncertainty_m == pytest.approx(2.0)
    assert link.distance_m < 2.0


def test_images_that_are_too_old_or_from_the_future_tell_nothing():
    answer = make_answer(make_person(x_m=2.0))
    feed = MinDistanceFeed(FixedFrames(), ["map"], 2.0)
    feed.max_age_s = 0.1
    for sec, nanosec in ((0, 120_000_000), (-1, 500_000_000)):
        answer.latency.sec, answer.latency.nanosec = sec, nanosec
        (link,) = feed.message(answer, present(answer)).links
        assert math.isnan(link.distance_m)
        assert link.latency_s == sec + nanosec * 1e-9
    answer.latency.sec, answer.latency.nanosec = 0, 90_000_000
    (link,) = feed.message(answer, present(answer)).links
    assert math.isfinite(link.distance_m)


def test_without_links_it_is_the_reference_frame():
    (link,) = separation(make_answer(make_person(x_m=2.0)), links=[""])
    assert link.link == "map"
    assert 1.5 < link.distance_m < 2.0


@pytest.mark.parametrize("text", ["", "a:b:c", "/a", "a b", "a@wide", "a@-1", ":b", "a@nan"])
def test_links_that_are_none(text):
    with pytest.raises(UserError, match=r"feeds\.min_distance\.links has"):
        parse_link(text)
