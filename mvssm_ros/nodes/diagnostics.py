"""The state of the rig and of the pipeline, once a second: rig_status and /diagnostics."""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.duration import Duration
from rclpy.time import Time
from std_msgs.msg import Header

from mvssm_ros.msg import CameraStatus, RigStatus
from mvssm_ros.nodes import camera_input, rig_summary
from mvssm_ros.nodes.person_messages import duration_msg
from mvssm_ros.nodes.rig_summary import CameraState, Output
from mvssm_ros.nodes.stage_times import StageTimes
from mvssm_ros.rig.synchronizer import LATE, NO_QUORUM, RigSynchronizer

if TYPE_CHECKING:
    from mvssm_ros.nodes.camera_input import CameraInput

_RATE_WINDOW_S = 5.0
_SAFE_RATE_HZ = 3.0  # below this people who walk may change places between two sets
# The state of a camera by the kind of its problem; the first that it has counts.
_STATES = {
    camera_input.CALIBRATION: CameraStatus.NO_CALIBRATION,
    camera_input.IMAGE: CameraStatus.BAD_IMAGE,
    camera_input.FROZEN: CameraStatus.FROZEN,
    camera_input.CLOCK: CameraStatus.OUT_OF_STEP,
    camera_input.LEFT_OUT: CameraStatus.DISAGREES,
    camera_input.MOVED: CameraStatus.DISAGREES,
}
STATE_NAMES = {
    CameraStatus.WAITING: "WAITING",
    CameraStatus.OK: "OK",
    CameraStatus.STALE: "STALE",
    CameraStatus.NO_CALIBRATION: "NO_CALIBRATION",
    CameraStatus.BAD_IMAGE: "BAD_IMAGE",
    CameraStatus.DISAGREES: "DISAGREES",
    CameraStatus.FROZEN: "FROZEN",
    CameraStatus.OUT_OF_STEP: "OUT_OF_STEP",
}
_LEVELS = {
    RigStatus.OK: DiagnosticStatus.OK,
    RigStatus.WARN: DiagnosticStatus.WARN,
    RigStatus.ERROR: DiagnosticStatus.ERROR,
}


@dataclass
class PipelineCounts:
    """What became of the sets since the node was activated."""

    complete: int = 0
    partial: int = 0
    unusable: int = 0  # too few cameras of the set could be used
    failed: int = 0  # inference raised an error
    overwritten: int = 0
    people: int = 0  # sum over the sets of the people seen
    latest_people: int | None = None  # seen in the latest set; None: that is long ago
    times: StageTimes = field(default_factory=StageTimes)
    answered_s: deque[float] = field(default_factory=lambda: deque(maxlen=1000))
    overwritten_s: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=100))

    @property
    def processed(self) -> int:
        return self.complete + self.partial

    def note_answer(self, people: int, complete: bool, now_s: float) -> None:
        """One set was answered."""
        self.people += people
        self.latest_people = people
        self.complete += complete
        self.partial += not complete
        self.answered_s.append(now_s)

    def note_overwritten(self, total: int, now_s: float) -> None:
        """How many sets have been overwritten by now."""
        self.overwritten = total
        self.overwritten_s.append((now_s, total))

    def too_slow(self, now_s: float) -> str:
        """What is wrong where, for five seconds, most sets have been overwritten, and those that
        were answered are too few to tell people apart; else nothing."""
        before = [total for t, total in self.overwritten_s if now_s - t >= _RATE_WINDOW_S - 0.5]
        rate_hz = self.rate_hz(now_s)
        if not before or rate_hz is None or rate_hz >= _SAFE_RATE_HZ:
            return ""
        dropped_hz = (self.overwritten - before[-1]) / _RATE_WINDOW_S
        if dropped_hz <= rate_hz:
            return ""
        return (
            f"inference is too slow for the cameras: {rate_hz:.1f} of {rate_hz + dropped_hz:.0f}"
            " sets a second are answered, and people may exchange their ids; lower the cameras'"
            " rate, or give the node more of the machine"
        )

    def rate_hz(self, now_s: float) -> float | None:
        """Answers a second over the last five seconds; None if there were fewer than two."""
        recent_s = [t for t in list(self.answered_s) if now_s - t <= _RATE_WINDOW_S]
        if len(recent_s) < 2 or recent_s[-1] <= recent_s[0]:
            return None
        return (len(recent_s) - 1) / (recent_s[-1] - recent_s[0])


def camera_state(camera: CameraInput, sync: RigSynchronizer, now_ns: int) -> CameraState:
    """How a camera is doing, by the node's clock."""
    return CameraState(camera.name, _state(camera, sync, now_ns), camera.problems.texts)


def _state(camera: CameraInput, sync: RigSynchronizer, now_ns: int) -> int:
    if camera.received == 0:
        return CameraStatus.WAITING
    if camera.problems.has(camera_input.STAMP) and not camera.problems.has(camera_input.SILENT):
        return CameraStatus.OUT_OF_STEP  # to the synchroniser it is silent
    if sync.is_stale(camera.name, now_ns):
        return CameraStatus.STALE
    if sync.timing[camera.name].last_arrival_ns is None:
        return (
            CameraStatus.WAITING
        )  # nothing since it was switched off and on, or time was set back
    present = (state for kind, state in _STATES.items() if camera.problems.has(kind))
    return next(present, CameraStatus.OK)


def rig_status_msg(
    header: Header,
    cameras: list[CameraInput],
    states: list[CameraState],
    sync: RigSynchronizer,
    counts: PipelineCounts,
    output: Output,
) -> RigStatus:
    """How every camera is doing, by the clock of header.stamp."""
    return RigStatus(
        header=header,
        summary=rig_summary.summary(states, output),
        level=rig_summary.level(states, output),
        cameras=[
            _camera_status_msg(camera, state.state, sync, Time.from_msg(header.stamp).nanoseconds)
            for camera, state in zip(cameras, states)
        ],
        sets_complete=counts.complete,
        sets_partial=counts.partial,
        sets_dropped_no_quorum=sync.drops[NO_QUORUM],
        sets_dropped_overwritten=counts.overwritten,
        sets_failed=counts.failed + counts.unusable,
    )


def _camera_status_msg(
    camera: CameraInput, state: int, sync: RigSynchronizer, now_ns: int
) -> CameraStatus:
    timing = sync.timing[camera.name]
    late = timing.drops[LATE]
    drift = sync.drift(camera.name)
    status = CameraStatus(
        name=camera.name,
        state=state,
        rate_hz=1e9 / timing.period_ns if timing.period_ns else 0.0,
        drift_ppm=math.nan if drift is None else drift * 1e6,
        received=camera.received,
        dropped_late=late,
        dropped_out_of_slop=sum(timing.drops.values()) - late,
        dropped_bad=camera.bad,
        reprojection_px=camera.reprojection_px,
        message=camera.problems.message,
    )
    if timing.last_stamp_ns is not None:
        status.age = duration_msg(now_ns - timing.last_stamp_ns)
    offset_ns = sync.offset_ns(camera.name)
    if offset_ns is not None:
        status.offset = duration_msg(int(offset_ns))
    return status


def diagnostic_msg(
    node_name: str,
    status: RigStatus,
    states: list[CameraState],
    sync: RigSynchronizer,
    counts: PipelineCounts,
    output: Output,
    qos_problems: int,
) -> DiagnosticArray:
    """One status for the pipeline and one per camera, for rqt_robot_monitor and the like.

    Args:
        status: of the same moment; what it says of the rig and of each camera is repeated.
        qos_problems: topics on which somebody's QoS or type does not fit.
    """
    image_drops: Counter[str] = sum((t.drops for t in sync.timing.values()), Counter())
    values: dict[str, Any] = {
        "sets_processed": counts.processed,
        "sets_complete": counts.complete,
        "sets_partial": counts.partial,
        "sets_dropped_no_quorum": status.sets_dropped_no_quorum,
        "sets_dropped_overwritten": counts.overwritten,
        "sets_dropped_unusable": counts.unusable,
        "sets_failed": counts.failed,
        "sets_hz": f"{output.rate_hz or 0.0:.2f}",
        "cameras_used": sum(state.used for state in states),
        "people": counts.latest_people or 0,
        "people_seen": counts.people,
        **{f"images_dropped_{reason}": count for reason, count in sorted(image_drops.items())},
        "images_dropped_bad": sum(camera.dropped_bad for camera in status.cameras),
        "qos_problems": qos_problems,
    }
    for stage, (p50_ms, p95_ms) in counts.times.percentiles().items():
        values[f"{stage}_p50_ms"] = round(p50_ms, 2)
        values[f"{stage}_p95_ms"] = round(p95_ms, 2)
    pipeline = DiagnosticStatus(
        level=_LEVELS[status.level],
        name=f"{node_name}: pipeline",
        message=status.summary,
        hardware_id=node_name,
        values=_key_values(values),
    )
    cameras = [
        _camera_diagnostic(node_name, camera, state, sync.offset_ns(camera.name) is not None)
        for camera, state in zip(status.cameras, states)
    ]
    return DiagnosticArray(header=status.header, status=[pipeline, *cameras])


def _camera_diagnostic(
    node_name: str, camera: CameraStatus, state: CameraState, offset_known: bool
) -> DiagnosticStatus:
    offset_ms = Duration.from_msg(camera.offset).nanoseconds / 1e6
    values = {
        "state": STATE_NAMES[camera.state],
        "rate_hz": f"{camera.rate_hz:.2f}",
        "age_s": f"{Duration.from_msg(camera.age).nanoseconds / 1e9:.3f}",
        "offset_ms": f"{offset_ms if offset_known else math.nan:.2f}",
        "drift_ppm": f"{camera.drift_ppm:.1f}",
        "received": camera.received,
        "dropped_late": camera.dropped_late,
        "dropped_out_of_slop": camera.dropped_out_of_slop,
        "dropped_bad": camera.dropped_bad,
        "reprojection_px": f"{camera.reprojection_px:.2f}",
    }
    return DiagnosticStatus(
        level=_camera_level(state),
        name=f"{node_name}: camera {camera.name}",
        hardware_id=camera.name,
        message=" | ".join(state.texts) or rig_summary.IN_USE,
        values=_key_values(values),
    )


def _camera_level(state: CameraState) -> bytes:
    """STALE: silent. ERROR: it sends, but is not used. WARN: it is used, with a problem."""
    if state.state in (CameraStatus.WAITING, CameraStatus.STALE):
        return DiagnosticStatus.STALE
    if not state.used:
        return DiagnosticStatus.ERROR
    return DiagnosticStatus.WARN if state.texts else DiagnosticStatus.OK


def _key_values(values: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=str(value)) for key, value in values.items()]
