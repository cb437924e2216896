"""Runs pose_node with a simulated rig, brings faults and takes them away, and notes what happens."""

from __future__ import annotations

import math
import os
import random
import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import FrameType
from typing import TYPE_CHECKING

from mvssm_ros.demo.processes import Child, Children
from mvssm_ros.errors import UserError
from mvssm_ros.soak import faults
from mvssm_ros.soak.faults import Episode, Fault, episodes
from mvssm_ros.soak.process import usage
from mvssm_ros.soak.record import INCOMPLETE, WRONG_M, Record, Sample, Span, Wrong, distances_m
from mvssm_ros.soak.walkers import SIZE_PX, Detector, Walkers, ring_rig

if TYPE_CHECKING:
    from mvssm_ros.nodes.soak_rig import Heard, SoakRig

_START_WITHIN_S = 300.0
_RECOVER_WITHIN_S = 60.0
_RIGHT_SETS = 3  # in a row: all is well again
_SAMPLE_EVERY_S = 1.0
_LINE_EVERY_S = 60.0
_FIRST_REST_S = 5.0
_NONSENSE = (("model.score_threshold", 7.0), ("tracking.gate", -1.0), ("rig_file", "/nowhere"))
_CHANGES = (  # parameter, while the fault lasts; before and after it has its default
    ("model.score_threshold", 0.2),
    ("tracking.coast", 3.0),
    ("tracking.confirm_sets", 6),
    ("publish.markers", False),
    ("publish.marker_width", 0.06),
    ("calibration.leave_out", False),
)


@dataclass(frozen=True)
class Settings:
    """severity: of the detector's noise, 0 to 1 (see learning.synthetic.detector_noise)."""

    minutes: float
    seed: int
    kinds: tuple[str, ...]
    n_cameras: int = 4
    rate_hz: float = 5.0
    severity: float = 0.5
    weights: str = ""


def soak(settings: Settings, folder: Path, say: Callable[[str], None] = print) -> Record:
    """Start, go on for so long or until SIGINT or SIGTERM, end everything.

    Args:
        folder: gets `rig.yaml` and `log/`; must not have them yet.

    Raises:
        UserError: pose_node did not start.
    """
    log = folder / "log"
    log.mkdir(parents=True)
    rig_file = folder / "rig.yaml"
    ring_rig(settings.n_cameras).save(rig_file)
    os.environ.update(_environment(log))
    # Imported here, once the environment that the middleware reads is complete.
    from mvssm_ros.nodes.soak_rig import SoakRig

    parameters = {
        "rig_file": str(rig_file.resolve()),
        "input": "keypoints",
        "model.weights": settings.weights,
    }
    with _Signals() as signals, Children(log, os.environ) as children:
        pose = children.start("pose_node", parameters)
        run = _Run(settings, pose, signals)
        run.rig = SoakRig(list(run.record.cameras), SIZE_PX, run.hear, run.record.troubles.append)
        try:
            say("starting pose_node ...")
            run.bring_up()
            if not signals.received:
                say(f"soaking for {settings.minutes:g} minutes; Ctrl-C ends it with a report")
                run.go_on(say)
        finally:
            run.rig.close()
        return run.record


class _Signals:
    """SIGINT and SIGTERM are noted, not acted on, within the block."""

    def __init__(self) -> None:
        self.received = ""

    def __enter__(self) -> _Signals:
        self._before = {n: signal.signal(n, self._note) for n in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number).name


class _Run:
    """The state of one soak."""

    rig: SoakRig

    def __init__(self, settings: Settings, pose: Child, signals: _Signals) -> None:
        rig = ring_rig(settings.n_cameras)
        self._settings = settings
        self._pose = pose
        self._signals = signals
        self._walkers = Walkers(settings.seed)
        self._detector = Detector(rig, settings.severity, settings.seed)
        self._random = random.Random(settings.seed)
        self.record = Record(
            settings.seed,
            settings.minutes,
            tuple(rig.cameras),
            settings.rate_hz,
            settings.severity,
        )
        self._episodes = episodes(self._random, list(rig.cameras), settings.kinds)
        self._period_ns = round(1e9 / settings.rate_hz)
        self._origin_ns = time.time_ns()  # the walkers' time 0
        self._began_s = math.nan  # monotonic, once all is well for the first time
        self._tick = 0
        self._next_ns = self._origin_ns
        self._sent: deque[tuple[int, int]] = deque(maxlen=30)  # stamp sent, true stamp
        self._camera_faults: dict[str, list[Fault]] = {}
        self._paused = False
        self._back_ns = 0  # of all stamps
        self._latencies_ms: list[float] = []  # since the last sample
        self._wrong = 0  # since the last sample
        self._cpu = (math.nan, math.nan)  # seconds used at the last sample, and when that was
        self._right_in_a_row = 0
        self._right_since_s = math.nan  # the first of these
        self._keypoints = self._look(self._next_ns)

    # --- from start to end ---

    def bring_up(self) -> None:
        """pose_node is active and everybody is found."""
        end_s = time.monotonic() + _START_WITHIN_S
        self._spin_until(self.rig.pose_node_is_there, end_s, "is not there")
        for name in ("configure", "activate"):
            self.rig.transition(name)
            self._spin_until(lambda: not self.rig.busy, end_s, f"cannot {name}")
            if self.record.troubles:
                raise UserError(f"soak: pose_node cannot {name}: {self._pose.reason()}")
        self._spin_until(self.rig.all_connected, end_s, "does not subscribe to all cameras")
        self._next_ns = time.time_ns() + self._period_ns
        self._keypoints = self._look(self._next_ns)
        self._spin_until(lambda: self._well, end_s, "does not find the people")

    def go_on(self, say: Callable[[str], None]) -> None:
        """Faults and samples until the time is over."""
        self._began_s = time.monotonic()
        self.record.answers = self.record.whole_answers = self.record.people = 0
        self._latencies_ms.clear()
        end_s = self._settings.minutes * 60.0
        next_sample_s, next_line_s = 0.0, _LINE_EVERY_S
        episode: Episode | None = None
        active: list[Span] = []
        rest_s = 0.0  # after the episode
        turn_s = _FIRST_REST_S  # when the episode ends, or the next one begins
        while (now_s := self._now_s()) < end_s and not self.record.died:
            if self._signals.received:
                self.record.ended = self._signals.received
                break
            self._step()
            if now_s >= next_sample_s:
                self._sample(now_s)
                next_sample_s = max(next_sample_s + _SAMPLE_EVERY_S, now_s)
            if now_s >= next_line_s:
                say(self._line())
                next_line_s += _LINE_EVERY_S
            if episode is not None and now_s >= turn_s and not self.rig.busy:
                self._end(active)
                rest_s = episode.rest_s
                episode = None
                turn_s = math.inf  # until it has recovered
            elif episode is None and active and not self.rig.busy:
                ended_s = active[0].end_s
                if self._well and self._right_since_s > ended_s:
                    for span in active:
                        span.recovery_s = self._right_since_s - ended_s
                    active, turn_s = [], now_s + rest_s
                elif now_s > ended_s + _RECOVER_WITHIN_S:
                    active, turn_s = [], now_s + rest_s
            elif episode is None and now_s >= turn_s:
                episode = next(self._episodes)
                active = self._begin(episode)
                turn_s = now_s + episode.lasts_s

    @property
    def _well(self) -> bool:
        return self._right_in_a_row >= _RIGHT_SETS

    def _now_s(self) -> float:
        return time.monotonic() - self._began_s

    def _spin_until(self, condition: Callable[[], bool], end_s: float, what: str) -> None:
        while not condition() and not self._signals.received:
            self._step()
            if self._pose.exit_code is not None:
                raise UserError(f"soak: pose_node ended early: {self._pose.reason()}")
            if time.monotonic() > end_s:
                raise UserError(f"soak: pose_node {what} within {_START_WITHIN_S:g} s")

    # --- the cameras ---

    def _step(self) -> None:
        """Send what is due; hear for a moment. The next set is prepared when there is time."""
        wait_s = (self._next_ns - time.time_ns()) * 1e-9
        if wait_s > 0:
            self.rig.spin(min(wait_s, 0.02))
            return
        stamp_ns = self._next_ns - self._back_ns
        self._sent.append((stamp_ns, self._next_ns))
        if not self._paused:
            self.rig.send(self._tick, stamp_ns, self._keypoints, self._camera_faults)
        self._tick += 1
        late = (time.time_ns() - self._next_ns) // self._period_ns
        self._next_ns += (
            1 + late
        ) * self._period_ns  # what this machine had no time for is left out
        self._keypoints = self._look(self._next_ns)

    def _look(self, true_ns: int) -> list:
        return self._detector.look(self._walkers.joints_m((true_ns - self._origin_ns) * 1e-9))

    # --- the faults ---

    def _begin(self, episode: Episode) -> list[Span]:
        spans = []
        for kind, camera in episode.faults:
            self._start_fault(kind, camera)
            spans.append(Span(kind, camera, self._now_s()))
        self.record.spans += spans
        return spans

    def _start_fault(self, kind: str, camera: str) -> None:
        if kind in faults.CAMERA_FAULTS:
            made = faults.CAMERA_FAULTS[kind](self._random)
            self._camera_faults.setdefault(camera, []).append(made)
        elif kind == faults.RESTART:
            self.rig.unplug(camera)
        elif kind == faults.PAUSED:
            self._paused = True
        elif kind == faults.TIME_BACK:
            self._back_ns = round(faults.BACK_S * 1e9)
        elif kind == faults.DEACTIVATED:
            self.rig.transition("deactivate")
        elif kind == faults.RECONFIGURED:
            for name in ("deactivate", "cleanup", "configure"):
                self.rig.transition(name)
        elif kind == faults.DISABLED:
            self.rig.enable(False)
        elif kind == faults.SUBSCRIBER:
            self.rig.bring_guests()
        elif kind == faults.PARAMETERS:
            for name, value in _CHANGES:
                self.rig.set_parameter(name, value)
            for name, nonsense in _NONSENSE:
                self.rig.set_parameter(name, nonsense, accepted=False)

    def _end(self, spans: list[Span]) -> None:
        self._right_in_a_row = 0
        for span in spans:
            span.end_s = self._now_s()
            self._camera_faults.pop(span.camera, None)
            if span.kind == faults.RESTART:
                self.rig.plug_in(span.camera)
            elif span.kind == faults.PAUSED:
                self._paused = False
            elif span.kind == faults.TIME_BACK:
                self._back_ns = 0
            elif span.kind in (faults.DEACTIVATED, faults.RECONFIGURED):
                self.rig.transition("activate")
            elif span.kind == faults.DISABLED:
                self.rig.enable(True)
            elif span.kind == faults.SUBSCRIBER:
                self.rig.dismiss_guests()
            elif span.kind == faults.PARAMETERS:
                for name, _ in _CHANGES:
                    self.rig.reset_parameter(name)

    # --- what comes out ---

    def hear(self, heard: Heard) -> None:
        """Judge one answer."""
        sent = next(
            (pair for pair in reversed(self._sent) if abs(pair[0] - heard.stamp_ns) <= 5e7), None
        )
        if sent is None:  # of a set that nobody sent: none of its people can be right
            text = f"an answer has the stamp {heard.stamp_ns}, which no camera has sent"
            self.record.troubles.append(text)
            return
        true_ns = sent[1] + heard.stamp_ns - sent[0]
        truth_m = self._walkers.joints_m((true_ns - self._origin_ns) * 1e-9)
        at_s = self._now_s()
        whole = heard.cameras == len(self.record.cameras)
        self.record.answers += 1
        self.record.whole_answers += whole
        self.record.people += len(heard.people)
        self._latencies_ms.append((heard.latency_s - (sent[1] - sent[0]) * 1e-9) * 1e3)
        found: set[int] = set()
        wrong = 0
        for person in heard.people:
            far_m = distances_m(person.joints_m, person.observed, truth_m)
            if far_m.min() <= WRONG_M:
                found.add(int(far_m.argmin()))
                continue
            wrong += 1
            if not math.isnan(at_s):
                self.record.wrong.append(
                    Wrong(
                        at_s,
                        person.id,
                        float(far_m.min()),
                        int(person.observed.sum()),
                        heard.cameras,
                        person.confirmed,
                        self.record.faults_at(at_s) or ("" if whole else INCOMPLETE),
                    )
                )
        self._wrong += wrong
        if whole and not wrong and len(found) == len(truth_m):
            if not self._right_in_a_row:
                self._right_since_s = at_s
            self._right_in_a_row += 1
        else:
            self._right_in_a_row = 0

    def _sample(self, now_s: float) -> None:
        try:
            used = usage(self._pose.process.pid)
        except OSError:
            used = None
        if self._pose.exit_code is not None or used is None:
            if not self._signals.received:  # Ctrl-C reaches the node too
                self.record.died = self._pose.reason()
            return
        last_cpu_s, last_s = self._cpu
        self._cpu = (used.cpu_s, now_s)
        self.record.samples.append(
            Sample(
                now_s,
                used.memory_mib,
                used.threads,
                used.handles,
                len(self._latencies_ms),
                median(self._latencies_ms) if self._latencies_ms else math.nan,
                self._wrong,
                self.record.faults_at(now_s),
                100.0 * (used.cpu_s - last_cpu_s) / (now_s - last_s),
                os.getloadavg()[0],
            )
        )
        self._latencies_ms, self._wrong = [], 0

    def _line(self) -> str:
        last, record = self.record.samples[-1], self.record
        return (
            f"{last.at_s / 60:.0f} min: {last.memory_mib:.0f} MiB, {last.handles} handles,"
            f" {last.threads} threads, {record.answers} answers, {len(record.wrong)} wrong"
            f" skeletons, {len(record.spans)} faults"
        )


def _environment(log: Path) -> dict[str, str]:
    """For both processes: a domain of our own on this machine.

    215 to 232: the numbers above 101 that Linux leaves free; `mvssm demo` takes lower ones.
    """
    defaults = {
        "ROS_DOMAIN_ID": str(random.SystemRandom().randint(215, 232)),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }
    chosen = {key: os.environ.get(key) or value for key, value in defaults.items()}
    return {**chosen, "ROS_LOG_DIR": str(log), "PYTHONUNBUFFERED": "1"}
