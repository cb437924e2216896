"""People over time: who is who, where they are now, how fast they move, and how sure that is.

Every set: everybody is predicted to its stamp (`body_filter`), the bodies are shared out among them
(`association`), those who got one are corrected by it. What is left over and is nobody's second
body becomes somebody new, tentative until seen often enough. Who is not seen coasts where the
prediction says, ever less sure, and is then given up. Ids are never used again; but somebody new who
is built as one who still coasts, not far away, is that one, who went where nobody foresaw. And of
two who have met and are each built as the other one was, the ids are exchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np

from mvssm_ros.tracking import body_filter
from mvssm_ros.tracking.association import assign, is_twin
from mvssm_ros.tracking.body_filter import N_JOINTS, Array
from mvssm_ros.tracking.build import ALONE_M, MEET_M, Build, LastingBuild, who_came_back
from mvssm_ros.tracking.identity import Body, TrackedBody, TrackState
from mvssm_ros.tracking.one_euro import OneEuro
from mvssm_ros.tracking.support import Support

FILTERS = ("none", "one_euro", "kalman")
_COME_BACK_M = 0.7  # from where one was last seen, and what the speed allows besides
_NOBODY = 0  # number of a track whose id somebody else has now
_STAND_BACK = 4.0  # cost by which a tentative person gives way to a confirmed one


@dataclass(frozen=True)
class MovingBody(TrackedBody):
    """A tracked body and how it moves; NaN where unknown.

    index                           which body of the latest set it is, -1: none
    joint_velocity_m_s              [J, 3]
    joint_velocity_covariance_m2_s2 [J, 3, 3]
    velocity_m_s                    [3]    of the trunk
    velocity_covariance_m2_s2       [3, 3]
    """

    index: int
    joint_velocity_m_s: Array
    joint_velocity_covariance_m2_s2: Array
    velocity_m_s: Array
    velocity_covariance_m2_s2: Array


@dataclass
class _Track:
    number: int
    first_ns: int
    last_ns: int
    support: Support
    body: Body  # as last seen
    index: int  # of it in the latest set, -1: not seen
    smoother: OneEuro = field(default_factory=OneEuro)
    build: LastingBuild = field(default_factory=LastingBuild)
    first_m: Array = field(default_factory=lambda: np.full(3, np.nan))  # where first seen
    met: set[int] = field(default_factory=set)  # numbers of whom it may have been taken for since

    def meet(self, numbers: set[int]) -> None:
        """These are so near that one may be taken for the other."""
        if numbers - self.met:
            self.build.lately = Build()  # from before
        self.met |= numbers

    def exchange(self, other: _Track) -> None:
        """Each body goes on as the person whom the other one was taken for."""
        for name in ("number", "first_ns", "first_m"):
            mine = getattr(self, name)
            setattr(self, name, getattr(other, name))
            setattr(other, name, mine)
        self.build.known, other.build.known = other.build.known, self.build.known
        self.met, other.met = set(), set()


class Tracker:
    """Keeps the ids. `update` once per set, with increasing stamps; `reset` when time was set back.

    The settings may be changed between updates.

    Args:
        filter_type: what is reported of a body that is seen. "kalman": the filtered joints, with
            velocities and covariances; "one_euro": smoothed joints, "none": joints as measured,
            both with the covariances as measured and without velocities. Who is not seen is
            always predicted by the Kalman filter.
        gate_m, max_speed_m_s: a body whose joints are on average further than gate_m, and
            max_speed_m_s times the time since last seen, from where somebody is predicted is
            somebody else, whatever the covariances say.
        coast_s: how long a confirmed person is kept after being last seen.
        confirm_sets: sets in which a person must have been seen before being confirmed; sets in
            which half of the cameras do not see whom they should count against it.

    Raises:
        ValueError: an unknown filter_type.
    """

    def __init__(
        self,
        filter_type: str = "kalman",
        gate_m: float = 0.25,
        max_speed_m_s: float = 2.0,
        coast_s: float = 1.5,
        confirm_sets: int = 3,
    ) -> None:
        if filter_type not in FILTERS:
            raise ValueError(f"filter_type '{filter_type}': expected {', '.join(FILTERS)}")
        self.filter_type = filter_type
        self.gate_m = gate_m
        self.max_speed_m_s = max_speed_m_s
        self.coast_s = coast_s
        self.confirm_sets = confirm_sets
        self._tracks: list[_Track] = []
        self._motion = body_filter.nobody()  # a row a track
        self._stamp_ns = 0  # of the latest set
        self._count = 0

    def update(self, bodies: Sequence[Body], stamp_ns: int) -> list[TrackedBody]:
        """Give every body its identity.

        Args:
            bodies: the people of one set.
            stamp_ns: stamp of the set.

        Returns:
            Those seen now, those coasting, and, this once, those given up with this set.
        """
        joints = np.array([b.joints_m for b in bodies], np.float64).reshape(-1, N_JOINTS, 3)
        covariance = np.array([b.covariance_m2 for b in bodies]).reshape(*joints.shape, 3)
        step_s = (stamp_ns - self._stamp_ns) * 1e-9
        self._stamp_ns = stamp_ns
        self._motion = body_filter.predict(self._motion, step_s)
        matched = self._match(joints, covariance, stamp_ns)
        self._see(matched, bodies, joints, covariance, stamp_ns)
        self._begin(matched, bodies, joints, covariance, stamp_ns)
        self._tell_apart()
        self._recognise()
        return self._report_and_forget(stamp_ns)

    def reset(self) -> list[TrackedBody]:
        """Give everybody up. Ids are not used again. Returns them all as LOST."""
        velocity, velocity_cov = body_filter.body_velocity(self._motion)
        lost: list[TrackedBody] = [
            self._moving(i, TrackState.LOST, t.last_ns, velocity[i], velocity_cov[i])
            for i, t in enumerate(self._tracks)
        ]
        self._tracks = []
        self._motion = body_filter.nobody()
        return lost

    def start_poses_m(self, stamp_ns: int) -> Array:
        """[K, J, 3]: where those of whom every joint is known will be at a stamp. Changes nothing."""
        step_s = (stamp_ns - self._stamp_ns) * 1e-9
        expected = body_filter.predict(self._motion, step_s).position_m
        return expected[np.isfinite(expected).all((-1, -2))]

    def _match(self, joints: Array, covariance: Array, stamp_ns: int) -> dict[int, int]:
        """Row of the track -> index of the body."""
        silent_s = np.array([(stamp_ns - t.last_ns) * 1e-9 for t in self._tracks])
        tentative = np.array([not t.support.confirmed for t in self._tracks], bool)
        reach = self.gate_m + self.max_speed_m_s * silent_s
        return assign(self._motion, joints, covariance, reach, _STAND_BACK * tentative)

    def _see(
        self,
        matched: dict[int, int],
        bodies: Sequence[Body],
        joints: Array,
        covariance: Array,
        stamp_ns: int,
    ) -> None:
        for track in self._tracks:
            track.index = -1
        for row, k in matched.items():
            track = self._tracks[row]
            track.body, track.last_ns, track.index = bodies[k], stamp_ns, k
            track.support.add(track.body.agreed, stamp_ns - track.first_ns, self.confirm_sets)
        if not matched:
            return
        rows, ks = np.array(list(matched)), np.array(list(matched.values()))
        seen = body_filter.correct(self._motion.take(rows), joints[ks], covariance[ks])
        others = np.setdiff1d(np.arange(len(self._tracks)), rows)
        order = np.argsort(np.concatenate([rows, others]))
        self._motion = seen.join(self._motion.take(others)).take(order)

    def _begin(
        self,
        matched: dict[int, int],
        bodies: Sequence[Body],
        joints: Array,
        covariance: Array,
        stamp_ns: int,
    ) -> None:
        """New tracks for bodies that are nobody's, and not the second body of somebody."""
        taken = [joints[k] for k in matched.values()]
        new = []
        for k in sorted(set(range(len(bodies))) - set(matched.values())):
            if not np.isfinite(joints[k]).all(-1).any() or is_twin(joints[k], taken):
                continue
            taken.append(joints[k])
            new.append(k)
            self._count += 1
            support = Support()
            support.add(bodies[k].agreed, 0, self.confirm_sets)
            track = _Track(self._count, stamp_ns, stamp_ns, support, bodies[k], k)
            track.first_m = _place(bodies[k].joints_m)
            self._tracks.append(track)
        if new:
            self._motion = self._motion.join(body_filter.begin(joints[new], covariance[new]))

    def _tell_apart(self) -> None:
        """Measure those seen who have nobody near; of two who have met, find out who is who."""
        places = _place(self._motion.position_m)
        for i, track in enumerate(self._tracks):
            away_m = np.linalg.norm(places - places[i], axis=-1)
            away_m[i] = np.inf  # from oneself
            track.meet({self._tracks[k].number for k in np.flatnonzero(away_m < MEET_M)})
            alone = track.index >= 0 and away_m.min() >= ALONE_M
            if alone and track.build.add(track.body.joints_m):
                track.met.clear()
        for one, other in combinations([t for t in self._tracks if t.support.confirmed], 2):
            met = other.number in one.met or one.number in other.met
            if met and one.build.is_exchanged_with(other.build):
                one.exchange(other)

    def _recognise(self) -> None:
        """Give somebody new the id of whom they are, of those who coast."""
        seen = [t for t in self._tracks if t.index >= 0]
        gone = {i: t for i, t in enumerate(self._tracks) if t.index < 0 and t.support.confirmed}
        for track in seen:
            if not track.support.confirmed:
                continue
            within = {i: t.build.known for i, t in gone.items() if self._may_be(track, t)}
            who = who_came_back(track.build.whole, within)
            if who is None:
                continue
            old = gone.pop(who)
            track.number, track.first_ns = old.number, old.first_ns
            track.first_m = old.first_m
            track.build = LastingBuild(old.build.known.join(track.build.whole))
            old.number = _NOBODY
        kept = np.flatnonzero([t.number != _NOBODY for t in self._tracks])
        if len(kept) < len(self._tracks):
            self._tracks = [self._tracks[i] for i in kept]
            self._motion = self._motion.take(kept)

    def _may_be(self, new: _Track, gone: _Track) -> bool:
        """Whether somebody new came after one was last seen, and from where one was then."""
        silent_s = (new.first_ns - gone.last_ns) * 1e-9
        away_m = np.linalg.norm(new.first_m - _place(gone.body.joints_m))
        return silent_s > 0 and bool(away_m <= _COME_BACK_M + self.max_speed_m_s * silent_s)

    def _report_and_forget(self, stamp_ns: int) -> list[TrackedBody]:
        velocity, velocity_cov = body_filter.body_velocity(self._motion)
        tracked: list[TrackedBody] = []
        for i, track in enumerate(self._tracks):
            state = self._state(track, stamp_ns)
            tracked.append(self._moving(i, state, stamp_ns, velocity[i], velocity_cov[i]))
        kept = np.flatnonzero([t.state != TrackState.LOST for t in tracked])
        if len(kept) < len(tracked):
            self._tracks = [self._tracks[i] for i in kept]
            self._motion = self._motion.take(kept)
        return tracked

    def _state(self, track: _Track, stamp_ns: int) -> TrackState:
        silent_ns = stamp_ns - track.last_ns
        confirmed = track.support.confirmed
        if silent_ns == 0:
            return TrackState.CONFIRMED if confirmed else TrackState.TENTATIVE
        coasting = confirmed and silent_ns * 1e-9 <= self.coast_s
        return TrackState.COASTING if coasting else TrackState.LOST

    def _moving(
        self, row: int, state: TrackState, stamp_ns: int, velocity: Array, velocity_cov: Array
    ) -> MovingBody:
        """What is reported of a track at the stamp of the latest set."""
        track, m = self._tracks[row], self._motion
        silent_ns = stamp_ns - track.last_ns
        seen = state in (TrackState.TENTATIVE, TrackState.CONFIRMED)
        joints, cov, speed, speed_cov = (
            m.position_m[row], m.pp[row], m.velocity_m_s[row], m.vv[row],
        )  # fmt: skip
        filtered = self.filter_type == "kalman" or not seen
        if not filtered:
            joints, cov = track.body.joints_m, track.body.covariance_m2
            if self.filter_type == "one_euro":
                joints = track.smoother(joints, stamp_ns)
        if not filtered or track.support.times_seen < 2:
            velocity, velocity_cov = np.full(3, np.nan), np.full((3, 3), np.nan)
            speed, speed_cov = np.full_like(speed, np.nan), np.full_like(speed_cov, np.nan)
        unknown = ~np.isfinite(joints).all(-1)
        body = replace(
            track.body,
            joints_m=np.where(unknown[:, None], np.nan, joints),
            covariance_m2=np.where(unknown[:, None, None], np.nan, cov),
        )
        if not seen:
            body = replace(
                body,
                observed=np.zeros_like(body.observed),
                view_mask=np.zeros_like(body.view_mask),
            )
        return MovingBody(
            track.number,
            state,
            stamp_ns - track.first_ns,
            silent_ns,
            body,
            track.index,
            np.where(unknown[:, None], np.nan, speed),
            np.where(unknown[:, None, None], np.nan, speed_cov),
            velocity,
            velocity_cov,
        )


def _place(joints_m: Array) -> Array:
    """[..., 3] m: the middle of the joints [..., 15, 3] that are known."""
    return np.asarray(np.nanmean(joints_m, axis=-2))
