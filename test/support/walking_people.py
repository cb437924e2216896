"""People who walk about in front of a rig for some seconds, and what a detector makes of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from mvssm_ros.geometry.cameras import Cameras
from mvssm_ros.learning.synthetic import detector_noise
from mvssm_ros.learning.synthetic.people import forward_kinematics, sample_bodies, sample_motion
from mvssm_ros.learning.synthetic.rigs import look_at, sample_rigs
from mvssm_ros.learning.synthetic.world import SyntheticWorld, WorldConfig
from mvssm_ros.rig.keypoint_sequence import KeypointSequence
from mvssm_ros.rig.rig_file import CameraEntry, Rig, Space

_POSE_S = 0.6  # from one posture to the next
_SPEED_MPS = 0.9


def ring_rig(n_views: int = 4, size_m: float = 4.0) -> Rig:
    """Cameras in a ring of 1280 x 960 px with some distortion, looking at the middle."""
    angle = 2 * np.pi * np.arange(n_views) / n_views + 0.3
    height = 2.0 + 0.4 * (np.arange(n_views) % 2)
    centers = np.stack([0.9 * size_m * np.cos(angle), 0.9 * size_m * np.sin(angle), height], -1)
    R = look_at(centers, np.tile([0.0, 0.0, 0.9], (n_views, 1)), np.zeros(n_views))
    cameras = {}
    for i in range(n_views):
        name = f"cam{i + 1}"
        cameras[name] = replace(
            CameraEntry.bare(name),
            size_px=(1280, 960),
            K=np.array([[900.0, 0, 642.0 + i], [0, 905.0, 478.0], [0, 0, 1]]),
            distortion=np.array([-0.12, 0.05, 0.0004, -0.0003, 0.0]),
            R=R[i],
            t_m=-R[i] @ centers[i],
        )
    return Rig("map", Space((0.0, 0.0), (size_m, size_m)), cameras)


def random_rig(seed: int, n_views: int) -> Rig:
    """A rig of the synthetic world."""
    rigs = sample_rigs(np.random.default_rng(seed), 1, n_views)
    c = Cameras(**{k: v[0].double() for k, v in vars(rigs.cameras).items() if k != "fold_radius"})
    cameras = {}
    for i in range(n_views):
        fisheye = bool(c.fisheye[i])
        left, _, right = np.linalg.svd(c.R[i].numpy())
        cameras[f"cam{i + 1}"] = replace(
            CameraEntry.bare(f"cam{i + 1}"),
            size_px=(int(c.size_px[i, 0]), int(c.size_px[i, 1])),
            K=c.K[i].numpy(),
            distortion_model="equidistant" if fisheye else "rational_polynomial",
            distortion=c.distortion[i, : 4 if fisheye else 8].numpy(),
            R=left @ right,
            t_m=c.t[i].numpy(),
        )
    x, y = rigs.center_m[0].tolist()
    return Rig("map", Space((x, y), (float(rigs.size_m[0, 0]), float(rigs.size_m[0, 1]))), cameras)


def disturbed(rig: Rig, seed: int, angle_deg: float = 3.0, position_m: float = 0.05) -> Rig:
    """Every camera turned by angle_deg about a random axis and moved by position_m."""
    rng = np.random.default_rng(seed)
    cameras = {}
    for name, entry in rig.cameras.items():
        axis, shift = rng.normal(size=(2, 3))
        axis, shift = axis / np.linalg.norm(axis), shift / np.linalg.norm(shift)
        R = Rotation.from_rotvec(np.deg2rad(angle_deg) * axis).as_matrix() @ entry.R
        cameras[name] = replace(entry, R=R, t_m=-R @ (entry.center_m + position_m * shift))
    return replace(rig, cameras=cameras)


def walk(
    rig: Rig,
    seed: int,
    n_people: int = 3,
    seconds: float = 10.0,
    fps: float = 10.0,
    severity: float = 1.0,
    late_s: dict[str, float] | None = None,
    in_order: bool = False,
) -> KeypointSequence:
    """What a detector sees of people who walk about.

    severity 0: exact; late_s: by camera, how long after its stamp an image is taken; in_order: each
    person keeps its slot in every view, and nobody is found who is not there.
    """
    rng = np.random.default_rng(seed)
    stamps_s = np.arange(round(seconds * fps)) / fps
    late = np.array([(late_s or {}).get(name, 0.0) for name in rig.cameras])
    track = _walkers(rng, rig.space, n_people, seconds)
    seen = np.stack([track(stamps_s + s) for s in late], 1)  # [F, T, G, 15, 3]
    F, _, G = seen.shape[:3]
    one = rig.to_cameras()
    cameras = Cameras.stack([one] * F)
    world = SyntheticWorld(WorldConfig.held_out(), seed)
    center = np.tile(np.array(rig.space.center_m), (F, 1))
    size = np.tile(np.array(rig.space.size_m), (F, 1))
    views, scale, _ = world._views(
        rng, cameras, seen.astype(np.float32), np.ones((F, G), bool), (center, size),
        np.full(F, severity > 0),
    )  # fmt: skip
    style = np.full(F, rng.random() < 0.4)
    found = detector_noise.detect(rng, views, np.full(F, severity), style)
    if not in_order:
        found = detector_noise.shuffle_and_pack(rng, found, 14)
    keypoints = found.keypoints.astype(np.float64)[:, :, : n_people if in_order else None]
    keypoints[..., :2] *= scale[:, :, None, None, None]
    stamps_ns = 1_000_000_000 + np.round(stamps_s * 1e9).astype(np.int64)
    return KeypointSequence(tuple(rig.cameras), stamps_ns, keypoints)


def _walkers(rng, space, n_people, seconds):
    """A function of times [F] s to joints [F, G, 15, 3] m: smooth ways through the space."""
    n = int(np.ceil((seconds + 2) / _POSE_S)) + 2
    bodies = sample_bodies(rng, n_people)
    poses = np.stack([sample_motion(rng, n_people, "walking").angles for _ in range(n)])
    half = 0.4 * np.array(space.size_m)
    ways = []
    for _ in range(n_people):
        corners = rng.uniform(-half, half, (100, 2))
        ways.append(corners + np.array(space.center_m))

    def at(times_s):
        t = np.clip(times_s + 1.0, 0, None)
        k, u = np.divmod(t / _POSE_S, 1.0)
        k = k.astype(int)
        blend = (3 * u**2 - 2 * u**3)[:, None, None]
        angles = poses[k] * (1 - blend) + poses[k + 1] * blend  # [F, G, A]
        out = []
        for g in range(n_people):
            body = type(bodies)(**{key: v[g : g + 1] for key, v in vars(bodies).items()})
            body = type(bodies)(**{key: np.repeat(v, len(t), 0) for key, v in vars(body).items()})
            way = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(ways[g], axis=0), axis=1))])
            smooth = np.arange(-0.3, 0.31, 0.1)  # corners are rounded
            place = np.mean(
                [[np.interp(_SPEED_MPS * (t + s), way, ways[g][:, i]) for i in (0, 1)] for s in smooth],
                0,
            ).T  # fmt: skip
            ahead = np.mean(
                [[np.interp(_SPEED_MPS * (t + s + 0.2), way, ways[g][:, i]) for i in (0, 1)]
                 for s in smooth], 0,
            ).T  # fmt: skip
            heading = np.arctan2(*(ahead - place).T[::-1])
            motion = replace(
                sample_motion(rng, len(t), "walking"),
                angles=angles[:, g].astype(np.float32),
                heading=heading.astype(np.float32),
                place_m=place.astype(np.float32),
                lift_m=np.zeros(len(t), np.float32),
            )
            out.append(forward_kinematics(body, motion))
        return np.stack(out, 1)

    return at


def misplaced(found: Rig, truth: Rig) -> tuple[np.ndarray, np.ndarray]:
    """How far each camera is from the truth, deg and m, after the best similarity of all."""
    a = np.array([e.center_m for e in found.cameras.values()])
    b = np.array([e.center_m for e in truth.cameras.values()])
    turn = [
        t.R.T @ f.R for f, t in zip(found.cameras.values(), truth.cameras.values(), strict=True)
    ]
    Q = Rotation.from_matrix(np.array(turn)).mean().as_matrix()  # found world to true world
    moved = (a - a.mean(0)) @ Q.T
    flat = b - b.mean(0)
    moved *= (moved * flat).sum() / (moved**2).sum()
    angles = [
        np.rad2deg(np.linalg.norm(Rotation.from_matrix(f.R @ Q.T @ t.R.T).as_rotvec()))
        for f, t in zip(found.cameras.values(), truth.cameras.values(), strict=True)
    ]
    return np.array(angles), np.linalg.norm(moved - flat, axis=1)
