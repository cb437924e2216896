"""Grid Token-guided Bidirectional Scanning (MV-SSM section 3.3) on SS2D (VMamba).

GTBS scans tokens that projective attention has gathered on a grid, forwards and backwards, so that
every token hears of every other in linear time. It acts on two levels: on the J x P grid of feature
samples of a view (`FeatureLevelGTBS`), and on the J joints of a candidate (`KeypointLevelGTBS`).
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .selective_scan import selective_scan

# Neighbours in the kinematic tree are neighbours in this order of the panoptic15 joints.
TREE_ORDER = (1, 0, 3, 4, 5, 9, 10, 11, 2, 6, 7, 8, 12, 13, 14)


class SS2D(nn.Module):
    """2D selective scan of a grid of tokens [B, H, W, C] -> [B, H, W, C].

    directions = 2: row-major forward and reversed; 4: column-major and its reverse as well (VMamba's
    cross-scan). At initialisation the output is zero (out_proj), so a network with it equals the
    same network without it.
    """

    def __init__(
        self,
        d_model: int,
        *,
        expansion: float = 1.0,
        d_state: int = 1,
        gated: bool = False,
        directions: int = 2,
        kernel: tuple[int, int] = (3, 3),
    ):
        super().__init__()
        self.d_inner = d = int(expansion * d_model)
        self.d_state, self.directions, self.gated = d_state, directions, gated
        self.dt_rank = rank = max(1, math.ceil(d_model / 16))
        self.in_proj = nn.Linear(d_model, 2 * d if gated else d, bias=False)
        padding = (kernel[0] // 2, kernel[1] // 2)
        self.conv = nn.Conv2d(d, d, kernel, padding=padding, groups=d)
        self.x_proj = nn.Parameter(torch.randn(directions, d, rank + 2 * d_state) / math.sqrt(d))
        self.dt_weight = nn.Parameter((torch.rand(directions, rank, d) * 2 - 1) / math.sqrt(rank))
        dt = torch.exp(torch.rand(directions, d) * math.log(0.1 / 1e-3) + math.log(1e-3))
        self.dt_bias = nn.Parameter(dt + torch.log(-torch.expm1(-dt)))  # softplus^-1
        self.A_log = nn.Parameter(torch.arange(1.0, d_state + 1).log().repeat(directions, d, 1))
        self.D = nn.Parameter(torch.ones(directions, d))
        self.norm = nn.LayerNorm(d)
        self.out_proj = nn.Linear(d, d_model, bias=False)
        nn.init.zeros_(self.out_proj.weight)

    def forward(self, x: Tensor) -> Tensor:
        _, height, width, _ = x.shape
        x = self.in_proj(x)
        gate = None
        if self.gated:
            x, gate = x.chunk(2, -1)
        x = F.silu(self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))  # [B, H, W, D]
        u = self._unroll(x)  # [B, K, L, D]
        projected = u @ self.x_proj  # [B, K, L, R + 2S]
        dt, B, C = projected.split([self.dt_rank, self.d_state, self.d_state], -1)
        delta = F.softplus(dt @ self.dt_weight + self.dt_bias.unsqueeze(1))  # [B, K, L, D]
        y = selective_scan(u, delta, -torch.exp(self.A_log), B, C, self.D).to(x.dtype)
        out = self.norm(self._roll_up(y, height, width))
        if gate is not None:
            out = out * F.silu(gate)
        return self.out_proj(out)

    def _unroll(self, x: Tensor) -> Tensor:
        """[B, H, W, D] -> [B, K, L, D]: the sequence that each direction sees."""
        rows = x.flatten(1, 2)
        sequences = [rows, rows.flip(1)]
        if self.directions == 4:
            columns = x.transpose(1, 2).flatten(1, 2)
            sequences += [columns, columns.flip(1)]
        return torch.stack(sequences, 1)

    def _roll_up(self, y: Tensor, height: int, width: int) -> Tensor:
        """[B, K, L, D] -> [B, H, W, D]: each direction put back in place, and summed."""
        b, _, _, d = y.shape
        out = (y[:, 0] + y[:, 1].flip(1)).view(b, height, width, d)
        if self.directions == 4:
            columns = (y[:, 2] + y[:, 3].flip(1)).view(b, width, height, d)
            out = out + columns.transpose(1, 2)
        return out


def _order(tree_order: bool, n_joints: int) -> tuple[Tensor, Tensor]:
    """The scan order of the joints and its inverse, [J] each."""
    order = torch.tensor(TREE_ORDER if tree_order else range(n_joints))
    return order, order.argsort()


class FeatureLevelGTBS(nn.Module):
    """SS2D over the J x P grid of tokens sampled in a view (paper eq. for feature-level GTBS).

    grid [B, T, M, J, P, C] -> the same shape. serial=True scans all views as one grid of (T J) x P
    (the snake of the paper's Figure 1c), so its answer depends on the order of the views.
    """

    def __init__(
        self,
        d_model: int,
        n_joints: int,
        n_points: int,
        *,
        serial: bool,
        tree_order: bool,
        **ss2d: Any,
    ):
        super().__init__()
        self.serial = serial
        self.joint_embedding = nn.Parameter(torch.randn(n_joints, 1, d_model) * 0.02)
        self.point_embedding = nn.Parameter(torch.randn(n_points, d_model) * 0.02)
        self.norm = nn.LayerNorm(d_model)
        self.ss2d = SS2D(d_model, **ss2d)
        order, inverse = _order(tree_order, n_joints)
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("inverse", inverse, persistent=False)

    def forward(self, grid: Tensor) -> Tensor:
        b, t, m, j, p, c = grid.shape
        x = self.norm(grid + self.joint_embedding + self.point_embedding)[:, :, :, self.order]
        if self.serial:
            x = x.transpose(1, 2).reshape(b * m, t * j, p, c)  # rows: view, then joint
            y = self.ss2d(x).view(b, m, t, j, p, c).transpose(1, 2)
        else:
            y = self.ss2d(x.reshape(b * t * m, j, p, c)).view(b, t, m, j, p, c)
        return y[:, :, :, self.inverse]


class KeypointLevelGTBS(nn.Module):
    """SS2D over the J joint tokens of a candidate, told where the joints are.

    tokens [B, M, J, C], geometry [B, M, J, 3] m: joints relative to the root in the candidate's own
    body frame, so that neither the rig's origin nor its heading leaks in. Returns the update of the
    tokens, [B, M, J, C].
    """

    def __init__(self, d_model: int, n_joints: int, *, tree_order: bool, **ss2d: Any):
        super().__init__()
        self.geometry = nn.Linear(3, d_model)
        self.norm = nn.LayerNorm(d_model)
        self.ss2d = SS2D(d_model, kernel=(3, 1), **ss2d)
        order, inverse = _order(tree_order, n_joints)
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("inverse", inverse, persistent=False)

    def forward(self, tokens: Tensor, geometry: Tensor) -> Tensor:
        b, m, j, c = tokens.shape
        x = self.norm(tokens + self.geometry(geometry))[:, :, self.order]
        y = self.ss2d(x.reshape(b * m, j, 1, c)).view(b, m, j, c)
        return y[:, :, self.inverse]
