"""From what people are told to do to where their joints are at any moment.

Each person's motions are laid out on a time line that repeats for ever; places, headings and
postures are smoothed over it, and a periodic cubic spline through the joints gives positions and,
as its derivative, exact velocities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline
from scipy.ndimage import convolve1d

from mvssm_ros.geometry.skeletons import PANOPTIC15
from mvssm_ros.learning.synthetic.gait import steps_per_s, with_gait
from mvssm_ros.learning.synthetic.people import (
    ANGLES,
    Bodies,
    Motion,
    forward_kinematics,
    sample_bodies,
    sample_motion,
)
from mvssm_ros.simulation.scenario import Actor, Turn, Walk

Array = npt.NDArray[np.float64]

_STEP_S = 1 / 60
_POSTURES = ("stand", "sit", "work")
_MODES = ("standing", "sitting", "standing")
_PLACE_S, _TURN_S, _POSTURE_S = 0.5, 0.7, 1.6  # lengths of the smoothing windows
_TURN_ABOVE_RAD = np.deg2rad(45)  # whoever has to turn by more does so before they walk
_ADULT_M = 1.55
_SWAY_DEG, _SWAY_HZ = 2.0, 0.35
_REACH_HZ = 0.3  # of hands at work
# Arms in degrees (shoulder flexion, abduction, rotation, elbow), by posture.
_ARMS_DEG = {"stand": (2, 9, 12, 16), "sit": (18, 4, 22, 42), "work": (52, 6, 16, 48)}
_WORK_REACH_DEG = {"shoulder_flexion": 24.0, "elbow": -30.0}
_SIDES = (("left", 1.0), ("right", -1.0))
_ANKLES = [PANOPTIC15.index("left_ankle"), PANOPTIC15.index("right_ankle")]


class People:
    """G people over time. The same actors and seed give the same people.

    period_s: after this everybody begins again.
    """

    def __init__(self, actors: Sequence[Actor], floor_m: float, seed: int) -> None:
        plans = [_Plan(actor) for actor in actors]
        steps = max((plan.steps for plan in plans), default=1)
        self.period_s = steps * _STEP_S
        joints_m = np.zeros((steps + 1, len(actors), 15, 3))
        for g, plan in enumerate(plans):
            rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(3, g)))
            joints_m[:-1, g] = _joints_m(rng, plan, steps)
        joints_m[-1] = joints_m[0]
        joints_m[..., 2] += floor_m
        times_s = np.linspace(0.0, self.period_s, steps + 1)
        self._spline = CubicSpline(times_s, joints_m, bc_type="periodic")

    def joints_m(self, time_s: float) -> Array:
        """[G, 15, 3] in the reference frame, panoptic15."""
        return np.asarray(self._spline(time_s % self.period_s))

    def velocities_m_s(self, time_s: float) -> Array:
        """[G, 15, 3], the derivative of `joints_m`."""
        return np.asarray(self._spline(time_s % self.period_s, 1))


class _Plan:
    """The time line of one person, unsmoothed: place [S, 2], heading [S], posture [S]."""

    def __init__(self, actor: Actor) -> None:
        self._places: list[Array] = []
        self._headings: list[Array] = []
        self._postures: list[npt.NDArray[np.int64]] = []
        self._place = np.array(actor.start_m)
        self._heading = _first_heading(actor)
        for motion in (*actor.motions, Walk(actor.start_m)):
            if isinstance(motion, Walk):
                self._walk(np.array(motion.to_m), actor.speed_m_s)
            elif isinstance(motion, Turn):
                self._turn(np.deg2rad(motion.heading_deg))
            else:
                if motion.posture == "sit":  # nobody walks off before they are up
                    self._stay("stand", _POSTURE_S / 2)
                self._stay(motion.posture, motion.seconds)
                if motion.posture == "sit":
                    self._stay("stand", _POSTURE_S / 2)
        if not self._places:
            self._stay("stand", 1.0)
        self.place_m = np.concatenate(self._places)
        self.heading = np.concatenate(self._headings)
        self.posture = np.concatenate(self._postures)

    @property
    def steps(self) -> int:
        return len(self.heading)

    def _add(self, place: Array, posture: str = "stand") -> None:
        self._places.append(place)
        self._headings.append(np.full(len(place), self._heading))
        self._postures.append(np.full(len(place), _POSTURES.index(posture)))

    def _walk(self, to: Array, speed_m_s: float) -> None:
        way = to - self._place
        length_m = float(np.linalg.norm(way))
        if length_m < 1e-6:
            return
        self._turn(float(np.arctan2(way[1], way[0])))
        steps = max(1, round(length_m / speed_m_s / _STEP_S))
        self._add(self._place + np.arange(1, steps + 1)[:, None] / steps * way)
        self._place = to

    def _turn(self, heading: float) -> None:
        change = (heading - self._heading + np.pi) % (2 * np.pi) - np.pi
        self._heading += change
        if abs(change) > _TURN_ABOVE_RAD:
            self._stay("stand", _TURN_S)

    def _stay(self, posture: str, seconds: float) -> None:
        steps = max(1, round(seconds / _STEP_S))
        self._add(np.tile(self._place, (steps, 1)), posture)


def _first_heading(actor: Actor) -> float:
    """That of their first walk or turn."""
    for motion in actor.motions:
        if isinstance(motion, Turn):
            return float(np.deg2rad(motion.heading_deg))
        if isinstance(motion, Walk):
            way = np.subtract(motion.to_m, actor.start_m)
            if np.linalg.norm(way) > 1e-6:
                return float(np.arctan2(way[1], way[0]))
    return 0.0


def _joints_m(rng: np.random.Generator, plan: _Plan, steps: int) -> Array:
    """[steps, 15, 3] with the feet on z = 0. Whoever is done before the others stands and waits."""
    wait = steps - plan.steps
    place = _smooth(np.pad(plan.place_m, ((0, wait), (0, 0)), "edge"), _PLACE_S)
    heading = _smooth_heading(np.pad(plan.heading, (0, wait), "edge"))
    posture = np.eye(len(_POSTURES))[np.pad(plan.posture, (0, wait), "edge")]
    weights = _smooth(posture, _POSTURE_S)  # [S, 3]
    velocity = (np.roll(place, -1, 0) - np.roll(place, 1, 0)) / (2 * _STEP_S)
    speed = np.linalg.norm(velocity, axis=-1)
    body = _adult(rng)
    angles = weights @ _posture_angles(rng) + _sway(rng, steps) + _reach(rng, weights[:, 2])
    angles = with_gait(angles, speed, _gait_phase(rng, speed), np.ones(steps))
    motion = Motion(
        angles=angles.astype(np.float32),
        angle_rates=np.zeros((steps, len(ANGLES)), np.float32),
        heading=heading.astype(np.float32),
        place_m=np.zeros((steps, 2), np.float32),
        velocity_mps=np.zeros((steps, 2), np.float32),
        lift_m=np.zeros(steps, np.float32),
    )
    bodies = Bodies(**{f.name: np.repeat(getattr(body, f.name), steps, 0) for f in fields(Bodies)})
    joints_m = forward_kinematics(bodies, motion).astype(np.float64)
    feet = joints_m[:, _ANKLES, :2].mean(1)  # whoever sits down does so behind their feet
    joints_m[..., :2] += (place - weights[:, 1:2] * feet)[:, None]
    return joints_m


def _smooth(values: Array, window_s: float) -> Array:
    """Along the first axis of a time line that repeats."""
    window = np.hanning(round(window_s / _STEP_S) // 2 * 2 + 3)[1:-1]
    return np.asarray(convolve1d(values, window / window.sum(), axis=0, mode="wrap"))


def _smooth_heading(heading: Array) -> Array:
    """The same for angles, over the shorter way round; whole turns a period are kept."""
    closed = np.unwrap(np.append(heading, heading[0]))
    turns = np.linspace(0.0, closed[-1] - closed[0], len(closed))[:-1]
    return _smooth(closed[:-1] - turns, _TURN_S) + turns


def _adult(rng: np.random.Generator) -> Bodies:
    many = sample_bodies(rng, 16)
    first = np.flatnonzero(many.stature > _ADULT_M)[:1]
    return Bodies(**{f.name: getattr(many, f.name)[first] for f in fields(Bodies)})


def _posture_angles(rng: np.random.Generator) -> Array:
    """[3, A] rad: how this person stands, sits and works."""
    rows = []
    for posture, mode in zip(_POSTURES, _MODES):
        mean = np.mean([sample_motion(rng, 1, mode).angles[0] for _ in range(4)], 0)
        angles = mean.astype(np.float64)  # the mean of four: a little of their own, never much
        for side, _ in _SIDES:
            for name, degrees in zip(
                ("shoulder_flexion", "shoulder_abduction", "shoulder_rotation", "elbow"),
                _ARMS_DEG[posture],
            ):
                value = np.deg2rad(degrees) + rng.normal(0, 0.05)
                angles[ANGLES.index(f"{name}_{side}")] = value
        if posture == "work":
            angles[ANGLES.index("spine_flexion")] += np.deg2rad(12)
            angles[ANGLES.index("head_pitch")] += np.deg2rad(18)
        rows.append(angles)
    return np.array(rows)


def _wave(rng: np.random.Generator, steps: int, hz: float, count: int) -> Array:
    """[steps, count] sines near a frequency, whole periods in the time line."""
    cycles = np.maximum(1, np.round(steps * _STEP_S * hz * rng.uniform(0.7, 1.3, count)))
    angle = np.arange(steps)[:, None] / steps * cycles + rng.uniform(0, 1, count)
    return np.asarray(np.sin(2 * np.pi * angle))


def _sway(rng: np.random.Generator, steps: int) -> Array:
    """Nobody stands like a statue: [steps, A] rad. The legs stay still, lest feet leave the floor."""
    moves = np.array([not name.startswith(("hip", "knee", "pelvis")) for name in ANGLES])
    return np.deg2rad(_SWAY_DEG) * moves * _wave(rng, steps, _SWAY_HZ, len(ANGLES))


def _reach(rng: np.random.Generator, working: Array) -> Array:
    """Hands that reach out in turn, [steps, A] rad, as far as the person is at work [steps]."""
    angles = np.zeros((len(working), len(ANGLES)))
    wave = _wave(rng, len(working), _REACH_HZ, 1)[:, 0]
    for side, sign in _SIDES:
        for name, degrees in _WORK_REACH_DEG.items():
            angles[:, ANGLES.index(f"{name}_{side}")] = sign * np.deg2rad(degrees) * wave * working
    angles[:, ANGLES.index("spine_twist")] = -np.deg2rad(8) * wave * working
    return angles


def _gait_phase(rng: np.random.Generator, speed_m_s: Array) -> Array:
    """[S] rad; whole double steps in the time line."""
    phase = np.cumsum(2 * np.pi * steps_per_s(speed_m_s) * (speed_m_s > 0.05) * _STEP_S)
    total = float(phase[-1]) / (2 * np.pi)
    whole = max(1.0, round(total))
    start = rng.uniform(-np.pi, np.pi)
    return phase * (whole / total if total > 0.5 else 0.0) + start
