"""A recorded bag (mcap or sqlite3) to the viewer's scene, in the order it was recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from mvssm_ros.bags.message_types import message_types
from mvssm_ros.errors import UserError
from mvssm_ros.nodes.view_messages import ViewMessages

_PEOPLE = "mvssm_ros/msg/PersonArray"
_STATUS = "mvssm_ros/msg/RigStatus"
_IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")


def show_bag(bag: Path, messages: ViewMessages) -> int:
    """Read a bag from its beginning to its end. Returns how many messages were shown.

    Topics are known by their types, those of cameras also by the rig file's topics, or by the
    camera's name between slashes.

    Raises:
        UserError: rosbags is not installed, the bag cannot be read, it has nothing to show, or the
            people of several nodes.
    """
    try:
        from rosbags.highlevel import AnyReader
    except ImportError as error:
        raise UserError(
            f"reading a bag needs the rosbags library ({error}); run: pip install 'mvssm_ros[view]'"
        ) from error
    count = 0
    try:
        with AnyReader([bag], default_typestore=message_types()) as reader:
            connections = _of_one_node(reader.connections, bag)
            for message in _first(reader, connections, _PEOPLE, _STATUS):
                names = message.cameras
                messages.scene.name_cameras(n if isinstance(n, str) else n.name for n in names)
            readers = {c.id: _reader(c, messages) for c in connections}
            wanted = [c for c in connections if readers[c.id] is not None]
            for connection, _, raw in reader.messages(wanted):
                readers[connection.id](reader.deserialize(raw, connection.msgtype))
                count += 1
    except UserError:
        raise
    except Exception as error:  # rosbags lets through whatever a damaged bag brings about
        raise UserError(
            f"the bag {bag} cannot be read: {' '.join(str(error).split()) or type(error).__name__}"
        ) from error
    return count


def _of_one_node(connections: Any, bag: Path) -> list[Any]:
    """All but other PersonArrays (e.g. ground_truth) than those on a topic `people`."""
    topics = {c.topic for c in connections if c.msgtype == _PEOPLE}
    if len(topics) > 1:
        topics = {topic for topic in topics if topic.split("/")[-1] == "people"} or topics
    if len(topics) > 1:
        raise UserError(
            f"the bag {bag} has the people of several nodes ({', '.join(sorted(topics))}), and only"
            " one's can be shown: record one of them alone (mvssm record --topics)"
        )
    if not topics and not any(c.msgtype == _STATUS or c.msgtype in _IMAGES for c in connections):
        found = ", ".join(sorted({c.msgtype for c in connections})) or "nothing"
        raise UserError(
            f"the bag {bag} has nothing to show: expected {_PEOPLE}, {_STATUS} or images, found"
            f" {found}"
        )
    return [c for c in connections if c.msgtype != _PEOPLE or c.topic in topics]


def _first(reader: Any, connections: list[Any], *kinds: str) -> Iterator[Any]:
    """The first message of each of these types, where there is one."""
    for kind in kinds:
        chosen = [c for c in connections if c.msgtype == kind]
        for connection, _, raw in reader.messages(chosen) if chosen else ():
            yield reader.deserialize(raw, connection.msgtype)
            break


def _reader(connection: Any, messages: ViewMessages) -> Callable[[Any], None] | None:
    """What takes the messages of a topic; None: it is not shown."""
    topic, kind = connection.topic, connection.msgtype
    of_the_node: dict[str, Callable[[Any], None]] = {
        _PEOPLE: messages.people,
        _STATUS: messages.status,
        "mvssm_ros/msg/SkeletonInfo": messages.skeleton,
        "diagnostic_msgs/msg/DiagnosticArray": messages.diagnostics,
        "mvssm_ros/msg/RigCalibration": partial(messages.calibration, topic),
    }
    if kind in of_the_node:
        return of_the_node[kind]
    camera = _camera(topic, messages)
    of_a_camera: dict[str, Callable[[str, str, Any], None]] = {
        "mvssm_ros/msg/Keypoints2DArray": messages.keypoints,
        "sensor_msgs/msg/CameraInfo": messages.info,
        **dict.fromkeys(_IMAGES, messages.image),
    }
    if camera is None or kind not in of_a_camera:
        return None
    return partial(of_a_camera[kind], camera, topic)


def _camera(topic: str, messages: ViewMessages) -> str | None:
    """Whose topic it is."""
    for name, entry in messages.scene.rig.cameras.items():
        if topic in (entry.image_topic, f"{entry.image_topic}/compressed", entry.info_topic):
            return name
    parts = topic.split("/")[1:-1]
    return next((name for name in messages.scene.cameras if name in parts), None)
