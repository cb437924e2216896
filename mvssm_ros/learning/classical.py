"""The classical chain: people from 2D poses by geometry alone, without learning.

The rival of the network, after the strongest published one (RapidPoseTriangulation, Bermuth et al.,
arXiv 2503.21692): every two 2D poses of different views are triangulated at the core joints, scored
by reprojection, grouped in 3D, and each group is merged with outlier rejection. Written from the
paper's description, for one set of images alone (the paper can also start from the previous set).

Where the paper leaves room, this takes what made the chain stronger on training scenes:
tolerances that follow the person's distance (a detector's error grows with a person's size in the
image), bone lengths as a plausibility test, a 2D pose belongs to one person only, 2D poses that the
pairs missed are collected by reprojecting the merged person, and what no two views saw is filled in
from a standing body.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from mvssm_ros.geometry.cameras import Cameras
from mvssm_ros.geometry.skeletons import PANOPTIC15
from mvssm_ros.geometry.triangulation import rays_world
from mvssm_ros.learning.classical_fill import BONE_M, EDGES, fill_joints

J = PANOPTIC15.n_joints
_NO_CORE = ("neck", "nose", "mid_hip")
CORE = np.array([i for i, name in enumerate(PANOPTIC15.joints) if name not in _NO_CORE])


@dataclass(frozen=True)
class ChainConfig:
    """The chain's parameters, tuned on synthetic training scenes (never on the held-out ones)."""

    min_confidence: float = 0.03  # 2D joints below are missing
    tolerance_m: float = 0.08  # 2D error that ends a fit, as a length at the joint, or
    tolerance_px: float = 6.0  # as pixels, whichever is more
    space_margin_m: float = 0.6  # joints may lie so far outside the space
    bone_factors: tuple[float, float] = (0.4, 1.6)  # lengths of an adult's bones that are human
    min_core_joints: int = 3  # that two 2D poses must share
    keep_pair_score: float = 0.1  # pairs below are forgotten
    min_pair_score: float = 0.25  # pairs above start or join a group
    max_group_distance_m: float = 0.3  # mean joint distance between pairs of one person
    collect_score: float = 0.3  # how well a further 2D pose must fit a merged person
    outlier_m: float = 0.25  # proposals so far from their median are dropped
    robust_factor: float = 0.5  # scale of the last fit's reweighting, in tolerances
    min_joints: int = 4  # that two views must give
    min_score: float = 0.03  # people below are not reported
    duplicate_m: float = 0.3  # median joint distance of two answers for one person


class ChainPeople(NamedTuple):
    """joints_m [P, 15, 3] (all filled); observed [P, 15] bool: two views gave it; score [P] 0..1;
    detection [P, T] index of each person's 2D pose in each view, -1 = none."""

    joints_m: np.ndarray
    observed: np.ndarray
    score: np.ndarray
    detection: np.ndarray


@dataclass(frozen=True)
class _Poses:
    """All 2D poses of all views as rays; N poses."""

    view: np.ndarray  # [N]
    index: np.ndarray  # [N] within its view
    origin_m: np.ndarray  # [N, 3]
    direction: np.ndarray  # [N, J, 3] unit vectors
    forward: np.ndarray  # [N, 3] optical axis
    focal_px: np.ndarray  # [N]
    confidence: np.ndarray  # [N, J]


@dataclass(frozen=True)
class _Pairs:
    """Two-view triangulations; M pairs."""

    poses: np.ndarray  # [M, 2] rows of _Poses
    joints_m: np.ndarray  # [M, J, 3]
    weight: np.ndarray  # [M, J] inverse variance, less for gaps; 0 = not triangulated
    joint_score: np.ndarray  # [M, J] 0..1
    score: np.ndarray  # [M]


def triangulate_people(
    cameras: Cameras,
    keypoints_px: list[np.ndarray],
    space_center_m: np.ndarray,
    space_size_m: np.ndarray,
    config: ChainConfig = ChainConfig(),
) -> ChainPeople:
    """People of one set of T views.

    Args:
        cameras: [T].
        keypoints_px: per view [P, 15, 3] raw pixels and confidence (0 = missing), panoptic15.
        space_center_m, space_size_m: (x, y) of the middle and the extent of the space; floor z = 0.
    """
    poses = _rays(cameras, keypoints_px, config)
    pairs = _triangulate_pairs(poses, space_center_m, space_size_m, config)
    groups = _group(pairs, config)
    persons = _separate(groups, pairs, poses)
    people = []
    taken = {row for person in persons for row in person}
    for person in persons:
        merged = _merge(person, pairs, poses, config)
        more = _collect(merged, person, poses, taken, config)
        if more:
            taken.update(more)
            merged = _merge(person + more, pairs, poses, config)
        if merged.observed.sum() >= config.min_joints and merged.score >= config.min_score:
            people.append(merged)
    people = _without_duplicates(people, config)
    n = len(people)
    detection = np.full((n, cameras.n_views), -1)
    for row, merged in zip(detection, people, strict=True):
        row[poses.view[merged.poses]] = poses.index[merged.poses]
    return ChainPeople(
        np.array([_filled(merged, poses) for merged in people]).reshape(n, J, 3),
        np.array([merged.observed for merged in people], dtype=bool).reshape(n, J),
        np.array([merged.score for merged in people], dtype=np.float64),
        detection,
    )


def _rays(cameras: Cameras, keypoints_px: list[np.ndarray], config: ChainConfig) -> _Poses:
    """Every 2D joint as a viewing ray in the world."""
    cameras = cameras.to(torch.float64)
    longest = max([len(k) for k in keypoints_px], default=0)
    padded = np.zeros((cameras.n_views, longest, J, 3))
    for row, keypoints in zip(padded, keypoints_px, strict=True):
        row[: len(keypoints)] = keypoints
    confidence = np.where(padded[..., 2] > config.min_confidence, padded[..., 2], 0.0)
    pixels = torch.from_numpy(padded[..., :2]).reshape(cameras.n_views, -1, 2)
    origin, direction = rays_world(cameras, pixels)
    view, within = np.nonzero((confidence > 0).sum(-1) >= 2)
    return _Poses(
        view,
        within,
        origin.numpy()[view],
        direction.reshape(cameras.n_views, longest, J, 3).numpy()[view, within],
        cameras.R[:, 2].numpy()[view],
        cameras.focal_px.numpy()[view],
        confidence[view, within],
    )


def _tolerance_m(depth_m: np.ndarray, focal_px: np.ndarray, config: ChainConfig) -> np.ndarray:
    """How far a ray may pass from the joint it belongs to."""
    pixel_m = np.maximum(depth_m, 0.1) / focal_px
    return np.maximum(config.tolerance_m, config.tolerance_px * pixel_m)


def _triangulate_pairs(
    poses: _Poses, center_m: np.ndarray, size_m: np.ndarray, config: ChainConfig
) -> _Pairs:
    """Every pair of 2D poses of different views, triangulated and scored; good ones are kept."""
    first, second = np.triu_indices(len(poses.view), 1)
    other_view = poses.view[first] != poses.view[second]
    a, b = first[other_view], second[other_view]
    # The point on each of two rays that is nearest to the other ray.
    d1, d2 = poses.direction[a], poses.direction[b]  # (M, J, 3)
    between = (poses.origin_m[a] - poses.origin_m[b])[:, None]
    cosine = (d1 * d2).sum(-1)
    sine2 = np.maximum(1 - cosine**2, 1e-6)
    along1, along2 = (d1 * between).sum(-1), (d2 * between).sum(-1)
    s1 = (cosine * along2 - along1) / sine2
    s2 = (along2 - cosine * along1) / sine2
    p1 = poses.origin_m[a][:, None] + s1[..., None] * d1
    p2 = poses.origin_m[b][:, None] + s2[..., None] * d2
    depth1 = s1 * (d1 * poses.forward[a][:, None]).sum(-1)
    depth2 = s2 * (d2 * poses.forward[b][:, None]).sum(-1)
    tol1 = _tolerance_m(depth1, poses.focal_px[a][:, None], config)
    tol2 = _tolerance_m(depth2, poses.focal_px[b][:, None], config)
    c1, c2 = poses.confidence[a], poses.confidence[b]
    # The joint lies between the two points, nearer to the surer ray. The gap between the rays, seen
    # from the cameras, is the reprojection error.
    w1, w2 = c1 / tol1**2, c2 / tol2**2
    joints = (w1[..., None] * p1 + w2[..., None] * p2) / np.maximum(w1 + w2, 1e-12)[..., None]
    gap = np.linalg.norm(p1 - p2, axis=-1) / np.hypot(tol1, tol2)
    seen = (c1 > 0) & (c2 > 0)
    half = 0.5 * np.asarray(size_m) + config.space_margin_m
    inside = (np.abs(joints[..., :2] - np.asarray(center_m)) < half).all(-1)
    inside &= (joints[..., 2] > -0.5) & (joints[..., 2] < 2.7) & (depth1 > 0.1) & (depth2 > 0.1)
    plausible = inside * _bones_plausible(joints, seen, tol1 / np.sqrt(sine2), config)
    fits = np.clip(1 - gap, 0, 1) * seen * plausible

    core_seen = seen[:, CORE]
    confidence = np.sqrt(c1 * c2)[:, CORE] * core_seen
    score = (fits[:, CORE] * confidence).sum(-1) / np.maximum(confidence.sum(-1), 1e-9)
    score *= core_seen.sum(-1) >= config.min_core_joints
    # A two-view joint is less certain the nearer its rays are to parallel.
    variance = (tol1**2 + tol2**2) * (1 + 1 / sine2)
    weight = np.sqrt(c1 * c2) * np.maximum(plausible, 0.05) * inside / variance / (1 + gap**2) ** 2
    keep = score > config.keep_pair_score
    return _Pairs(np.stack([a, b], -1)[keep], joints[keep], weight[keep], fits[keep], score[keep])


def _bones_plausible(
    joints: np.ndarray, seen: np.ndarray, sigma_m: np.ndarray, config: ChainConfig
) -> np.ndarray:
    """[M, J] factor: the share of the bones at each joint that have a human length."""
    low, high = config.bone_factors
    ends = EDGES.T
    length = np.linalg.norm(joints[:, ends[0]] - joints[:, ends[1]], axis=-1)  # (M, E)
    slack = np.minimum(np.hypot(sigma_m[:, ends[0]], sigma_m[:, ends[1]]), 0.5)
    good = (length > low * BONE_M - slack) & (length < high * BONE_M + slack)
    known = seen[:, ends[0]] & seen[:, ends[1]]
    bad_at, known_at = np.zeros(joints.shape[:2]), np.zeros(joints.shape[:2])
    for e, (i, j) in enumerate(EDGES):
        for end in (i, j):
            bad_at[:, end] += known[:, e] & ~good[:, e]
            known_at[:, end] += known[:, e]
    return 1 - bad_at / np.maximum(known_at, 1)


def _group(pairs: _Pairs, config: ChainConfig) -> list[np.ndarray]:
    """Pairs of one person: greedy average linkage by mean joint distance, the best pairs first."""
    good = np.flatnonzero(pairs.score > config.min_pair_score)
    good = good[np.argsort(-pairs.score[good], kind="stable")]
    joints = pairs.joints_m[good][:, CORE]
    known = pairs.weight[good][:, CORE] > 0
    both = known[:, None] & known[None]  # (M, M, C)
    apart = np.linalg.norm(joints[:, None] - joints[None], axis=-1) * both
    shared = both.sum(-1)
    distance = np.where(shared >= 3, apart.sum(-1) / np.maximum(shared, 1), np.inf)
    groups: list[list[int]] = []
    for m in range(len(good)):
        linkage = [distance[m, group].mean() for group in groups]
        best = int(np.argmin(linkage)) if linkage else -1
        if best >= 0 and linkage[best] < config.max_group_distance_m:
            groups[best].append(m)
        else:
            groups.append([m])
    return [good[group] for group in groups]


def _separate(groups: list[np.ndarray], pairs: _Pairs, poses: _Poses) -> list[list[int]]:
    """Gives every 2D pose to one person and every person one 2D pose a view.

    The group with the most support (sum of its pairs' scores) chooses first.
    """
    people: list[list[int]] = []
    taken: set[int] = set()
    left = list(groups)
    while left:
        alive = [g[[not taken.intersection(p) for p in pairs.poses[g]]] for g in left]
        left = [g for g in alive if len(g)]
        if not left:
            break
        strongest = int(np.argmax([pairs.score[g].sum() for g in left]))
        group = left.pop(strongest)
        support = np.zeros(len(poses.view))
        np.add.at(support, pairs.poses[group], pairs.score[group][:, None])
        person = []
        for view in np.unique(poses.view[support > 0]):
            rows = np.flatnonzero((poses.view == view) & (support > 0))
            person.append(int(rows[np.argmax(support[rows])]))
        chosen = set(person)
        held = [p for p in pairs.poses[group] if chosen.issuperset(p)]
        if not held:  # the choices of the views pair with none of each other
            held = [pairs.poses[group[pairs.score[group].argmax()]]]
        person = sorted({int(row) for pair in held for row in pair})
        people.append(person)
        taken.update(person)
    return people


@dataclass(frozen=True)
class _Merged:
    """One person: its 2D poses (rows of _Poses), joints [J, 3] (NaN unobserved), observed [J]."""

    poses: list[int]
    joints_m: np.ndarray
    observed: np.ndarray
    score: float


def _merge(person: list[int], pairs: _Pairs, poses: _Poses, config: ChainConfig) -> _Merged:
    """One skeleton from all pairs among a person's 2D poses, joint by joint without outliers."""
    mine = np.isin(pairs.poses, person).all(-1)
    proposal, weight = pairs.joints_m[mine], pairs.weight[mine]  # (P, J, 3), (P, J)
    middle = _weighted_median(proposal, weight)
    off = np.linalg.norm(proposal - middle, axis=-1)
    weight = weight * (off < config.outlier_m)
    total = weight.sum(0)
    observed = total > 0
    mean = (weight[..., None] * proposal).sum(0) / np.maximum(total, 1e-12)[:, None]
    joints = _solve_all_views(mean, person, poses, config)
    joints[~observed] = np.nan
    fits = (weight * pairs.joint_score[mine]).sum(0) / np.maximum(total, 1e-12)
    score = float(fits.mean() * (1 - 0.5 ** (len(person) - 1)))  # surer with every further view
    return _Merged(person, joints, observed, score)


def _weighted_median(proposal: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Coordinate-wise weighted median over the first axis: [P, J, 3], [P, J] -> [J, 3]."""
    order = np.argsort(proposal, axis=0)
    values = np.take_along_axis(proposal, order, 0)
    weights = np.take_along_axis(np.broadcast_to(weight[..., None], proposal.shape), order, 0)
    reached = np.cumsum(weights, 0) >= 0.5 * weights.sum(0)
    return np.take_along_axis(values, reached.argmax(0)[None], 0)[0]


def _ray_distance_m(
    poses: _Poses, rows: np.ndarray, joints: np.ndarray, config: ChainConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance of joints [J, 3] from the rays of 2D poses [R], tolerance there, depth: [R, J]."""
    to_joint = joints[None] - poses.origin_m[rows][:, None]
    distance = np.linalg.norm(np.cross(to_joint, poses.direction[rows]), axis=-1)
    depth = (to_joint * poses.forward[rows][:, None]).sum(-1)
    return distance, _tolerance_m(depth, poses.focal_px[rows][:, None], config), depth


def _solve_all_views(
    joints: np.ndarray, person: list[int], poses: _Poses, config: ChainConfig
) -> np.ndarray:
    """From the merged joints [J, 3] to the points nearest to all rays at once, rays far off
    counting little (Geman-McClure weights, three rounds)."""
    rows = np.array(person)
    direction = poses.direction[rows]
    across = np.eye(3) - direction[..., :, None] * direction[..., None, :]  # (R, J, 3, 3)
    across_origin = (across @ poses.origin_m[rows][:, None, :, None])[..., 0]  # (R, J, 3)
    for _ in range(3):
        distance, tolerance, _ = _ray_distance_m(poses, rows, joints, config)
        sigma = config.robust_factor * tolerance
        weight = poses.confidence[rows] / tolerance**2 / (1 + (distance / sigma) ** 2) ** 2
        # A ray alone leaves its own direction free: a weak pull to the joint as it was.
        pull = 1e-6 * weight.sum(0)[:, None, None] * np.eye(3) + 1e-12 * np.eye(3)
        normal = (weight[..., None, None] * across).sum(0) + pull
        right = (weight[..., None] * across_origin).sum(0) + (pull @ joints[..., None])[..., 0]
        joints = np.linalg.solve(normal, right[..., None])[..., 0]
    return joints


def _collect(
    merged: _Merged, person: list[int], poses: _Poses, taken: set[int], config: ChainConfig
) -> list[int]:
    """2D poses of further views, owned by nobody, on which the merged person projects."""
    free = np.array(
        [
            r
            for r in range(len(poses.view))
            if r not in taken and poses.view[r] not in poses.view[person]
        ],
        dtype=np.int64,
    )
    if not len(free) or not merged.observed.any():
        return []
    distance, tolerance, depth = _ray_distance_m(
        poses, free, np.nan_to_num(merged.joints_m), config
    )
    weight = poses.confidence[free] * merged.observed
    fits = np.clip(1 - distance / tolerance, 0, 1) * (depth > 0.1)
    score = (fits * weight).sum(-1) / np.maximum(weight.sum(-1), 1e-9)
    score *= (weight > 0).sum(-1) >= config.min_core_joints
    out = []
    for view in np.unique(poses.view[free]):
        rows = np.flatnonzero(poses.view[free] == view)
        best = rows[np.argmax(score[rows])]
        if score[best] > config.collect_score:
            out.append(int(free[best]))
    return out


def _without_duplicates(people: list[_Merged], config: ChainConfig) -> list[_Merged]:
    """The surest of those whose joints are near each other."""
    kept: list[_Merged] = []
    for person in sorted(people, key=lambda p: -p.score):
        apart = [np.linalg.norm(person.joints_m - other.joints_m, axis=-1) for other in kept]
        near = [np.isfinite(a).sum() >= 3 and np.nanmedian(a) < config.duplicate_m for a in apart]
        if not any(near):
            kept.append(person)
    return kept


def _filled(merged: _Merged, poses: _Poses) -> np.ndarray:
    rows = merged.poses
    return fill_joints(
        merged.joints_m,
        merged.observed,
        poses.origin_m[rows],
        poses.direction[rows],
        poses.confidence[rows],
    )
