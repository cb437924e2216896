"""What pose_node publishes: people with identity for every set, markers of them and of the cameras."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode
from rclpy.time import Time
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from mvssm_ros.errors import UserError
from mvssm_ros.geometry.skeletons import SKELETONS
from mvssm_ros.msg import PersonArray, SkeletonInfo
from mvssm_ros.nodes import qos
from mvssm_ros.nodes.camera_markers import CameraMarkerWriter, ShownCamera
from mvssm_ros.nodes.markers import MarkerWriter
from mvssm_ros.nodes.person_messages import duration_msg, person_msg, skeleton_info_msg
from mvssm_ros.rig.image_set import ImageSet
from mvssm_ros.tracking.bodies import bodies_of
from mvssm_ros.tracking.identity import Body, TrackState
from mvssm_ros.tracking.tracker import MovingBody, Tracker

if TYPE_CHECKING:
    from mvssm_ros.predictor import People

SKELETON = SKELETONS["panoptic15"]
_ARRIVE_WITHIN_S = 0.3  # what the last messages get to reach their subscribers


class Answers:
    """Owns the publishers, the identities and what is on the screen.

    Thread-safe: sets come from the inference thread, resets from the executor's.

    Args:
        node: the lifecycle node; its publishers send only while it is active.
        cameras: all of the rig, in its order: bit i of every mask is cameras[i].
        reference_frame: frame_id of everything.

    Raises:
        UserError: a topic cannot be set up as the parameters ask; then nothing is left of it.
    """

    def __init__(self, node: LifecycleNode, cameras: list[str], reference_frame: str) -> None:
        self._node = node
        self._cameras = cameras
        self._frame = reference_frame
        self._tracker = Tracker()
        self._marker_writer = MarkerWriter(SKELETON)
        self._markers_wanted = True
        self._viewers = 0  # subscribers of the markers, at the last set
        self._camera_marker_writer = CameraMarkerWriter()
        self._camera_markers_wanted = True
        self._start_from_tracks = True
        self._wary = True  # who is seen by few of the cameras that ought to is not believed at once
        self._last_stamp_ns: int | None = None  # of the last set
        self._lock = threading.Lock()
        self._open = False  # between begin and end
        self._publishers: list[Any] = []
        try:
            self._people = self._publisher(PersonArray, "people", qos.answer_qos())
            self._markers = self._publisher(MarkerArray, "markers", qos.answer_qos())
            self._camera_markers = self._publisher(MarkerArray, "camera_markers", qos.latched_qos())
            self._info = self._publisher(SkeletonInfo, "skeleton_info", qos.latched_qos())
        except UserError:
            self.close()
            raise

    @property
    def topics(self) -> list[str]:
        """Full names of the topics it publishes."""
        return [publisher.topic_name for publisher in self._publishers]

    def apply(self, values: dict[str, Any]) -> None:
        """Take over the parameters tracking.* and publish.*."""
        with self._lock:
            self._tracker.filter_type = values["filter.type"]
            self._start_from_tracks = values["tracking.start_from_tracks"]
            self._tracker.gate_m = values["tracking.gate"]
            self._tracker.max_speed_m_s = values["tracking.max_speed"]
            self._tracker.coast_s = values["tracking.coast"]
            self._tracker.confirm_sets = values["tracking.confirm_sets"]
            self._wary = values["calibration.leave_out"]
            self._marker_writer.line_width_m = values["publish.marker_width"]
            self._marker_writer.labels = values["publish.labels"]
            self._marker_writer.velocities = values["publish.velocities"]
            self._marker_writer.ellipsoids = values["publish.ellipsoids"]
            was_wanted = self._markers_wanted
            self._markers_wanted = values["publish.markers"]
            if was_wanted and not self._markers_wanted:
                self._clear_markers()
            were_wanted = self._camera_markers_wanted
            self._camera_markers_wanted = values["publish.camera_markers"]
            if were_wanted and not self._camera_markers_wanted:
                self._clear_camera_markers()

    def begin(self) -> None:
        """The node has become active: say what the joints are, wipe what an earlier run left."""
        with self._lock:
            self._open = True
            self._info.publish(skeleton_info_msg(SKELETON))
            self._clear_markers()
            self._clear_camera_markers()

    def publish(self, image_set: ImageSet, people: People) -> np.ndarray:
        """Publish the people of one set, also when there are none.

        Args:
            image_set: what was used; its cameras are the views of ``people``, in that order.

        Returns:
            [P] bool: who of them is confirmed; after `end` nobody is, and nothing is published.
        """
        bits = np.array([1 << self._cameras.index(name) for name in image_set.cameras], np.uint64)
        bodies = bodies_of(people, bits, self._wary)
        tracked = self._publish(image_set, bodies, int(bits.sum()))
        confirmed = np.zeros(len(bodies), bool)
        confirmed[[t.index for t in tracked if t.state == TrackState.CONFIRMED]] = True
        return confirmed

    def expected_poses_m(self, stamp_ns: int) -> np.ndarray | None:
        """[K, 15, 3]: where people will be at a stamp; None: they are not to be looked for there."""
        with self._lock:
            return self._tracker.start_poses_m(stamp_ns) if self._start_from_tracks else None

    def publish_unknown(self, image_set: ImageSet) -> np.ndarray:
        """Publish that one set tells nothing: no people, no cameras used. Returns [0] bool."""
        self._publish(image_set, [], 0)
        return np.zeros(0, bool)

    def _publish(self, image_set: ImageSet, bodies: list[Body], used: int) -> list[MovingBody]:
        with self._lock:
            if not self._open:
                return []
            stamp_ns = image_set.stamp_ns
            tracked = self._tracker.update(bodies, stamp_ns)
            self._last_stamp_ns = stamp_ns
            message = self._people_msg(stamp_ns, tracked)
            message.cameras_used = used
            message.stamp_spread = duration_msg(image_set.spread_ns)
            self._send(message)
        return tracked

    def give_up(self) -> None:
        """No more sets are to be expected: everybody is lost, the markers go."""
        with self._lock:
            lost = self._tracker.reset()
            if lost:
                self._send(self._people_msg(self._last_stamp_ns, lost))

    def end(self) -> None:
        """The node stops being active: everybody is lost, one empty answer, the markers go."""
        with self._lock:
            self._open = False  # a set that is still in work comes too late
        self.give_up()
        with self._lock:
            self._people.publish(self._people_msg(self._last_stamp_ns, []))
            self._clear_markers()
            self._clear_camera_markers()

    def publish_cameras(self, cameras: list[ShownCamera]) -> None:
        """Markers of the cameras, once a second: where they are, how they are doing.

        Sent if that has changed, and as long as somebody watches, whose screen may have been wiped.
        """
        with self._lock:
            if not (self._open and self._camera_markers_wanted):
                return
            changed = self._camera_marker_writer.take(cameras)
            if changed or self._camera_markers.get_subscription_count():
                message = self._camera_marker_writer.message(self._header(None))
                self._camera_markers.publish(message)

    def close(self) -> None:
        """Destroy the publishers, once the last messages have arrived."""
        end_s = time.monotonic() + _ARRIVE_WITHIN_S
        for publisher in self._publishers:
            publisher.wait_for_all_acked(Duration(seconds=max(0.0, end_s - time.monotonic())))
            self._node.destroy_lifecycle_publisher(publisher)

    def _send(self, message: PersonArray) -> None:
        now_ns = self._node.get_clock().now().nanoseconds
        message.latency = duration_msg(now_ns - Time.from_msg(message.header.stamp).nanoseconds)
        self._people.publish(message)
        if self._markers_wanted:
            self._draw(message)

    def _draw(self, people: PersonArray) -> None:
        """Markers, if somebody watches; who has just come may still show what is long gone."""
        viewers = self._markers.get_subscription_count()
        if viewers > self._viewers:
            self._clear_markers()
        self._viewers = viewers
        if viewers:
            self._markers.publish(self._marker_writer.update(people))

    def _clear_markers(self) -> None:
        self._viewers = self._markers.get_subscription_count()
        self._markers.publish(self._marker_writer.clear(self._header(self._last_stamp_ns)))

    def _clear_camera_markers(self) -> None:
        self._camera_markers.publish(self._camera_marker_writer.clear(self._header(None)))

    def _people_msg(self, stamp_ns: int | None, tracked: list[MovingBody]) -> PersonArray:
        return PersonArray(
            header=self._header(stamp_ns),
            skeleton=SKELETON.name,
            cameras=self._cameras,
            people=[person_msg(body, SKELETON) for body in tracked],
        )

    def _header(self, stamp_ns: int | None) -> Header:
        """Before the first set there is no image whose stamp it could be: then 0."""
        return Header(stamp=Time(nanoseconds=stamp_ns or 0).to_msg(), frame_id=self._frame)

    def _publisher(self, message_type: type, topic: str, profile: Any) -> Any:
        publisher = self._node.create_lifecycle_publisher(
            message_type, topic, profile, **qos.publisher_options()
        )
        self._publishers.append(publisher)
        return publisher
