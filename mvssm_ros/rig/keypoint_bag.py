"""2D keypoints of a rig from a ROS 2 bag (mcap or sqlite3) of mvssm_ros/Keypoints2DArray topics."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mvssm_ros.bags.reader import BagReader
from mvssm_ros.errors import UserError
from mvssm_ros.geometry.skeletons import skeleton_map
from mvssm_ros.rig.keypoint_sequence import KeypointSequence, gather

_TYPE = "mvssm_ros/msg/Keypoints2DArray"
_PEOPLE = npt.NDArray[np.float64]


def load_keypoint_bag(path: str | Path, cameras: Iterable[str]) -> KeypointSequence:
    """Read the keypoints of the cameras that the bag has.

    A camera's topic is the one with its name between slashes, such as /cam01/keypoints. Frames are
    made as `gather` says.

    Args:
        path: the bag's folder.
        cameras: names of the rig's cameras.

    Raises:
        UserError: the bag cannot be read, has keypoints of fewer than two of the cameras, or a
            message does not fit its skeleton.
    """
    where = f"bag {path}"
    by_camera: dict[str, dict[int, _PEOPLE]] = {}
    with BagReader(path) as bag:
        topics = sorted(t.name for t in bag.topics.values() if t.type_name == _TYPE)
        owners = _owners(topics, list(cameras), where)
        for topic, _, data in bag.messages(list(owners)):
            message = bag.deserialize(topic, data)
            stamp = message.header.stamp
            seen = by_camera.setdefault(owners[topic], {})
            people = _people(message, f"{where}: {topic}")
            seen[stamp.sec * 1_000_000_000 + stamp.nanosec] = people
    if len(by_camera) < 2:
        raise UserError(f"{where}: has messages of {len(by_camera)} camera, expected two or more")
    return gather(by_camera, where)


def _owners(topics: list[str], cameras: list[str], where: str) -> dict[str, str]:
    """Topic: camera, for the topics with a camera's name between slashes."""
    owners: dict[str, str] = {}
    for name in cameras:
        mine = [topic for topic in topics if name in topic.split("/")]
        if len(mine) > 1:
            raise UserError(f"{where}: camera {name}: has several topics: {', '.join(mine)}")
        owners.update(dict.fromkeys(mine, name))
    if len(owners) < 2:
        raise UserError(
            f"{where}: has {_TYPE} topics of {len(owners)} of the rig's cameras, expected two or"
            f" more, such as /{cameras[0]}/keypoints; found {', '.join(topics) or 'none'}"
        )
    return owners


def _people(message: Any, where: str) -> _PEOPLE:
    """The people of one image, [P, 15, 3]."""
    mapping = skeleton_map(message.skeleton)
    n = mapping.source.n_joints
    people = np.zeros((len(message.people), n, 3))
    for row, person in zip(people, message.people, strict=True):
        lengths = (len(person.x), len(person.y), len(person.confidence))
        if set(lengths) != {n}:
            raise UserError(
                f"{where}: x, y and confidence of a person have {lengths[0]}, {lengths[1]} and"
                f" {lengths[2]} elements, expected {n} for '{message.skeleton}'"
            )
        row[:] = np.stack([person.x, person.y, person.confidence], axis=-1)
    return np.asarray(mapping.apply(people), np.float64)
