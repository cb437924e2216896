"""Publishes a camera's images, raw or as JPEG, each with its camera_info."""

from __future__ import annotations

import array

import cv2
import numpy as np
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from mvssm_ros.nodes import qos
from mvssm_ros.nodes.conversions import intrinsics_to_info
from mvssm_ros.rig.rig_file import CameraEntry

_JPEG_QUALITY = 92


class ImagePublisher:
    """Publishers of one camera. The messages are made once and filled again and again."""

    def __init__(self, node: Node, entry: CameraEntry, transport: str) -> None:
        self._compressed = transport == "compressed"
        name = entry.image_topic + ("/compressed" if self._compressed else "")
        message_type = CompressedImage if self._compressed else Image
        options = {"qos_overriding_options": qos.overridable()}
        self.publisher = node.create_publisher(message_type, name, qos.answer_qos(), **options)
        self._info_publisher = node.create_publisher(
            CameraInfo, entry.info_topic, qos.answer_qos(), **options
        )
        self._image = message_type()
        self._info = full_info(entry)
        self._image.header.frame_id = self._info.header.frame_id = entry.frame_id
        self._pixels: np.ndarray | None = None  # a view of self._image.data

    def publish(self, rgb: np.ndarray, stamp_ns: int) -> None:
        """rgb: [H, W, 3] uint8."""
        stamp = Time(nanoseconds=stamp_ns).to_msg()
        self._image.header.stamp = self._info.header.stamp = stamp
        if self._compressed:
            self._fill_jpeg(rgb)
        else:
            self._fill_raw(rgb)
        self._info_publisher.publish(self._info)
        self.publisher.publish(self._image)

    def wait_until_received(self) -> None:
        self.publisher.wait_for_all_acked(Duration(seconds=2))

    def _fill_raw(self, rgb: np.ndarray) -> None:
        """In place: assigning a numpy array to data takes a hundred times longer."""
        height, width = rgb.shape[:2]
        if self._pixels is None or self._pixels.shape != rgb.shape:
            self._image.height, self._image.width, self._image.step = height, width, 3 * width
            self._image.encoding = "bgr8"
            self._image.data = array.array("B", bytes(rgb.size))
            self._pixels = np.frombuffer(self._image.data, np.uint8).reshape(rgb.shape)
        cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR, dst=self._pixels)

    def _fill_jpeg(self, rgb: np.ndarray) -> None:
        bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
        encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
        self._image.format = "bgr8; jpeg compressed bgr8"
        self._image.data = array.array("B", encoded.tobytes())


def full_info(entry: CameraEntry) -> CameraInfo:
    """The camera_info of a camera that is alone: no rectification."""
    info = intrinsics_to_info(entry)
    info.r = np.eye(3).reshape(-1).tolist()
    info.p = np.hstack([entry.K, np.zeros((3, 1))]).reshape(-1).tolist()
    return info
