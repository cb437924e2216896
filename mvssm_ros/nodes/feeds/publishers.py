"""Makes and sends the feeds that somebody listens to."""

from __future__ import annotations

from typing import Any

from rclpy.lifecycle import LifecycleNode

from mvssm_ros.msg import PersonArray
from mvssm_ros.nodes import qos
from mvssm_ros.nodes.feeds.base import Feed, present
from mvssm_ros.nodes.feeds.cloud import CloudFeed
from mvssm_ros.nodes.feeds.frames import Frames
from mvssm_ros.nodes.feeds.min_distance import MinDistanceFeed
from mvssm_ros.nodes.feeds.poses import FollowedFeed, PosesFeed
from mvssm_ros.nodes.feeds.predicted_paths import PredictedPathsFeed
from mvssm_ros.nodes.feeds.scan import ScanFeed


class FeedPublishers:
    """One publisher a feed. A feed without subscribers costs nothing.

    Args:
        node: its publishers send only while it is active.
        frames: where the robot is.
        values: the node's parameters.

    Raises:
        UserError: feeds.min_distance.links cannot be read.
    """

    def __init__(self, node: LifecycleNode, frames: Frames, values: dict[str, Any]) -> None:
        k_sigma, robot = values["feeds.k_sigma"], values["feeds.robot_frame"]
        self._cloud = CloudFeed(k_sigma, values["feeds.cloud.spacing"])
        self._scan = ScanFeed(frames, robot, k_sigma)
        self._followed = FollowedFeed(frames, robot, values["feeds.follow"])
        self._separation = MinDistanceFeed(frames, values["feeds.min_distance.links"], k_sigma)
        self._paths = PredictedPathsFeed(k_sigma)
        feeds: list[Feed] = [
            self._cloud,
            self._scan,
            PosesFeed(),
            self._followed,
            self._separation,
            self._paths,
        ]
        self._node = node
        self._feeds = [(feed, self._publisher(feed)) for feed in feeds]

    def apply(self, values: dict[str, Any]) -> None:
        """Take over the parameters that may change while running."""
        for feed in (self._cloud, self._scan, self._separation, self._paths):
            feed.k_sigma = values["feeds.k_sigma"]
        self._cloud.spacing_m = values["feeds.cloud.spacing"]
        self._followed.person_id = values["feeds.follow"]

    def publish(self, answer: PersonArray) -> None:
        """For every set, also when nobody is there."""
        wanted = [(f, p) for f, p in self._feeds if p.get_subscription_count()]
        if not wanted:
            return
        people = present(answer)
        for feed, publisher in wanted:
            message = feed.message(answer, people)
            if message is not None:
                publisher.publish(message)

    def close(self) -> None:
        for _, publisher in self._feeds:
            self._node.destroy_lifecycle_publisher(publisher)

    def _publisher(self, feed: Feed) -> Any:
        return self._node.create_lifecycle_publisher(
            feed.message_type,
            feed.topic,
            qos.answer_qos(),
            qos_overriding_options=qos.overridable(),
        )
