"""Whether somebody listens to what is played, and has answered it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rclpy.node import Node
from rclpy.time import Time

from mvssm_ros.msg import PersonArray
from mvssm_ros.nodes import qos
from mvssm_ros.nodes.problems import Problems


class Audience:
    """The subscribers of some publishers, and their answers on the topic `people`.

    Args:
        node: it subscribes to `people` if answers are waited for.
        publishers: each must have a subscriber.
        subscribers_within_s: after this it is too late.
        answer_within_s: how long an answer is waited for; None: not at all.
    """

    def __init__(
        self,
        node: Node,
        publishers: Sequence[Any],
        subscribers_within_s: float,
        answer_within_s: float | None,
    ) -> None:
        self._node = node
        self._publishers = publishers
        self._subscribers_within_s = subscribers_within_s
        self._answer_within_s = answer_within_s
        self._began_s = time.monotonic()
        self._answered_ns = 0
        self._problems = Problems(node.get_name(), node.get_logger())
        self.missing = False  # nobody has come within the time
        if answer_within_s is not None:
            node.create_subscription(
                PersonArray,
                "people",
                self._take_answer,
                qos.answer_qos(),
                qos_overriding_options=qos.overridable(),
            )

    def listens(self) -> bool:
        """Every publisher has a subscriber. If it takes too long, `missing` is set and it is logged."""
        topics = [p.topic_name for p in self._publishers]
        deaf = [p.topic_name for p in self._publishers if p.get_subscription_count() == 0]
        if not deaf:
            self._node.get_logger().info(f"playing to {topics}")
            return True
        waited_s = time.monotonic() - self._began_s
        if waited_s > self._subscribers_within_s and not self.missing:
            self._node.get_logger().error(
                f"nobody subscribed to {deaf} within {waited_s:.0f} s; is pose_node active, with"
                " these topics?"
            )
            self.missing = True
        return False

    def has_answered(self, stamp_ns: int, sent_s: float, what: str) -> bool:
        """The set of this stamp is answered, or has been waited for long enough.

        Args:
            sent_s: when it was sent (time.monotonic).
            what: names it, in the warning that there was no answer.
        """
        if self._answer_within_s is None or self._answered_ns >= stamp_ns:
            return True
        waited_s = time.monotonic() - sent_s
        if waited_s < self._answer_within_s:
            return False
        self._problems.report(
            "answer",
            f"no answer on 'people' to {what} within {waited_s:.0f} s, going on;"
            " is pose_node active, and well (rig_status)?",
        )
        return True

    def _take_answer(self, people: PersonArray) -> None:
        stamp_ns = Time.from_msg(people.header.stamp).nanoseconds
        self._answered_ns = max(self._answered_ns, stamp_ns)
        self._problems.over("answer")
