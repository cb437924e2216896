"""A simulated rig: live cameras of a scenario's people, and where these truly are.

For every set of images it publishes, per camera, `/<camera>/keypoints` (or the image) and
camera_info, then `ground_truth` (PersonArray) with the same stamp, and the transforms of cameras and
robot arm where tf2_msgs is installed. Set number k shows the world k / rate seconds after the start:
the same scenario and seed give the same people and keypoints, however fast the machine.

    ros2 run mvssm_ros sim_rig_node --ros-args -p scenario:=crossing -p "lost_cameras:=[cam2, cam4]"
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import torch
from rcl_interfaces.msg import ParameterDescriptor, ParameterType, SetParametersResult
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from mvssm_ros.errors import UserError
from mvssm_ros.msg import Keypoints2DArray, PersonArray
from mvssm_ros.nodes import qos
from mvssm_ros.nodes.audience import Audience
from mvssm_ros.nodes.conversions import keypoints_to_message
from mvssm_ros.nodes.ground_truth import ground_truth_msg
from mvssm_ros.nodes.image_publisher import ImagePublisher, full_info
from mvssm_ros.nodes.problems import Problems
from mvssm_ros.nodes.sim_transforms import SimTransforms
from mvssm_ros.nodes.spin import run_node
from mvssm_ros.rig.rig_file import CameraEntry
from mvssm_ros.simulation.rendering import Renderer
from mvssm_ros.simulation.scenario_file import load_scenario
from mvssm_ros.simulation.simulator import Simulator

_PARAMETERS = {
    "scenario": ("crossing", "Name of a scenario of the package (config/scenarios), or a file."),
    "seed": (0, "Other people and other noise; the same seed gives the same, byte for byte."),
    "rate": (0.0, "Sets of images a second; 0: as the scenario says."),
    "content": ("keypoints", "keypoints (of a 2D detector with noise) or images (rendered)."),
    "duration": (0.0, "Seconds of the scenario, then the node ends; 0: until it is stopped."),
    "lost_from": (0.0, "Second of the scenario from which the lost_cameras of the start are lost."),
    "lost_until": (0.0, "Second at which they come back; 0: never."),
    "lockstep": (False, "Send the next set only after 'people' has answered the last one."),
    "answer_within_s": (30.0, "With lockstep: go on without an answer after this time."),
    "subscribers_within_s": (60.0, "With lockstep: fail unless all are subscribed to by then."),
    "frames_file": ("", "Write the stamp and number of every set sent into this JSON file."),
}
_CONTENTS = ("keypoints", "images")


class SimRigNode(Node):
    """Publishes a scenario's cameras, its transforms and its truth."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("sim_rig", **kwargs)
        values = {
            name: self.declare_parameter(
                name, default, ParameterDescriptor(description=description)
            ).value
            for name, (default, description) in _PARAMETERS.items()
        }
        self._values = values
        _check(values)
        qos.check_overrides(self)
        scenario = load_scenario(values["scenario"])
        self._simulator = Simulator(scenario, values["seed"], values["rate"] or None)
        self._entries = list(scenario.rig.cameras.values())
        self._lost: tuple[str, ...] = ()
        self._lost_s = (values["lost_from"], values["lost_until"] or math.inf)  # from, until
        self._declare_lost_cameras()
        draws = values["content"] == "images"
        self._renderer = (
            Renderer(self._simulator.cameras, scenario.rig.space, self._simulator.boxes)
            if draws
            else None
        )
        self._cameras = [
            ImagePublisher(self, entry, entry.transport)
            if draws
            else _KeypointsPublisher(self, entry)
            for entry in self._entries
        ]
        self._truth = self.create_publisher(
            PersonArray, "ground_truth", qos.answer_qos(), qos_overriding_options=qos.overridable()
        )
        self._transforms = SimTransforms(self, scenario.rig)
        self._audience = Audience(
            self,
            [camera.publisher for camera in self._cameras],
            values["subscribers_within_s"],
            values["answer_within_s"] if values["lockstep"] else None,
        )
        self._problems = Problems("sim_rig", self.get_logger())
        self._rate_hz = self._simulator.rate_hz
        self._sets = math.ceil(values["duration"] * self._rate_hz - 1e-6) or math.inf
        self._first_ns: int | None = None  # stamp of set 0
        self._began_s = 0.0  # when set 0 was sent
        self._next = 0
        self._sent: list[tuple[int, int]] = []  # stamp, number
        self._sent_s = 0.0
        self._exit_code: int | None = None
        self.get_logger().info(
            f"scenario {scenario.name}, seed {values['seed']}:"
            f" {', '.join(self._simulator.names) or 'nobody'}"
            f" before {', '.join(e.name for e in self._entries)}, {self._rate_hz:g} sets of"
            f" {values['content']} a second"
        )
        self.add_on_set_parameters_callback(self._on_parameters)
        self.create_timer(
            1 / self._rate_hz, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def finish(self) -> int | None:
        """The exit code once `duration` is over."""
        return self._exit_code

    def close(self) -> None:
        """Write frames_file."""
        path = self._values["frames_file"]
        if path and self._sent:
            sent = [{"stamp_ns": stamp_ns, "frame": number} for stamp_ns, number in self._sent]
            text = json.dumps({"fps": self._rate_hz, "sent": sent})
            try:
                Path(path).write_text(text, encoding="utf-8")
            except OSError as error:
                raise UserError(
                    f"parameter 'frames_file': {path} cannot be written: {error.strerror}"
                ) from error

    def _tick(self) -> None:
        if self._exit_code is not None:
            return
        if self._values["lockstep"] and not self._may_send():
            return
        if self._first_ns is None:
            self._first_ns = self.get_clock().now().nanoseconds
            self._began_s = time.monotonic()
        if not self._values["lockstep"]:
            self._skip_what_is_late()
        if self._next >= self._sets:
            self._end()
            return
        self._send(self._next)
        self._next += 1

    def _may_send(self) -> bool:
        """The audience is there and has answered the last set."""
        if not self._sent:
            if self._audience.listens():
                return True
            self._exit_code = 1 if self._audience.missing else None
            return False
        stamp_ns, number = self._sent[-1]
        return self._audience.has_answered(stamp_ns, self._sent_s, f"set {number}")

    def _skip_what_is_late(self) -> None:
        """Sets that this machine had no time for are left out: stamps keep to the clock."""
        due = math.floor((time.monotonic() - self._began_s) * self._rate_hz + 0.5)
        if due > self._next:
            self._problems.report(
                "late",
                f"this machine is too slow for {self._rate_hz:g} sets of"
                f" {self._values['content']} a second: some are left out; lower the"
                " parameter 'rate' (mvssm sim --rate)",
            )
            self._next = due
        else:
            self._problems.over("late")

    def _send(self, number: int) -> None:
        stamp_ns = self._first_ns + round(number / self._rate_hz * 1e9)
        moment = self._simulator.moment(number)
        keypoints, seen = self._simulator.keypoints(moment)
        self._transforms.publish(self._simulator.arm_frames(moment), stamp_ns)
        lost = self._lost_at(number / self._rate_hz)
        for view, (entry, camera) in enumerate(zip(self._entries, self._cameras)):
            if entry.name in lost:
                continue
            shown = self._renderer.paint(moment, view) if self._renderer else keypoints[view]
            camera.publish(shown, stamp_ns)
        header = Header(
            stamp=Time(nanoseconds=stamp_ns).to_msg(),
            frame_id=self._simulator.scenario.rig.reference_frame,
        )
        names = [entry.name for entry in self._entries]
        self._truth.publish(
            ground_truth_msg(moment, self._simulator.names, seen, names, lost, header)
        )
        if self._values["frames_file"]:
            self._sent.append((stamp_ns, number))
        else:
            self._sent = [(stamp_ns, number)]
        self._sent_s = time.monotonic()

    def _end(self) -> None:
        self.get_logger().info(f"the scenario is over ({self._next / self._rate_hz:g} s)")
        for camera in self._cameras:
            camera.wait_until_received()
        self._truth.wait_for_all_acked(Duration(seconds=2))
        self._exit_code = 0

    # --- lost cameras ---

    def _declare_lost_cameras(self) -> None:
        description = "Cameras that send nothing; may be changed while the node runs."
        value = self.declare_parameter(
            "lost_cameras",
            [""],
            ParameterDescriptor(description=description, type=ParameterType.PARAMETER_STRING_ARRAY),
        ).value
        problem = self._misnamed(value)
        if problem:
            raise UserError(problem)
        self._lost = tuple(name for name in value if name)

    def _on_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        fixed = [parameter.name for parameter in parameters if parameter.name in _PARAMETERS]
        if fixed:
            return SetParametersResult(
                successful=False,
                reason=f"parameter '{fixed[0]}' is read at the start only: start the node again",
            )
        changes = [parameter for parameter in parameters if parameter.name == "lost_cameras"]
        for parameter in changes:
            problem = self._misnamed(parameter.value)
            if problem:
                return SetParametersResult(successful=False, reason=problem)
        for parameter in changes:
            self._lost = tuple(name for name in parameter.value if name)
            self._lost_s = (0.0, math.inf)
            self.get_logger().info(f"lost cameras: {', '.join(self._lost) or 'none'}")
        return SetParametersResult(successful=True)

    def _lost_at(self, second: float) -> tuple[str, ...]:
        begin, end = self._lost_s
        return self._lost if begin <= second < end else ()

    def _misnamed(self, names: list[str]) -> str:
        known = [entry.name for entry in self._entries]
        wrong = [name for name in names if name and name not in known]
        if not wrong:
            return ""
        return (
            f"parameter 'lost_cameras': there is no camera '{wrong[0]}' in scenario"
            f" {self._simulator.scenario.name}, which has {', '.join(known)}"
        )


class _KeypointsPublisher:
    """/<camera>/keypoints and its camera_info."""

    def __init__(self, node: Node, entry: CameraEntry) -> None:
        options = {"qos_overriding_options": qos.overridable()}
        self.publisher = node.create_publisher(
            Keypoints2DArray, f"/{entry.name}/keypoints", qos.answer_qos(), **options
        )
        self._info_publisher = node.create_publisher(
            CameraInfo, entry.info_topic, qos.answer_qos(), **options
        )
        self._entry = entry
        self._info = full_info(entry)

    def publish(self, people: Any, stamp_ns: int) -> None:
        """people: [P, 15, 3] (x px, y px, confidence)."""
        header = Header(stamp=Time(nanoseconds=stamp_ns).to_msg(), frame_id=self._entry.frame_id)
        self._info.header = header
        self._info_publisher.publish(self._info)
        self.publisher.publish(
            keypoints_to_message(people, "panoptic15", self._entry.size_px, header)
        )

    def wait_until_received(self) -> None:
        self.publisher.wait_for_all_acked(Duration(seconds=2))


def _check(values: dict[str, Any]) -> None:
    if values["content"] not in _CONTENTS:
        raise UserError(
            f"parameter 'content' is '{values['content']}', expected {' or '.join(_CONTENTS)}"
        )
    if values["seed"] < 0:
        raise UserError(f"parameter 'seed' is {values['seed']}, expected 0 or more")
    for name, most in (("rate", 120.0), ("duration", 1e6), ("lost_from", 1e6), ("lost_until", 1e6)):
        if not 0 <= values[name] <= most:
            raise UserError(
                f"parameter '{name}' is {values[name]:g}, expected 0 to {most:g}; 0 is the default"
            )
    if 0 < values["lost_until"] <= values["lost_from"]:
        raise UserError(
            f"parameter 'lost_until' is {values['lost_until']:g}, expected more than 'lost_from',"
            f" {values['lost_from']:g}, or 0 for never"
        )


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable sim_rig_node."""
    torch.set_num_threads(1)  # where the network is busy too, a second only waits: 40 times slower
    return run_node(SimRigNode, args)


if __name__ == "__main__":
    sys.exit(main())
