"""The oracle: weighted triangulation of the same 2D joints with the true association given.

Nobody has to guess which detection belongs to whom, so what remains is the geometry and the noise
of the 2D joints: what any method that associates and triangulates could reach without knowing what
bodies look like. It rejects no outliers; a method that weighs views well can beat it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mvssm_ros.geometry.cameras import Cameras
from mvssm_ros.geometry.triangulation import triangulate

_REWEIGHTINGS = 4  # solves; each scales the rows by the depths that the one before found


class OraclePeople(NamedTuple):
    """joints_m [B, G, J, 3], NaN where fewer than two views see the joint; valid [B, G, J] bool."""

    joints_m: Tensor
    valid: Tensor


def triangulate_true_people(
    cameras: Cameras,
    keypoints_px: Tensor,
    identity: Tensor,
    n_people: int,
    start_m: Tensor,
) -> OraclePeople:
    """Triangulates every ground-truth person from its own detections.

    Args:
        cameras: [B, T] the calibration as the methods under test are given it.
        keypoints_px: [B, T, D, J, 3] raw pixels and confidence; confidence 0 = missing.
        identity: [B, T, D] ground-truth person of each detection, -1 = nobody's.
        n_people: G.
        start_m: [B, 3] a point inside the space, where the rows are scaled at first.

    Of several detections of one person in one view the most confident is taken. The weight of a
    view is the joint's confidence; joints seen in at least two views are given. Solved in float64.
    """
    cameras = cameras.to(torch.float64)
    keypoints_px = keypoints_px.to(torch.float64)
    B, T, _, J, _ = keypoints_px.shape
    chosen, found = _detection_of_person(keypoints_px[..., 2], identity, n_people)  # [B, T, G]
    index = chosen[..., None, None].expand(B, T, n_people, J, 3)
    own = keypoints_px.gather(2, index) * found[..., None, None]  # [B, T, G, J, 3]
    own = own.reshape(B, T, n_people * J, 3)

    weights = own[..., 2].clamp(min=0)
    # A missing joint must have a finite ray, though its weight is zero: any pixel will do.
    pixels = torch.where(weights[..., None] > 0, own[..., :2], cameras.K[..., None, :2, 2])
    points = start_m.to(torch.float64)[:, None].expand(B, n_people * J, 3)
    for _ in range(_REWEIGHTINGS):
        result = triangulate(cameras, pixels, weights, points)
        points = result.points_m
    valid = result.solved.reshape(B, n_people, J)
    joints = points.reshape(B, n_people, J, 3)
    return OraclePeople(torch.where(valid[..., None], joints, torch.nan), valid)


def _detection_of_person(
    confidence: Tensor, identity: Tensor, n_people: int
) -> tuple[Tensor, Tensor]:
    """Index of the surest detection of each person in each view, and whether there is one.

    confidence [B, T, D, J], identity [B, T, D] -> index, found [B, T, G].
    """
    surety = confidence.mean(-1)[..., None]  # [B, T, D, 1]
    own = identity[..., None] == torch.arange(n_people, device=identity.device)  # [B, T, D, G]
    best = torch.where(own, surety, -1.0).max(2)
    return best.indices, best.values > 0
