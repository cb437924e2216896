"""The images of a bag in synchronous sets, in the bag's own time.

As in `offline`, the same synchroniser puts them together, with the time at which each was recorded as
its clock; there is no node, and nobody is looked for in them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2

from mvssm_ros.bags.reader import BagReader
from mvssm_ros.bags.topics import image_topic
from mvssm_ros.errors import UserError
from mvssm_ros.nodes import conversions
from mvssm_ros.rig.image_set import ImageSet
from mvssm_ros.rig.rig_file import CameraEntry, Rig
from mvssm_ros.rig.synchronizer import RigSynchronizer

_IMAGE, _COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
_INFO = "sensor_msgs/msg/CameraInfo"
_JPEG_QUALITY = 95
_JPEG, _JPEG_END, _TAIL = (
    b"\xff\xd8\xff",
    b"\xff\xd9",
    64,
)  # as the reader of data sets looks for them
_DEADLINE_NS = 1_000_000_000  # offline nobody waits: also late images join their set
_QUEUE = 30  # images a camera


@dataclass
class _Topic:
    """Where a camera's images are."""

    camera: str
    name: str
    compressed: bool


class BagImages:
    """The images of a rig's cameras.

    Args:
        bag: open.
        rig: its cameras all must be in the bag; intrinsics that it has not come from camera_info.
        slop_ns: largest spread of the stamps of a set.

    Raises:
        UserError: the bag has no images, or images of another type, of a camera; a camera's
            intrinsics are neither in the rig nor in the bag; its extrinsics are not in the rig.
    """

    def __init__(self, bag: BagReader, rig: Rig, slop_ns: int) -> None:
        self._bag = bag
        self._where = f"bag {bag.path}"
        self._topics = {t.name: t for t in map(self._topic, rig.cameras.values())}
        self.rig = replace(rig, cameras={n: self._complete(e) for n, e in rig.cameras.items()})
        self._ready: deque[ImageSet] = deque()
        self._sync = RigSynchronizer(
            list(rig.cameras),
            slop_ns=slop_ns,
            deadline_ns=_DEADLINE_NS,
            min_cameras=2,
            queue_size=_QUEUE,
            on_set=self._ready.append,
        )
        self.unstamped = 0  # images without a stamp

    @property
    def drops(self) -> dict[str, int]:
        """Images that went into no set (of no_quorum: sets), by reason."""
        drops = {reason: n for reason, n in sorted(self._sync.drops.items()) if n}
        return drops | ({"no_stamp": self.unstamped} if self.unstamped else {})

    @property
    def n_messages(self) -> int:
        """How many images there are."""
        return sum(self._bag.topics[topic].count for topic in self._topics)

    def sets(self) -> Iterator[ImageSet | None]:
        """The sets, in order, of messages of any of the cameras; None for every message taken.

        Raises:
            UserError: the bag, or a message in it, is broken.
        """
        for topic, time_ns, data in self._bag.messages(list(self._topics)):
            message = self._bag.deserialize(topic, data)
            stamp_ns = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
            self._sync.expire(time_ns)
            if stamp_ns > 0:
                self._sync.add(self._topics[topic].camera, stamp_ns, message, time_ns)
            else:
                self.unstamped += 1
            while self._sync.catch_up():
                pass
            yield from self._leaving()
            yield None
        self._sync.expire(2**63 - 1)
        yield from self._leaving()

    def jpeg(self, camera: str, message: Any) -> bytes:
        """A message of a set as a JPEG file: what was recorded as JPEG as it is.

        Raises:
            UserError: it cannot be decoded, or has another size than the calibration is for.
        """
        topic = next(t for t in self._topics.values() if t.camera == camera)
        expected_px = self.rig.cameras[camera].size_px
        assert expected_px is not None
        if topic.compressed:
            rgb = conversions.compressed_to_rgb(message, camera, topic.name, expected_px)
            data = bytes(message.data)
            if data.startswith(_JPEG) and _JPEG_END in data[-_TAIL:]:
                return data
        else:
            rgb = conversions.image_to_rgb(message, camera, topic.name)
        where = f"camera '{camera}', topic '{topic.name}'"
        conversions.check_size((rgb.shape[1], rgb.shape[0]), expected_px, where)
        bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
        return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1])

    def _leaving(self) -> Iterator[ImageSet]:
        while self._ready:
            yield self._ready.popleft()

    def _topic(self, entry: CameraEntry) -> _Topic:
        names = (image_topic(entry), entry.image_topic, f"{entry.image_topic}/compressed")
        for name in dict.fromkeys(names):
            found = self._bag.topics.get(name)
            if found is None or not found.count:
                continue
            if found.type_name not in (_IMAGE, _COMPRESSED):
                raise UserError(
                    f"{self._where}: topic '{name}' has {found.type_name}, expected {_IMAGE} or"
                    f" {_COMPRESSED}"
                )
            return _Topic(entry.name, name, found.type_name == _COMPRESSED)
        images = [t.name for t in self._bag.topics.values() if t.type_name in (_IMAGE, _COMPRESSED)]
        raise UserError(
            f"{self._where}: has no images of camera {entry.name} (topic {names[0]}); topics with"
            f" images in it: {', '.join(images) or 'none'}; leave the camera out with --cameras, or"
            " name its topic in the rig file (image_topic)"
        )

    def _complete(self, entry: CameraEntry) -> CameraEntry:
        """With intrinsics, of the rig file or else of the first camera_info."""
        if entry.center_m is None:
            raise UserError(
                f"camera {entry.name}: has no extrinsics in the rig file; a data set needs those of"
                " all cameras, and cameras that stand still"
            )
        if entry.K is not None and entry.size_px is not None:
            return entry
        topic = self._bag.topics.get(entry.info_topic)
        if topic is None or topic.type_name != _INFO or not topic.count:
            raise UserError(
                f"camera {entry.name}: its intrinsics are neither in the rig file nor on"
                f" {entry.info_topic} in {self._where}"
            )
        _, _, data = next(iter(self._bag.messages([topic.name])))
        info = conversions.info_to_intrinsics(
            self._bag.deserialize(topic.name, data), entry.name, topic.name
        )
        return replace(
            entry,
            size_px=info.size_px,
            K=info.K,
            distortion_model=info.distortion_model,
            distortion=info.distortion,
        )
