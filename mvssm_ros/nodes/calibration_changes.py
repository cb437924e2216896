"""New calibrations while the node is configured: the topic `calibration`, ~/reload_calibration."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rclpy.node import Node
from std_srvs.srv import Trigger

from mvssm_ros.errors import UserError
from mvssm_ros.msg import RigCalibration
from mvssm_ros.nodes import qos
from mvssm_ros.nodes.calibration_messages import calibrated_by
from mvssm_ros.nodes.rig_source import rig_from_parameters
from mvssm_ros.rig.calibration_change import camera_change, rig_change
from mvssm_ros.rig.rig_file import CameraEntry, Rig

if TYPE_CHECKING:
    from mvssm_ros.nodes.camera_input import CameraInput

TOPIC = "calibration"


class CalibrationChanges:
    """From the node's configuration until `close`; the newest calibration that is sound wins.

    A calibration is checked when it comes, on the executor's thread, and used from the next set on
    (`begin_set`, on the inference thread), so that no set mixes two.

    Args:
        rig: as the node was configured.
        inputs: by camera; they get the new calibration.
        values: the node's parameters.
    """

    def __init__(
        self, node: Node, rig: Rig, inputs: dict[str, CameraInput], values: dict[str, Any]
    ) -> None:
        self._node = node
        self._configured = rig
        self._rig = rig  # with all that has come since
        self._used = rig
        self._inputs = inputs
        self._values = values
        self._refused = ""  # what was wrong with the last message; told once
        self._topic = node.resolve_topic_name(TOPIC)
        self._subscription = None
        if values["calibration.source"] in ("auto", "topic"):
            self._subscription = node.create_subscription(
                RigCalibration,
                TOPIC,
                self.take_message,
                qos.latched_qos(),
                **qos.subscription_options(),
            )
        self._service = node.create_service(Trigger, "~/reload_calibration", self._serve_reload)

    @property
    def topics(self) -> list[str]:
        """Full names of the topics it listens to."""
        return [] if self._subscription is None else [self._topic]

    def close(self) -> None:
        """Unsubscribe, end the service."""
        self._node.destroy_service(self._service)
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)

    def begin_set(self) -> None:
        """Use the newest calibration from here on."""
        rig = self._rig
        if rig is not self._used:
            for name, entry in rig.cameras.items():
                self._inputs[name].calibration.entry = entry
            self._used = rig

    def take_message(self, message: RigCalibration) -> None:
        """A new calibration, on the topic or out of a bag; told if it is refused."""
        try:
            rig = calibrated_by(self._rig, message, self._topic)
        except UserError as error:
            if str(error) != self._refused:
                self._refused = str(error)
                self._node.get_logger().warning(
                    f"a calibration is refused, the one before stays: {error}"
                )
            return
        self._refused = ""
        change = self._take(rig)
        source = f" from {message.source!r:.60}" if message.source else ""
        self._node.get_logger().info(f"calibration on '{self._topic}'{source}: {change}")

    def _serve_reload(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        try:
            read = self._read_again()
            change = self._take(read)
            response.success = True
            response.message = f"rig file '{self._values['rig_file']}' read again: {change}"
            if read.space != self._configured.space:
                response.message += "; its new space takes effect when the node is configured"
            self._node.get_logger().info(response.message)
        except UserError as error:
            response.message = f"nothing is changed: {error}"
            self._node.get_logger().warning(f"~/reload_calibration: {response.message}")
        return response

    def _read_again(self) -> Rig:
        """The calibration of the rig file, as it is now, for the cameras the node has.

        Raises:
            UserError: the file is wrong, or is for another rig or another source of calibration.
        """
        path = self._values["rig_file"]
        if not path:
            raise UserError("the parameter 'rig_file' is empty: there is no file to read again")
        if self._values["calibration.source"] == "topic":
            raise UserError(
                f"the calibration comes from the topic '{self._topic}' (parameter"
                " calibration.source is 'topic')"
            )
        read = rig_from_parameters(self._node, self._values).rig
        if set(read.cameras) != set(self._configured.cameras):
            raise UserError(
                f"rig file '{path}' is now for the cameras {list(read.cameras)}, the node was"
                f" configured for {list(self._configured.cameras)}; configure it anew"
            )
        if read.reference_frame != self._configured.reference_frame:
            raise UserError(
                f"rig file '{path}': reference_frame is now '{read.reference_frame}', the node was"
                f" configured for '{self._configured.reference_frame}'; configure it anew"
            )
        for name, before in self._configured.cameras.items():
            lost = set(read.cameras[name].missing()) - set(before.missing())
            if lost:
                raise UserError(
                    f"rig file '{path}': camera '{name}' lacks its {' and its '.join(sorted(lost))}"
                    " now; configure the node anew to take them from elsewhere"
                )
        return read

    def _take(self, rig: Rig) -> str:
        """Of a sound rig, the calibration; returns what it changes."""
        cameras = {}
        for name, before in self._rig.cameras.items():
            entry = _calibration_of(rig.cameras[name], before)
            cameras[name] = entry if camera_change(before, entry) else before
        new = replace(self._rig, cameras=cameras)
        change = rig_change(self._rig, new)
        told = self._rig.warnings()
        self._rig = new
        for text in new.warnings():
            if text not in told:
                self._node.get_logger().warning(text)
        return change


def _calibration_of(entry: CameraEntry, other: CameraEntry) -> CameraEntry:
    """A camera with the calibration of ``entry``; its topics and frame stay those of ``other``."""
    return replace(
        other,
        size_px=entry.size_px,
        K=entry.K,
        distortion_model=entry.distortion_model,
        distortion=entry.distortion,
        R=entry.R,
        t_m=entry.t_m,
    )
