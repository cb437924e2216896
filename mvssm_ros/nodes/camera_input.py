"""One camera of the rig: its subscriptions, its calibration, and what is wrong with it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from rclpy.validate_full_topic_name import validate_full_topic_name
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from mvssm_ros.errors import UserError
from mvssm_ros.msg import Keypoints2DArray
from mvssm_ros.nodes import conversions, optional, qos
from mvssm_ros.nodes.camera_calibration import CalibratedCamera
from mvssm_ros.nodes.extrinsics import TfExtrinsics
from mvssm_ros.nodes.problems import Problems
from mvssm_ros.rig.camera_moves import Move
from mvssm_ros.rig.checks import ReprojectionMonitor
from mvssm_ros.rig.rig_file import CameraEntry

# Kinds of problems.
CALIBRATION = "calibration"
IMAGE = "image"
SILENT = "silent"
STAMP = "stamp"
QOS = "qos"
REPROJECTION = "reprojection"
MOVED = "moved"
LEFT_OUT = "disagreement"
FROZEN = "frozen"
CLOCK = "clock"


class CameraInput:
    """Receives what one camera sends.

    ``on_message(name, stamp_ns, message)`` is called on the executor's thread with every message
    that has a stamp; reading the message is left to `read`, for the inference thread.

    Args:
        node: creates the subscriptions.
        entry: from the rig file, topics already overridden by parameters.
        keypoints_topic: used instead of the images where ``mode`` is "keypoints".
        mode: "images" or "keypoints".
        tf: gives extrinsics where ``entry`` has none; None without TF.
        reference_frame: extrinsics from TF are looked up in this frame.
    """

    def __init__(
        self,
        node: Node,
        entry: CameraEntry,
        keypoints_topic: str,
        mode: str,
        tf: TfExtrinsics | None,
        reference_frame: str,
        on_message: Callable[[str, int, Any], None],
    ) -> None:
        """Raises UserError: a topic has a name that ROS cannot have."""
        self.name = entry.name
        self.problems = Problems(f"camera '{entry.name}'", node.get_logger())
        self.received = 0
        self.bad = 0  # messages that could not be read
        self._node = node
        self._entry = entry
        self._mode = mode
        self._on_message = on_message
        self._subscriptions: list[Any] = []
        self._started_s = 0.0
        self._monitor: ReprojectionMonitor | None = None
        self._last_message_s = 0.0
        self._watched = (0, 0)  # received and unmatched images at the last look at the clock
        self._monitored: tuple[Any, float] | None = None  # size and limit that it is for
        topic = keypoints_topic if mode == "keypoints" else entry.image_topic
        self.topic = self._resolved(topic)
        self.info_topic = self._resolved(entry.info_topic)
        self.calibration = CalibratedCamera(
            entry, self.info_topic, tf, reference_frame, node.get_logger().warning, self.judge_anew
        )

    @property
    def message_type(self) -> type:
        """Of what comes on `topic`."""
        if self._mode == "keypoints":
            return Keypoints2DArray
        return CompressedImage if self._entry.transport == "compressed" else Image

    @property
    def needs_info(self) -> bool:
        """Its intrinsics come from camera_info."""
        return self._entry.K is None

    def reset_counters(self) -> None:
        self.received = self.bad = 0
        self._watched = (0, 0)
        self._monitor = None

    def start(self) -> None:
        """Subscribe."""
        self._started_s = time.monotonic()
        self.calibration.begin()
        self._subscribe(self.message_type, self.topic, self.take_message)
        if self.needs_info:
            self._subscribe(CameraInfo, self.info_topic, self.take_info)

    def stop(self) -> None:
        """Unsubscribe."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def calibrated(self, stamp_ns: int) -> CameraEntry:
        """The camera with intrinsics and extrinsics, as valid at the stamp.

        As long as nothing changes it is the same object.

        Raises:
            UserError: one of them is missing or unusable; also reported as a problem, though not in
                the first moments, in which camera_info and TF may be on their way.
        """
        try:
            entry = self.calibration.at(stamp_ns)
        except UserError as error:
            if not self.calibration.may_be_on_its_way:
                self.problems.report(CALIBRATION, str(error))
            raise
        self.problems.over(CALIBRATION)
        return entry

    def read(self, message: Any, expected_px: tuple[int, int] | None) -> np.ndarray:
        """An image as [H, W, 3] uint8 RGB, or keypoints as [P, 15, 3] float32.

        Args:
            expected_px: width and height that the calibration is for; None if unknown.

        Raises:
            UserError: it cannot be read, or has another size; also reported as a problem.
        """
        try:
            if isinstance(message, Keypoints2DArray):
                if message.width and message.height and expected_px:
                    where = f"camera '{self.name}', topic '{self.topic}'"
                    conversions.check_size((message.width, message.height), expected_px, where)
                content = conversions.keypoints_to_panoptic15(message, self.name, self.topic)
            else:
                content = conversions.message_to_rgb(message, self.name, self.topic, expected_px)
        except UserError as error:
            self.bad += 1
            self.problems.report(IMAGE, str(error))
            raise
        self.problems.over(IMAGE)
        return content

    def note_reprojection(self, error_px: float, max_px: float) -> None:
        """Take the reprojection error of one set, raw px; NaN (nobody seen) is ignored.

        Args:
            max_px: what to warn above, px at a long side of 960 px.
        """
        entry = self.calibration.last
        if entry is None or entry.size_px is None:
            return  # cannot be: it was used in a set
        limits = (entry.size_px, max_px)
        if self._monitor is None or self._monitored != limits:
            self._monitor = ReprojectionMonitor({self.name: entry.size_px}, max_px)
            self._monitored = limits
        for warning in self._monitor.update([self.name], [error_px]):
            self.problems.report(REPROJECTION, warning)
        if self.name not in self._monitor.high:
            self.problems.over(REPROJECTION)

    def note_frozen(self, frozen: bool) -> None:
        """Whether its content stays the same while that of the other cameras changes."""
        self.problems.set(
            FROZEN,
            frozen,
            f"camera '{self.name}': it sends the same content again and again on '{self.topic}'"
            " while the other cameras' changes, and is not used; restart its driver",
        )

    @property
    def disagreement(self) -> float:
        """Reprojection error over its limit while that is too high, else 0."""
        if self._monitor is None or self.name not in self._monitor.high:
            return 0.0
        return self._monitor.median_px(self.name) / self._monitor.limit_px[self.name]

    def note_moved(self, move: Move | None) -> None:
        """How far it seems to have moved since people were first seen; None: it has not."""
        if move is None:
            self.problems.over(MOVED)
            return
        self.problems.report(
            MOVED,
            f"camera '{self.name}': it seems to have been moved, by about {move.angle_deg:.1f} deg"
            f" and {100 * move.shift_m:.0f} cm: it shows people {move.image_px:.1f} px (of a 960-px"
            " image) from where they were in line with the other cameras; put it back, or calibrate"
            " it anew (mvssm rig refine)",
        )

    def note_left_out(self, left_out: bool) -> None:
        """Whether it is left out of the skeletons because it disagrees with the others."""
        self.problems.set(
            LEFT_OUT,
            left_out,
            f"camera '{self.name}': it disagrees with the other cameras (its calibration, or its"
            " cable in another's place), so it is left out of the skeletons until it agrees again"
            " (calibration.leave_out)",
        )

    def judge_anew(self) -> None:
        """Forget the reprojection errors so far: another camera may have caused them."""
        if self._monitor is not None:
            self._monitor.clear()
        self.problems.over(REPROJECTION)

    @property
    def reprojection_px(self) -> float:
        """Median over the recent sets, raw px; NaN if there were none."""
        return math.nan if self._monitor is None else self._monitor.median_px(self.name)

    def watch(self, stale: bool, silent_after_s: float) -> None:
        """Report silence; call it now and then.

        Args:
            stale: the synchroniser has stopped waiting for this camera.
            silent_after_s: how long a camera may take to send its first message, or its next
                where the synchroniser cannot know.
        """
        waited_s = time.monotonic() - self._started_s
        if self.problems.has(STAMP):  # its images never reach the synchroniser
            stale = time.monotonic() - self._last_message_s > silent_after_s
        if self.received == 0 and waited_s > silent_after_s:
            hint = (
                "it has a publisher that sends nothing, or nothing that fits our QoS or type"
                if self._node.count_publishers(self.topic)
                else "nobody publishes it: check the camera's driver, the topic's name and"
                " ROS_DOMAIN_ID"
            )
            self.problems.report(
                SILENT,
                f"camera '{self.name}': nothing received on '{self.topic}' for {waited_s:.0f} s;"
                f" {hint}",
            )
        elif self.received and stale:
            self.problems.report(
                SILENT,
                f"camera '{self.name}': nothing more comes on '{self.topic}'; check the camera and"
                " its cable",
            )
        elif self.received:
            self.problems.over(SILENT)

    def watch_qos(self) -> None:
        """Report publishers whose QoS or type does not fit; call it now and then."""
        topics = [subscription.topic_name for subscription in self._subscriptions]
        texts = [qos.misfit(self._node, topic, "subscription") for topic in topics]
        text = "; ".join(text for text in texts if text)
        self.problems.set(QOS, bool(text), f"camera '{self.name}', {text}")

    def watch_clock(self, unmatched: int, offset_ns: float | None, slop_ns: int) -> None:
        """Report stamps that do not fit the other cameras'; call it now and then.

        Args:
            unmatched: images that found no set within the slop, since the node was activated.
            offset_ns: estimated offset of its stamps; None if unknown.
        """
        received, lost = self.received - self._watched[0], unmatched - self._watched[1]
        self._watched = (self.received, unmatched)
        if offset_ns is not None and 2 * lost > received > 0 and abs(offset_ns) > 0.5 * slop_ns:
            self.problems.report(
                CLOCK,
                f"camera '{self.name}': its stamps do not fit the other cameras' (about"
                f" {offset_ns / 1e6:+.0f} ms), so its images find no set within sync.slop,"
                f" {slop_ns / 1e6:.0f} ms; synchronise its clock (PTP, chrony), or try"
                " sync.compensate",
            )
        elif received:
            self.problems.over(CLOCK)

    def take_message(self, message: Any) -> None:
        """An image, or keypoints, on `topic`."""
        self.received += 1
        self._last_message_s = time.monotonic()
        stamp = message.header.stamp
        stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec  # rclpy's Time raises below 0
        if stamp_ns <= 0:
            self.bad += 1
            self.problems.report(
                STAMP,
                f"camera '{self.name}', topic '{self.topic}': header.stamp is {stamp_ns / 1e9:g};"
                " it must be a time after 1970. Images of several"
                " cameras can only be put together by their stamps: let the driver fill it in",
            )
            return
        self.problems.over(STAMP)
        self._on_message(self.name, stamp_ns, message)

    def take_info(self, info: CameraInfo) -> None:
        """A camera_info on `info_topic`."""
        error = self.calibration.take_info(info)
        if error is not None:
            self.problems.report(CALIBRATION, str(error))

    def _resolved(self, topic: str) -> str:
        try:
            resolved = self._node.resolve_topic_name(topic)
            validate_full_topic_name(resolved)
        except (InvalidTopicNameException, RuntimeError) as error:  # rcl's own is a RuntimeError
            reason = str(error).splitlines()[0].split(", at ")[0]
            raise UserError(
                f"camera '{self.name}': its topic cannot be called '{topic}': {reason}; rename the"
                f" camera, or set its topics (cameras.{self.name}.image_topic and so on)"
            ) from error
        return resolved

    def _subscribe(self, message_type: type, topic: str, callback: Callable[[Any], None]) -> None:
        """Through message_filters' Subscriber where it is installed, so that filters can join."""
        options = {"qos_profile": qos.camera_qos(), **qos.subscription_options()}
        filters = optional.message_filters()
        if filters is not None:
            subscriber = filters.Subscriber(self._node, message_type, topic, **options)
            subscriber.registerCallback(callback)
            self._subscriptions.append(subscriber.sub)
        else:
            self._subscriptions.append(
                self._node.create_subscription(message_type, topic, callback, **options)
            )
