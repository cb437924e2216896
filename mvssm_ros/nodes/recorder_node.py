"""A node that writes the answers of pose_node into a bag (mcap) that `ros2 bag` can read.

Messages are written as they come off the wire, with their definitions, so that no tool needs this
package to read them. It ends when told to, or by itself when `people` falls silent, or when the disk
is nearly full: then while there is still room to close the bag, which nothing could read otherwise.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from visualization_msgs.msg import MarkerArray

from mvssm_ros.errors import UserError
from mvssm_ros.msg import PersonArray, RigStatus, SkeletonInfo
from mvssm_ros.nodes import qos
from mvssm_ros.nodes.spin import run_node
from mvssm_ros.share import share_dir

_TOPICS = {
    "people": (PersonArray, qos.answer_qos),
    "markers": (MarkerArray, qos.answer_qos),
    "rig_status": (RigStatus, qos.answer_qos),
    "skeleton_info": (SkeletonInfo, qos.latched_qos),
    "/diagnostics": (DiagnosticArray, qos.answer_qos),
}
_RESERVE_BYTES = 8 * 2**20  # to close the bag: what is not yet on the disk (1 MiB), and its index


class RecorderNode(Node):
    """Records people, markers, rig_status, skeleton_info and /diagnostics."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("recorder", **kwargs)
        folder = self._declare("bag", "", "Folder of the bag; must not exist yet.")
        self._silence_s = self._declare(
            "stop_after_silence_s",
            0.0,
            "End when 'people' has been silent for so long after its first message; 0: never.",
        )
        if not folder:
            raise UserError("parameter 'bag' is empty; give the folder of the bag to write")
        qos.check_overrides(self)
        self.count = 0  # messages written
        self._exit_code: int | None = None
        self._last_people_s: float | None = None
        self._bag = Bag(Path(folder))
        for topic, (message_type, profile) in _TOPICS.items():
            self._record(topic, message_type, profile())

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
                f"bag {self._bag.folder} could not be closed: {error.strerror}; 'mcap recover' may"
                " mend it"
            ) from error
        self.get_logger().info(f"{self.count} messages written to {self._bag.folder}")

    def _fail(self, reason: str) -> None:
        """Nothing more is written, and the node ends."""
        self._exit_code = 1
        self.get_logger().error(f"bag {self._bag.folder}: {reason}")

    def _declare(self, name: str, default: Any, description: str) -> Any:
        return self.declare_parameter(
            name, default, ParameterDescriptor(description=description)
        ).value

    def _record(self, topic: str, message_type: type, profile: Any) -> None:
        name = self.resolve_topic_name(topic)
        connection = self._bag.connection(name, message_type, profile)

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
            if topic == "people":
                self._last_people_s = time.monotonic()

        options = {"raw": True, "qos_overriding_options": qos.overridable()}
        self.create_subscription(message_type, topic, take, profile, **options)


class Bag:
    """A bag of serialised messages, in the form of rosbag2 (metadata.yaml and an mcap file).

    Raises:
        UserError: the rosbags library is not installed, or the folder exists.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from rosbags.rosbag2 import StoragePlugin, Writer
        except ImportError as error:
            raise UserError(
                f"recording needs the rosbags library ({error}); run: pip install rosbags"
            ) from error
        if folder.exists():
            raise UserError(f"bag {folder} exists already; give another folder, or remove it")
        self.folder = folder
        self._types = message_types()
        self._writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.open()

    def connection(self, topic: str, message_type: type, profile: Any) -> Any:
        """A topic of the bag."""
        from rosbags.interfaces import (
            Qos,
            QosDurability,
            QosHistory,
            QosLiveliness,
            QosReliability,
            QosTime,
        )

        forever = QosTime(2147483647, 4294967295)
        offered = Qos(
            history=QosHistory.KEEP_LAST,
            depth=profile.depth,
            reliability=QosReliability(int(profile.reliability)),
            durability=QosDurability(int(profile.durability)),
            deadline=forever,
            lifespan=forever,
            liveliness=QosLiveliness.AUTOMATIC,
            liveliness_lease_duration=forever,
            avoid_ros_namespace_conventions=False,
        )
        return self._writer.add_connection(
            topic,
            ros_type_name(message_type),
            typestore=self._types,
            offered_qos_profiles=[offered],
        )

    def write(self, connection: Any, time_ns: int, serialized: bytes) -> None:
        """One message, as it came off the wire."""
        self._writer.write(connection, time_ns, serialized)

    def room_bytes(self) -> int:
        """What can still be written: room on the disk, and to the largest size a file may have."""
        disk = os.statvfs(self.folder)
        room_bytes = disk.f_bavail * disk.f_frsize
        largest_bytes, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        if largest_bytes != resource.RLIM_INFINITY:
            size_bytes = max((p.stat().st_size for p in self.folder.iterdir()), default=0)
            room_bytes = min(room_bytes, largest_bytes - size_bytes)
        return room_bytes

    def close(self) -> None:
        self._writer.close()


def message_types() -> Any:
    """The rosbags type store with this package's messages, read from the .msg files it ships."""
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    found = sorted((share_dir() / "msg").glob("*.msg"))
    if not found:
        raise UserError(f"no .msg files in {share_dir() / 'msg'}: reinstall the package")
    types: dict[str, Any] = {}
    for path in found:
        types |= get_types_from_msg(path.read_text("utf-8"), f"mvssm_ros/msg/{path.stem}")
    store.register(types)
    return store


def ros_type_name(message_type: type) -> str:
    """`package/msg/Name` of a message class."""
    return f"{message_type.__module__.split('.')[0]}/msg/{message_type.__name__}"


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable recorder_node."""
    return run_node(RecorderNode, args)


if __name__ == "__main__":
    sys.exit(main())
