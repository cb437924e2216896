"""Two-view proposals: start poses for progressive regression from pairs of 2D people.

Every 2D person of one view and every one of another are triangulated joint by joint; where the rays
of many joints meet, in a body of human size, there may be a person. The best of these join the grid
of start poses, so that somebody who lies, sits or bends, far from any standing pose, is begun near
the answer (our addition; MV-SSM starts from the grid alone). A proposal is no more than a start: it
knows two views, and is wrong where they pair two people; the network judges it by all views.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mvssm_ros.geometry.cameras import Cameras
from mvssm_ros.geometry.skeletons import SKELETONS
from mvssm_ros.geometry.triangulation import rays_world
from mvssm_ros.network.candidates import start_pose, start_poses
from mvssm_ros.network.decoder import crowding

MIN_JOINTS = 3  # that two 2D people must share, their rays meeting
_MEET_M = 0.05  # how near two rays of one joint come, a length at the joint, and
_MEET_PX = 5.0  # pixels
_MIN_SINE = 0.12  # between two rays, below which their depth is doubtful
_SPACE_MARGIN_M = 1.0
_BONE_FACTORS = (0.3, 1.7)  # of a standing adult's bones
_SHORTLIST = 192  # proposals compared with each other
_NEIGHBOURHOOD_M = 0.2  # proposals within this (RMS over joints) are for one person
_EDGES = torch.as_tensor(SKELETONS["panoptic15"].edge_indices)
_HOPS = 8  # bones between any two joints at most


def two_view_proposals(
    cameras: Cameras,
    keypoints_px: Tensor,
    center_m: Tensor,
    size_m: Tensor,
    count: int,
    floor_m: float | Tensor = 0.0,
) -> tuple[Tensor, Tensor]:
    """The `count` best proposals of each scene: poses [B, count, 15, 3] m, and real [B, count] bool.

    cameras [B, T] and keypoints [B, T, D, 15, 3] (x, y, confidence; 0 = missing) in one scale of
    pixels; center, size [B, 2] m of the space. The best of every neighbourhood come first. Where a
    scene has fewer, standing poses in the middle of its space, not real, make up the number.
    """
    standing = start_pose("relaxed").to(keypoints_px)
    middle = start_poses(center_m, size_m, (1, 1), "relaxed", floor_m)  # [B, 1, 15, 3]
    joints, met = _meet(cameras, keypoints_px)  # [B, N, J, 3], [B, N, J]
    score = met.sum(-1) * _plausible(joints, met, standing)
    centre = (joints[..., :2] * met.unsqueeze(-1)).sum(-2) / met.sum(-1, keepdim=True).clamp(1e-6)
    outside = (centre - center_m[:, None]).abs() > 0.5 * size_m[:, None] + _SPACE_MARGIN_M
    score = score * ~outside.any(-1) * ((met > 0.5).sum(-1) >= MIN_JOINTS)

    score, best = score.topk(min(_SHORTLIST, score.shape[1]), dim=1)
    scene = torch.arange(len(best), device=best.device)[:, None]
    poses = _filled(joints[scene, best], met[scene, best] > 0.2, standing)  # [B, S, J, 3]
    rank = score - crowding(poses, score, _NEIGHBOURHOOD_M) * standing.shape[0]
    rank = rank - 1e3 * (score <= 0)
    chosen = rank.topk(min(count, rank.shape[1]), dim=1).indices
    real = (score > 0)[scene, chosen]
    poses = torch.where(real[..., None, None], poses[scene, chosen], middle)
    missing = count - poses.shape[1]
    poses = torch.cat([poses, middle.expand(-1, missing, -1, -1)], 1)
    return poses, torch.nn.functional.pad(real, (0, missing))


def _meet(cameras: Cameras, keypoints_px: Tensor) -> tuple[Tensor, Tensor]:
    """Where the rays of two 2D people meet, for all N = pairs of views x D x D: joints [B, N, J, 3],
    and how well they do, [B, N, J] from 0 (missing, apart, or behind a camera) to 1."""
    b, t, d, j, _ = keypoints_px.shape
    seen = keypoints_px[..., 2] > 0  # [B, T, D, J]
    middle = cameras.K[..., None, :2, 2]
    pixels = torch.where(
        seen.flatten(2, 3).unsqueeze(-1), keypoints_px[..., :2].flatten(2, 3), middle
    )
    origin, direction = rays_world(cameras, pixels)  # [B, T, 3], [B, T, D J, 3]
    direction = direction.view(b, t, d, j, 3)
    one, two = torch.triu_indices(t, t, 1, device=keypoints_px.device)  # V pairs of views
    u, v = direction[:, one].unsqueeze(3), direction[:, two].unsqueeze(2)  # [B, V, D, 1 | D, J, 3]
    base = (origin[:, one] - origin[:, two])[:, :, None, None, None]  # [B, V, 1, 1, 1, 3]
    cosine = (u * v).sum(-1)  # [B, V, D, D, J]
    along_u, along_v = (u * base).sum(-1), (v * base).sum(-1)
    sine2 = (1 - cosine**2).clamp(min=1e-4)
    depth_u = (cosine * along_v - along_u) / sine2
    depth_v = (along_v - cosine * along_u) / sine2
    point_u = origin[:, one][:, :, None, None, None] + depth_u.unsqueeze(-1) * u
    point_v = origin[:, two][:, :, None, None, None] + depth_v.unsqueeze(-1) * v
    gap = (point_u - point_v).norm(dim=-1)
    focal = cameras.focal_px
    pixel_m = depth_u / focal[:, one, None, None, None] + depth_v / focal[:, two, None, None, None]
    near = torch.exp(-((gap / (_MEET_M + _MEET_PX * pixel_m.clamp(min=0))) ** 2))
    sure = (sine2 / _MIN_SINE**2).clamp(max=1.0)
    both = seen[:, one].unsqueeze(3) & seen[:, two].unsqueeze(2)
    met = near * sure * both * (depth_u > 0.2) * (depth_v > 0.2)
    joints = 0.5 * (point_u + point_v)
    return joints.flatten(1, 3), met.flatten(1, 3)


def _plausible(joints_m: Tensor, met: Tensor, standing_m: Tensor) -> Tensor:
    """Share of the known bones that are as long as a human's may be, [B, N]."""
    a, b = _EDGES.to(joints_m.device).T
    usual = (standing_m[a] - standing_m[b]).norm(dim=-1)
    ratio = (joints_m[..., a, :] - joints_m[..., b, :]).norm(dim=-1) / usual
    known = torch.minimum(met[..., a], met[..., b])
    good = (ratio > _BONE_FACTORS[0]) & (ratio < _BONE_FACTORS[1])
    return (0.5 + (known * good).sum(-1)) / (0.5 + known.sum(-1))


def _filled(joints_m: Tensor, known: Tensor, standing_m: Tensor) -> Tensor:
    """Unknown joints [B, S, J, 3] hang from their known neighbours as in a standing body."""
    a, b = _EDGES.to(joints_m.device).T
    linked = torch.zeros(len(standing_m), len(standing_m), device=joints_m.device)
    linked[a, b] = linked[b, a] = 1.0
    poses = joints_m
    for _ in range(_HOPS):
        weight = known.to(linked)  # [B, S, J]
        count = weight @ linked  # [B, S, J] known neighbours
        hung = torch.einsum("jk,bskc->bsjc", linked, weight.unsqueeze(-1) * (poses - standing_m))
        guess = standing_m + hung / count.clamp(min=1).unsqueeze(-1)
        poses = torch.where(known.unsqueeze(-1), poses, guess)
        known = known | (count > 0)
    return poses
