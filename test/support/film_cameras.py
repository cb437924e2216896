"""Cameras of the demo's film on the clock: set k, at k / rate seconds after 1970, shows image k.

So cameras on several hosts agree without a word, as real ones with synchronised clocks do. The film
runs forwards and backwards, in slow motion. Prints a line of JSON after every set: how many sets
have been sent so far, and how many listen to each camera.

    python film_cameras.py RATE_HZ CAMERA...
"""

import array
import json
import sys
import time
from itertools import islice

import cv2
import numpy as np
import rclpy
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage, Image

from mvssm_ros.demo_data import find_demo, read_frames
from mvssm_ros.nodes import qos

_FRAMES = 49  # of the film, from its beginning
_STEP = 6  # frames of the film from one image to the next
_JPEG_QUALITY = 92


class FilmCamera:
    """One camera: raw images, and JPEGs beside them for who wants these."""

    def __init__(self, node, name):
        frames = islice(read_frames(find_demo().videos[name]), 0, _FRAMES, _STEP)
        jpegs = [_jpeg(frame) for frame in frames]
        self._jpegs = jpegs + jpegs[-2:0:-1]
        topic, profile = f"/{name}/image_raw", qos.answer_qos()  # reliable, as most drivers are
        self._raw = node.create_publisher(Image, topic, profile)
        self._compressed = node.create_publisher(CompressedImage, f"{topic}/compressed", profile)

    @property
    def listeners(self):
        return self._raw.get_subscription_count() + self._compressed.get_subscription_count()

    def publish(self, number, stamp):
        jpeg = self._jpegs[number % len(self._jpegs)]
        if self._raw.get_subscription_count():
            bgr = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
            height, width = bgr.shape[:2]
            message = Image(height=height, width=width, step=3 * width, encoding="bgr8")
            message.header.stamp = stamp
            message.data = array.array("B", bgr.tobytes())
            self._raw.publish(message)
        if self._compressed.get_subscription_count():
            message = CompressedImage(format="jpeg", data=array.array("B", jpeg.tobytes()))
            message.header.stamp = stamp
            self._compressed.publish(message)


def _jpeg(rgb) -> np.ndarray:
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]


def main(rate_hz: float, names: list[str]) -> None:
    rclpy.init()
    node = rclpy.create_node(f"film_cameras_{'_'.join(names)}")
    cameras = [FilmCamera(node, name) for name in names]
    number = int(time.time() * rate_hz) + 1
    sent = 0
    while rclpy.ok():
        time.sleep(max(0.0, number / rate_hz - time.time()))
        stamp = Time(nanoseconds=round(number / rate_hz * 1e9)).to_msg()
        for camera in cameras:
            camera.publish(number, stamp)
        sent += 1
        listeners = [camera.listeners for camera in cameras]
        print(json.dumps({"images": sent, "listeners": listeners}), flush=True)
        number += 1


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
