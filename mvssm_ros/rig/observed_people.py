"""From associated 2D poses to points for the bundle adjustment: starts, weights, velocities."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment

from mvssm_ros.geometry.cameras import Cameras
from mvssm_ros.geometry.triangulation import rays_world
from mvssm_ros.rig.association import Groups
from mvssm_ros.rig.bundle import Points, Views, residuals, triangulate

Array = npt.NDArray[np.float64]

_NOISE_M = 0.012  # of a detector, as a length at the joint
_NOISE_PX = 1.0  # and in the image, at a long side of 960 px
_MIN_ANGLE_RAD = np.deg2rad(3.0)  # rays of a point must differ by so much
_MOST_PAIRS = 28  # of views, that are tried for a start
_CAUCHY = 2.0  # standard deviations at which an error counts half
_TRACK_M = (0.15, 2.5)  # a person may move so far between frames: m, and m/s
_WINDOW_S = 0.35  # before and after, for velocities
_MAX_SPEED_MPS = 8.0


def points_of(groups: Groups, keypoints: Array, cameras: Cameras) -> tuple[Points, Array]:
    """All joints that two views or more saw, and where they are, roughly.

    Args:
        groups: [G] people.
        keypoints: [F, T, D, 15, 3] of the same frames.
        cameras: [T].

    Returns:
        points: N = 15 G of them, person after person; weights are the detector's confidence over
            its noise at the person's distance, 0 where a joint was not seen by two.
        points_m [N, 3].
    """
    n_views = keypoints.shape[1]
    seen = groups.trusted.swapaxes(0, 1).reshape(n_views, -1)  # [T, N]
    picked = keypoints[groups.frame[:, None], np.arange(n_views), groups.detection]  # [G, T, 15, 3]
    values = picked.swapaxes(0, 1).reshape(n_views, -1, 3)
    pixels = np.where(seen[..., None], values[..., :2], 0.0)
    origin_t, direction_t = rays_world(cameras, torch.from_numpy(pixels))
    origin, direction = origin_t.numpy(), direction_t.numpy()
    points_m, angle = _start(origin, direction, seen)
    good = (angle > _MIN_ANGLE_RAD) & (seen.sum(0) >= 2)
    seen = seen & good
    offset = points_m - origin[:, None]
    depth = np.einsum("tni,ti->tn", offset, cameras.R[:, 2].numpy())
    long_side = cameras.size_px.amax(-1).numpy()[:, None]
    near_m = _NOISE_M * cameras.focal_px.numpy()[:, None] / np.maximum(depth, 0.2)
    sigma = np.hypot(near_m, _NOISE_PX * long_side / 960)
    weight = np.where(seen & (depth > 0.1), values[..., 2], 0.0) / sigma**2
    weight *= (weight > 0).sum(0) >= 2
    points = Points(pixels, weight, np.zeros_like(points_m), np.repeat(groups.frame, 15))
    return points, points_m


def _start(origin: Array, direction: Array, seen: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
    """Of the crossings of every two rays the one that all rays pass nearest [N, 3], and the widest
    angle between two rays [N] rad. origin [T, 3], direction [T, N, 3], seen [T, N]."""
    n_views, n = seen.shape
    best, least, widest = np.zeros((n, 3)), np.full(n, np.inf), np.zeros(n)
    pairs = list(combinations(range(n_views), 2))
    for i, k in pairs[:: max(1, len(pairs) // _MOST_PAIRS)]:
        d1, d2 = direction[i], direction[k]
        between = origin[i] - origin[k]
        cosine = np.clip((d1 * d2).sum(-1), -1, 1)
        sine2 = np.maximum(1 - cosine**2, 1e-9)
        s1 = (cosine * (d2 @ between) - d1 @ between) / sine2
        s2 = (d2 @ between - cosine * (d1 @ between)) / sine2
        middle = 0.5 * (origin[i] + s1[:, None] * d1 + origin[k] + s2[:, None] * d2)
        offset = middle - origin[:, None]
        along = (offset * direction).sum(-1)
        miss = np.sqrt(np.maximum((offset**2).sum(-1) - along**2, 0))
        cost = (np.minimum(miss, 1.0) * seen).sum(0)
        angle = np.arcsin(np.sqrt(np.minimum(sine2, 1)))
        both = seen[i] & seen[k]
        cost[~(both & (s1 > 0.1) & (s2 > 0.1) & (angle > _MIN_ANGLE_RAD))] = np.inf
        better = cost < least
        best[better], least[better] = middle[better], cost[better]
        widest = np.maximum(widest, np.where(np.isfinite(cost), angle, 0))
    return best, widest


def robust(points: Points, views: Views, points_m: Array) -> Points:
    """The same points with Cauchy weights, scaled so that a usual error is one, and a point counts
    for less where the errors of neighbouring frames are the same."""
    error = np.linalg.norm(residuals(views, points, points_m), axis=-1)
    size = error * np.sqrt(points.weight)
    used = points.weight > 0
    if not used.any():
        return points
    scale = max(float(np.median(size[used])) / 1.177, 1e-3)  # 1.177: median of a Rayleigh error
    falls = 1 / (1 + (size / (_CAUCHY * scale)) ** 2)
    return replace(points, weight=points.weight * falls * points.independent / scale**2)


def settle(points: Points, views: Views, points_m: Array, rounds: int = 3) -> tuple[Points, Array]:
    """Triangulate with renewed weights a few times: `robust` points [N, 3] for the views as are."""
    weighted = points
    for _ in range(rounds):
        points_m = triangulate(views, weighted, points_m)
        weighted = robust(points, views, points_m)
    return weighted, triangulate(views, weighted, points_m)


def velocities(
    groups: Groups, points: Points, points_m: Array, stamps_ns: npt.NDArray[np.int64]
) -> Array:
    """Velocity of every point [N, 3] m/s from the same person's neighbouring frames.

    A straight line through the positions within 0.35 s; the frame itself does not count, so that
    its errors do not look like motion. 0 where there are fewer than two others.
    """
    joints = points_m.reshape(-1, 15, 3)
    known = ((points.weight > 0).sum(0) >= 2).reshape(-1, 15)
    seconds = (stamps_ns[groups.frame] - stamps_ns[0]) * 1e-9
    out = np.zeros_like(joints)
    for track in _tracks(groups.frame, seconds, joints, known):
        t = seconds[track]
        for row, now in zip(track, t, strict=True):
            near = track[(np.abs(t - now) <= _WINDOW_S) & (track != row)]
            dt = (seconds[near] - now)[:, None, None]
            w = known[near][..., None].astype(np.float64)
            total = np.maximum(w.sum(0), 1e-9)
            t_mean = (w * dt).sum(0) / total
            x_mean = (w * joints[near]).sum(0) / total
            spread = (w * (dt - t_mean) ** 2).sum(0)
            slope = (w * (dt - t_mean) * (joints[near] - x_mean)).sum(0) / np.maximum(spread, 1e-9)
            enough = (w.sum(0) >= 2) & known[row][:, None]
            speed = np.linalg.norm(slope, axis=-1, keepdims=True)
            out[row] = np.where(enough & (speed < _MAX_SPEED_MPS), slope, 0.0)
    return out.reshape(-1, 3)


def _tracks(
    frame: npt.NDArray[np.int64], seconds: Array, joints: Array, known: npt.NDArray[np.bool_]
) -> list[npt.NDArray[np.int64]]:
    """Rows of the same person in consecutive frames."""
    track_of = np.full(len(frame), -1)
    frames = np.unique(frame)
    count = 0
    for i, f in enumerate(frames):
        now = np.flatnonzero(frame == f)
        if i:
            before = np.flatnonzero(frame == frames[i - 1])
            both = known[before][:, None] & known[now][None]
            apart = np.linalg.norm(joints[before][:, None] - joints[now][None], axis=-1)
            shared = both.sum(-1)
            distance = (apart * both).sum(-1) / np.maximum(shared, 1)
            distance = np.where(shared >= 3, distance, 1e3)
            reach = _TRACK_M[0] + _TRACK_M[1] * (seconds[now[0]] - seconds[before[0]])
            for a, b in zip(*linear_sum_assignment(distance), strict=True):
                if distance[a, b] < reach:
                    track_of[now[b]] = track_of[before[a]]
        for row in now[track_of[now] < 0]:
            track_of[row] = count
            count += 1
    return [np.flatnonzero(track_of == k) for k in range(count)]
