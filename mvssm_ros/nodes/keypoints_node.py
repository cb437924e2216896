"""A node that finds 2D people in camera images: the front-end beside the cameras.

A few kilobytes go over the network instead of images; pose_node takes them with ``input:=keypoints``,
on this machine or on another, and so do ``mvssm rig refine`` and refine_node. One process may serve
one camera or several, each on a thread of its own. Images that nobody would get keypoints of are not
looked at.

    ros2 run mvssm_ros keypoints_node --ros-args -p rig_file:=rig.yaml -p "camera_names:=[left]"
"""

from __future__ import annotations

import sys
import time
from typing import Any

from rcl_interfaces.msg import IntegerRange, ParameterDescriptor
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from mvssm_ros.errors import UserError
from mvssm_ros.frontends.mediapipe import MediaPipeDetector
from mvssm_ros.msg import Keypoints2DArray
from mvssm_ros.nodes import conversions, parameters, qos
from mvssm_ros.nodes.problems import Problems
from mvssm_ros.nodes.rig_source import chosen_cameras
from mvssm_ros.nodes.spin import run_node
from mvssm_ros.nodes.worker import OneSlotWorker
from mvssm_ros.rig.rig_file import CameraEntry, load_rig

_FINISH_WITHIN_S = 1.0
_SILENT_S = 5.0
_PARAMETERS = {
    "rig_file": ("", "Path of the rig file, for the cameras' names and topics; may be empty."),
    "camera_names": ([""], "Cameras to serve. [''] means all of the rig file."),
    "transport": ("auto", "raw or compressed for all of them; auto: as the rig file says of each."),
    "model.tiles": (True, "Search oblong images in square windows too: finds smaller people."),
    "model.max_people": (10, "Most people reported in an image, the surest ones."),
}


class KeypointsNode(Node):
    """Subscribes to each camera's images and publishes /<camera>/keypoints."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("keypoints", **kwargs)
        qos.check_overrides(self)
        values = {name: self._declare(name, *spec) for name, spec in _PARAMETERS.items()}
        entries = _cameras(values["rig_file"], [n for n in values["camera_names"] if n])
        self.streams = [
            _Stream(self, entry, values["model.tiles"], values["model.max_people"])
            for entry in entries
        ]
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self._watch, clock=steady)
        self.get_logger().info(
            f"2D people of {', '.join(s.topic for s in self.streams)} go to"
            f" {', '.join(s.answer_topic for s in self.streams)}"
        )

    def finish(self) -> int | None:
        """This node ends only when it is told to."""
        return None

    def close(self) -> None:
        """Let the images in work finish."""
        for stream in self.streams:
            stream.close()

    def _watch(self) -> None:
        for stream in self.streams:
            stream.watch_qos()
            stream.watch_silence()

    def _declare(self, name: str, default: Any, description: str) -> Any:
        descriptor = ParameterDescriptor(description=description)
        if name == "model.max_people":
            descriptor.integer_range = [IntegerRange(from_value=1, to_value=64, step=0)]
        return self.declare_parameter(name, default, descriptor).value


def _cameras(rig_file: str, names: list[str]) -> list[CameraEntry]:
    if not rig_file and not names:
        raise UserError(
            "neither 'rig_file' nor 'camera_names' is set; give a rig file"
            " (rig_file:=/path/to/rig.yaml), or name the cameras"
        )
    if not rig_file:
        return [CameraEntry.bare(name) for name in names]
    return list(chosen_cameras(load_rig(rig_file), names, rig_file).values())


class _Stream:
    """Images of one camera in, its 2D people out."""

    def __init__(self, node: Node, entry: CameraEntry, tiles: bool, max_people: int) -> None:
        defaults = {
            "image_topic": entry.image_topic,
            "keypoints_topic": f"/{entry.name}/keypoints",
            "transport": entry.transport,
        }
        chosen = parameters.declare_camera(node, entry.name, defaults)
        message_type = CompressedImage if chosen["transport"] == "compressed" else Image
        self.name = entry.name
        self.problems = Problems(f"camera '{entry.name}'", node.get_logger())
        self._expected_px = entry.size_px
        self._detector = MediaPipeDetector(max_people, tiles=tiles)
        self._worker: OneSlotWorker[Any] = OneSlotWorker(
            self._answer, self._failed, f"detector of {entry.name}"
        )
        self._node = node
        self._latest_s = time.monotonic()  # of the latest image
        self._publisher = node.create_publisher(
            Keypoints2DArray,
            chosen["keypoints_topic"],
            qos.answer_qos(),
            **qos.publisher_options(),
        )
        self.answer_topic = self._publisher.topic_name
        self.topic = node.resolve_topic_name(chosen["image_topic"])
        node.create_subscription(
            message_type, self.topic, self._take, qos.camera_qos(), **qos.subscription_options()
        )

    def watch_qos(self) -> None:
        """Report who cannot talk with us; call it now and then."""
        texts = [
            qos.misfit(self._node, self.topic, "subscription"),
            qos.misfit(self._node, self.answer_topic, "publisher"),
        ]
        text = "; ".join(text for text in texts if text)
        self.problems.set("qos", bool(text), f"camera '{self.name}', {text}")

    def close(self) -> None:
        self._worker.stop(_FINISH_WITHIN_S)

    def watch_silence(self) -> None:
        """Report that nothing comes; call it now and then."""
        silent_s = time.monotonic() - self._latest_s
        self.problems.set(
            "silent",
            silent_s > _SILENT_S,
            f"camera '{self.name}': nothing comes on '{self.topic}'; check the camera, the topic's"
            f" name (cameras.{self.name}.image_topic), and transport (raw or compressed)",
        )

    def _take(self, message: Any) -> None:
        self._latest_s = time.monotonic()
        if self._publisher.get_subscription_count():
            self._worker.offer(message)

    def _answer(self, message: Any) -> None:
        """On the worker's thread."""
        image = conversions.message_to_rgb(message, self.name, self.topic, self._expected_px)
        people = self._detector.detect(image)
        self.problems.over("image")
        size_px = (image.shape[1], image.shape[0])
        answer = conversions.keypoints_to_message(
            people, self._detector.skeleton, size_px, message.header
        )
        self._publisher.publish(answer)

    def _failed(self, error: Exception) -> None:
        if isinstance(error, UserError):
            self.problems.report("image", str(error))
        else:
            self.problems.report("image", f"camera '{self.name}': {type(error).__name__}: {error}")


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable keypoints_node."""
    return run_node(KeypointsNode, args)


if __name__ == "__main__":
    sys.exit(main())
