"""What pose_node publishes: people with identity for every set, drawings of them, planners' feeds."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode
from rclpy.time import Time
from std_msgs.msg import Header

from mvssm_ros.errors import UserError
from mvssm_ros.msg import PersonArray, SkeletonInfo
from mvssm_ros.nodes import qos
from mvssm_ros.nodes.answer_writer import AnswerWriter
from mvssm_ros.nodes.camera_markers import ShownCamera
from mvssm_ros.nodes.drawings import Drawings
from mvssm_ros.nodes.feeds.publishers import FeedPublishers
from mvssm_ros.nodes.person_messages import duration_msg, skeleton_info_msg
from mvssm_ros.rig.image_set import ImageSet

if TYPE_CHECKING:
    from mvssm_ros.predictor import People

_ARRIVE_WITHIN_S = 0.3  # what the last messages get to reach their subscribers


class Answers:
    """Owns the publishers, the identities and what is on the screen.

    Thread-safe: sets come from the inference thread, resets from the executor's.

    Args:
        node: the lifecycle node; its publishers send only while it is active.
        cameras: all of the rig, in its order: bit i of every mask is cameras[i].
        reference_frame: frame_id of everything.
        feeds: of planners; closed with it.

    Raises:
        UserError: a topic cannot be set up as the parameters ask; then nothing is left of it.
    """

    def __init__(
        self,
        node: LifecycleNode,
        cameras: list[str],
        reference_frame: str,
        feeds: FeedPublishers,
    ) -> None:
        self._node = node
        self.feeds = feeds
        self._frame = reference_frame
        self._writer = AnswerWriter(cameras, reference_frame)
        self._lock = threading.Lock()
        self._open = False  # between begin and end
        self._publishers: list[Any] = []
        try:
            self._people = self._publisher(PersonArray, "people", qos.answer_qos())
            self._drawings = Drawings(self._publisher, self._writer.output.skeleton)
            self._info = self._publisher(SkeletonInfo, "skeleton_info", qos.latched_qos())
        except UserError:
            self.close()
            raise

    @property
    def topics(self) -> list[str]:
        """Full names of the topics it publishes."""
        own = [publisher.topic_name for publisher in self._publishers]
        return own + self.feeds.topics

    def apply(self, values: dict[str, Any]) -> None:
        """Take over the parameters tracking.*, publish.* and feeds.*."""
        self.feeds.apply(values)
        with self._lock:
            self._writer.apply(values)
            self._drawings.apply(values, self._writer.output.skeleton, self._writer.header())

    def begin(self) -> None:
        """The node has become active: say what the joints are, wipe what an earlier run left."""
        with self._lock:
            self._open = True
            self._info.publish(skeleton_info_msg(self._writer.output.skeleton))
            self._drawings.clear(Header(frame_id=self._frame))  # stamp 0: there is no image yet
            self.feeds.begin(self._frame)

    def publish(self, image_set: ImageSet, people: People) -> np.ndarray:
        """Publish the people of one set, also when there are none.

        Args:
            image_set: what was used; its cameras are the views of ``people``, in that order.

        Returns:
            [P] bool: who of them is confirmed; after `end` nobody is, and nothing is published.
        """
        with self._lock:
            if not self._open:
                return np.zeros(len(people.score), bool)
            message, confirmed = self._writer.answer(image_set, people)
            self._send(message)
        return confirmed

    def expected_poses_m(self, stamp_ns: int) -> np.ndarray | None:
        """[K, 15, 3]: where people will be at a stamp; None: they are not to be looked for there."""
        with self._lock:
            return self._writer.expected_poses_m(stamp_ns)

    def publish_unknown(self, image_set: ImageSet) -> np.ndarray:
        """Publish that one set tells nothing: no people, no cameras used. Returns [0] bool."""
        with self._lock:
            if self._open:
                self._send(self._writer.answer(image_set, None)[0])
        return np.zeros(0, bool)

    def give_up(self) -> None:
        """No more sets are to be expected: everybody is lost, the markers go."""
        with self._lock:
            farewell = self._writer.give_up()
            if farewell is not None:
                self._send(farewell)

    def end(self) -> None:
        """The node stops being active: everybody is lost, one empty answer, the markers go."""
        with self._lock:
            self._open = False  # a set that is still in work comes too late
        self.give_up()
        with self._lock:
            nobody = self._writer.nobody()
            self._people.publish(nobody)
            self._drawings.clear(nobody.header)
            self.feeds.end(nobody)

    def publish_cameras(self, cameras: list[ShownCamera]) -> None:
        """Where all the cameras of the rig are and how they are doing; once a second."""
        with self._lock:
            if self._open:
                header = Header(frame_id=self._frame)  # stamp 0: wherever they are now
                self._drawings.draw_cameras(cameras, header)

    def close(self) -> None:
        """Destroy the publishers, once the last messages have arrived."""
        end_s = time.monotonic() + _ARRIVE_WITHIN_S
        for publisher in self._publishers:
            publisher.wait_for_all_acked(Duration(seconds=max(0.0, end_s - time.monotonic())))
            self._node.destroy_lifecycle_publisher(publisher)
        self.feeds.close(end_s)

    def _send(self, message: PersonArray) -> None:
        now_ns = self._node.get_clock().now().nanoseconds
        message.latency = duration_msg(now_ns - Time.from_msg(message.header.stamp).nanoseconds)
        self._people.publish(message)
        self._drawings.draw(message)
        self.feeds.publish(message)

    def _publisher(self, message_type: type, topic: str, profile: Any) -> Any:
        publisher = self._node.create_lifecycle_publisher(
            message_type, topic, profile, **qos.publisher_options()
        )
        self._publishers.append(publisher)
        return publisher
