"""Who is who from one set to the next, as little as markers need to keep their ids.

Every new pose goes to the nearest known body (mean joint distance, nearest pairs first) if that is
within a gate; what is left over becomes a new body. A body that is not found again coasts where it
was last seen, with growing covariance, and is then given up. No motion model: velocities stay
unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from mvssm_ros.tracking.support import Support

Array = npt.NDArray[np.float64]


class TrackState(IntEnum):
    """As the constants of Person.msg."""

    TENTATIVE = 0
    CONFIRMED = 1
    COASTING = 2
    LOST = 3


@dataclass(frozen=True)
class Body:
    """One person as estimated from one set of images.

    joints_m          [J, 3]     NaN where unknown
    covariance_m2     [J, 3, 3]  NaN where unknown
    joint_confidence  [J]        0..1
    observed          [J]        bool: triangulated from two views or more
    view_mask         [J]        uint64, bit i: camera i of the rig contributed
    score             0..1
    agreed            more than half of the cameras that ought to see the person do
    """

    joints_m: Array
    covariance_m2: Array
    joint_confidence: Array
    observed: npt.NDArray[np.bool_]
    view_mask: npt.NDArray[np.uint64]
    score: float
    agreed: bool = True


@dataclass(frozen=True)
class TrackedBody:
    """A body with its identity, at the stamp of the latest set."""

    number: int  # counts up from 1, never used twice
    state: TrackState
    age_ns: int
    since_observed_ns: int
    body: Body

    @property
    def id(self) -> str:
        """A valid identifier, as REP-155 asks of body ids."""
        return f"p{self.number:04d}"


@dataclass
class _Track:
    number: int
    first_ns: int
    last_ns: int
    support: Support
    body: Body


class IdentityTracker:
    """Keeps the ids. `update` once per set, with increasing stamps; `reset` when time was set back.

    The settings may be changed between updates.

    Args:
        gate_m: a pose further than this from a body (plus what the speed allows) is somebody else.
        max_speed_m_s: widens the gate, and the coasting covariance, with the time since last seen.
        coast_s: how long a confirmed body is kept after it was last seen.
        confirm_sets: sets in which a body must have been seen before it is confirmed; sets in
            which half of the cameras do not see whom they should count against it.
    """

    def __init__(
        self,
        gate_m: float = 0.5,
        max_speed_m_s: float = 2.0,
        coast_s: float = 0.5,
        confirm_sets: int = 3,
    ) -> None:
        self.gate_m = gate_m
        self.max_speed_m_s = max_speed_m_s
        self.coast_s = coast_s
        self.confirm_sets = confirm_sets
        self._tracks: list[_Track] = []
        self._count = 0

    def update(self, bodies: Sequence[Body], stamp_ns: int) -> list[TrackedBody]:
        """Give every body its identity.

        Args:
            bodies: the people of one set.
            stamp_ns: stamp of the set.

        Returns:
            Those seen now, those coasting, and, this once, those given up with this set.
        """
        matched = self._match(bodies, stamp_ns)
        tracked: list[TrackedBody] = []
        kept: list[_Track] = []
        for index, track in enumerate(self._tracks):
            if index in matched:
                track.body = bodies[matched[index]]
                track.last_ns = stamp_ns
                track.support.add(track.body.agreed, stamp_ns - track.first_ns, self.confirm_sets)
            tracked.append(self._report(track, stamp_ns))
            if tracked[-1].state != TrackState.LOST:
                kept.append(track)
        for index in sorted(set(range(len(bodies))) - set(matched.values())):
            self._count += 1
            support = Support()
            support.add(bodies[index].agreed, 0, self.confirm_sets)
            track = _Track(self._count, stamp_ns, stamp_ns, support, bodies[index])
            tracked.append(self._report(track, stamp_ns))
            kept.append(track)
        self._tracks = kept
        return tracked

    def reset(self) -> list[TrackedBody]:
        """Give everybody up. Ids are not used again. Returns them all as LOST."""
        lost = [
            TrackedBody(t.number, TrackState.LOST, t.last_ns - t.first_ns, 0, _unseen(t.body, 0.0))
            for t in self._tracks
        ]
        self._tracks = []
        return lost

    def _match(self, bodies: Sequence[Body], stamp_ns: int) -> dict[int, int]:
        """Track index -> body index, nearest pairs first, each at most once."""
        pairs = []
        for i, track in enumerate(self._tracks):
            gate_m = self.gate_m + self.max_speed_m_s * (stamp_ns - track.last_ns) * 1e-9
            for k, body in enumerate(bodies):
                distance_m = mean_joint_distance_m(track.body.joints_m, body.joints_m)
                if distance_m <= gate_m:
                    pairs.append((distance_m, i, k))
        matched: dict[int, int] = {}
        for _, i, k in sorted(pairs):
            if i not in matched and k not in matched.values():
                matched[i] = k
        return matched

    def _report(self, track: _Track, stamp_ns: int) -> TrackedBody:
        silent_ns = stamp_ns - track.last_ns
        confirmed = track.support.confirmed
        body = track.body
        if silent_ns == 0:
            state = TrackState.CONFIRMED if confirmed else TrackState.TENTATIVE
        else:
            coasting = confirmed and silent_ns * 1e-9 <= self.coast_s
            state = TrackState.COASTING if coasting else TrackState.LOST
            body = _unseen(body, self.max_speed_m_s * silent_ns * 1e-9)
        return TrackedBody(track.number, state, stamp_ns - track.first_ns, silent_ns, body)


def mean_joint_distance_m(a: Array, b: Array) -> float:
    """Mean distance over the joints [J, 3] known in both; infinite if there is none."""
    distances = np.linalg.norm(a - b, axis=-1)
    known = np.isfinite(distances)
    return float(distances[known].mean()) if known.any() else float("inf")


def _unseen(body: Body, moved_m: float) -> Body:
    """The body where it was last seen, nothing observed, its deviation widened by ``moved_m``."""
    return replace(
        body,
        covariance_m2=body.covariance_m2 + moved_m**2 * np.eye(3),
        observed=np.zeros_like(body.observed),
        view_mask=np.zeros_like(body.view_mask),
    )
