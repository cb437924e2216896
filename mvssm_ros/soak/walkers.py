"""Two people who walk about in front of a ring of cameras, and what a 2D detector makes of them."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import numpy.typing as npt
import torch

from mvssm_ros.geometry.cameras import in_view, project
from mvssm_ros.learning.synthetic import detector_noise, occlusion
from mvssm_ros.learning.synthetic.people import (
    Bodies,
    forward_kinematics,
    sample_bodies,
    sample_motion,
)
from mvssm_ros.learning.synthetic.rigs import look_at
from mvssm_ros.rig.rig_file import CameraEntry, Rig, Space

PEOPLE = 2
SIZE_PX = (1280, 960)
_FOCAL_PX = 900.0
_SPACE_M = 4.0
_SPEED_MPS = 0.8
_RADII_M = (1.2, 0.9)
_POSE_S = 0.5  # from one posture to the next
_POSES = 64  # then they come again
_NOISE_LONG_SIDE_PX = 960.0  # detector noise is defined for images of this long side


def ring_rig(n_cameras: int) -> Rig:
    """Cameras around the people, looking at the middle from 2.0 and 2.4 m."""
    angle = 2 * np.pi * np.arange(n_cameras) / n_cameras + 0.3
    height = 2.0 + 0.4 * (np.arange(n_cameras) % 2)
    centers_m = np.stack([3.8 * np.cos(angle), 3.8 * np.sin(angle), height], -1)
    R = look_at(centers_m, np.tile([0.0, 0.0, 0.9], (n_cameras, 1)), np.zeros(n_cameras))
    K = np.array([[_FOCAL_PX, 0.0, 639.5], [0.0, _FOCAL_PX, 479.5], [0.0, 0.0, 1.0]])
    cameras = {
        f"cam{i + 1}": replace(
            CameraEntry.bare(f"cam{i + 1}"),
            size_px=SIZE_PX,
            K=K,
            distortion=np.array([-0.1, 0.03, 0.0, 0.0, 0.0]),
            R=R[i],
            t_m=-R[i] @ centers_m[i],
        )
        for i in range(n_cameras)
    }
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
        self._cameras = rig.to_cameras()
        self._severity = np.array([severity])
        self._rng = np.random.default_rng(seed + 1)
        sizes_px = self._cameras.size_px.numpy()
        self._scale = sizes_px.max(-1) / _NOISE_LONG_SIDE_PX  # [T]

    def look(self, joints_m: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float64]]:
        """For each camera the people found, [P, 15, 3] (x px, y px, confidence; 0 = missing)."""
        found = detector_noise.detect(
            self._rng, self._views(joints_m), self._severity, np.array([False])
        )
        real = found.present & (found.identity >= 0)
        found = detector_noise.shuffle_and_pack(self._rng, replace(found, present=real), 8)
        keypoints = found.keypoints[0] * 1.0  # [T, S, 15, 3]
        keypoints[..., :2] *= self._scale[:, None, None, None]
        return [people[present] for people, present in zip(keypoints, found.present[0])]

    def _views(self, joints_m: npt.NDArray[np.float32]) -> detector_noise.Views:
        G = len(joints_m)
        pixels_px, depth_m = project(self._cameras, torch.from_numpy(joints_m.reshape(-1, 3)))
        inside = in_view(self._cameras, pixels_px, depth_m).numpy().reshape(1, -1, G, 15)
        depth = depth_m.numpy().reshape(1, -1, G, 15)
        scale = self._scale[None, :]
        pixels = pixels_px.numpy().reshape(1, -1, G, 15, 2) / scale[..., None, None, None]
        focal = self._cameras.focal_px.numpy()[None] / scale
        present = np.ones((1, G), bool)
        hidden = occlusion.behind_people(pixels, depth, focal, present) & inside
        return detector_noise.Views(
            pixels=pixels,
            inside=inside,
            hidden=hidden,
            height=focal[..., None] * detector_noise.ADULT_M / depth[..., 2].clip(0.3),
            present=np.ones((1, len(self._scale), G), bool),
            size=self._cameras.size_px.numpy()[None] / scale[..., None],
        )


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
