"""Two people who walk about in front of a ring of cameras, and what a 2D detector makes of them."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import numpy.typing as npt

from mvssm_ros.learning.synthetic.people import (
    Bodies,
    forward_kinematics,
    sample_bodies,
    sample_motion,
)
from mvssm_ros.rig.rig_file import Rig, Space
from mvssm_ros.simulation import detector
from mvssm_ros.simulation.cameras import ring_of_cameras

PEOPLE = 2
SIZE_PX = (1280, 960)
_FOCAL_PX = 900.0
_SPACE_M = 4.0
_SPEED_MPS = 0.8
_RADII_M = (1.2, 0.9)
_POSE_S = 0.5  # from one posture to the next
_POSES = 64  # then they come again


def ring_rig(n_cameras: int) -> Rig:
    """Cameras around the people, looking at the middle from 2.0 and 2.4 m."""
    cameras = ring_of_cameras(
        n_cameras, (0.0, 0.0), 0.0, 3.8, (2.0, 2.4), SIZE_PX, _FOCAL_PX,
        distortion=(-0.1, 0.03, 0.0, 0.0, 0.0),
    )  # fmt: skip
    return Rig("map", Space((0.0, 0.0), (_SPACE_M, _SPACE_M)), cameras)


class Walkers:
    """Two people on an ellipse, on opposite sides of it, for ever."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._bodies = _adults(rng)
        self._motion = sample_motion(rng, PEOPLE, "walking")
        poses = [sample_motion(rng, PEOPLE, "walking").angles for _ in range(_POSES)]
        self._poses = np.stack(poses)  # [_POSES, PEOPLE, A]

    def joints_m(self, time_s: float) -> npt.NDArray[np.float32]:
        """Where their joints are, [PEOPLE, 15, 3] m, panoptic15."""
        k, u = divmod(time_s / _POSE_S, 1.0)
        blend = 3 * u**2 - 2 * u**3
        now, then = self._poses[int(k) % _POSES], self._poses[(int(k) + 1) % _POSES]
        motion = replace(
            self._motion,
            angles=now * (1 - blend) + then * blend,
            heading=_heading(time_s),
            place_m=_place_m(time_s),
            lift_m=np.zeros(PEOPLE, np.float32),
        )
        return forward_kinematics(self._bodies, motion).astype(np.float32)


class Detector:
    """Keypoints of every camera, with the noise of `learning.synthetic.detector_noise`.

    All of it but people who are not there: what the network makes of those is for `mvssm evaluate`.

    Args:
        severity: 0: none, 1: the full rates.
    """

    def __init__(self, rig: Rig, severity: float, seed: int) -> None:
        self._detector = detector.Detector(rig.to_cameras(), severity, seed, false_people=False)
        self._looks = 0

    def look(self, joints_m: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float64]]:
        """For each camera the people found, [P, 15, 3] (x px, y px, confidence; 0 = missing)."""
        self._looks += 1
        return self._detector.look(self._detector.views(joints_m), self._looks)


def _adults(rng: np.random.Generator) -> Bodies:
    many = sample_bodies(rng, 32)
    adults = np.flatnonzero(many.stature > 1.55)[:PEOPLE]
    return Bodies(**{f.name: getattr(many, f.name)[adults] for f in fields(Bodies)})


def _angles(time_s: float) -> npt.NDArray[np.float64]:
    """Where on the ellipse: opposite each other, give or take 30 degrees."""
    first = _SPEED_MPS / _RADII_M[0] * time_s
    return np.array([first, first + np.pi + 0.5 * np.sin(0.07 * time_s)])


def _place_m(time_s: float) -> npt.NDArray[np.float32]:
    a = _angles(time_s)
    return np.stack([_RADII_M[0] * np.cos(a), _RADII_M[1] * np.sin(a)], -1).astype(np.float32)


def _heading(time_s: float) -> npt.NDArray[np.float32]:
    ahead = _place_m(time_s + 0.05) - _place_m(time_s)
    return np.arctan2(ahead[:, 1], ahead[:, 0]).astype(np.float32)
