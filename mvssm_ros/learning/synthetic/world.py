"""Synthetic multi-view scenes: random rigs, people and detections, in batches.

Seeds: batch k of `SyntheticWorld(config, seed)` is drawn from
``SeedSequence(seed, spawn_key=(split, k))`` with split 0 for training and 1 for held-out worlds.
Different spawn keys give independent streams, so no training scene is ever a held-out scene,
whatever the seeds; a resumed training sets `batch_index` and goes on with the same scenes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from mvssm_ros.geometry.cameras import Cameras, in_view, project
from mvssm_ros.learning.synthetic import detector_noise, occlusion
from mvssm_ros.learning.synthetic.people import (
    forward_kinematics,
    joint_velocities,
    sample_bodies,
    sample_motion,
)
from mvssm_ros.learning.synthetic.rigs import Rigs, perturb_calibration, sample_rigs

_PLACES = 24  # candidate places for each person
_LONG_SIDE_PX = 960.0  # noise is defined in pixels of images scaled to this long side
_MIN_JOINTS_SEEN = 5  # a view sees a person when so many joints are inside its image


@dataclass(frozen=True)
class WorldConfig:
    """What a synthetic world is like; see `training` and `held_out`."""

    split: int  # 0 training, 1 held out: part of every seed
    min_people: int = 1
    max_people: int = 4
    crowding: float = 0.0  # share of scenes with people close together
    clean_scenes: float = 0.0  # share of scenes with exact detections
    severity: tuple[float, float] = (1.0, 1.0)  # uniform, of the other scenes; 1: documented rates
    all_joints_style: float = 0.4  # share of scenes whose detector reports unseen joints too
    furniture: float = 0.25  # probability of each of three boxes in a scene
    edge_band: float = 0.04  # probability that a view's lower edge is covered
    calibration_error: float = 0.0  # share of scenes with calibration error
    calibration_error_px: tuple[float, float] = (3.0, 15.0)  # usual scale and most (960-px)
    time_offset: float = 0.0  # share of scenes with cameras out of step
    time_offset_s: float = 0.03  # most
    detections_cap: int = 14  # a view

    @staticmethod
    def training(max_people: int = 8) -> WorldConfig:
        """Everything random: empty to crowded, clean to worse than full noise, imperfect rigs."""
        return WorldConfig(
            split=0, min_people=0, max_people=max_people, crowding=0.35, clean_scenes=0.12,
            severity=(0.2, 1.8), calibration_error=0.4, time_offset=0.25,
        )  # fmt: skip

    @staticmethod
    def held_out(max_people: int = 4) -> WorldConfig:
        """Full detector noise, 1 to max_people people, exact calibration and synchronisation."""
        return WorldConfig(split=1, max_people=max_people, crowding=0.15)

    @staticmethod
    def noise_free(max_people: int = 4) -> WorldConfig:
        """Exact detections of every visible joint (for tests and as an upper bound)."""
        return WorldConfig(
            split=1, max_people=max_people, clean_scenes=1.0, furniture=0.0, edge_band=0.0
        )


@dataclass
class SceneBatch:
    """B scenes of T views, D detections a view, G people."""

    cameras: Cameras  # [B, T] as given to the network (calibration error included)
    keypoints_px: Tensor  # [B, T, D, 15, 3] x, y raw px, confidence; confidence 0 = absent
    identity: Tensor  # [B, T, D] long: person of the detection, -1 false or empty
    joints_m: Tensor  # [B, G, 15, 3] ground truth
    person_valid: Tensor  # [B, G] bool
    space_center_m: Tensor  # [B, 2]
    space_size_m: Tensor  # [B, 2]


class SyntheticWorld:
    """An endless, deterministic stream of batches of scenes."""

    def __init__(self, config: WorldConfig, seed: int) -> None:
        self.config = config
        self.seed = seed
        self.batch_index = 0  # of the next batch

    def batch(
        self,
        n_scenes: int,
        n_views: int,
        arrangement: Cameras | None = None,
        space: tuple[tuple[float, float], tuple[float, float]] | None = None,
    ) -> SceneBatch:
        """n_scenes scenes of n_views views.

        arrangement: real cameras [T] used in every scene instead of random rigs; n_views must be
        their number. space: centre and size (x, y) in metres of the space people stand in;
        by default where at least two (and most) of the arrangement's cameras see a body.

        A person who is inside fewer than two images is not valid: its detections are there with
        identity -1, as of a passer-by. Raises ValueError where n_views does not fit.
        """
        key = (self.config.split, self.batch_index)
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))
        self.batch_index += 1
        if arrangement is None:
            rigs = sample_rigs(rng, n_scenes, n_views)
        else:
            rigs = given_rigs(arrangement, n_scenes, n_views, space)
        return self._scenes(rng, rigs.cameras, rigs.center_m, rigs.size_m)

    def _scenes(
        self, rng: np.random.Generator, cameras: Cameras, center: np.ndarray, size: np.ndarray
    ) -> SceneBatch:
        config = self.config
        B, T = cameras.fisheye.shape
        count = people_counts(rng, config, B)
        G = max(1, int(count.max()))
        present = np.arange(G) < count[:, None]
        clean = rng.random(B) < config.clean_scenes
        severity = np.where(clean, 0.0, rng.uniform(*config.severity, B))

        bodies = sample_bodies(rng, B * G)
        motion = sample_motion(rng, B * G)
        places, headings = choose_places(rng, config, cameras, center, size, present)
        facing = np.isfinite(headings).ravel()
        heading = np.where(facing, np.nan_to_num(headings).ravel(), motion.heading)
        motion = replace(motion, place_m=places.reshape(-1, 2), heading=heading.astype(np.float32))
        joints = forward_kinematics(bodies, motion).reshape(B, G, 15, 3)
        seen_joints = np.repeat(joints[:, None], T, 1)  # [B, T, G, 15, 3] as each view sees them
        if config.time_offset > 0:
            out_of_step = rng.random((B, 1)) < config.time_offset
            offset = out_of_step * rng.uniform(-1, 1, (B, T)) * config.time_offset_s
            velocity = joint_velocities(bodies, motion).reshape(B, 1, G, 15, 3)
            seen_joints = seen_joints + offset[..., None, None, None] * velocity

        views, scale, valid = self._views(
            rng, cameras, seen_joints, present, (center, size), ~clean
        )
        all_joints = rng.random(B) < config.all_joints_style
        found = detector_noise.detect(rng, views, severity, all_joints)
        identity = np.where(valid[np.arange(B)[:, None, None], found.identity], found.identity, -1)
        found = replace(found, identity=np.where(found.identity >= 0, identity, -1))
        found = detector_noise.shuffle_and_pack(rng, found, config.detections_cap)
        keypoints = found.keypoints * np.append(1, [1, 1])  # own copy
        keypoints[..., :2] *= scale[:, :, None, None, None]

        given = cameras
        if config.calibration_error > 0:
            usual, most = config.calibration_error_px
            wrong = rng.random((B, 1)) < config.calibration_error
            error = np.abs(rng.normal(0, usual / 1.5, (B, 1))) * rng.uniform(0.3, 1.5, (B, T))
            tail = rng.random((B, T)) < 0.07
            error = np.where(tail, rng.uniform(usual, most, (B, T)), error)
            given = perturb_calibration(rng, cameras, wrong * error.clip(0, most))
        return SceneBatch(
            cameras=given,
            keypoints_px=torch.from_numpy(keypoints.astype(np.float32)),
            identity=torch.from_numpy(found.identity.astype(np.int64)),
            joints_m=torch.from_numpy(joints.astype(np.float32) * valid[..., None, None]),
            person_valid=torch.from_numpy(valid),
            space_center_m=torch.from_numpy(center.astype(np.float32)),
            space_size_m=torch.from_numpy(size.astype(np.float32)),
        )

    def _views(
        self,
        rng: np.random.Generator,
        cameras: Cameras,
        joints: np.ndarray,
        present: np.ndarray,
        space: tuple[np.ndarray, np.ndarray],
        cluttered: np.ndarray,
    ) -> tuple[detector_noise.Views, np.ndarray, np.ndarray]:
        """True projections in 960-px, the scale back to raw pixels [B, T], valid people [B, G]."""
        B, T, G = joints.shape[:3]
        each = Cameras(**{
            name: getattr(cameras, name).unsqueeze(2)
            for name in ("K", "distortion", "fisheye", "R", "t", "size_px")
        })  # fmt: skip
        points = torch.from_numpy(joints.reshape(B, T, G * 15, 3).astype(np.float32))
        pixels_t, depth_t = project(each, points)  # [B, T, 1, G 15, 2]
        inside = in_view(each, pixels_t, depth_t).numpy().reshape(B, T, G, 15)
        depth = depth_t.numpy().reshape(B, T, G, 15)
        inside &= (depth > 0.2) & present[:, None, :, None]
        size_px = cameras.size_px.numpy()
        scale = size_px.max(-1) / _LONG_SIDE_PX
        pixels = pixels_t.numpy().reshape(B, T, G, 15, 2).clip(-2e4, 2e4)
        pixels = pixels / scale[:, :, None, None, None]
        focal = cameras.focal_px.numpy() / scale
        size_960 = size_px / scale[..., None]

        hidden = occlusion.behind_people(pixels, depth, focal, present)
        hidden |= occlusion.behind_furniture(
            rng, cameras.centers_m.numpy(), joints.mean(1), present, space,
            cluttered * self.config.furniture,
        )  # fmt: skip
        hidden |= occlusion.behind_edge(rng, pixels, size_960, cluttered * self.config.edge_band)
        hip_depth = depth[..., 2]
        height = focal[..., None] * detector_noise.ADULT_M / hip_depth.clip(0.3)
        views = detector_noise.Views(
            pixels=pixels,
            inside=inside,
            hidden=hidden & inside,
            height=height,
            present=present[:, None] & (hip_depth > 0.2),
            size=size_960,
        )
        valid = ((inside.sum(-1) >= _MIN_JOINTS_SEEN).sum(1) >= 2) & present
        return views, scale, valid


def given_rigs(
    arrangement: Cameras,
    n_scenes: int,
    n_views: int,
    space: tuple[tuple[float, float], tuple[float, float]] | None = None,
) -> Rigs:
    """n_scenes times the cameras [T] of an arrangement, around its space (None: `infer_space`).

    Raises ValueError where it has not n_views cameras.
    """
    if arrangement.fisheye.shape != (n_views,):
        raise ValueError(
            f"the arrangement has cameras {tuple(arrangement.fisheye.shape)}, expected ({n_views},)"
        )
    cameras = Cameras.stack([arrangement] * n_scenes).to(torch.float32)
    center_m, size_m = space if space is not None else infer_space(arrangement)
    center = np.tile(np.array(center_m, np.float32), (n_scenes, 1))
    size = np.tile(np.array(size_m, np.float32), (n_scenes, 1))
    return Rigs(cameras, center, size)


def infer_space(cameras: Cameras) -> tuple[tuple[float, float], tuple[float, float]]:
    """Centre and size (x, y) m of the ground rectangle where most cameras [T] see a whole body.

    On a 25 cm grid around the cameras: a place counts where at least two cameras and half of
    them have it in view at 0.1, 0.9 and 1.7 m; the rectangle holds the inner 96 % of these.
    """
    centers = cameras.centers_m[:, :2]
    low, high = centers.amin(0) - 1.0, centers.amax(0) + 1.0
    x = torch.arange(float(low[0]), float(high[0]) + 0.25, 0.25)
    y = torch.arange(float(low[1]), float(high[1]) + 0.25, 0.25)
    plan = torch.cartesian_prod(x, y)
    seen = torch.ones(cameras.n_views, len(plan), dtype=torch.bool)
    for z in (0.1, 0.9, 1.7):
        points = torch.cat([plan, torch.full((len(plan), 1), z)], -1).to(cameras.K)
        seen &= in_view(cameras, *project(cameras, points))
    good = seen.sum(0) >= max(2, (cameras.n_views + 1) // 2)
    if not good.any():
        good = seen.sum(0) >= min(2, cameras.n_views)
    if not good.any():
        raise ValueError("no place on the ground is seen by two cameras: give the space")
    low, high = torch.quantile(plan[good], torch.tensor([0.02, 0.98]), dim=0)
    size = (high - low).clamp(min=1.0)
    middle = 0.5 * (low + high)
    return (float(middle[0]), float(middle[1])), (float(size[0]), float(size[1]))


def people_counts(rng: np.random.Generator, config: WorldConfig, B: int) -> np.ndarray:
    """Uniform over 1-4; scenes that may be empty are in one of thirty, crowds fall off."""
    numbers = np.arange(config.min_people, config.max_people + 1)
    weights = np.where(numbers == 0, 0.14, np.where(numbers <= 4, 1.0, 0.5))
    return rng.choice(numbers, B, p=weights / weights.sum())


def choose_places(
    rng: np.random.Generator,
    config: WorldConfig,
    cameras: Cameras,
    center: np.ndarray,
    size: np.ndarray,
    present: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Places [B, G, 2] m, and headings [B, G] rad of those who face a partner (else NaN).

    Each person takes the first of its candidate places that is in view of at least two cameras
    (of most of them, for half the people), not in a camera, and not within 0.3-0.5 m of those
    placed before. In crowded scenes all stand in a part of the space, and every second person
    may stand 0.3-0.7 m from the one before, often face to face.
    """
    B, G = present.shape
    T = cameras.n_views
    crowded = rng.random((B, 1, 1, 1)) < config.crowding
    spread = np.where(crowded, rng.uniform(0.25, 0.6, (B, 1, 1, 1)), 1.0)
    unit = rng.uniform(-0.5, 0.5, (B, G, _PLACES, 2))
    shift = (1 - spread) * rng.uniform(-0.5, 0.5, (B, 1, 1, 2))
    margin = (size - 0.3)[:, None, None]
    candidates = center[:, None, None] + (unit * spread + shift) * margin  # [B, G, P, 2]

    heights = np.array([0.3, 0.9, 1.5])
    column = np.empty((B, G * _PLACES, 3, 3), np.float32)
    column[..., :2] = candidates.reshape(B, -1, 1, 2)
    column[..., 2] = heights
    points = torch.from_numpy(column.reshape(B, -1, 3))
    seen_t = in_view(cameras, *project(cameras, points))
    views = (seen_t.numpy().reshape(B, T, G, _PLACES, 3).sum(-1) >= 2).sum(1)  # [B, G, P]
    wanted = np.where(rng.random((B, G, 1)) < 0.5, 2, max(2, int(np.ceil(0.6 * T))))
    eyes = cameras.centers_m.numpy()[:, None, None, :, :2]  # [B, 1, 1, T, 2]
    free = np.linalg.norm(candidates[:, :, :, None] - eyes, axis=-1).min(-1) > 0.7
    cost = 4.0 * ~free + 2.0 * (views < 2) + 1.0 * (views < wanted)

    paired = crowded[:, 0, 0] & (rng.random((B, G)) < 0.4)
    distance, bearing = rng.uniform(0.3, 0.7, (B, G)), rng.uniform(-np.pi, np.pi, (B, G))
    beside = distance[..., None] * np.stack([np.cos(bearing), np.sin(bearing)], -1)
    apart = rng.uniform(0.3, 0.5, (B, 1))
    rows = np.arange(B)
    places = np.zeros((B, G, 2))
    headings = np.full((B, G), np.nan)
    for g in range(G):  # one after the other, so that they keep apart; all scenes at once
        crush = np.zeros((B, _PLACES))
        if g:
            gaps = np.linalg.norm(candidates[:, g, :, None] - places[:, None, :g], axis=-1)
            crush = 3.0 * (gaps.min(-1) < apart)
        best = (cost[:, g] + crush).argmin(-1)
        places[:, g] = candidates[rows, g, best]
        if g % 2:
            pair = paired[:, g]
            places[:, g] = np.where(pair[:, None], places[:, g - 1] + beside[:, g], places[:, g])
            towards = bearing[:, g]
            face = pair & (rng.random(B) < 0.6)
            headings[:, g] = np.where(face, towards + np.pi, np.nan)
            headings[:, g - 1] = np.where(face, towards, np.nan)
    return places.astype(np.float32), headings
