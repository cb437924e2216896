"""From 2D keypoints to joints that several views see: who is who, and how fast they move.

For checking a calibration that is roughly right: people are matched by epipolar distances with a
wide limit, and what is matched wrongly is left to the robust fits that follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import torch

from mvssm_ros.geometry.cameras import Cameras, undistort
from mvssm_ros.rig.keypoint_sequence import KeypointSequence

Array = npt.NDArray[np.float64]

MIN_CONFIDENCE = 0.3
_LIMIT_PX = 50.0  # epipolar distance of two views of one person, at a long side of 960 px
_LINK = 0.08  # of the long side: a person moves less between two frames
_WINDOW_S = 0.1  # before and after, for velocities


@dataclass(frozen=True, eq=False)
class SeenJoints:
    """N joints of people, each seen by two views or more of T."""

    pixels: Array  # [T, N, 2] raw px, 0 where not seen
    seen: npt.NDArray[np.bool_]  # [T, N]
    velocity: Array  # [T, N, 2] px/s of that joint in that view, 0 where unknown
    frame: npt.NDArray[np.int64]  # [N]
    n_people: int  # at most, in one frame


def seen_joints(sequence: KeypointSequence, cameras: Cameras, max_frames: int) -> SeenJoints:
    """Match the people of all views, in at most ``max_frames`` frames, evenly over the sequence.

    Args:
        sequence: its cameras in the order of ``cameras``.
        cameras: [T].
    """
    keypoints = sequence.keypoints
    n_frames, n_views = keypoints.shape[:2]
    velocity = _velocities(sequence, cameras)
    chosen = np.unique(np.linspace(0, n_frames - 1, min(n_frames, max_frames)).astype(int))
    there = (keypoints[..., 2] >= MIN_CONFIDENCE).sum(-1) >= 3  # [F, T, D]
    rays = _rays(keypoints, cameras)
    pixels, seen, speeds, frames, most = [], [], [], [], 0
    for f in chosen:
        groups = _groups(rays[f], keypoints[f, ..., 2] >= MIN_CONFIDENCE, there[f], cameras)
        most = max(most, len(groups))
        for members in groups:
            one = np.zeros((n_views, *keypoints.shape[3:]))
            speed = np.zeros((n_views, keypoints.shape[3], 2))
            for view, person in members.items():
                one[view], speed[view] = keypoints[f, view, person], velocity[f, view, person]
            pixels.append(one[..., :2])
            seen.append(one[..., 2] >= MIN_CONFIDENCE)
            speeds.append(speed)
            frames.append(np.full(keypoints.shape[3], f))
    if not pixels:
        empty = np.zeros((n_views, 0, 2))
        return SeenJoints(empty, empty[..., 0] > 0, empty, np.zeros(0, np.int64), 0)
    all_seen = np.concatenate(seen, 1)
    keep = all_seen.sum(0) >= 2
    return SeenJoints(
        pixels=np.concatenate(pixels, 1)[:, keep] * all_seen[:, keep, None],
        seen=all_seen[:, keep],
        velocity=np.concatenate(speeds, 1)[:, keep],
        frame=np.concatenate(frames)[keep].astype(np.int64),
        n_people=most,
    )


def _rays(keypoints: Array, cameras: Cameras) -> Array:
    """Normalised image coordinates of all keypoints, [F, T, D, J, 2]."""
    n_frames, n_views, n_people, n_joints = keypoints.shape[:4]
    flat = keypoints[..., :2].transpose(1, 0, 2, 3, 4).reshape(n_views, -1, 2)
    rays = undistort(cameras, torch.from_numpy(np.ascontiguousarray(flat))).numpy()
    return rays.reshape(n_views, n_frames, n_people, n_joints, 2).transpose(1, 0, 2, 3, 4)


def _groups(
    rays: Array, good: npt.NDArray[np.bool_], there: npt.NDArray[np.bool_], cameras: Cameras
) -> list[dict[int, int]]:
    """The people of one frame, each as {view: index}. rays [T, D, J, 2], good [T, D, J]."""
    people = [np.flatnonzero(row) for row in there]
    if max(len(p) for p in people) <= 1:  # nobody to confuse anybody with
        alone = {view: int(p[0]) for view, p in enumerate(people) if len(p)}
        return [alone] if len(alone) >= 2 else []
    scale = 960 / cameras.size_px.amax(-1).numpy() * cameras.focal_px.numpy()  # to px at 960
    pairs = []
    for i, k in combinations([v for v, p in enumerate(people) if len(p)], 2):
        distances = _epipolar(rays[i][people[i]], rays[k][people[k]], cameras, i, k)  # [A, B, J, 2]
        both = good[i][people[i]][:, None] & good[k][people[k]][None]
        px = np.where(both[..., None], distances * scale[[i, k]], np.nan)
        for a, b in np.ndindex(px.shape[:2]):
            if both[a, b].sum() >= 3:
                middle = float(np.nanmedian(px[a, b]))
                pairs.append((middle, (i, int(people[i][a])), (k, int(people[k][b]))))
    owner: dict[tuple[int, int], dict[int, int]] = {}
    for distance, first, second in sorted(pairs):
        if distance > _LIMIT_PX:
            break
        one, other = owner.get(first, {first[0]: first[1]}), owner.get(second, dict([second]))
        if one is other or one.keys() & other.keys():
            continue
        merged = {**one, **other}
        owner.update(dict.fromkeys(merged.items(), merged))
    return list({id(group): group for group in owner.values()}.values())


def _epipolar(rays_i: Array, rays_k: Array, cameras: Cameras, i: int, k: int) -> Array:
    """Distance of each joint to the other view's epipolar line, in both images [A, B, J, 2]."""
    R = (cameras.R[k] @ cameras.R[i].T).numpy()
    t = cameras.t[k].numpy() - R @ cameras.t[i].numpy()
    cross = np.array([[0, -t[2], t[1]], [t[2], 0, -t[0]], [-t[1], t[0], 0]])
    E = cross @ R
    xi = np.concatenate([rays_i, np.ones_like(rays_i[..., :1])], -1)
    xk = np.concatenate([rays_k, np.ones_like(rays_k[..., :1])], -1)
    in_k, in_i = xi @ E.T, xk @ E  # lines
    product = np.abs(np.einsum("ajc,bjc->abj", in_k, xk))
    to_i = product / np.linalg.norm(in_i[..., :2], axis=-1).clip(1e-9)[None]
    to_k = product / np.linalg.norm(in_k[..., :2], axis=-1).clip(1e-9)[:, None]
    return np.stack([to_i, to_k], -1)


def _velocities(sequence: KeypointSequence, cameras: Cameras) -> Array:
    """Of every keypoint [F, T, D, J, 2] px/s: the slope over the frames around; 0 if unknown."""
    keypoints, seconds = sequence.keypoints, sequence.stamps_ns * 1e-9
    n_frames, n_views, n_people = keypoints.shape[:3]
    out = np.zeros((*keypoints.shape[:4], 2))
    if n_frames < 2:
        return out
    seconds = seconds - seconds[0]
    step_s = float(np.median(np.diff(seconds)))
    reach = int(np.clip(round(_WINDOW_S / step_s), 1, 10))
    long_side = cameras.size_px.amax(-1).numpy()
    for view in range(n_views):
        following = _links(keypoints[:, view], _LINK * long_side[view], 1)
        before = _links(keypoints[:, view], _LINK * long_side[view], -1)
        x, c = keypoints[:, view, ..., :2], keypoints[:, view, ..., 2] >= MIN_CONFIDENCE
        here = np.broadcast_to(np.arange(n_people), (n_frames, n_people))
        moments = [(np.arange(n_frames), here)]
        for links, sign in ((following, 1), (before, -1)):
            at, person = np.arange(n_frames), here
            for _ in range(reach):
                person = np.where(person >= 0, links[at[:, None], person], -1)
                at = np.clip(at + sign, 0, n_frames - 1)
                moments.append((at, person))
        samples, weights, offsets = [], [], []
        for at, person in moments:
            samples.append(x[at[:, None], person])
            weights.append(c[at[:, None], person] & (person >= 0)[..., None])
            offsets.append(np.broadcast_to((seconds[at] - seconds)[:, None, None], c.shape))
        w, t, y = np.array(weights, float), np.array(offsets), np.array(samples)
        total = w.sum(0).clip(1)
        t_mean = (w * t).sum(0) / total
        y_mean = (w[..., None] * y).sum(0) / total[..., None]
        spread = (w * (t - t_mean) ** 2).sum(0)
        slope = (w[..., None] * (t - t_mean)[..., None] * (y - y_mean)).sum(0)
        known = spread > 1e-9
        out[:, view] = np.where(known[..., None], slope / np.where(known, spread, 1)[..., None], 0)
    return out


def _links(keypoints: Array, limit_px: float, step: int) -> npt.NDArray[np.int64]:
    """Which person of the next (or previous) frame each person is, [F, D]; -1 none."""
    n_frames, n_people = keypoints.shape[:2]
    links = np.full((n_frames, n_people), -1)
    good = keypoints[..., 2] >= MIN_CONFIDENCE
    for f in range(n_frames):
        if not 0 <= f + step < n_frames:
            continue
        both = good[f][:, None] & good[f + step][None]  # [D, D, J]
        apart = np.linalg.norm(
            keypoints[f][:, None, :, :2] - keypoints[f + step][None, :, :, :2], axis=-1
        )
        count = both.sum(-1)
        cost = np.where(count >= 3, (apart * both).sum(-1) / count.clip(1), np.inf)
        best = cost.argmin(1)
        mutual = cost.argmin(0)[best] == np.arange(n_people)
        links[f] = np.where(mutual & (cost.min(1) < limit_px), best, -1)
    return links
