"""A node that plays the demo videos as a rig of cameras: images and camera_info, and then ends.

It waits until all image topics are subscribed to. Stamps are those of the film: the first one is
now, the others follow at the film's rate, however slowly it is played, so that people move at the
speed they moved at. With lockstep every set of images is sent only after the one before has been
answered, so that nothing is dropped however slow the machine.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node

from mvssm_ros.demo_data import FPS, demo_rig, find_demo, read_frames
from mvssm_ros.errors import UserError
from mvssm_ros.nodes import qos
from mvssm_ros.nodes.audience import Audience
from mvssm_ros.nodes.image_publisher import ImagePublisher
from mvssm_ros.nodes.spin import run_node

_PARAMETERS = {
    "people": ("single", "Which film: single (one man) or multi (with a computer-drawn second)."),
    "calibration": ("corrected", "Of camera_info: corrected, or shipped (off by 10 to 16 px)."),
    "rate_hz": (FPS, "Frames per second of the film that are sent; 60 is all of them."),
    "frames": (0, "Only this many frames of the film, from its beginning; 0: all of it."),
    "slow_down": (1.0, "How many times slower than life the film is played."),
    "loops": (1, "How often the film is played; 0: until the node is stopped."),
    "transport": ("raw", "raw (Image, bgr8) or compressed (CompressedImage, JPEG)."),
    "lockstep": (False, "Send the next images only after 'people' has answered the last ones."),
    "answer_within_s": (30.0, "With lockstep: go on without an answer after this time."),
    "subscribers_within_s": (60.0, "Fail unless all image topics are subscribed to by then."),
    "frames_file": ("", "Write the stamp of every frame of the film sent into this JSON file."),
}


class PlayerNode(Node):
    """Publishes <camera>/image_raw (or .../compressed) and <camera>/camera_info."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("player", **kwargs)
        values = {
            name: self.declare_parameter(
                name, default, ParameterDescriptor(description=description)
            ).value
            for name, (default, description) in _PARAMETERS.items()
        }
        _check(values)
        qos.check_overrides(self)
        self._values = values
        self._demo = find_demo(values["people"])
        rig = demo_rig(values["people"], corrected=values["calibration"] == "corrected")
        self._cameras = [
            ImagePublisher(self, rig.cameras[n], values["transport"]) for n in rig.cameras
        ]
        self._stride = max(
            1, round(FPS / values["rate_hz"])
        )  # film frames from one sent to the next
        self._frames = self._play()
        self._next = next(self._frames, None)
        self._first_stamp_ns: int | None = None
        self._sent: list[tuple[int, int]] = []  # stamp, index of the frame in the film
        self._sent_s = 0.0  # when the last was sent
        self._exit_code: int | None = None
        self._audience = Audience(
            self,
            [camera.publisher for camera in self._cameras],
            values["subscribers_within_s"],
            values["answer_within_s"] if values["lockstep"] else None,
        )
        period_s = self._stride / FPS * values["slow_down"]
        self.create_timer(period_s, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def finish(self) -> int | None:
        """The exit code once the film is over."""
        return self._exit_code

    def close(self) -> None:
        """Write frames_file."""
        path = self._values["frames_file"]
        if path and self._sent:
            stamps = [{"stamp_ns": stamp_ns, "frame": frame} for stamp_ns, frame in self._sent]
            Path(path).write_text(json.dumps({"fps": FPS, "sent": stamps}), encoding="utf-8")

    def _play(self) -> Iterator[tuple[int, int, list[np.ndarray]]]:
        """Which frame since the start, which one of the film, and the images of all cameras."""
        loop = played = 0
        while loop < self._values["loops"] or self._values["loops"] == 0:
            films = [read_frames(path) for path in self._demo.videos.values()]
            frame = 0
            for frame, images in enumerate(islice(zip(*films), self._values["frames"] or None)):
                if frame % self._stride == 0:
                    yield played + frame, frame, list(images)
            played += frame + 1
            loop += 1

    def _tick(self) -> None:
        if self._first_stamp_ns is None and not self._audience.listens():
            self._exit_code = 1 if self._audience.missing else None
            return
        if self._sent and not self._audience.has_answered(
            self._sent[-1][0], self._sent_s, f"frame {self._sent[-1][1]}"
        ):
            return
        if self._next is None:
            self._end()
            return
        since_start, frame, images = self._next
        if self._first_stamp_ns is None:
            self._first_stamp_ns = self.get_clock().now().nanoseconds
        stamp_ns = self._first_stamp_ns + round(since_start / FPS * 1e9)
        for camera, image in zip(self._cameras, images):
            camera.publish(image, stamp_ns)
        self._sent.append((stamp_ns, frame))
        self._sent_s = time.monotonic()
        self._next = next(self._frames, None)  # decoded while the receiver works

    def _end(self) -> None:
        self.get_logger().info(f"the film is over, {len(self._sent)} sets of images sent")
        for camera in self._cameras:
            camera.wait_until_received()
        self._exit_code = 0


def _check(values: dict[str, Any]) -> None:
    choices = {
        "people": ("single", "multi"),
        "calibration": ("corrected", "shipped"),
        "transport": ("raw", "compressed"),
    }
    for name, allowed in choices.items():
        if values[name] not in allowed:
            raise UserError(
                f"parameter '{name}' is '{values[name]}', expected {' or '.join(allowed)}"
            )
    if not 0 < values["rate_hz"] <= FPS:
        raise UserError(f"parameter 'rate_hz' is {values['rate_hz']}, expected above 0 to {FPS:g}")
    if values["frames"] < 0:
        raise UserError(f"parameter 'frames' is {values['frames']}, expected 0 or more")
    if not values["slow_down"] > 0:
        raise UserError(f"parameter 'slow_down' is {values['slow_down']}, expected above 0")


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable player_node."""
    return run_node(PlayerNode, args)


if __name__ == "__main__":
    sys.exit(main())
