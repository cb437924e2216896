"""What runs while pose_node is active: subscriptions, synchroniser, inference thread, status.

Messages are put together into sets on the executor's thread; reading images, inference and
publishing run on a thread of their own, which takes the newest set and drops those it has no time
for.
"""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger

from mvssm_ros.errors import UserError
from mvssm_ros.msg import RigStatus
from mvssm_ros.nodes import qos
from mvssm_ros.nodes.answers import Answers
from mvssm_ros.nodes.camera_input import CameraInput
from mvssm_ros.nodes.deadline import DeadlineTimer
from mvssm_ros.nodes.diagnostics import PipelineCounts, diagnostic_msg, rig_status_msg
from mvssm_ros.nodes.inference import Inference
from mvssm_ros.nodes.problems import Problems
from mvssm_ros.nodes.rig_watch import RigWatch
from mvssm_ros.nodes.worker import OneSlotWorker
from mvssm_ros.rig.image_set import ImageSet
from mvssm_ros.rig.synchronizer import RigSynchronizer

_GIVE_UP_AFTER_S = 5.0  # without any set to work on, everybody is lost
_FINISH_WITHIN_S = 2.0  # what inference gets for its last set


@dataclass(frozen=True)
class Configured:
    """What configuring the node has made. ``values`` are the parameters."""

    values: dict[str, Any]
    frame_id: str
    inputs: dict[str, CameraInput]
    inference: Inference
    answers: Answers


class Pipeline:
    """Runs from its construction until `close`."""

    def __init__(self, node: LifecycleNode, configured: Configured) -> None:
        values = configured.values
        self._node = node
        self._parts = configured
        self._cameras = list(configured.inputs.values())
        self._counts = PipelineCounts()
        self._problems = Problems("pipeline", node.get_logger())
        self._generation = 0  # counts resets: a set begun before one is not published after it
        self._last_set_s: float | None = None  # None: nobody can be there
        self._enabled = False
        self._sync = RigSynchronizer(
            list(configured.inputs),
            slop_ns=round(values["sync.slop"] * 1e9),
            deadline_ns=round(values["sync.deadline"] * 1e9),
            min_cameras=values["sync.min_cameras"],
            queue_size=values["sync.queue_size"],
            on_set=self._take_set,
            on_reset=self._time_was_set_back,
            compensate=values["sync.compensate"],
        )
        self._watch = RigWatch(
            self._cameras, self._sync, configured.inference, values, self._problems
        )
        self._worker: OneSlotWorker[ImageSet] = OneSlotWorker(
            self._solve, self._inference_failed, "inference"
        )
        self._status = self._publisher(RigStatus, "rig_status")
        self._diagnostics = self._publisher(DiagnosticArray, "/diagnostics")
        self._deadline = DeadlineTimer(node, self._sync)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # goes on when simulated time stands still
        self._report_timer = node.create_timer(1.0, self._report, clock=steady)
        self._services = [
            node.create_service(SetBool, "~/enable", self._serve_enable),
            node.create_service(Trigger, "~/reset_tracks", self._serve_reset_tracks),
        ]
        for camera in self._cameras:
            camera.reset_counters()
        configured.answers.begin()
        self._enable(True)

    def close(self) -> None:
        """Unsubscribe, let the set in work finish, lose everybody, delete the markers."""
        for camera in self._cameras:
            camera.stop()
        self._deadline.close()
        self._node.destroy_timer(self._report_timer)
        for service in self._services:
            self._node.destroy_service(service)
        self._generation += 1  # nothing is published from here on but what comes next
        if not self._worker.stop(_FINISH_WITHIN_S):
            self._node.get_logger().warning(
                "inference is still busy with its last set; not waiting"
            )
        self._parts.answers.end()
        for publisher in (self._status, self._diagnostics):
            self._node.destroy_lifecycle_publisher(publisher)

    def message_arrived(self, camera: str, stamp_ns: int, message: Any) -> None:
        """Take a camera's message; called by the CameraInputs."""
        self._sync.add(camera, stamp_ns, message, self._now_ns())
        self._deadline.wake()

    def _take_set(self, image_set: ImageSet) -> None:
        self._worker.offer(image_set)

    def _time_was_set_back(self) -> None:
        self._node.get_logger().warning("time was set back: everybody is lost, ids start anew")
        self._forget_everybody()

    def _forget_everybody(self) -> None:
        self._generation += 1
        self._parts.answers.give_up()

    # --- on the inference thread ---

    def _solve(self, image_set: ImageSet) -> None:
        generation = self._generation
        solved = self._parts.inference.solve(image_set)
        if solved is None:
            self._counts.unusable += 1
            self._problems.report(
                "unusable",
                "too few cameras of a set can be used, no skeletons come out; what is wrong with"
                " each camera is said above and in rig_status",
            )
            return
        self._problems.over("unusable")
        self._problems.over("inference")
        if generation != self._generation or not self._enabled:
            return
        began_s = time.perf_counter()
        people = self._watch.credible(solved.people)
        confirmed = self._parts.answers.publish(solved.used, people)
        self._counts.people += len(confirmed)
        publish_ms = (time.perf_counter() - began_s) * 1e3
        self._counts.times.add({**solved.times_ms, "publish": publish_ms})
        if len(solved.used.items) == len(self._cameras):
            self._counts.complete += 1
        else:
            self._counts.partial += 1
        self._watch.note_set(solved, confirmed)
        self._last_set_s = time.monotonic()

    def _inference_failed(self, error: Exception) -> None:
        self._counts.failed += 1
        if isinstance(error, UserError):
            self._problems.report("inference", str(error))
        else:
            text = "".join(traceback.format_exception(error))
            self._problems.report("inference", f"a set could not be processed:\n{text}")

    # --- on the executor's thread ---

    def _report(self) -> None:
        """Once a second: rig_status, diagnostics, and what has gone silent."""
        now_ns = self._now_ns()
        self._problems.set(
            "clock",
            now_ns == 0,
            "use_sim_time is true but nothing has come on /clock; start the simulation, play the"
            " bag with --clock, or set use_sim_time to false",
        )
        if self._enabled:
            self._watch.look(now_ns)
        last_set_s = self._last_set_s
        waited = last_set_s is not None and time.monotonic() - last_set_s > _GIVE_UP_AFTER_S
        if waited and not self._worker.busy:
            self._last_set_s = None
            self._parts.answers.give_up()
        self._counts.overwritten = self._worker.overwritten
        header = Header(stamp=self._node.get_clock().now().to_msg(), frame_id=self._parts.frame_id)
        self._status.publish(rig_status_msg(header, self._cameras, self._sync, self._counts))
        self._diagnostics.publish(
            diagnostic_msg(
                header,
                self._node.get_name(),
                self._cameras,
                self._sync,
                self._counts,
                self._problems.message,
            )
        )

    def _enable(self, enabled: bool) -> None:
        if enabled == self._enabled:
            return
        self._enabled = enabled
        for camera in self._cameras:
            if enabled:
                camera.start()
            else:
                camera.stop()
        if not enabled:
            self._sync.flush()
            self._forget_everybody()

    def _serve_enable(
        self, request: SetBool.Request, response: SetBool.Response
    ) -> SetBool.Response:
        self._enable(request.data)
        response.success = True
        response.message = "receiving images" if request.data else "no longer receiving images"
        return response

    def _serve_reset_tracks(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        self._forget_everybody()
        response.success = True
        response.message = "everybody is lost; whoever is seen gets a new id"
        return response

    def _now_ns(self) -> int:
        return self._node.get_clock().now().nanoseconds

    def _publisher(self, message_type: type, topic: str) -> Any:
        name = self._node.resolve_topic_name(topic)
        publisher = self._node.create_lifecycle_publisher(
            message_type,
            topic,
            qos.answer_qos(),
            event_callbacks=qos.publisher_events(name, self._node.get_logger().warning),
            qos_overriding_options=qos.overridable(),
        )
        publisher.on_activate(None)  # made while the node is becoming active
        return publisher
