"""How fast the people found in a sequence move: who is who from frame to frame, and slopes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from mvssm_ros.rig.association import Groups

Array = npt.NDArray[np.float64]

_TRACK_M = (0.15, 2.5)  # a person may move so far between frames: m, and m/s


def tracks(
    groups: Groups, joints_m: Array, known: npt.NDArray[np.bool_], stamps_ns: npt.NDArray[np.int64]
) -> list[npt.NDArray[np.int64]]:
    """Rows of the same person in consecutive frames.

    Args:
        groups: G people of single frames.
        joints_m: [G, 15, 3]
        known: [G, 15]
        stamps_ns: [F]
    """
    track_of = np.full(len(groups.frame), -1)
    seconds = (stamps_ns - stamps_ns[0]) * 1e-9
    frames = np.unique(groups.frame)
    count = 0
    for i, f in enumerate(frames):
        now = np.flatnonzero(groups.frame == f)
        if i:
            before = np.flatnonzero(groups.frame == frames[i - 1])
            both = known[before][:, None] & known[now][None]
            apart = np.linalg.norm(joints_m[before][:, None] - joints_m[now][None], axis=-1)
            shared = both.sum(-1)
            distance = (apart * both).sum(-1) / np.maximum(shared, 1)
            distance = np.where(shared >= 3, distance, 1e3)
            reach = _TRACK_M[0] + _TRACK_M[1] * (seconds[f] - seconds[frames[i - 1]])
            for a, b in zip(*linear_sum_assignment(distance), strict=True):
                if distance[a, b] < reach:
                    track_of[now[b]] = track_of[before[a]]
        for row in now[track_of[now] < 0]:
            track_of[row] = count
            count += 1
    return [np.flatnonzero(track_of == k) for k in range(count)]


def slopes(
    persons: list[npt.NDArray[np.int64]],
    seconds: Array,
    values: Array,
    known: npt.NDArray[np.bool_],
    window_s: float,
) -> Array:
    """Of every value a second [G, 15, C], from the same person's neighbouring frames.

    A straight line through the values within the window; the frame itself does not count, so that
    its errors do not look like motion. 0 where there are fewer than two others.

    Args:
        persons: from `tracks`.
        seconds: [G] when.
        values: [G, 15, C]
        known: [G, 15]
        window_s: how far before and after.
    """
    out = np.zeros_like(values)
    for track in persons:
        t = seconds[track]
        for row, now in zip(track, t, strict=True):
            near = track[(np.abs(t - now) <= window_s) & (track != row)]
            dt = (seconds[near] - now)[:, None, None]
            w = known[near][..., None].astype(np.float64)
            total = np.maximum(w.sum(0), 1e-9)
            t_mean = (w * dt).sum(0) / total
            mean = (w * values[near]).sum(0) / total
            spread = (w * (dt - t_mean) ** 2).sum(0)
            slope = (w * (dt - t_mean) * (values[near] - mean)).sum(0) / np.maximum(spread, 1e-9)
            enough = (w.sum(0) >= 2) & known[row][:, None]
            out[row] = np.where(enough, slope, 0.0)
    return out
