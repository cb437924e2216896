"""Start poses: where progressive regression begins (geometric tokens, MV-SSM section 3.1)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# panoptic15, metres, standing on the ground at the origin: x forward, y left, z up
_T_POSE = (
    (0.0, 0.0, 1.45), (0.1, 0.0, 1.62), (0.0, 0.0, 0.95),
    (0.0, 0.17, 1.43), (0.0, 0.45, 1.43), (0.0, 0.70, 1.43),
    (0.0, 0.10, 0.94), (0.0, 0.10, 0.52), (0.0, 0.10, 0.09),
    (0.0, -0.17, 1.43), (0.0, -0.45, 1.43), (0.0, -0.70, 1.43),
    (0.0, -0.10, 0.94), (0.0, -0.10, 0.52), (0.0, -0.10, 0.09),
)  # fmt: skip
_RELAXED_ARMS = {
    4: (0.0, 0.24, 1.16),
    5: (0.08, 0.24, 0.92),
    10: (0.0, -0.24, 1.16),
    11: (0.08, -0.24, 0.92),
}


def start_pose(kind: str = "t_pose") -> Tensor:
    """[15, 3] m: a person of 1.7 m at the origin; kind "t_pose" or "relaxed" (arms down)."""
    pose = [list(p) for p in _T_POSE]
    if kind == "relaxed":
        for joint, place in _RELAXED_ARMS.items():
            pose[joint] = list(place)
    return torch.tensor(pose)


def grid_size(size_m: tuple[float, float], pitch_m: float) -> tuple[int, int]:
    """Columns and rows of start poses that cover a space of `size_m` at about `pitch_m`."""
    nx, ny = (max(1, math.ceil(side / pitch_m)) for side in size_m)
    return nx, ny


def start_poses(
    center_m: Tensor,
    size_m: Tensor,
    grid: tuple[int, int],
    kind: str,
    floor_m: float | Tensor = 0.0,
) -> Tensor:
    """A grid of start poses over each rig's space.

    center_m, size_m [B, 2] m; grid (nx, ny) -> [B, nx ny, 15, 3] m.
    """
    nx, ny = grid
    dtype, device = center_m.dtype, center_m.device
    x = (torch.arange(nx, dtype=dtype, device=device) + 0.5) / nx - 0.5
    y = (torch.arange(ny, dtype=dtype, device=device) + 0.5) / ny - 0.5
    unit = torch.stack(torch.meshgrid(x, y, indexing="ij"), -1).view(-1, 2)  # [N, 2]
    place = center_m.unsqueeze(-2) + unit * size_m.unsqueeze(-2)  # [B, N, 2]
    pose = start_pose(kind).to(place)
    out = pose.expand(*place.shape[:-1], *pose.shape).clone()  # [B, N, 15, 3]
    out[..., :2] += place.unsqueeze(-2)
    out[..., 2] += torch.as_tensor(floor_m, dtype=dtype, device=device)
    return out
