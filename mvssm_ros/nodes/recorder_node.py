"""A node that writes the answers of pose_node, and other topics, into a bag that `ros2 bag` can read.

Messages are written as they come off the wire, with their definitions, so that no tool needs this
package to read them. The answers are subscribed to at once; the topics of the parameter `topics` as
soon as somebody publishes them, with the type and the reliability that is offered. It ends when told
to, or by itself when `people` falls silent, or when the disk is nearly full: then while there is
still room to close the bag, which nothing could read otherwise.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from visualization_msgs.msg import MarkerArray

from mvssm_ros.bags.message_types import ros_type_name
from mvssm_ros.bags.writer import BagWriter
from mvssm_ros.errors import UserError
from mvssm_ros.msg import PersonArray, RigStatus, SkeletonInfo
from mvssm_ros.nodes import qos
from mvssm_ros.nodes.message_classes import message_class
from mvssm_ros.nodes.spin import run_node

_TOPICS = {
    "people": (PersonArray, qos.answer_qos),
    "markers": (MarkerArray, qos.answer_qos),
    "rig_status": (RigStatus, qos.answer_qos),
    "skeleton_info": (SkeletonInfo, qos.latched_qos),
    "/diagnostics": (DiagnosticArray, qos.answer_qos),
}
_LOOK_EVERY_S = 0.2  # for publishers of the wanted topics
_DEPTH, _IMAGE_DEPTH = 50, 10  # messages that may wait to be written; images are megabytes
_RESERVE_BYTES = 8 * 2**20  # to close the bag: what is not yet on the disk (1 MiB), and its index


class RecorderNode(Node):
    """Records people, markers, rig_status, skeleton_info, /diagnostics and the topics it is told."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("recorder", **kwargs)
        folder = self._declare("bag", "", "Folder of the bag; must not exist yet.")
        self._silence_s = self._declare(
            "stop_after_silence_s",
            0.0,
            "End when 'people' has been silent for so long after its first message; 0: never.",
        )
        storage = self._declare("storage", "mcap", "How the bag is stored: mcap or sqlite3.")
        topics = self._declare(
            "topics", [""], "What else to record. A topic begins once somebody publishes it."
        )
        if not folder:
            raise UserError("parameter 'bag' is empty; give the folder of the bag to write")
        qos.check_overrides(self)
        self.count = 0  # messages written
        self.counts: Counter[str] = Counter()  # of each topic
        self._exit_code: int | None = None
        self._last_people_s: float | None = None
        self._bag = BagWriter(Path(folder), storage)
        for topic, (message_type, profile) in _TOPICS.items():
            self._record(topic, message_type, profile())
        self.get_logger().info(f"recording to {self._bag.path}")
        answers = {self.resolve_topic_name(topic) for topic in _TOPICS}
        self._wanted = {self.resolve_topic_name(t) for t in topics if t} - answers
        self._impossible: set[str] = set()  # wanted topics that cannot be recorded; told once
        if self._wanted:
            steady = Clock(clock_type=ClockType.STEADY_TIME)
            self.create_timer(_LOOK_EVERY_S, self._look_for_topics, clock=steady)

    def finish(self) -> int | None:
        """0 once `people` has been silent for long enough, 1 once nothing more can be written."""
        last_s = self._last_people_s
        if self._exit_code is not None or self._silence_s <= 0 or last_s is None:
            return self._exit_code
        return 0 if time.monotonic() - last_s > self._silence_s else None

    def close(self) -> None:
        """Finish the bag; without it nothing can read it."""
        try:
            self._bag.close()
        except OSError as error:
            raise UserError(
                f"bag {self._bag.path} could not be closed: {error.strerror}; 'mcap recover' may"
                " mend it"
            ) from error
        told = ", ".join(f"{topic} {n}" for topic, n in sorted(self.counts.items()))
        self.get_logger().info(
            f"{self.count} messages written to {self._bag.path}{': ' if told else ''}{told}"
        )
        silent = sorted(
            topic for topic in self._wanted | self._impossible if not self.counts[topic]
        )
        if silent:
            self.get_logger().info(f"nothing was recorded of {', '.join(silent)}")

    def _fail(self, reason: str) -> None:
        """Nothing more is written, and the node ends."""
        self._exit_code = 1
        self.get_logger().error(f"bag {self._bag.path}: {reason}")

    def _declare(self, name: str, default: Any, description: str) -> Any:
        return self.declare_parameter(
            name, default, ParameterDescriptor(description=description)
        ).value

    def _look_for_topics(self) -> None:
        """Subscribe to the wanted topics that are published by now."""
        for topic in sorted(self._wanted):
            publishers = self.get_publishers_info_by_topic(topic)
            if not publishers:
                continue
            self._wanted.discard(topic)
            types = sorted({p.topic_type for p in publishers})
            found = message_class(types[0])
            if len(types) > 1:
                why = f"it has publishers of {' and '.join(types)}"
            elif found is None or not self._bag.knows(types[0]):
                why = f"the message type {types[0]} is not installed here"
            else:
                profiles = [p.qos_profile for p in publishers]
                depth = _IMAGE_DEPTH if "Image" in types[0] else _DEPTH
                self._record(topic, found, qos.fitting_all(profiles, depth))
                continue
            self._impossible.add(topic)
            self.get_logger().warning(f"topic '{topic}' is not recorded: {why}")

    def _record(self, topic: str, message_type: type, profile: Any) -> None:
        name = self.resolve_topic_name(topic)
        connection = self._bag.connection(name, ros_type_name(message_type), profile)

        def take(serialized: bytes) -> None:
            if self._exit_code is not None:
                return
            room_bytes = self._bag.room_bytes() - len(serialized)
            if room_bytes < _RESERVE_BYTES:
                self._fail(
                    f"only {max(0, room_bytes) / 2**20:.0f} MiB are left on its disk, so recording"
                    f" ends here, after {self.count} messages; make room, or give a folder on"
                    " another disk"
                )
                return
            try:
                self._bag.write(connection, time.time_ns(), serialized)
            except OSError as error:
                self._fail(f"it cannot be written: {error.strerror}; recording ends here")
                return
            self.count += 1
            self.counts[name] += 1
            if topic == "people":
                self._last_people_s = time.monotonic()

        options = {"raw": True, "qos_overriding_options": qos.overridable()}
        self.create_subscription(message_type, topic, take, profile, **options)


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable recorder_node."""
    return run_node(RecorderNode, args)


if __name__ == "__main__":
    sys.exit(main())
