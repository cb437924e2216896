"""People who walk, cross, meet, stand close and sit for a while before a random rig, over time.

Each person goes from one activity to the next: walks to a place, walks up to somebody and stops
before them, stands, sits. They keep 0.4 m apart, as far as they can. Legs and arms follow the
distance walked; postures change smoothly. What a detector makes of them is drawn anew for every
frame from `detector_noise`; furniture stays where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mvssm_ros.geometry.cameras import Cameras, in_view, project
from mvssm_ros.learning.synthetic import detector_noise, occlusion
from mvssm_ros.learning.synthetic.gait import steps_per_s, with_gait
from mvssm_ros.learning.synthetic.people import (
    ANGLES,
    Bodies,
    Motion,
    forward_kinematics,
    sample_bodies,
    sample_motion,
)
from mvssm_ros.learning.synthetic.rigs import sample_rigs

Rng = np.random.Generator

_STEP_S = 1 / 60  # of the simulation
_APART_M = 0.4  # two people come no nearer, as far as they can help it
_AREA_M2 = 3.0  # of the space a person
_SMALLEST_M2 = 12.0
_PUSH = 3.0  # m/s^2 and m: how hard those who are too near step aside
_HASTE_S = 0.35  # time constant of speeding up and slowing down
_TURN_S = 0.25
_POSTURE_S = 0.2  # time constant of each of the two lags between postures
_ACTIVITIES = ("walk", "meet", "stand", "sit")
_WEIGHTS = (0.5, 0.15, 0.2, 0.15)
_LONG_SIDE_PX = 960.0  # detector noise is defined on images of this long side
_MIN_JOINTS_SEEN = 5  # as in `world`: a view sees a person when so many joints are in its image
_FURNITURE = 4  # times three boxes are tried; those in somebody's way are left out


@dataclass(frozen=True)
class Crowd:
    """F frames of G people before T cameras.

    cameras [T]; space_center_m, space_size_m [2]; stamps_ns [F] int64; truth_m [F, G, 15, 3];
    views_of [F, G]: how many views have at least five of the person's joints in their image;
    unhidden [F, G]: how many views have so many that nobody and nothing covers;
    keypoints_px [F, T, D, 15, 3]: raw px and confidence, 0 = missing.
    """

    cameras: Cameras
    space_center_m: np.ndarray
    space_size_m: np.ndarray
    stamps_ns: np.ndarray
    truth_m: np.ndarray
    views_of: np.ndarray
    unhidden: np.ndarray
    keypoints_px: np.ndarray


def make_crowd(
    seed: int,
    n_people: int,
    n_views: int = 5,
    seconds: float = 60.0,
    rate_hz: float = 10.0,
    severity: float = 1.0,
) -> Crowd:
    """The same arguments give the same crowd. severity: of the detector's noise, 0 to 1 and more.

    The stream of random numbers is none of `SyntheticWorld`'s: no training scene is a part of it.
    """
    key = (2, n_people, n_views)  # splits 0 and 1 are `SyntheticWorld`'s
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
    cameras, center_m, size_m = _rig(rng, n_people, n_views)
    times_s = np.arange(round(seconds * rate_hz)) / rate_hz
    truth_m = walk_about(rng, n_people, times_s, center_m, size_m)
    views, scale = _views(rng, cameras, truth_m, center_m, size_m, severity > 0)
    all_joints = np.full(len(times_s), rng.random() < 0.4)
    found = detector_noise.detect(rng, views, np.full(len(times_s), severity), all_joints)
    found = detector_noise.shuffle_and_pack(rng, found, 3 * n_people + 6)
    keypoints = found.keypoints.astype(np.float64)
    keypoints[..., :2] *= scale[:, None, None, None]
    return Crowd(
        cameras=cameras,
        space_center_m=center_m,
        space_size_m=size_m,
        stamps_ns=1_000_000_000 + np.round(times_s * 1e9).astype(np.int64),
        truth_m=truth_m,
        views_of=(views.inside.sum(-1) >= _MIN_JOINTS_SEEN).sum(1),
        unhidden=((views.inside & ~views.hidden).sum(-1) >= _MIN_JOINTS_SEEN).sum(1),
        keypoints_px=keypoints.astype(np.float32),
    )


def walk_about(
    rng: Rng, n_people: int, times_s: np.ndarray, center_m: np.ndarray, size_m: np.ndarray
) -> np.ndarray:
    """Joints [F, G, 15, 3] m of people in a rectangle, at rising times from 0 on."""
    bodies = sample_bodies(rng, n_people)
    plan = _Walkers(rng, n_people, center_m, size_m)
    wanted = np.round(np.asarray(times_s) / _STEP_S).astype(int)
    frames = []
    for step in range(int(wanted.max(initial=0)) + 1):
        frames += [plan.joints_m(bodies)] * int((wanted == step).sum())
        plan.advance()
    return np.array(frames, np.float64).reshape(-1, n_people, 15, 3)


class _Walkers:
    """Where everybody is, what they are about, and how they hold themselves."""

    def __init__(self, rng: Rng, n: int, center_m: np.ndarray, size_m: np.ndarray) -> None:
        self.rng, self.n = rng, n
        self.low, self.high = center_m - 0.45 * size_m, center_m + 0.45 * size_m
        self.place = self._free_places()
        self.velocity = np.zeros((n, 2))
        self.heading = rng.uniform(-np.pi, np.pi, n)
        self.phase = rng.uniform(-np.pi, np.pi, n)
        self.pace = rng.uniform(0.7, 1.5, n)
        self.swings = rng.random(n) < 0.8
        self.activity = np.full(n, 2)
        self.left_s = rng.uniform(0.0, 2.0, n)  # of the activity
        self.goal = self.place.copy()
        self.partner = np.full(n, -1)
        self.posture = sample_motion(rng, n, "standing").angles.astype(np.float64)
        self.lagged, self.angles = self.posture.copy(), self.posture.copy()

    def advance(self) -> None:
        """One step of the simulation."""
        self.left_s -= _STEP_S
        for g in np.flatnonzero(self.left_s <= 0):
            self._begin(int(g))
        moving = self.activity <= 1
        meeting = (self.activity == 1) & (self.partner >= 0)
        self.goal[meeting] = self.place[self.partner[meeting]]
        to_goal = self.goal - self.place
        distance = np.linalg.norm(to_goal, axis=-1)
        stop_m = np.where(meeting, 0.65, 0.1)
        arrived = moving & (distance < stop_m)
        self.activity[arrived] = 2
        self.left_s[arrived] = self.rng.uniform(1.0, 3.0, int(arrived.sum()))
        speed = self.pace * np.clip((distance - stop_m) / 0.5, 0.15, 1.0) * (moving & ~arrived)
        wanted = to_goal / np.maximum(distance, 1e-6)[:, None] * speed[:, None]
        self.velocity += (wanted - self.velocity) * _STEP_S / _HASTE_S + self._push() * _STEP_S
        self.place = np.clip(self.place + self.velocity * _STEP_S, self.low, self.high)
        self._turn(meeting, to_goal)
        walked = np.linalg.norm(self.velocity, axis=-1)
        self.phase += 2 * np.pi * steps_per_s(walked) * (walked > 0.05) * _STEP_S
        share = _STEP_S / _POSTURE_S
        self.lagged += share * (self.posture - self.lagged)
        self.angles += share * (self.lagged - self.angles)

    def joints_m(self, bodies: Bodies) -> np.ndarray:
        """[G, 15, 3] now."""
        n = self.n
        motion = Motion(
            angles=with_gait(
                self.angles, np.linalg.norm(self.velocity, axis=-1), self.phase, self.swings
            ).astype(np.float32),
            angle_rates=np.zeros((n, len(ANGLES)), np.float32),
            heading=self.heading.astype(np.float32),
            place_m=self.place.astype(np.float32),
            velocity_mps=np.zeros((n, 2), np.float32),
            lift_m=np.zeros(n, np.float32),
        )
        return forward_kinematics(bodies, motion)

    def _begin(self, g: int) -> None:
        """A new activity. Those who do not stand do so first."""
        standing = self.activity[g] == _ACTIVITIES.index("stand")
        activity = int(self.rng.choice(4, p=_WEIGHTS)) if standing else 2
        if _ACTIVITIES[activity] == "meet" and self.n == 1:
            activity = 0
        self.activity[g] = activity
        self.left_s[g] = self.rng.uniform(2.0, 6.0) if standing else 1.2
        if activity <= 1:
            self.left_s[g] = 12.0
        self.goal[g] = self.rng.uniform(self.low, self.high)
        if _ACTIVITIES[activity] == "meet":
            others = np.delete(np.arange(self.n), g)
            self.partner[g] = self.rng.choice(others)
        mode = "sitting" if _ACTIVITIES[activity] == "sit" else "standing"
        self.posture[g] = sample_motion(self.rng, 1, mode).angles[0]

    def _push(self) -> np.ndarray:
        """Acceleration [G, 2] away from those who are too near."""
        apart = self.place[:, None] - self.place
        distance = np.linalg.norm(apart, axis=-1) + 1e3 * np.eye(self.n)
        nearness = np.clip(_APART_M + 0.15 - distance, 0.0, None) / 0.15
        aside = np.stack([-apart[..., 1], apart[..., 0]], -1)  # and past each other
        direction = (apart + 0.3 * aside) / np.maximum(distance, 1e-3)[..., None]
        seated = self.activity == _ACTIVITIES.index("sit")
        return np.asarray(_PUSH * (nearness[..., None] * direction).sum(1) * ~seated[:, None])

    def _turn(self, meeting: np.ndarray, to_goal: np.ndarray) -> None:
        """Headings follow the way walked, or the one who is met."""
        fast = np.linalg.norm(self.velocity, axis=-1) > 0.2
        ahead = np.where(meeting[:, None], to_goal, self.velocity)
        turn = np.arctan2(ahead[:, 1], ahead[:, 0]) - self.heading
        turn = (turn + np.pi) % (2 * np.pi) - np.pi
        self.heading += turn * (fast | meeting) * _STEP_S / _TURN_S

    def _free_places(self) -> np.ndarray:
        """Places [G, 2], each the one of twenty that is farthest from those before."""
        places = [self.rng.uniform(self.low, self.high)]
        while len(places) < self.n:
            tries = self.rng.uniform(self.low, self.high, (20, 2))
            gaps = np.linalg.norm(tries[:, None] - np.array(places), axis=-1).min(1)
            places.append(tries[gaps.argmax()])
        return np.array(places)


def _rig(rng: Rng, n_people: int, n_views: int) -> tuple[Cameras, np.ndarray, np.ndarray]:
    """Cameras [T], centre and size [2] m: the first random rig that is large enough for all and
    of which two cameras see nearly every place."""
    area = max(_SMALLEST_M2, _AREA_M2 * n_people)
    while True:
        rigs = sample_rigs(rng, 32, n_views)
        for b in np.flatnonzero(rigs.size_m.prod(-1) >= area):
            cameras = rigs.cameras.at(b)
            center, size = rigs.center_m[b].astype(float), rigs.size_m[b].astype(float)
            unit = np.stack(np.meshgrid(*[np.linspace(-0.45, 0.45, 10)] * 2), -1).reshape(-1, 2)
            column = np.zeros((100, 2, 3), np.float32)
            column[..., :2] = (center + unit * size)[:, None]
            column[..., 2] = (0.5, 1.5)
            points = torch.from_numpy(column.reshape(-1, 3))
            seen = in_view(cameras, *project(cameras, points)).numpy().reshape(n_views, 100, 2)
            if (seen.all(-1).sum(0) >= 2).mean() >= 0.97:
                return cameras, center, size


def _views(
    rng: Rng,
    cameras: Cameras,
    joints_m: np.ndarray,
    center_m: np.ndarray,
    size_m: np.ndarray,
    cluttered: bool,
) -> tuple[detector_noise.Views, np.ndarray]:
    """True projections in 960-px images, and the scale [T] back to raw pixels."""
    F, G = joints_m.shape[:2]
    T = cameras.n_views
    points = torch.from_numpy(joints_m.reshape(F, G * 15, 3).astype(np.float32))
    pixels_t, depth_t = project(cameras, points)  # [F, T, G 15, 2]
    depth = depth_t.numpy().reshape(F, T, G, 15)
    inside = in_view(cameras, pixels_t, depth_t).numpy().reshape(F, T, G, 15) & (depth > 0.2)
    size_px = cameras.size_px.numpy()
    scale = size_px.max(-1) / _LONG_SIDE_PX
    pixels = pixels_t.numpy().reshape(F, T, G, 15, 2).clip(-2e4, 2e4) / scale[:, None, None, None]
    focal = np.tile(cameras.focal_px.numpy() / scale, (F, 1))
    present = np.ones((F, G), bool)
    hidden = occlusion.behind_people(pixels, depth, focal, present)
    for _ in range(_FURNITURE if cluttered else 0):  # all frames as one: furniture does not move
        behind = occlusion.behind_furniture(
            rng, cameras.centers_m.numpy()[None], joints_m.reshape(1, F * G, 15, 3),
            present.reshape(1, -1), (center_m[None], size_m[None]), np.array([0.5]),
        )  # fmt: skip
        hidden |= behind.reshape(T, F, G, 15).swapaxes(0, 1)
    hip_depth = depth[..., 2]
    views = detector_noise.Views(
        pixels=pixels,
        inside=inside,
        hidden=hidden & inside,
        height=focal[..., None] * detector_noise.ADULT_M / hip_depth.clip(0.3),
        present=present[:, None] & (hip_depth > 0.2),
        size=np.tile(size_px / scale[:, None], (F, 1, 1)),
    )
    return views, scale
