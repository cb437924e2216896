"""What runs while pose_node is active: subscriptions, synchroniser, inference thread, status.

Messages are put together into sets on the executor's thread; reading images, inference and
publishing run on a thread of their own, which takes the newest set and drops those it has no time
for.
"""

from __future__ import annotations

import time
import traceback
from contextlib import ExitStack
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
from mvssm_ros.nodes.assembly import make_synchronizer
from mvssm_ros.nodes.calibration_changes import CalibrationChanges
from mvssm_ros.nodes.camera_input import QOS, CameraInput
from mvssm_ros.nodes.camera_markers import ShownCamera
from mvssm_ros.nodes.deadline import DeadlineTimer
from mvssm_ros.nodes.diagnostics import (
    PipelineCounts,
    camera_state,
    diagnostic_msg,
    rig_status_msg,
)
from mvssm_ros.nodes.inference import Inference
from mvssm_ros.nodes.problems import Problems
from mvssm_ros.nodes.rig_summary import CameraState, Output
from mvssm_ros.nodes.rig_watch import FIRST_MESSAGE_WITHIN_S, RigWatch
from mvssm_ros.nodes.worker import OneSlotWorker
from mvssm_ros.rig.image_set import ImageSet
from mvssm_ros.rig.synchronizer import NO_QUORUM, OUT_OF_SLOP

GIVE_UP_AFTER_S = 5.0  # without any set to work on, everybody is lost
_FINISH_WITHIN_S = 0.8  # what inference gets for its last set
_BLOCKING = (
    "clock",
    "inference",
    "unusable",
    "sets",
    "undecided",
)  # problems with which nothing comes out


@dataclass(frozen=True)
class Configured:
    """What configuring the node has made. ``values`` are the parameters."""

    values: dict[str, Any]
    frame_id: str
    inputs: dict[str, CameraInput]
    inference: Inference
    answers: Answers
    calibration: CalibrationChanges


class Pipeline:
    """Runs from its construction until `close`.

    Raises:
        UserError: a topic cannot be set up as the parameters ask; then nothing is left of it.
    """

    def __init__(self, node: LifecycleNode, configured: Configured) -> None:
        values = configured.values
        self._node = node
        self._parts = configured
        self._cameras = list(configured.inputs.values())
        self._counts = PipelineCounts()
        self._problems = Problems("pipeline", node.get_logger())
        self._generation = 0  # counts resets: a set begun before one is not published after it
        self._last_set_s: float | None = None  # None: nobody can be there
        self._unmatched = 0  # images and sets that found no partner, at the last look
        self._enabled = False
        self._enabled_s = 0.0  # since when it is, or is not
        self._sync = make_synchronizer(
            values, list(configured.inputs), self._take_set, self._time_was_set_back
        )
        self._watch = RigWatch(
            self._cameras, self._sync, configured.inference, values, self._problems
        )
        with ExitStack() as made:  # undone in the opposite order, also when making the rest fails
            self._status = self._publisher(made, RigStatus, "rig_status")
            self._diagnostics = self._publisher(made, DiagnosticArray, "/diagnostics")
            self._worker: OneSlotWorker[ImageSet] = OneSlotWorker(
                self._solve, self._inference_failed, "inference"
            )
            made.callback(self._finish_last_set)
            configured.answers.begin()
            made.callback(configured.answers.end)
            self._deadline = DeadlineTimer(node, self._sync)
            made.callback(self._deadline.close)
            steady = Clock(clock_type=ClockType.STEADY_TIME)  # goes on when simulated time stops
            timer = node.create_timer(1.0, self._report, clock=steady)
            made.callback(node.destroy_timer, timer)
            for service in (
                node.create_service(SetBool, "~/enable", self._serve_enable),
                node.create_service(Trigger, "~/reset_tracks", self._serve_reset_tracks),
            ):
                made.callback(node.destroy_service, service)
            for camera in self._cameras:
                camera.reset_counters()
                made.callback(camera.stop)
            self._enable(True)
            self._made = made.pop_all()

    def close(self) -> None:
        """Unsubscribe, lose everybody, delete the markers, let the set in work finish."""
        self._made.close()

    def _finish_last_set(self) -> None:
        if not self._worker.stop(_FINISH_WITHIN_S):
            self._node.get_logger().warning(
                "inference is still busy with its last set; not waiting"
            )

    def message_arrived(self, camera: str, stamp_ns: int, message: Any) -> None:
        """Take a camera's message; called by the CameraInputs."""
        self._sync.add(camera, stamp_ns, message, self._now_ns())
        self._deadline.wake()

    def _take_set(self, image_set: ImageSet) -> None:
        self._worker.offer(image_set)

    def _time_was_set_back(self) -> None:
        self._problems.happened("time", "time was set back: everybody is lost, ids start anew")
        self._forget_everybody()

    def _forget_everybody(self) -> None:
        self._generation += 1
        self._parts.answers.give_up()

    # --- on the inference thread ---

    def _solve(self, image_set: ImageSet) -> None:
        generation = self._generation
        self._parts.calibration.begin_set()
        expected = self._parts.answers.expected_poses_m(image_set.stamp_ns)
        solved = self._parts.inference.solve(image_set, expected)
        if solved is None:
            self._counts.unusable += 1
            if any(camera.problems.texts for camera in self._cameras):  # else camera_info may come
                self._problems.report(
                    "unusable",
                    "too few cameras of a set can be used, no skeletons come out; what is wrong"
                    " with each camera is said in the log and in rig_status",
                    serious=True,
                )
            return
        self._problems.over("unusable")
        self._problems.over("inference")
        if generation != self._generation or not self._enabled:
            return
        began_s = time.perf_counter()
        if self._watch.can_tell:
            confirmed = self._parts.answers.publish(solved.used, solved.people)
        else:
            confirmed = self._parts.answers.publish_unknown(solved.used)
        publish_ms = (time.perf_counter() - began_s) * 1e3
        latency_ms = (self._now_ns() - solved.used.stamp_ns) / 1e6
        times_ms = {**solved.times_ms, "publish": publish_ms, "latency": latency_ms}
        self._counts.times.add(times_ms)
        self._last_set_s = time.monotonic()
        complete = len(solved.used.items) == len(self._cameras)
        self._counts.note_answer(len(confirmed), complete, self._last_set_s)
        self._watch.note_set(solved, confirmed)

    def _inference_failed(self, error: Exception) -> None:
        self._counts.failed += 1
        if isinstance(error, UserError):
            self._problems.report("inference", str(error), serious=True)
            return
        what = " ".join(f"{type(error).__name__}: {error}".split())
        self._problems.report(
            "inference",
            f"a set could not be processed: {what}",
            details="".join(traceback.format_exception(error)),
            serious=True,
        )

    # --- on the executor's thread ---

    def _report(self) -> None:
        """Once a second: rig_status, diagnostics, and what has gone silent."""
        now_ns = self._now_ns()
        self._problems.set(
            "clock",
            now_ns == 0 and time.monotonic() - self._enabled_s > FIRST_MESSAGE_WITHIN_S,
            "use_sim_time is true but nothing has come on /clock; start the simulation, play the"
            " bag with --clock, or set use_sim_time to false",
            serious=True,
        )
        if self._enabled:
            self._watch.look(now_ns)
        misfits = self._watch_qos()
        last_set_s = self._last_set_s
        waited = last_set_s is not None and time.monotonic() - last_set_s > GIVE_UP_AFTER_S
        if waited and not self._worker.busy:
            self._last_set_s = self._counts.latest_people = None
            self._parts.answers.give_up()
        self._counts.note_overwritten(self._worker.overwritten, time.monotonic())
        slow = self._counts.too_slow(time.monotonic())
        self._problems.set("slow", bool(slow), slow)
        states = [camera_state(camera, self._sync, now_ns) for camera in self._cameras]
        self._watch_sets(states)
        self._publish_status(states, misfits)
        entries = [c.calibration.last or c.calibration.entry for c in self._cameras]
        self._parts.answers.publish_cameras(
            [ShownCamera(entry, state) for entry, state in zip(entries, states)]
        )

    def _watch_sets(self, states: list[CameraState]) -> None:
        """Say so when cameras that are well never give a set."""
        drops = self._sync.drops[NO_QUORUM] + self._sync.drops[OUT_OF_SLOP]
        unmatched, self._unmatched = drops > self._unmatched, drops
        enough = sum(state.used for state in states) >= self._sync.min_cameras
        early = time.monotonic() - self._enabled_s < GIVE_UP_AFTER_S
        none = self._last_set_s is None and not early and not self._worker.busy
        if enough and unmatched and none:
            self._problems.report(
                "sets",
                "images arrive, but no set comes out: their stamps are further apart than"
                f" sync.slop, {self._sync.slop_ns / 1e6:.0f} ms; see each camera's offset in"
                " rig_status, synchronise the clocks (PTP, chrony), or raise sync.slop",
                serious=True,
            )
        elif self._last_set_s is not None or not enough:
            self._problems.over("sets")

    def _watch_qos(self) -> int:
        """Name who cannot talk with us; on how many topics."""
        published = [*self._parts.answers.topics, self._status.topic_name]
        published.append(self._diagnostics.topic_name)
        misfits = {topic: qos.misfit(self._node, topic, "publisher") for topic in published}
        for topic in self._parts.calibration.topics:
            misfits[topic] = qos.misfit(self._node, topic, "subscription")
        for topic, text in misfits.items():
            self._problems.set(f"QoS of '{topic}'", bool(text), text)
        for camera in self._cameras:
            camera.watch_qos()
        wrong = [
            *filter(None, misfits.values()),
            *(c for c in self._cameras if c.problems.has(QOS)),
        ]
        return len(wrong)

    def _publish_status(self, states: list[CameraState], misfits: int) -> None:
        output = Output(
            min_cameras=self._sync.min_cameras,
            people=self._counts.latest_people,
            rate_hz=self._counts.rate_hz(time.monotonic()),
            problems=[*self._problems.texts, *self._parts.answers.feeds.problems.texts],
            blocked=any(self._problems.has(kind) for kind in _BLOCKING),
            enabled=self._enabled,
        )
        header = Header(stamp=self._node.get_clock().now().to_msg(), frame_id=self._parts.frame_id)
        status = rig_status_msg(header, self._cameras, states, self._sync, self._counts, output)
        self._status.publish(status)
        name = self._node.get_name()
        self._diagnostics.publish(
            diagnostic_msg(name, status, states, self._sync, self._counts, output, misfits)
        )

    def _enable(self, enabled: bool) -> None:
        if enabled == self._enabled:
            return
        self._enabled, self._enabled_s = enabled, time.monotonic()
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

    def _publisher(self, made: ExitStack, message_type: type, topic: str) -> Any:
        publisher = self._node.create_lifecycle_publisher(
            message_type, topic, qos.answer_qos(), **qos.publisher_options()
        )
        made.callback(self._node.destroy_lifecycle_publisher, publisher)
        publisher.on_activate(None)  # made while the node is becoming active
        return publisher
