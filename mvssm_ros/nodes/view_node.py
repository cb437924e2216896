"""A node that shows people, cameras, images and diagnostics in a browser, while they come."""

from __future__ import annotations

import sys
import time
import webbrowser
from functools import partial
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from mvssm_ros.msg import (
    Keypoints2DArray,
    PersonArray,
    RigCalibration,
    RigStatus,
    SkeletonInfo,
)
from mvssm_ros.nodes import qos
from mvssm_ros.nodes.problems import Problems
from mvssm_ros.nodes.spin import run_node
from mvssm_ros.nodes.view_messages import ViewMessages
from mvssm_ros.rig.rig_file import CameraEntry, Rig, load_rig
from mvssm_ros.viewing.outlet import LOCALHOST, Outlet
from mvssm_ros.viewing.scene import WIDTH_PX, Scene

_LOOK_EVERY_S = 0.5
_SILENT_S = 3.0  # without an answer: nobody is shown; without a status: nothing is known


class ViewNode(Node):
    """Subscribes to what pose_node publishes and to the cameras, and serves the viewer.

    Raises:
        UserError: the viewer library is not installed, the rig file is wrong, a port is taken, or
            the file to save to cannot be written.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("view", **kwargs)
        self._outlet: Outlet | None = None
        rig_file = self._declare("rig_file", "", "Rig file (YAML); empty: no frusta are shown.")
        host = self._declare(
            "host", LOCALHOST, "Address to listen on. Anybody who reaches it can watch."
        )
        port = self._declare(
            "port",
            9090,
            "Of the page in the browser; its data comes from the next port.",
            integer_range=[IntegerRange(from_value=1, to_value=65534, step=1)],
        )
        save = self._declare("save", "", "File (.rrd) that gets all that is shown; empty: none.")
        image_rate_hz = self._declare(
            "image_rate",
            5.0,
            "Images a second to show of each camera, Hz.",
            floating_point_range=[FloatingPointRange(from_value=0.1, to_value=100.0)],
        )
        width_px = self._declare(
            "image_width",
            WIDTH_PX,
            "Images are shown at most this wide, px.",
            integer_range=[IntegerRange(from_value=16, to_value=8192, step=1)],
        )
        open_browser = self._declare("open_browser", False, "Open the page in a browser.")
        qos.check_overrides(self)
        rig = load_rig(rig_file) if rig_file else Rig()
        self._problems = Problems("viewer", self.get_logger())
        self._outlet = Outlet(host, port, Path(save) if save else None)
        if self._outlet.warning:
            self.get_logger().warning(self._outlet.warning)
        self._scene = Scene(self._outlet.recording, rig, live=True, width_px=width_px)
        self._messages = ViewMessages(self._scene, image_rate_hz, self._problems.report)
        self._began_s = time.monotonic()
        self._heard_s: dict[str, float] = {}  # people and rig_status, when the last came
        self._watched: set[str] = set()  # cameras whose images, or none, we know how to get
        self._silent = False
        self._subscribe_to_answers()
        self._look_for_cameras()
        self.create_timer(_LOOK_EVERY_S, self._look_around)
        print(f"mvssm view: {self._outlet.url} (Ctrl-C ends it)", flush=True)
        if open_browser:
            webbrowser.open(self._outlet.url)

    def finish(self) -> int | None:
        """It goes on until it is told to stop."""
        return None

    def close(self) -> None:
        """Nobody listens any more, and the file is complete."""
        if self._outlet is not None:
            self._outlet.close()

    def _declare(self, name: str, default: Any, description: str, **ranges: Any) -> Any:
        descriptor = ParameterDescriptor(description=description, **ranges)
        return self.declare_parameter(name, default, descriptor).value

    # --- what pose_node says ---

    def _subscribe_to_answers(self) -> None:
        messages = self._messages
        answer, latched = qos.answer_qos(), qos.latched_qos()
        self._subscribe(PersonArray, "people", self._hear_people, answer)
        self._subscribe(RigStatus, "rig_status", self._hear_status, answer)
        self._subscribe(SkeletonInfo, "skeleton_info", messages.skeleton, latched)
        self._subscribe(DiagnosticArray, "/diagnostics", messages.diagnostics, answer)
        if self._scene.rig.cameras:
            topic = self.resolve_topic_name("calibration")
            take = partial(messages.calibration, topic)
            self._subscribe(RigCalibration, "calibration", take, latched)

    def _hear_people(self, message: PersonArray) -> None:
        self._heard_s["people"] = time.monotonic()
        self._messages.people(message)

    def _hear_status(self, message: RigStatus) -> None:
        self._heard_s["rig_status"] = time.monotonic()
        self._silent = False
        self._messages.status(message)

    # --- cameras ---

    def _look_for_cameras(self) -> None:
        """Subscribe to those of the rig file, and of the others once somebody publishes them."""
        for name in self._scene.cameras:
            if name in self._watched:
                continue
            entry = self._scene.rig.cameras.get(name)
            transport = entry.transport if entry else self._transport_of(name)
            if transport:
                self._watched.add(name)
                self._watch(entry or CameraEntry.bare(name), transport)

    def _transport_of(self, name: str) -> str:
        """How a camera of which only the name is known sends its images; empty: it does not."""
        topic = CameraEntry.bare(name).image_topic
        if self.count_publishers(f"{topic}/compressed"):
            return "compressed"
        if self.count_publishers(topic) or self.count_publishers(f"/{name}/keypoints"):
            return "raw"
        return ""

    def _watch(self, entry: CameraEntry, transport: str) -> None:
        name, messages, profile = entry.name, self._messages, qos.camera_qos()
        topic, kind = entry.image_topic, Image
        if transport == "compressed":
            topic, kind = f"{topic}/compressed", CompressedImage
        self._subscribe(kind, topic, partial(messages.image, name, topic), profile)
        topic = f"/{name}/keypoints"
        self._subscribe(Keypoints2DArray, topic, partial(messages.keypoints, name, topic), profile)
        if entry.K is None and name in self._scene.rig.cameras:
            topic = entry.info_topic
            self._subscribe(CameraInfo, topic, partial(messages.info, name, topic), profile)

    def _subscribe(self, message_type: type, topic: str, take: Any, profile: Any) -> None:
        self.create_subscription(
            message_type, topic, take, profile, qos_overriding_options=qos.overridable()
        )

    # --- silence ---

    def _look_around(self) -> None:
        self._look_for_cameras()
        self._scene.show_waiting()
        now_s = time.monotonic()
        people_s = self._heard_s.get("people")
        if people_s is not None and now_s - people_s > _SILENT_S:
            del self._heard_s["people"]
            self._scene.forget_people(round(_SILENT_S * 1e9))
        status_s = self._heard_s.get("rig_status", self._began_s)
        if not self._silent and now_s - status_s > _SILENT_S:
            self._silent = True
            topic = self.resolve_topic_name("rig_status")
            text = (
                f"nothing has come on '{topic}' for {now_s - status_s:.0f} s: is pose_node active,"
                " in the same namespace and ROS_DOMAIN_ID?"
            )
            self.get_logger().warning(text)
            self._scene.forget_status(self.get_clock().now().nanoseconds, text)


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable view_node."""
    return run_node(ViewNode, args)


if __name__ == "__main__":
    sys.exit(main())
