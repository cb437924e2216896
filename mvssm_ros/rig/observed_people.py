"""From associated 2D poses to points: starts, weights and velocities, for the bundle adjustment and
for the check of a calibration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
import torch

from mvssm_ros.geometry.cameras import Cameras
from mvssm_ros.geometry.triangulation import rays_world
from mvssm_ros.rig.association import Groups, Tolerance, associate
from mvssm_ros.rig.bundle import Points, Views, residuals, triangulate
from mvssm_ros.rig.keypoint_sequence import KeypointSequence
from mvssm_ros.rig.motion import slopes, tracks

Array = npt.NDArray[np.float64]

_NOISE_M = 0.012  # of a detector, as a length at the joint
_NOISE_PX = 1.0  # and in the image, at a long side of 960 px
_MIN_ANGLE_RAD = np.deg2rad(3.0)  # rays of a point must differ by so much
_MOST_PAIRS = 28  # of views, that are tried for a start
_CAUCHY = 2.0  # standard deviations at which an error counts half
_WINDOW_S = 0.35  # before and after, for velocities
_SAME_ERROR_NS = 1_000_000_000  # a detector errs alike on one person for up to so long
_IMAGE_WINDOW_S = 0.1  # for velocities in the images
_STRETCH = 5  # frames that follow each other, so that motion is seen
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
    weight = points.weight * falls * points.independent / scale**2
    # the slope of error / (1 + error^2) in two dimensions is falls^2, on the mean of all directions
    stiffness = float((weight * falls).sum() / weight.sum())
    return replace(points, weight=weight, stiffness=stiffness)


def settle(points: Points, views: Views, points_m: Array, rounds: int = 3) -> tuple[Points, Array]:
    """Triangulate with renewed weights a few times: `robust` points [N, 3] for the views as are."""
    weighted = points
    for _ in range(rounds):
        points_m = triangulate(views, weighted, points_m)
        weighted = robust(points, views, points_m)
    return weighted, triangulate(views, weighted, points_m)


def independent_share(
    groups: Groups,
    points: Points,
    views: Views,
    points_m: Array,
    stamps_ns: npt.NDArray[np.int64],
) -> float:
    """Share of the frames whose errors are independent, from the errors themselves.

    A detector errs alike on one person for a while: errors of the same joint in the same view,
    within a second, are multiplied with each other; if they are nothing alike the share is 1.
    It is never less than one frame a second.

    Args:
        points: with robust weights.
    """
    n_views = len(points.weight)
    error = residuals(views, points, points_m) * np.sqrt(points.weight)[..., None]
    by_person = error.reshape(n_views, -1, 15, 2).swapaxes(0, 1).reshape(len(groups.frame), -1)
    known = ((points.weight > 0).sum(0) >= 2).reshape(-1, 15)
    alike = 0.0
    for track in tracks(groups, points_m.reshape(-1, 15, 3), known, stamps_ns):
        t, errors = stamps_ns[groups.frame[track]], by_person[track]
        near = np.abs(t[:, None] - t) <= _SAME_ERROR_NS
        alike += float((near * (errors @ errors.T)).sum())
    frames = np.unique(groups.frame)
    least = len(np.unique(stamps_ns[frames] // _SAME_ERROR_NS)) / len(frames)
    total = float((by_person**2).sum())
    return float(np.clip(total / alike, least, 1.0)) if alike > 0 else 1.0


def velocities(
    groups: Groups, points: Points, points_m: Array, stamps_ns: npt.NDArray[np.int64]
) -> Array:
    """Velocity of every point [N, 3] m/s from the same person's neighbouring frames; 0: unknown."""
    joints = points_m.reshape(-1, 15, 3)
    known = ((points.weight > 0).sum(0) >= 2).reshape(-1, 15)
    seconds = (stamps_ns[groups.frame] - stamps_ns[0]) * 1e-9
    persons = tracks(groups, joints, known, stamps_ns)
    out = slopes(persons, seconds, joints, known, _WINDOW_S)
    speed = np.linalg.norm(out, axis=-1, keepdims=True)
    return np.where(speed < _MAX_SPEED_MPS, out, 0.0).reshape(-1, 3)


@dataclass(frozen=True, eq=False)
class SeenJoints:
    """N joints of people, each seen by two views or more of T."""

    pixels: Array  # [T, N, 2] raw px, 0 where not seen
    seen: npt.NDArray[np.bool_]  # [T, N]
    velocity: Array  # [T, N, 2] px/s of that joint in that view, 0 where unknown
    n_people: int  # at most, in one frame


def seen_joints(
    sequence: KeypointSequence, cameras: Cameras, tolerance: Tolerance, max_frames: int
) -> SeenJoints:
    """The joints of the people in all views, and how they move in the images.

    Args:
        sequence: its cameras in the order of ``cameras``.
        cameras: [T] float64.
        tolerance: how wrong they may be.
        max_frames: so many are looked at, in stretches evenly over the sequence.
    """
    n = len(sequence.stamps_ns)
    if n > max_frames:
        starts = np.linspace(0, n - _STRETCH, max_frames // _STRETCH).round().astype(np.int64)
        sequence = sequence.frames(np.unique(starts[:, None] + np.arange(_STRETCH)))
    groups = associate(cameras, sequence.keypoints, tolerance)
    points, points_m = points_of(groups, sequence.keypoints, cameras)
    n_views, n_points = points.weight.shape
    if not n_points:
        return SeenJoints(points.pixels_px, points.weight > 0, points.pixels_px, 0)
    seen = points.weight > 0
    joints = points_m.reshape(-1, 15, 3)
    known = seen.any(0).reshape(-1, 15)
    persons = tracks(groups, joints, known, sequence.stamps_ns)
    seconds = (sequence.stamps_ns[groups.frame] - sequence.stamps_ns[0]) * 1e-9
    velocity = [
        slopes(persons, seconds, px.reshape(-1, 15, 2), own.reshape(-1, 15), _IMAGE_WINDOW_S)
        for px, own in zip(points.pixels_px, seen, strict=True)
    ]
    keep = seen.any(0)
    return SeenJoints(
        pixels=(points.pixels_px * seen[..., None])[:, keep],
        seen=seen[:, keep],
        velocity=np.stack(velocity).reshape(n_views, n_points, 2)[:, keep],
        n_people=int(np.bincount(groups.frame).max()),
    )
