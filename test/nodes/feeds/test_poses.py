"""feeds/poses and feeds/followed."""

from geometry_msgs.msg import Point, Pose

from mvssm_ros.nodes.feeds.base import present
from mvssm_ros.nodes.feeds.poses import FollowedFeed, PosesFeed

from .conftest import NAN, FixedFrames, make_answer, make_person


def test_poses_of_all_whose_pose_is_known():
    unknown = make_person(2, pose=Pose(position=Point(x=NAN, y=NAN, z=NAN)))
    answer = make_answer(make_person(1, x_m=1.5), unknown)
    message = PosesFeed().message(answer, present(answer))
    assert [p.position.x for p in message.poses] == [1.5]
    assert PosesFeed().message(make_answer(), []).poses == []


def follow(feed, *people):
    answer = make_answer(*people)
    message = feed.message(answer, present(answer))
    return None if message is None else message.pose.position.x


def test_the_nearest_is_followed_and_then_the_same_person(turned):
    feed = FollowedFeed(turned, "base_link")
    assert follow(feed, make_person(1, x_m=-3.0), make_person(2, x_m=1.0)) == 1.0
    assert follow(feed, make_person(1, x_m=1.9), make_person(2, x_m=4.0)) == 4.0
    assert follow(feed, make_person(1, x_m=1.9)) == 1.9  # the other one is gone
    assert follow(feed) is None


def test_a_named_person_or_nobody(turned):
    feed = FollowedFeed(turned, "base_link", person_id="p0007")
    assert follow(feed, make_person(1)) is None
    assert follow(feed, make_person(1), make_person(7, x_m=2.5)) == 2.5


def test_without_the_robots_pose_nobody_is_chosen():
    assert follow(FollowedFeed(FixedFrames(), "base_link"), make_person(1)) is None
