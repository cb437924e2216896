"""Messages, of rclpy or of a bag, to the viewer's scene; what cannot be read is told, not shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mvssm_ros.errors import UserError
from mvssm_ros.nodes.calibration_messages import calibrated_by
from mvssm_ros.nodes.conversions import (
    compressed_to_rgb,
    image_to_rgb,
    info_to_intrinsics,
    keypoints_to_panoptic15,
)
from mvssm_ros.viewing.scene import Scene


class ViewMessages:
    """Takes the messages of every topic that the viewer shows.

    Args:
        image_rate_hz: of each camera, by the stamps; more images are left out.
        report: told (kind, line) of what is wrong with a message.
    """

    def __init__(
        self, scene: Scene, image_rate_hz: float, report: Callable[[str, str], None]
    ) -> None:
        self.scene = scene
        self._period_ns = 0.9e9 / image_rate_hz  # a little less: stamps jitter
        self._report = report
        self._image_ns: dict[str, int] = {}

    def skeleton(self, message: Any) -> None:
        self.scene.take_skeleton(message)

    def people(self, message: Any) -> None:
        frame, expected = message.header.frame_id, self.scene.rig.reference_frame
        if frame.removeprefix("/") != expected and self.scene.rig.cameras:
            self._report(
                "frame",
                f"people are in the frame '{frame}', the rig file's is '{expected}': cameras are"
                " shown in the wrong place; give the rig file that the node uses",
            )
        self.scene.take_people(message)

    def status(self, message: Any) -> None:
        self.scene.take_status(message)

    def diagnostics(self, message: Any) -> None:
        self.scene.take_diagnostics(message)

    def keypoints(self, camera: str, topic: str, message: Any) -> None:
        try:
            people = keypoints_to_panoptic15(message, camera, topic)
        except UserError as error:
            self._report(topic, str(error))
            return
        size_px = (message.width, message.height)
        self.scene.take_keypoints(camera, _stamp_ns(message), people, size_px)

    def image(self, camera: str, topic: str, message: Any) -> None:
        """An Image or a CompressedImage."""
        stamp_ns = _stamp_ns(message)
        last_ns = self._image_ns.get(camera)
        if last_ns is not None and 0 <= stamp_ns - last_ns < self._period_ns:
            return
        self._image_ns[camera] = stamp_ns
        read = compressed_to_rgb if hasattr(message, "format") else image_to_rgb
        try:
            image = read(message, camera, topic)
        except UserError as error:
            self._report(topic, str(error))
            return
        self.scene.take_image(camera, stamp_ns, image)

    def info(self, camera: str, topic: str, message: Any) -> None:
        """A CameraInfo: used where the rig file gives no intrinsics."""
        rig = self.scene.rig
        entry = rig.cameras.get(camera)
        if entry is None or entry.K is not None:
            return
        try:
            found = info_to_intrinsics(message, camera, topic)
        except UserError as error:
            self._report(topic, str(error))
            return
        known = replace(
            entry,
            K=found.K,
            distortion_model=found.distortion_model,
            distortion=found.distortion,
            size_px=found.size_px,
        )
        self.scene.set_rig(replace(rig, cameras={**rig.cameras, camera: known}))

    def calibration(self, topic: str, message: Any) -> None:
        """A RigCalibration, for the cameras of the rig file."""
        try:
            self.scene.set_rig(calibrated_by(self.scene.rig, message, topic))
        except UserError as error:
            self._report(topic, str(error))


def _stamp_ns(message: Any) -> int:
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
