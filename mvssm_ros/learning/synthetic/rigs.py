"""Random camera rigs around a rectangular space, and calibration error for given cameras.

A rig of T cameras: where they stand (a ring, corners, one side, a small dome), how high, where
they look, how they are turned about the axis, field of view, image size and lens are all random.
Of a few candidates for each camera the one that sees enough of the space is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from mvssm_ros.geometry.cameras import Cameras, in_view, project

Rng = np.random.Generator

IMAGE_SIZES_PX = np.array(
    [(640, 480), (800, 600), (1280, 720), (960, 540), (1280, 1024), (1920, 1080), (1920, 1080),
     (2048, 1536), (1088, 1920), (720, 1280), (1080, 1920)], np.float32,
)  # fmt: skip
_CANDIDATES = 5  # for each camera of a rig
# Heights of the points that say how much of the space a camera sees, and their grid in plan.
_PROBE_HEIGHTS_M = (0.1, 0.9, 1.6)
_PROBE_GRID = np.linspace(-0.36, 0.36, 4)  # share of the space's size: its inner three quarters


@dataclass(frozen=True)
class Rigs:
    """B rigs of T cameras, each around its own space."""

    cameras: Cameras  # [B, T]
    center_m: np.ndarray  # [B, 2] of the space in the ground plane
    size_m: np.ndarray  # [B, 2]


def sample_rigs(
    rng: Rng, n: int, n_views: int, largest_m: float = 8.0, upright: bool = False
) -> Rigs:
    """n rigs of n_views cameras around spaces of 3 m to `largest_m`.

    upright: images are wider than high, and no camera is turned far about its axis.
    """
    size = np.exp(rng.uniform(np.log(3.0), np.log(largest_m), (n, 2)))
    size[:, 1] = np.where(rng.random(n) < 0.5, size[:, 0], size[:, 1])  # half of them square
    center = rng.normal(0, 1.0, (n, 2)) * (rng.random((n, 1)) < 0.7)
    shape = (n, n_views, _CANDIDATES)
    center_of, size_of = center[:, None, None], size[:, None, None]
    position = _positions(rng, size, shape)
    position[..., :2] += center_of
    target = np.empty((*shape, 3))
    target[..., :2] = center_of + rng.uniform(-0.22, 0.22, (*shape, 2)) * size_of
    target[..., 2] = rng.uniform(0.5, 1.3, shape)
    R = look_at(position, target, _rolls(rng, shape, upright))
    fisheye = rng.random((n, n_views, 1)) < np.where(rng.random((n, 1, 1)) < 0.06, 0.8, 0.01)
    fisheye = np.broadcast_to(fisheye, shape)
    wide = IMAGE_SIZES_PX[:, 0] > IMAGE_SIZES_PX[:, 1]
    sizes_px = IMAGE_SIZES_PX[wide] if upright else IMAGE_SIZES_PX
    K, size_px = _intrinsics(rng, shape, fisheye, sizes_px)
    distortion = _lenses(rng, shape, fisheye)
    t = -(R @ position[..., None])[..., 0]
    cameras = _cameras(K, distortion, fisheye, R, t, size_px)  # [n, T, C]
    cameras = _without_fold(cameras)
    best = _most_of_the_space(rng, cameras, center, size)  # [n, T]
    pick = (np.arange(n)[:, None], np.arange(n_views)[None], best)
    chosen = {k: v[pick] for k, v in vars(cameras).items() if isinstance(v, torch.Tensor)}
    chosen.pop("fold_radius", None)
    return Rigs(Cameras(**chosen), center.astype(np.float32), size.astype(np.float32))


def perturb_calibration(rng: Rng, cameras: Cameras, error_px: np.ndarray) -> Cameras:
    """Cameras [B, T] with a calibration wrong by about error_px [B, T].

    The error is in pixels of an image scaled to 960 px on its long side; it is the root mean
    square over directions and is shared among principal point, rotation and focal length at
    random (for the focal length: at the half height of the image).
    """
    shape = error_px.shape
    error_px = error_px * cameras.size_px.amax(-1).numpy() / 960.0
    share = np.sqrt(rng.dirichlet((1.0, 1.0, 0.4), shape))  # squares sum to one
    error = error_px[..., None] * share  # [B, T, 3] px
    focal = cameras.focal_px.numpy()
    K = cameras.K.clone()
    K[..., :2, 2] += torch.from_numpy(
        (error[..., :1] * rng.normal(size=(*shape, 2)) / np.sqrt(2)).astype(np.float32)
    )
    half_height = 0.5 * cameras.size_px.amin(-1).numpy()
    scale = 1 + error[..., 2] / half_height * rng.normal(size=shape)
    zoom = torch.from_numpy(scale.clip(0.9, 1.1).astype(np.float32))
    K[..., 0, 0] *= zoom
    K[..., 1, 1] *= zoom
    angle = error[..., 1:2] / focal[..., None] * rng.normal(size=(*shape, 3)) / np.sqrt(2)
    turn = torch.from_numpy(_small_rotation(angle).astype(np.float32))
    # turned about its own centre: both R and t = -R c turn
    return replace(cameras, K=K, R=turn @ cameras.R, t=(turn @ cameras.t[..., None])[..., 0])


def look_at(position_m: np.ndarray, target_m: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """World-to-camera rotations [..., 3, 3]: optical axis from position to target [..., 3].

    Without roll the image's y axis points down; roll (rad) turns the camera about its axis.
    """
    z = target_m - position_m
    z = z / np.linalg.norm(z, axis=-1, keepdims=True).clip(1e-6)
    steep = np.abs(z[..., 2:]) > 0.995
    down = np.where(steep, np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, -1.0]))
    x = np.cross(down, z)
    x = x / np.linalg.norm(x, axis=-1, keepdims=True)
    y = np.cross(z, x)
    c, s = np.cos(roll)[..., None], np.sin(roll)[..., None]
    return np.stack([c * x + s * y, c * y - s * x, z], -2)


def _positions(rng: Rng, size: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Camera positions [n, T, C, 3] m, relative to the centre of the space in plan."""
    n, n_views, _ = shape
    style = rng.choice(4, n, p=(0.6, 0.16, 0.12, 0.12))[:, None, None]  # ring corner side dome
    slot = np.argsort(rng.random((n, n_views)), axis=-1)[..., None]
    step = 2 * np.pi / n_views
    start = rng.uniform(0, 2 * np.pi, (n, 1, 1))
    ring = start + step * (slot + rng.uniform(-0.45, 0.45, shape))
    corner = np.arctan2(size[:, 1], size[:, 0])[:, None, None]
    which = slot % 4
    corners = np.where(which % 2 == 0, corner, np.pi - corner) + np.pi * (which // 2)
    corners = corners + rng.normal(0, 0.06, shape)
    side = start + rng.uniform(-1.2, 1.2, shape)
    angle = np.select([style == 1, style == 2], [corners, side], ring)
    direction = np.stack([np.cos(angle), np.sin(angle)], -1)
    to_edge = (0.5 * size[:, None, None] / np.abs(direction).clip(1e-6)).min(-1)
    factor = np.where(style == 3, rng.uniform(0.75, 1.0, shape), rng.uniform(0.9, 1.5, shape))
    radius = to_edge * factor + np.where(style == 3, 0.0, rng.uniform(0.0, 1.6, shape))
    common = rng.choice(3, (n, 1, 1), p=(0.15, 0.55, 0.3))  # a rig has a usual height
    own = rng.choice(3, shape, p=(0.2, 0.5, 0.3))
    band = np.where(rng.random(shape) < 0.6, common, own)
    low, high = np.array([0.3, 1.2, 2.4])[band], np.array([1.2, 2.4, 4.0])[band]
    height = rng.uniform(low, high)
    return np.concatenate([radius[..., None] * direction, height[..., None]], -1)


def _rolls(rng: Rng, shape: tuple[int, int, int], upright: bool) -> np.ndarray:
    kind = rng.random(shape[:2])[..., None]
    quarter = np.pi / 2 * rng.choice([-1, 1], shape) + rng.normal(0, 0.05, shape)
    small, large = rng.normal(0, 0.05, shape), rng.uniform(-0.45, 0.45, shape)
    if upright:
        return np.where(kind < 0.83, small, large)
    return np.select([kind < 0.83, kind < 0.93], [small, large], quarter)


def _intrinsics(
    rng: Rng, shape: tuple[int, int, int], fisheye: np.ndarray, sizes_px: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """K [n, T, C, 3, 3] and image sizes [n, T, C, 2]; six rigs in ten use one kind of camera."""
    n, n_views, _ = shape
    same = rng.random((n, 1)) < 0.6
    index = rng.integers(len(sizes_px), size=(n, n_views))
    index = np.where(same, index[:, :1], index)
    fov = 50 + 60 * rng.beta(1.2, 1.6, (n, n_views))
    fov = np.where(same, fov[:, :1] + rng.normal(0, 1.5, (n, n_views)), fov)[..., None]
    size_px = np.broadcast_to(sizes_px[index][:, :, None], (*shape, 2))
    half = 0.5 * size_px.max(-1)
    pinhole = half / np.tan(np.deg2rad(fov.clip(50, 110) / 2))
    equidistant = half / np.deg2rad((fov + 25).clip(80, 112) / 2)
    focal = np.where(fisheye, equidistant, pinhole)
    K = np.zeros((*shape, 3, 3))
    K[..., 0, 0] = focal
    K[..., 1, 1] = focal * rng.normal(1, 0.004, (n, n_views, 1))
    K[..., :2, 2] = 0.5 * (size_px - 1) + rng.normal(0, 0.015, (n, n_views, 1, 2)) * half[..., None]
    K[..., 2, 2] = 1
    return K, size_px


def _lenses(rng: Rng, shape: tuple[int, int, int], fisheye: np.ndarray) -> np.ndarray:
    """Distortion [n, T, C, 8]: none, mild, strong barrel, rational; equidistant for fisheyes."""
    n, n_views, _ = shape
    same = rng.random((n, 1)) < 0.8
    kind = rng.choice(4, (n, n_views), p=(0.2, 0.42, 0.25, 0.13))
    kind = np.where(same, kind[:, :1], kind)[..., None]
    d = np.zeros((4, n, n_views, 1, 8))
    one = (n, n_views, 1)
    d[1, ..., 0] = rng.uniform(-0.16, 0.08, one)
    d[1, ..., 1] = rng.uniform(-0.02, 0.1, one)
    d[2, ..., 0] = rng.uniform(-0.38, -0.16, one)
    d[2, ..., 1] = -d[2, ..., 0] * rng.uniform(0.3, 0.9, one)
    d[2, ..., 4] = rng.normal(0, 0.03, one)
    barrel, common = rng.uniform(0.02, 0.45, one), rng.uniform(0.0, 0.6, one)
    d[3, ..., 0], d[3, ..., 5] = common, common + barrel
    d[3, ..., 1] = rng.uniform(0, 0.05, one)
    d[3, ..., 6] = d[3, ..., 1] * rng.uniform(0.5, 1.5, one)
    d[1:, ..., 2:4] = rng.normal(0, 8e-4, (3, *one, 2))
    out = np.take_along_axis(d, kind[None, ..., None], 0)[0]  # [n, T, 1, 8]
    lens = np.zeros((*one, 8))
    lens[..., :4] = rng.normal(0, (0.02, 0.006, 0.002, 0.0005), (*one, 4))
    return np.where(fisheye[..., None], lens, np.broadcast_to(out, (*shape, 8)))


def _cameras(
    K: np.ndarray,
    distortion: np.ndarray,
    fisheye: np.ndarray,
    R: np.ndarray,
    t: np.ndarray,
    size_px: np.ndarray,
) -> Cameras:
    def tensor(x: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(x, np.float32))

    fish = torch.from_numpy(np.ascontiguousarray(fisheye))
    return Cameras(tensor(K), tensor(distortion), fish, tensor(R), tensor(t), tensor(size_px))


def _without_fold(cameras: Cameras) -> Cameras:
    """The same cameras, their distortion removed where it would fold inside or near the image."""
    r = cameras.fold_radius
    d = cameras.distortion
    r2 = r * r
    num = 1 + r2 * (d[..., 0] + r2 * (d[..., 1] + r2 * d[..., 4]))
    den = 1 + r2 * (d[..., 5] + r2 * (d[..., 6] + r2 * d[..., 7]))
    corner = torch.maximum(cameras.K[..., :2, 2], cameras.size_px - cameras.K[..., :2, 2])
    corner = (corner / cameras.focal_px[..., None]).norm(dim=-1)
    good = cameras.fisheye | (r * num / den > 1.1 * corner)
    return replace(cameras, distortion=d * good[..., None])


def _most_of_the_space(
    rng: Rng, cameras: Cameras, center: np.ndarray, size: np.ndarray
) -> np.ndarray:
    """Index [n, T] of the candidate that sees the most, where "enough" (random) counts as all."""
    n, n_views, _ = cameras.fisheye.shape
    x, y, z = np.meshgrid(_PROBE_GRID, _PROBE_GRID, _PROBE_HEIGHTS_M, indexing="ij")
    plan = np.stack([x.ravel(), y.ravel()], -1)  # [Q, 2]
    points = np.concatenate(
        [center[:, None] + plan * size[:, None], np.broadcast_to(z.reshape(-1, 1), (n, z.size, 1))],
        -1,
    )
    probes = torch.from_numpy(points.astype(np.float32))[:, None]  # [n, 1, Q, 3]
    pixels, depth = project(cameras, probes)  # [n, T, C, Q]: the candidates play the views
    seen = in_view(cameras, pixels, depth).float().mean(-1).numpy()  # [n, T, C]
    enough = rng.uniform(0.45, 0.85, (n, n_views, 1))
    return (np.minimum(seen, enough) + 1e-3 * rng.random(seen.shape)).argmax(-1)


def _small_rotation(w: np.ndarray) -> np.ndarray:
    """Rotation matrices of rotation vectors [..., 3] rad (Rodrigues)."""
    angle = np.linalg.norm(w, axis=-1)[..., None, None]
    W = np.zeros((*w.shape[:-1], 3, 3))
    W[..., 0, 1], W[..., 0, 2], W[..., 1, 2] = -w[..., 2], w[..., 1], -w[..., 0]
    W[..., 1, 0], W[..., 2, 0], W[..., 2, 1] = w[..., 2], -w[..., 1], w[..., 0]
    a = np.maximum(angle, 1e-12)
    return np.eye(3) + np.sin(a) / a * W + (1 - np.cos(a)) / a**2 * (W @ W)
