"""What pose_node draws in RViz: people and cameras, each on a topic of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from mvssm_ros.geometry.skeletons import Skeleton
from mvssm_ros.msg import PersonArray
from mvssm_ros.nodes import qos
from mvssm_ros.nodes.camera_markers import CameraMarkerWriter, ShownCamera
from mvssm_ros.nodes.markers import MarkerWriter

MakePublisher = Callable[[type, str, Any], Any]  # message type, topic, QoS profile


class Drawings:
    """Two publishers and what is on the screen. Not thread-safe.

    Args:
        publisher: makes a publisher, which the caller destroys.
        skeleton: what joints are drawn.
    """

    def __init__(self, publisher: MakePublisher, skeleton: Skeleton) -> None:
        self._people = publisher(MarkerArray, "markers", qos.answer_qos())
        self._cameras = publisher(MarkerArray, "camera_markers", qos.latched_qos())
        self._writer = MarkerWriter(skeleton)
        self._camera_writer = CameraMarkerWriter()
        self._people_wanted = self._cameras_wanted = True
        self._viewers = 0  # subscribers of the markers, at the last set

    def apply(self, values: dict[str, Any], skeleton: Skeleton, header: Header) -> None:
        """Take over the parameters publish.*; what is no longer wanted goes from the screen."""
        if skeleton is not self._writer.skeleton:
            self._writer = MarkerWriter(skeleton)
        self._writer.line_width_m = values["publish.marker_width"]
        self._writer.labels = values["publish.labels"]
        self._writer.velocities = values["publish.velocities"]
        self._writer.ellipsoids = values["publish.ellipsoids"]
        were_wanted, self._people_wanted = self._people_wanted, values["publish.markers"]
        if were_wanted and not self._people_wanted:
            self._clear_people(header)
        were_wanted, self._cameras_wanted = self._cameras_wanted, values["publish.camera_markers"]
        if were_wanted and not self._cameras_wanted:
            self._cameras.publish(self._camera_writer.clear(header))

    def draw(self, people: PersonArray) -> None:
        """The people of one set, if somebody watches; who has just come may still show what is
        long gone."""
        if not self._people_wanted:
            return
        viewers = self._people.get_subscription_count()
        if viewers > self._viewers:
            self._clear_people(people.header)
        self._viewers = viewers
        if viewers:
            self._people.publish(self._writer.update(people))

    def draw_cameras(self, cameras: list[ShownCamera], header: Header) -> None:
        """Sent if they look other than before, and as long as somebody watches, whose screen may
        have been wiped."""
        if not self._cameras_wanted:
            return
        changed = self._camera_writer.take(cameras)
        if changed or self._cameras.get_subscription_count():
            self._cameras.publish(self._camera_writer.message(header))

    def clear(self, header: Header) -> None:
        """Nothing stays on the screen, not even what an earlier run may have left."""
        self._clear_people(header)
        self._cameras.publish(self._camera_writer.clear(header))

    def _clear_people(self, header: Header) -> None:
        self._viewers = self._people.get_subscription_count()
        self._people.publish(self._writer.clear(header))
