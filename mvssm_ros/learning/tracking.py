"""How well people are followed: crowds over time, ids against the truth, delays of the filters.

IDF1 (Ristani et al. 2016), MOTA (Bernardin and Stiefelhagen 2008) and id switches are motmetrics';
a reported person is on a true one where the joints are on average within half a metre.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.optimize import minimize_scalar

from mvssm_ros.errors import UserError
from mvssm_ros.learning.metrics import FOUND_WITHIN_M
from mvssm_ros.learning.synthetic.crowds import Crowd, walk_about
from mvssm_ros.learning.uncertainty import against_chi2, normalised_error2
from mvssm_ros.predictor import Predictor
from mvssm_ros.rig.rig_file import Space
from mvssm_ros.tracking.bodies import bodies_of
from mvssm_ros.tracking.identity import Body, TrackedBody, TrackState
from mvssm_ros.tracking.tracker import MovingBody, Tracker

MIN_VIEWS = 2  # people who are before fewer cameras are nobody's to find, nor a mistake to report
REPORTED = (TrackState.CONFIRMED, TrackState.COASTING)
SETTLE_S = 2.0  # a filter's delay is measured after this


class Follows(Protocol):
    """What is measured: `tracking.tracker.Tracker` and `tracking.identity.IdentityTracker`."""

    def update(self, bodies: Sequence[Body], stamp_ns: int) -> list[TrackedBody]: ...


@dataclass(frozen=True)
class Recording:
    """What the network makes of F sets of a crowd.

    bodies: [F] lists; stamps_ns [F]; truth_m [F, G, 15, 3]; findable [F, G]: the person is before
    two cameras or more; network_ms: median time of a set.
    """

    bodies: list[list[Body]]
    stamps_ns: np.ndarray
    truth_m: np.ndarray
    findable: np.ndarray
    network_ms: float

    @property
    def person_minutes(self) -> float:
        step_s = float(np.median(np.diff(self.stamps_ns))) * 1e-9
        return float(self.findable.sum()) * step_s / 60


def record(
    predictor: Predictor,
    crowd: Crowd,
    sets: Iterable[int] | None = None,
    follow: Tracker | None = None,
) -> Recording:
    """The network's answer to every set (or to some, in rising order).

    follow: it also looks where this tracker, which is given every answer, expects people.
    """
    x, y = crowd.space_center_m.tolist()
    space = Space((x, y), (float(crowd.space_size_m[0]), float(crowd.space_size_m[1])), 0.0)
    bits = np.uint64(1) << np.arange(crowd.cameras.n_views, dtype=np.uint64)
    chosen, bodies, times_s = [], [], []
    for f in range(len(crowd.stamps_ns)) if sets is None else sets:
        chosen.append(f)
        views = [view[(view[..., 2] > 0).any(-1)] for view in crowd.keypoints_px[f]]
        stamp_ns = int(crowd.stamps_ns[f])
        start_poses_m = follow.start_poses_m(stamp_ns) if follow else None
        begin = time.perf_counter()
        people = predictor.predict_keypoints(
            crowd.cameras, views, space, start_poses_m=start_poses_m
        )
        times_s.append(time.perf_counter() - begin)
        bodies.append(bodies_of(people, bits))
        if follow:
            follow.update(bodies[-1], stamp_ns)
    return Recording(
        bodies,
        crowd.stamps_ns[chosen],
        crowd.truth_m[chosen],
        crowd.views_of[chosen] >= MIN_VIEWS,
        1000 * float(np.median(times_s)),
    )


def evaluate(tracker: Follows, recording: Recording) -> dict[str, float]:
    """Runs a fresh tracker over a recording.

    Returns IDF1, MOTA (per cent), switches, switches_a_minute (of a person), missed and false (per
    cent of the people to be found), mpjpe_mm and rms_mm of those seen, median, mean, inside50,
    inside90, inside95 (see `uncertainty.against_chi2`; of their positions), velocity_rms_m_s and
    velocity_mean (the same of joint velocities; NaN without), ms (median of an update), ms95 and
    network_ms.
    """
    motmetrics = _motmetrics()
    events = motmetrics.MOTAccumulator(auto_id=True)
    true_velocity = np.gradient(recording.truth_m, recording.stamps_ns * 1e-9, axis=0)
    times_s, errors, errors2, speeds, speeds2 = [], [], [], [], []
    for f, stamp_ns in enumerate(recording.stamps_ns):
        begin = time.perf_counter()
        tracked = tracker.update(recording.bodies[f], int(stamp_ns))
        times_s.append(time.perf_counter() - begin)
        reported = [t for t in tracked if t.state in REPORTED]
        distance = _distances(recording.truth_m[f], reported)
        distance, reported = _without_strangers(distance, reported, recording.findable[f])
        found = np.flatnonzero(recording.findable[f])
        events.update(found + 1, [t.number for t in reported], distance)
        for k, body in enumerate(reported):
            near = distance[:, k]
            if body.state != TrackState.CONFIRMED or np.isnan(near).all():
                continue
            person = found[np.nanargmin(near)]
            error = body.body.joints_m - recording.truth_m[f, person]
            errors.append(error)
            errors2.append(normalised_error2(error, body.body.covariance_m2))
            if isinstance(body, MovingBody) and np.isfinite(body.joint_velocity_m_s).all():
                speeds.append(body.joint_velocity_m_s - true_velocity[f, person])
                cov = body.joint_velocity_covariance_m2_s2
                speeds2.append(normalised_error2(speeds[-1], cov))
    figures = _mot_figures(motmetrics, events, recording)
    length = np.linalg.norm(np.array(errors).reshape(-1, 3), axis=-1)
    figures["mpjpe_mm"] = 1000 * float(np.nanmean(length)) if len(length) else math.nan
    figures["rms_mm"] = 1000 * float(np.sqrt(np.nanmean(length**2))) if len(length) else math.nan
    figures |= against_chi2(np.array(errors2))
    figures["velocity_rms_m_s"] = math.nan
    if speeds:
        figures["velocity_rms_m_s"] = float(np.sqrt((np.array(speeds) ** 2).sum(-1).mean()))
    figures["velocity_mean"] = against_chi2(np.array(speeds2))["mean"]
    figures["ms"] = 1000 * float(np.median(times_s))
    figures["ms95"] = 1000 * float(np.quantile(times_s, 0.95))
    figures["network_ms"] = recording.network_ms
    return figures


@cache
def a_walk(seconds: float = 30.0, seed: int = 0) -> CubicSpline:
    """Joints [..., 15, 3] m of one person who walks, stands and sits, by the time in s."""
    fine_s = np.arange(0, seconds, 1 / 60)
    rng = np.random.default_rng(seed)
    return CubicSpline(fine_s, walk_about(rng, 1, fine_s, np.zeros(2), np.full(2, 6.0))[:, 0])


def delay_ms(
    tracker: Follows,
    rate_hz: float,
    *groups: Sequence[int],
    noise_m: float = 0.015,
    seed: int = 0,
) -> list[float]:
    """By how much what a tracker says of a walking person lags behind, from the shift in time that
    brings it nearest to the truth, for each group of joints; measured with Gaussian noise on exact
    joints."""
    rng = np.random.default_rng(seed)
    path = a_walk()
    times_s = np.arange(0, path.x[-1] - 1.0, 1 / rate_hz)
    exact, said = path(times_s), []
    covariance = np.broadcast_to(noise_m**2 * np.eye(3), (15, 3, 3)).copy()
    for t, joints_m in zip(times_s, exact):
        seen = joints_m + rng.normal(0, noise_m, joints_m.shape)
        ones = np.ones(15)
        body = Body(seen, covariance, ones, ones > 0, np.full(15, 3, np.uint64), 1.0)
        said.append(tracker.update([body], round(1e9 * (1 + t)))[0].body.joints_m)
    settled = times_s > SETTLE_S
    estimate, when_s = np.array(said)[settled], times_s[settled]

    def apart(shift_s: float, joints: list[int]) -> float:
        gap = estimate[:, joints] - path(when_s - shift_s)[:, joints]
        return float((gap**2).mean())

    best = [
        minimize_scalar(apart, bounds=(-0.3, 0.5), method="bounded", args=(list(joints),)).x
        for joints in groups
    ]
    return [1000 * float(shift_s) for shift_s in best]


def _distances(truth_m: np.ndarray, reported: Sequence[TrackedBody]) -> np.ndarray:
    """Mean joint distances [G, K] m; NaN beyond `FOUND_WITHIN_M`."""
    if not reported:
        return np.zeros((len(truth_m), 0))
    joints = np.array([t.body.joints_m for t in reported])
    distance = np.nanmean(np.linalg.norm(truth_m[:, None] - joints, axis=-1), -1)
    return np.where(distance < FOUND_WITHIN_M, distance, np.nan)


def _without_strangers(
    distance: np.ndarray, reported: Sequence[TrackedBody], findable: np.ndarray
) -> tuple[np.ndarray, list[TrackedBody]]:
    """Only people to be found [G', K'], and nobody reported who is nearest to another one."""
    reach = np.where(np.isnan(distance), np.inf, distance)
    nearest = reach.argmin(0) if len(reach) else np.zeros(len(reported), int)
    stranger = np.isfinite(reach.min(0, initial=np.inf)) & ~findable[nearest]
    kept = [t for t, drop in zip(reported, stranger) if not drop]
    return distance[findable][:, ~stranger], kept


def _mot_figures(motmetrics, events, recording: Recording) -> dict[str, float]:  # type: ignore[no-untyped-def]
    names = ["idf1", "mota", "num_switches", "num_misses", "num_false_positives", "num_objects"]
    m = motmetrics.metrics.create().compute(events, metrics=names, name="all").iloc[0]
    people = max(float(m.num_objects), 1.0)
    return {
        "IDF1": 100 * float(m.idf1),
        "MOTA": 100 * float(m.mota),
        "switches": float(m.num_switches),
        "switches_a_minute": float(m.num_switches) / max(recording.person_minutes, 1e-9),
        "missed": 100 * float(m.num_misses) / people,
        "false": 100 * float(m.num_false_positives) / people,
    }


def _motmetrics():  # type: ignore[no-untyped-def]
    try:
        import motmetrics
    except ImportError:
        raise UserError(
            "measuring tracking needs motmetrics: pip install 'mvssm_ros[metrics]'"
        ) from None
    return motmetrics


_COLUMNS = (
    ("IDF1", "IDF1", "{:.1f}"),
    ("MOTA", "MOTA", "{:.1f}"),
    ("id switches", "switches", "{:.0f}"),
    ("a person-minute", "switches_a_minute", "{:.2f}"),
    ("missed %", "missed", "{:.1f}"),
    ("false %", "false", "{:.1f}"),
    ("MPJPE mm", "mpjpe_mm", "{:.1f}"),
    ("error² / χ²: median", "median", "{:.2f}"),
    ("mean", "mean", "{:.2f}"),
    ("inside 90 %", "inside90", "{:.2f}"),
    ("velocity rms m/s", "velocity_rms_m_s", "{:.2f}"),
    ("ms", "ms", "{:.1f}"),
    ("network ms", "network_ms", "{:.0f}"),
)


def markdown_table(rows: Sequence[dict]) -> str:
    """Rows with keys people, tracker and the figures of `evaluate`, as a Markdown table."""
    head = ["people", "tracker", *(heading for heading, _, _ in _COLUMNS)]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in rows:
        cells = [str(row["people"]), row["tracker"]]
        for _, name, form in _COLUMNS:
            value = float(row[name])
            cells.append(form.format(value) if math.isfinite(value) else "–")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
