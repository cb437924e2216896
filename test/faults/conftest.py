"""A simulated rig that runs in real time while faults come and go, and the table of what happened.

A camera sends the 2D keypoints of one walking person, or plain images, five times a second. A fault
is a function that changes what one camera sends. Every test says what was published, what was
reported and how soon the rig recovered; with MVSSM_FAULT_TABLE=FILE these make a Markdown table
(`make fault-table`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.time import Time

from mvssm_ros.geometry.cameras import project
from mvssm_ros.msg import CameraStatus, Keypoints2D, Keypoints2DArray
from mvssm_ros.rig.rig_file import Rig

from ..nodes.conftest import (  # noqa: F401
    SIZE_PX,
    WARN,
    World,
    rig_and_file,
    standing_person,
    trained_weights,
    untrained_weights,
    world,
)

PERIOD_S = 0.2
WRONG_M = 0.2  # a skeleton further off (mean over its joints) is in the wrong place
# Given a camera's tick, its messages: (seconds to wait before sending, message).
Sending = list[tuple[float, Any]]
Fault = Callable[[int, Any], Sending]


@dataclass
class Row:
    """One line of the table."""

    fault: str
    published: str
    reported: str
    recovered: str


ROWS: list[Row] = []


def pytest_sessionfinish() -> None:
    path = os.environ.get("MVSSM_FAULT_TABLE")
    if path and ROWS:
        Path(path).write_text(table(sorted(ROWS, key=lambda row: row.fault)), "utf-8")


def table(rows: list[Row]) -> str:
    lines = [
        "# What happens when",
        "",
        "Made by `make fault-table`: the real node on the real middleware, four cameras at 5 Hz,"
        " one person walking. A person whom half or fewer of the cameras see who ought to is"
        " tentative. Rows about TF need tf2_ros.",
        "",
        "| fault | what was published | what was reported | recovered |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row.fault} | {row.published} | {row.reported.replace('|', '/')} | {row.recovered} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def where_she_is(time_s: float) -> np.ndarray:
    """The walking person [15, 3] m: a circle of 0.8 m radius at 0.5 m/s."""
    angle = 0.5 / 0.8 * time_s
    return standing_person(0.8 * np.cos(angle), 0.8 * np.sin(angle))


@dataclass
class SimulatedRig:
    """Cameras of a room in which one person walks, until `stop`."""

    world: World
    rig: Rig
    make: Callable[[str, int, int], Any] | None = None  # camera, tick, stamp_ns -> message
    message_type: type = Keypoints2DArray
    suffix: str = "keypoints"
    faults: dict[str, Fault] = field(default_factory=dict)
    tick: int = 0
    clock: Callable[[], int] = time.time_ns  # what the cameras' stamps are taken from

    def __post_init__(self) -> None:
        self._pending: list[tuple[float, str, Any]] = []  # when to send, topic, message
        self._origin_ns = self.clock()
        self._next_s = time.monotonic()
        self._timer = self.world.tester.create_timer(0.01, self._run)

    def stop(self) -> None:
        self.world.tester.destroy_timer(self._timer)

    def truth_m(self, stamp_ns: int) -> np.ndarray:
        return where_she_is((stamp_ns - self._origin_ns) / 1e9)

    def _run(self) -> None:
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = max(self._next_s + PERIOD_S, now_s - PERIOD_S)
            stamp_ns = self.clock()
            for name in self.rig.cameras:
                message = (self.make or self.keypoints)(name, self.tick, stamp_ns)
                fault = self.faults.get(name)
                sending = [(0.0, message)] if fault is None else fault(self.tick, message)
                topic = f"/{name}/{self.suffix}"
                self._pending += [(now_s + wait_s, topic, each) for wait_s, each in sending]
            self.tick += 1
        due = [p for p in self._pending if p[0] <= now_s]
        self._pending = [p for p in self._pending if p[0] > now_s]
        for _, topic, message in due:
            self.world.publisher(self.message_type, topic).publish(message)

    def keypoints(self, name: str, tick: int, stamp_ns: int, seen_by: str = "") -> Keypoints2DArray:
        """What a perfect detector sees; `seen_by` another camera, if its cable is in the wrong port."""
        message = Keypoints2DArray(skeleton="panoptic15", width=SIZE_PX[0], height=SIZE_PX[1])
        message.header.stamp = Time(nanoseconds=stamp_ns).to_msg()
        joints = torch.tensor(self.truth_m(stamp_ns), dtype=torch.float32)
        pixels, _ = project(self.rig.to_cameras([seen_by or name]), joints)
        x, y = pixels[0].T.tolist()
        message.people = [Keypoints2D(x=x, y=y, confidence=[0.9] * 15)]
        return message


class Trial:
    """The node under test with its simulated rig, and what one fault did to it."""

    def __init__(self, simulated: SimulatedRig, node: Any) -> None:
        self.simulated, self.world, self.node = simulated, simulated.world, node
        self._from = 0  # answers before the fault
        self._began_ns = 0
        self._status_before: Any = None  # rig_status when the fault began
        self._status_after: Any = None  # and when it ended

    def healthy(self, within_s: float = 30.0) -> float:
        """Spin until whole sets are answered and all cameras are well; how long it took, s."""
        began_s, first = time.monotonic(), len(self.world.answers)
        everybody = (1 << len(self.simulated.rig.cameras)) - 1
        self.world.status.clear()

        def well() -> bool:
            recent = self.world.answers[first:][-3:]
            status = self.world.status[-1].cameras if self.world.status else []
            return (
                len(recent) == 3
                and all(answer.cameras_used == everybody for answer in recent)
                and len(status) > 0
                and all(camera.state == CameraStatus.OK for camera in status)
            )

        self.world.spin_until(well, within_s)
        return time.monotonic() - began_s

    def inject(self, faults: dict[str, Fault], for_s: float = 3.0) -> list[Any]:
        """Let the faults act; returns the answers meanwhile, and checks that none is wrong."""
        self.world.logs.clear()
        self._status_before = self.world.status[-1]
        self._began_ns = time.time_ns() - 2_000_000_000  # a fault may begin a little before
        self._from = len(self.world.answers)
        self.simulated.faults = faults
        self.world.spin_for(for_s)
        self._status_after = self.world.status[-1]
        return self.world.answers[self._from :]

    def inject_until(
        self, faults: dict[str, Fault], *said: str, within_s: float = 60.0
    ) -> list[Any]:
        """As `inject`, until a log line with all these words has come, and two seconds more."""
        self.inject(faults, 0.5)
        self.world.spin_until(lambda: bool(self.world.said(*said)), within_s)
        self.world.spin_for(2.0)
        self._status_after = self.world.status[-1]
        return self.world.answers[self._from :]

    def mend(self) -> float:
        """Take the faults away; seconds until all is well again."""
        self.simulated.faults = {}
        return self.healthy()

    def worst_m(self, answers: list[Any], certain: bool = False) -> float:
        """The largest mean joint distance of a reported person from where she was; NaN if none.

        certain: of those who are confirmed.
        """
        worst = np.nan
        for answer in answers:
            truth = self.simulated.truth_m(Time.from_msg(answer.header.stamp).nanoseconds)
            for person in answer.people:
                if person.track_state in (person.COASTING, person.LOST):
                    continue
                if certain and person.track_state == person.TENTATIVE:
                    continue
                found = np.array(
                    [[j.position.x, j.position.y, j.position.z] for j in person.joints]
                )
                error = float(np.linalg.norm(found - truth, axis=-1).mean())
                worst = error if np.isnan(worst) else max(worst, error)
        return worst

    def wait_for_state(self, camera: str, state: int) -> None:
        """Until rig_status, which comes once a second, says this state of the camera."""
        self._wait_for(camera, lambda status: status.state == state)

    def wait_for_count(self, camera: str, counter: str) -> None:
        """Until rig_status has counted this of the camera."""
        self._wait_for(camera, lambda status: getattr(status, counter) > 0)

    def _wait_for(self, camera: str, condition: Callable[[CameraStatus], bool]) -> None:
        def holds() -> bool:
            cameras = self.world.status[-1].cameras if self.world.status else []
            return any(c.name == camera and condition(c) for c in cameras)

        self.world.spin_until(holds)
        self._status_after = self.world.status[-1]

    def record(
        self,
        fault: str,
        answers: list[Any],
        recovered_s: float | None,
        answered: str = "",
    ) -> None:
        """A row of the table; what was reported is what the node logged as warnings.

        Args:
            answered: what the node said to who asked it for something, if that was the fault.
        """
        logs = [log for log in self.world.logs if log.level >= WARN]
        since_ns = self._began_ns  # not what an earlier node of this name may have left behind
        said = [log.msg for log in logs if Time.from_msg(log.stamp).nanoseconds >= since_ns]
        used = sorted({bin(a.cameras_used).count("1") for a in answers})
        worst = self.worst_m(answers)
        published = (
            f"{len(answers)} answers of {' or '.join(map(str, used))} cameras"
            if used
            else "nothing"
        )
        sure = self.worst_m(answers, certain=True)
        if np.isfinite(sure):
            published += f", skeleton within {1000 * sure:.0f} mm"
        if np.isfinite(worst) and not worst <= sure:
            published += f", tentative ones within {1000 * worst:.0f} mm"
        recovered = "–" if recovered_s is None else f"{recovered_s:.1f} s"
        reported = [answered] if answered else []
        reported += [said[0].splitlines()[0]] if said else []
        counted = [f"{key} {n}" for key, n in self._counted().items()]
        if counted:
            reported.append("rig_status: " + ", ".join(counted))
        ROWS.append(Row(fault, published, "; ".join(reported) or "nothing is wrong", recovered))

    def _counted(self) -> dict[str, int]:
        """What rig_status counted between the fault's beginning and its end."""
        before, after = (_counters(status) for status in (self._status_before, self._status_after))
        return {key: n - before[key] for key, n in after.items() if n > before.get(key, n)}


def _counters(status: Any) -> dict[str, int]:
    if status is None:
        return {}
    counts = {k: getattr(status, k) for k in status.get_fields_and_field_types() if "sets_d" in k}
    counts["sets_failed"] = status.sets_failed
    for camera in status.cameras:
        for key in ("dropped_late", "dropped_out_of_slop", "dropped_bad"):
            counts[f"{camera.name} {key}"] = getattr(camera, key)
    return counts


def record_refusal(fault: str, said: str) -> None:
    """A row of the table for a node that does not start."""
    ROWS.append(Row(fault, "nothing, the node does not start", said, "–"))


SUCCESS = TransitionCallbackReturn.SUCCESS


@pytest.fixture
def trial(world, rig_and_file, trained_weights):  # noqa: F811
    """pose_node on keypoints of the simulated rig, in good health."""
    rig, path = rig_and_file
    node = world.pose_node(
        rig_file=path, input="keypoints", model__weights=trained_weights, sync__slop=0.03
    )
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    world.wait_for_subscribers([f"/{name}/keypoints" for name in rig.cameras])
    simulated = SimulatedRig(world, rig)
    made = Trial(simulated, node)
    made.healthy()
    yield made
    simulated.stop()
