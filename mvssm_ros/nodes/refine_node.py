"""A node that improves the calibration of a rig from people who walk about, when asked.

It listens to the 2D keypoints of all cameras and keeps the last seconds of them. The service
`~/refine` adjusts the rig to them (see `mvssm_ros.rig.refine`). If that lowers the reprojection
error of the held-out half of the frames, the new calibration is published, latched, on the topic
`calibration`, and the next refinement starts from it.

The service answers when the adjustment is done, which can take a minute; for that the node needs an
executor with several threads. Everything else goes on meanwhile.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.executors import MultiThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from mvssm_ros.errors import UserError
from mvssm_ros.msg import Keypoints2DArray, RigCalibration
from mvssm_ros.nodes import parameters, qos
from mvssm_ros.nodes.calibration_messages import calibration_message
from mvssm_ros.nodes.camera_input import CameraInput
from mvssm_ros.nodes.extrinsics import TfExtrinsics
from mvssm_ros.nodes.parameters import Spec
from mvssm_ros.nodes.rig_source import rig_from_parameters
from mvssm_ros.nodes.spin import run_node
from mvssm_ros.rig.keypoint_sequence import KeypointSequence
from mvssm_ros.rig.keypoint_window import KeypointWindow
from mvssm_ros.rig.refine import Settings, refine_rig
from mvssm_ros.rig.refine_report import comment, error, table
from mvssm_ros.rig.rig_file import CameraEntry, Rig

_RIG = ("rig_file", "reference_frame", "camera_names", "transport", "calibration.source")
_SPACE = ("space.center", "space.size", "space.floor")
SPECS = (
    *(spec for spec in parameters.SPECS if spec.name in (*_RIG, *_SPACE)),  # as in pose_node
    Spec(
        "keep_s",
        60.0,
        "So many seconds of keypoints before the newest are kept, and used when asked to refine.",
        2.0,
        600.0,
    ),
    Spec("principal_points", False, "Refine the cameras' principal points too.", dynamic=True),
    Spec(
        "time_offsets",
        False,
        "Find out how long after its stamp each camera's images are taken; only told, not corrected.",
        dynamic=True,
    ),
    Spec(
        "rough_deg",
        Settings.rough_deg,
        "How wrong the cameras' directions may be, degrees.",
        0.01,
        30.0,
        dynamic=True,
    ),
    Spec(
        "rough_m",
        Settings.rough_m,
        "How wrong the cameras' places may be, m.",
        0.0001,
        2.0,
        dynamic=True,
    ),
    Spec("out", "", "Rig file to write when a refinement is better. Empty: none.", dynamic=True),
)
_SILENT_AFTER_S = 5.0
_GIVE_UP_S = 20.0  # for a refinement in progress to end
_THREADS = 3  # of the executor: a refinement waits in one, a second request is refused in another


class RefineNode(Node):
    """See the module. Keyword arguments are those of rclpy's Node."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("refiner", **kwargs)
        qos.check_overrides(self)
        parameters.declare(self, SPECS)
        values = parameters.read(self, SPECS)
        _check_out(values["out"])
        source = rig_from_parameters(self, values)
        self._rig = source.rig
        self._refined: dict[str, CameraEntry] = {}  # by the last refinement
        self._window = KeypointWindow(source.rig.cameras, values["keep_s"])
        self._window_lock = threading.Lock()
        self._done = dict.fromkeys(source.rig.cameras, 0)  # messages taken or refused
        self._refining = threading.Lock()
        self._closing = False
        for name in parameters.unknown_overrides(self):
            if name not in {spec.name for spec in parameters.SPECS}:  # a file for both nodes
                self.get_logger().warning(f"parameter '{name}' is given but does not exist")
        self._tf = TfExtrinsics(self, source.from_tf) if source.from_tf else None
        self._inputs = {
            name: CameraInput(
                self,
                entry,
                source.keypoints_topics[name],
                "keypoints",
                self._tf,
                source.rig.reference_frame,
                self._take,
            )
            for name, entry in source.rig.cameras.items()
        }
        self._publisher = self.create_publisher(
            RigCalibration,
            "calibration",
            qos.latched_qos(),
            qos_overriding_options=qos.overridable(),
        )
        self.create_service(
            Trigger, "~/refine", self._serve_refine, callback_group=ReentrantCallbackGroup()
        )
        self.add_on_set_parameters_callback(self._check_change)
        self.create_timer(1.0, self._watch, clock=Clock(clock_type=ClockType.STEADY_TIME))
        for camera in self._inputs.values():
            camera.start()
        self.get_logger().info(
            f"listening to {[camera.topic for camera in self._inputs.values()]}; call"
            f" {self.resolve_service_name('~/refine')} when people have walked about"
        )

    def finish(self) -> int | None:
        """This node ends only when it is told to."""
        return None

    def received(self, camera: str) -> int:
        """Messages of a camera that were taken or refused so far."""
        return self._done[camera]

    def close(self) -> None:
        """A refinement in progress is given up within a second or two."""
        self._closing = True
        self._refining.acquire(timeout=_GIVE_UP_S)  # while the executor can still answer
        for camera in self._inputs.values():
            camera.stop()
        if self._tf is not None:
            self._tf.close()

    def _take(self, name: str, stamp_ns: int, message: Keypoints2DArray) -> None:
        entry = self._rig.cameras[name]
        try:
            people = self._inputs[name].read(message, entry.size_px)
        except UserError:
            self._done[name] += 1
            return  # it was reported
        with self._window_lock:
            forward = self._window.add(name, stamp_ns, people)
        self._done[name] += 1
        if not forward:
            self.get_logger().warning(
                f"camera '{name}': its stamps went back; the keypoints kept so far are forgotten"
            )

    def _watch(self) -> None:
        for camera in self._inputs.values():
            camera.watch(stale=False, silent_after_s=_SILENT_AFTER_S)

    def _check_change(self, changes: list[Parameter]) -> SetParametersResult:
        fixed = {spec.name for spec in SPECS if not spec.dynamic}
        try:
            for change in changes:
                if change.name == "out":
                    _check_out(change.value)
                elif change.name in fixed or change.name.startswith("cameras."):
                    raise UserError(f"'{change.name}' is read when the node starts: restart it")
        except UserError as problem:
            return SetParametersResult(successful=False, reason=str(problem))
        return SetParametersResult(successful=True)

    def _serve_refine(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        if not self._refining.acquire(blocking=False):
            response.message = "a refinement is in progress; ask again when it has been answered"
            return response
        try:
            response.success, response.message = self._refine()
            if response.success:
                self.get_logger().info(f"refined: {response.message}")
            else:
                self.get_logger().warning(f"not refined: {response.message}")
        finally:
            self._refining.release()
        return response

    def _refine(self) -> tuple[bool, str]:
        """Whether there is a better calibration now, and a sentence."""
        values = parameters.read(self, SPECS)
        settings = Settings(*(values[key] for key in
                              ("principal_points", "time_offsets", "rough_deg", "rough_m")))  # fmt: skip
        try:
            rig, sequence, newest_ns = self._given()
            self.get_logger().info(
                f"refining {', '.join(sequence.cameras)} from {len(sequence.stamps_ns)} frames"
            )
            refined = refine_rig(rig, sequence, settings, self._go_on)
        except UserError as problem:
            return False, str(problem)
        for line in table(refined, settings):
            self.get_logger().info(line)
        if not refined.improved:
            return False, (
                f"the held-out reprojection error is no better ({error(refined)}); the calibration"
                " stays as it is"
            )
        cameras = refined.rig.cameras
        self._refined |= {c.name: cameras[c.name] for c in refined.cameras if c.refined}
        told = f"held-out reprojection error {error(refined)} (median)"
        self._publisher.publish(
            calibration_message(
                refined, newest_ns, f"{self.get_name()}: {told}", settings.principal_points
            )
        )
        unsure = [camera.name for camera in refined.cameras if camera.unsure]
        if unsure:
            told += f"; {', '.join(unsure)} remain uncertain"
        as_given = [camera.name for camera in refined.cameras if not camera.refined]
        if as_given:
            told += f"; {', '.join(as_given)} as given: too few people were seen with the others"
        return True, told + _written(refined.rig, values["out"], comment(refined, settings))

    def _given(self) -> tuple[Rig, KeypointSequence, int]:
        """The rig as it is now, what its cameras saw, and the newest stamp.

        Raises:
            UserError: a camera lacks a calibration, or fewer than two have sent keypoints.
        """
        with self._window_lock:
            silent = [name for name, images in self._window.count().items() if not images]
            if len(self._inputs) - len(silent) < 2:
                topics = ", ".join(self._inputs[name].topic for name in silent)
                raise UserError(
                    f"nothing to refine from: no keypoints yet on {topics}; two cameras or more are"
                    " needed, with people walking about for ten seconds or more"
                )
            sequence = self._window.sequence("keypoints")
            newest_ns = self._window.newest_ns
        cameras = dict(self._rig.cameras)
        for name in sequence.cameras:
            cameras[name] = self._refined.get(name) or self._inputs[name].calibrated(newest_ns)
        return replace(self._rig, cameras=cameras), sequence, newest_ns

    def _go_on(self) -> None:
        if self._closing:
            raise UserError("the node is ending")


def _check_out(path: str) -> None:
    folder = Path(path).absolute().parent
    if path and not folder.is_dir():
        raise UserError(f"parameter 'out' is '{path}', but the folder {folder} does not exist")


def _written(rig: Rig, path: str, head: str) -> str:
    """Write the rig file if asked to; what to add to the answer."""
    if not path:
        return ""
    try:
        rig.save(path, head)
    except UserError as problem:
        return f"; {problem}"
    return f"; written to {path}"


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable refine_node."""
    return run_node(RefineNode, args, lambda: MultiThreadedExecutor(_THREADS))


if __name__ == "__main__":
    sys.exit(main())
