"""The state of the rig and of the pipeline, once a second: rig_status and /diagnostics."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.time import Time
from std_msgs.msg import Header

from mvssm_ros.msg import CameraStatus, RigStatus
from mvssm_ros.nodes.camera_input import FROZEN, LEFT_OUT
from mvssm_ros.nodes.person_messages import duration_msg
from mvssm_ros.nodes.stage_times import StageTimes
from mvssm_ros.rig.synchronizer import LATE, NO_QUORUM, RigSynchronizer

if TYPE_CHECKING:
    from mvssm_ros.nodes.camera_input import CameraInput


@dataclass
class PipelineCounts:
    """What became of the sets since the node was activated."""

    complete: int = 0
    partial: int = 0
    unusable: int = 0  # too few cameras of the set could be used
    failed: int = 0  # inference raised an error
    overwritten: int = 0
    people: int = 0  # sum over the sets of the people seen
    times: StageTimes = field(default_factory=StageTimes)

    @property
    def processed(self) -> int:
        return self.complete + self.partial


def rig_status_msg(
    header: Header, cameras: list[CameraInput], sync: RigSynchronizer, counts: PipelineCounts
) -> RigStatus:
    """How every camera is doing, by the clock of header.stamp."""
    now_ns = Time.from_msg(header.stamp).nanoseconds
    return RigStatus(
        header=header,
        cameras=[_camera_status_msg(camera, sync, now_ns) for camera in cameras],
        sets_complete=counts.complete,
        sets_partial=counts.partial,
        sets_dropped_no_quorum=sync.drops[NO_QUORUM],
        sets_dropped_overwritten=counts.overwritten,
        sets_failed=counts.failed + counts.unusable,
    )


def _camera_status_msg(camera: CameraInput, sync: RigSynchronizer, now_ns: int) -> CameraStatus:
    timing = sync.timing[camera.name]
    late = timing.drops[LATE]
    drift = sync.drift(camera.name)
    status = CameraStatus(
        name=camera.name,
        state=_state(camera, sync, now_ns),
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


def _state(camera: CameraInput, sync: RigSynchronizer, now_ns: int) -> int:
    if camera.received == 0:
        return CameraStatus.WAITING
    if sync.is_stale(camera.name, now_ns):
        return CameraStatus.STALE
    if camera.problems.has("calibration") or camera.problems.has(LEFT_OUT):
        return CameraStatus.NO_CALIBRATION
    if camera.problems.has("image") or camera.problems.has(FROZEN):
        return CameraStatus.BAD_IMAGE
    return CameraStatus.OK


def diagnostic_msg(
    header: Header,
    node_name: str,
    cameras: list[CameraInput],
    sync: RigSynchronizer,
    counts: PipelineCounts,
    problems: str,
) -> DiagnosticArray:
    """One status for the pipeline and one per camera, for rqt_robot_monitor and the like."""
    image_drops: Counter[str] = sum((t.drops for t in sync.timing.values()), Counter())
    values = {
        "sets_processed": counts.processed,
        "sets_complete": counts.complete,
        "sets_partial": counts.partial,
        "sets_dropped_no_quorum": sync.drops[NO_QUORUM],
        "sets_dropped_overwritten": counts.overwritten,
        "sets_dropped_unusable": counts.unusable,
        "sets_failed": counts.failed,
        "people_seen": counts.people,
        **{f"images_dropped_{reason}": count for reason, count in sorted(image_drops.items())},
        "images_dropped_bad": sum(camera.bad for camera in cameras),
    }
    for stage, (p50_ms, p95_ms) in counts.times.percentiles().items():
        values[f"{stage}_p50_ms"] = round(p50_ms, 2)
        values[f"{stage}_p95_ms"] = round(p95_ms, 2)
    pipeline = DiagnosticStatus(
        level=DiagnosticStatus.WARN if problems else DiagnosticStatus.OK,
        name=f"{node_name}: pipeline",
        message=problems or "ok",
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
    )
    return DiagnosticArray(
        header=header,
        status=[pipeline] + [_camera_diagnostic(node_name, camera) for camera in cameras],
    )


def _camera_diagnostic(node_name: str, camera: CameraInput) -> DiagnosticStatus:
    message = camera.problems.message
    return DiagnosticStatus(
        level=DiagnosticStatus.WARN if message else DiagnosticStatus.OK,
        name=f"{node_name}: camera {camera.name}",
        hardware_id=camera.name,
        message=message or "ok",
        values=[
            KeyValue(key="received", value=str(camera.received)),
            KeyValue(key="reprojection_px", value=f"{camera.reprojection_px:.2f}"),
        ],
    )
