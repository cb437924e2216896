"""Makes and sends the feeds that somebody listens to.

What a feed says when nothing is known, and when the node stops, is in config/planners/README.md.
"""

from __future__ import annotations

import threading
import time
import traceback
from dataclasses import dataclass
from typing import Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header

from mvssm_ros.errors import UserError
from mvssm_ros.msg import PersonArray
from mvssm_ros.nodes import qos
from mvssm_ros.nodes.feeds.base import Feed, present, tells
from mvssm_ros.nodes.feeds.bridges import make_bridges
from mvssm_ros.nodes.feeds.cloud import CloudFeed
from mvssm_ros.nodes.feeds.frames import Frames, Lookup
from mvssm_ros.nodes.feeds.min_distance import MinDistanceFeed, latency_s
from mvssm_ros.nodes.feeds.poses import FollowedFeed, PosesFeed
from mvssm_ros.nodes.feeds.predicted_paths import PredictedPathsFeed
from mvssm_ros.nodes.feeds.scan import ScanFeed
from mvssm_ros.nodes.problems import Problems

_LOOK_EVERY_S = 0.1


@dataclass
class _Output:
    feed: Feed
    publisher: Any
    listeners: int = 0  # at the latest set

    @property
    def problem(self) -> str:
        return f"feed {self.feed.topic}"


class FeedPublishers:
    """One publisher a feed. A feed without subscribers costs nothing.

    A feed that fails is reported as a problem; the others go on.

    Args:
        node: its publishers send only while it is active.
        lookup: asks TF where the robot is; None: there is no need to.
        values: the node's parameters.

    Raises:
        UserError: a parameter cannot be read, a package is missing, or a topic cannot be set up as
            the parameters ask; then nothing is left of it.
    """

    def __init__(self, node: LifecycleNode, lookup: Lookup | None, values: dict[str, Any]) -> None:
        self.problems = Problems("feeds", node.get_logger())
        k_sigma, robot = values["feeds.k_sigma"], values["feeds.robot_frame"]
        self._frames = Frames(lookup, self.problems)
        links = [text for text in values["feeds.min_distance.links"] if text]
        self._cloud = CloudFeed(k_sigma, values["feeds.cloud.spacing"])
        self._followed = FollowedFeed(self._frames, robot, values["feeds.follow"])
        self._separation = MinDistanceFeed(self._frames, links or [robot], k_sigma)
        feeds: list[Feed] = [
            self._cloud,
            ScanFeed(self._frames, robot, k_sigma),
            PosesFeed(),
            self._followed,
            self._separation,
            PredictedPathsFeed(k_sigma),
            *make_bridges(values, node.get_logger()),
        ]
        self._node = node
        self._lock = threading.Lock()
        self._last_told_s = 0.0  # when feeds/min_distance was last published
        self._timer: Any = None  # while the node is active
        self._outputs: list[_Output] = []
        try:
            for feed in feeds:
                self._outputs.append(_Output(feed, self._publisher(feed)))
        except UserError:
            self.close(0.0)
            raise
        self.apply(values)

    @property
    def topics(self) -> list[str]:
        """Full names of the topics it publishes."""
        return [output.publisher.topic_name for output in self._outputs]

    def apply(self, values: dict[str, Any]) -> None:
        """Take over the parameters that may change while running."""
        with self._lock:
            for output in self._outputs:
                output.feed.k_sigma = values["feeds.k_sigma"]
            self._cloud.spacing_m = values["feeds.cloud.spacing"]
            self._followed.person_id = values["feeds.follow"]
            self._separation.max_age_s = values["feeds.min_distance.timeout"]

    def begin(self, frame_id: str) -> None:
        """The node has become active. ``frame_id``: the reference frame."""
        self._last_told_s = time.monotonic()
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self._node.create_timer(
            _LOOK_EVERY_S, lambda: self._tell_unknown(frame_id), clock=steady
        )

    def publish(self, answer: PersonArray) -> None:
        """For every set, also when nobody is there or nothing is known."""
        with self._lock:
            self._send(answer, [o for o in self._outputs if o.feed.says_unknown or tells(answer)])

    def end(self, nobody: PersonArray) -> None:
        """The node stops being active: nothing may stay where planners keep what they heard last.

        Args:
            nobody: no people, no cameras, the stamp of the latest set.
        """
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None
        with self._lock:
            self._send(nobody, [o for o in self._outputs if o.listeners])
            for output in self._outputs:
                output.listeners = 0
                self.problems.over(output.problem)
            self.problems.over("age")
            self._frames.forget()

    def close(self, until_s: float) -> None:
        """Destroy the publishers, once the last messages have arrived or that time has come."""
        for output in self._outputs:
            left_s = max(0.0, until_s - time.monotonic())
            output.publisher.wait_for_all_acked(Duration(seconds=left_s))
            self._node.destroy_lifecycle_publisher(output.publisher)
        self._outputs = []

    def _send(self, answer: PersonArray, outputs: list[_Output]) -> None:
        people: dict[bool, list[Any]] = {}  # with and without the doubtful
        for output in outputs:
            feed, listeners = output.feed, output.publisher.get_subscription_count()
            if listeners > output.listeners:
                feed.begin()
            output.listeners = listeners
            if not listeners:
                self.problems.over(output.problem)
                continue
            try:
                doubtful = feed.counts_doubtful
                if doubtful not in people:
                    people[doubtful] = present(answer, doubtful)
                message = feed.message(answer, people[doubtful])
                if message is not None:
                    output.publisher.publish(message)
            except Exception as error:
                self._report(output, error)
                continue
            self.problems.over(output.problem)
            if feed is self._separation:
                self._note_separation(answer)
        if tells(answer):
            self._frames.end_set()

    def _report(self, output: _Output, error: Exception) -> None:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        self.problems.report(
            output.problem,
            f"{output.feed.topic} cannot be made, people go on: {what}",
            details="".join(traceback.format_exception(error)),
            serious=True,
        )

    def _note_separation(self, answer: PersonArray) -> None:
        self._last_told_s = time.monotonic()
        late = tells(answer) and self._separation.is_too_old(answer)
        self.problems.set(
            "age",
            late,
            f"{self._separation.topic} is unknown: the images were {latency_s(answer):.2f} s old when"
            f" people were published, feeds.min_distance.timeout is {self._separation.max_age_s:g} s;"
            " synchronise the clocks, use_sim_time for what is simulated or replayed, less load,"
            " or a longer timeout (0: however old)",
        )

    def _tell_unknown(self, frame_id: str) -> None:
        """No set has come for too long: feeds/min_distance says so. On the executor's thread."""
        if not self._lock.acquire(blocking=False):
            return  # a set is being published
        try:
            timeout_s, now_s = self._separation.max_age_s, time.monotonic()
            if self._timer is None or not 0 < timeout_s < now_s - self._last_told_s:
                return
            self._last_told_s = now_s
            (output,) = (o for o in self._outputs if o.feed is self._separation)
            if output.publisher.get_subscription_count():
                stamp = self._node.get_clock().now().to_msg()
                header = Header(stamp=stamp, frame_id=frame_id)
                output.publisher.publish(self._separation.unknown(header))
        finally:
            self._lock.release()

    def _publisher(self, feed: Feed) -> Any:
        return self._node.create_lifecycle_publisher(
            feed.message_type, feed.topic, qos.answer_qos(), **qos.publisher_options()
        )
