"""Which 2D keypoints speak for which 3D joints. A keypoint is of one person: it speaks once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .cameras import Cameras, in_view, project


class Claims(NamedTuple):
    """Of poses P, joints J, views T: claimed [P, J, T] bool; distance_px of what was claimed
    [P, J, T] (NaN elsewhere); person [P, J, T] int: whose keypoint it is, of the view's (-1
    elsewhere)."""

    claimed: np.ndarray
    distance_px: np.ndarray
    person: np.ndarray


def claim_keypoints(
    poses_m: Tensor, cameras: Cameras, keypoints_px: Tensor, reach_px: float
) -> Claims:
    """Poses, best first, each claim the nearest keypoint of every joint in every view.

    poses [P, J, 3] m; cameras [T] and keypoints [T, D, J, 3] (x, y, confidence; 0 = missing) in one
    scale of pixels. A pose claims keypoints within `reach_px` that no better pose has claimed, so a
    second pose for the same person is left with little to claim.
    """
    p, j, _ = poses_m.shape
    t, d = keypoints_px.shape[:2]
    claimed = np.zeros((p, j, t), bool)
    distance_px = np.full((p, j, t), np.nan, np.float32)
    person = np.full((p, j, t), -1)
    if p == 0 or d == 0:
        return Claims(claimed, distance_px, person)
    pixels, depth = project(cameras, poses_m.flatten(0, 1))  # [T, P J, 2]
    seen = in_view(cameras, pixels, depth).view(t, p, 1, j)
    gap = (pixels.view(t, p, 1, j, 2) - keypoints_px[:, None, :, :, :2]).norm(dim=-1)
    usable = seen & (keypoints_px[:, None, :, :, 2] > 0) & (gap < reach_px)
    gaps = torch.where(usable, gap, torch.inf).numpy()  # [T, P, D, J]
    free = np.ones((t, d, j), bool)
    for k in range(p):
        mine = np.where(free, gaps[:, k], np.inf)  # [T, D, J]
        nearest = mine.argmin(1)  # [T, J]
        best = np.take_along_axis(mine, nearest[:, None], 1)[:, 0]
        view, joint = np.nonzero(np.isfinite(best))
        free[view, nearest[view, joint], joint] = False
        claimed[k, joint, view] = True
        distance_px[k, joint, view] = best[view, joint]
        person[k, joint, view] = nearest[view, joint]
    return Claims(claimed, distance_px, person)
