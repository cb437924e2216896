"""What messages cost (benchmark): reading images, and saying who is there."""

from __future__ import annotations

import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage

from mvssm_ros.geometry.output_skeletons import OutputSkeleton
from mvssm_ros.msg import PersonArray
from mvssm_ros.nodes.conversions import compressed_to_rgb
from mvssm_ros.nodes.parallel import CameraThreads
from mvssm_ros.nodes.person_messages import person_msg
from mvssm_ros.tracking.bodies import bodies_of
from mvssm_ros.tracking.tracker import Tracker

if TYPE_CHECKING:
    from mvssm_ros.predictor import People

_PERIOD_NS = 33_000_000


class PeopleSerializer:
    """One answer after the other to bytes, as the node does it but for the sending."""

    def __init__(self) -> None:
        self._tracker = Tracker()
        self._output = OutputSkeleton("panoptic15")

    def __call__(self, people: People, number: int) -> bytes:
        bits = np.array([1 << t for t in range(len(people.reprojection_px))], np.uint64)
        tracked = self._tracker.update(bodies_of(people, bits), number * _PERIOD_NS)
        message = PersonArray(skeleton=self._output.skeleton.name)
        message.people = [person_msg(body, self._output) for body in tracked]
        return bytes(serialize_message(message))


class JpegReader:
    """Reads the JPEGs of one set as the node does, all cameras at the same time.

    Args:
        images: one [H, W, 3] uint8 RGB a camera.
    """

    def __init__(self, images: Sequence[np.ndarray]) -> None:
        self._messages = [_jpeg(image) for image in images]
        self._threads = CameraThreads(len(images))

    def __call__(self) -> list[np.ndarray]:
        return self._threads.map(lambda msg: compressed_to_rgb(msg, "", ""), self._messages)

    def close(self) -> None:
        self._threads.close()


def _jpeg(rgb: np.ndarray) -> CompressedImage:
    encoded = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1]
    return CompressedImage(format="jpeg", data=array.array("B", encoded.tobytes()))
