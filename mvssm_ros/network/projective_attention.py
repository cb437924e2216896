"""Projective attention (MvP; MV-SSM section 3.2): tokens look at the images where they project to.

Deformable attention around the projected anchor of each joint, in each view: `n_heads` x `n_levels`
x `n_points` samples with weights by softmax. The sum over levels is taken, the sum over points is
not: what comes out is the grid of J x P sampled tokens that GTBS scans. `reduce` finishes the
attention: ``W_o sum_p grid + b_o`` is exactly its output.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .pyramid import FeaturePyramid, cell_px, sample


class ProjectiveAttention(nn.Module):
    """Samples a pyramid around anchors.

    per_joint=False (RGB): maps are shared by all joints; values are linear maps of the features, and
    each head samples its own channels at its own places.
    per_joint=True (keypoints): a token of joint j samples the maps of joint j, with one head; the
    value is one linear map of the samples of all levels.
    mvgformer=True (shared maps only): each level has a query of its own, see `forward`.
    """

    def __init__(
        self,
        d_model: int,
        feature_channels: int,
        *,
        n_heads: int,
        n_levels: int,
        n_points: int,
        per_joint: bool,
        mvgformer: bool = False,
    ):
        super().__init__()
        if per_joint and n_heads != 1:
            raise ValueError(f"per-joint maps are sampled by one head, got n_heads={n_heads}")
        self.n_heads, self.n_levels, self.n_points = n_heads, n_levels, n_points
        self.per_joint, self.mvgformer = per_joint, mvgformer
        samples = n_heads * n_points * (1 if mvgformer else n_levels)  # that one query places
        self.sampling_offsets = nn.Linear(d_model, samples * 2)
        self.attention_weights = nn.Linear(d_model, samples)
        if per_joint:
            self.value_proj = nn.Linear(n_levels * feature_channels, d_model, bias=False)
        else:
            self.value_proj = nn.Linear(feature_channels, d_model)
        self.output_proj = nn.Linear(d_model, d_model)
        self._reset()

    def _reset(self) -> None:
        nn.init.zeros_(self.sampling_offsets.weight)
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        with torch.no_grad():
            offsets = self._initial_offsets()
            offsets = offsets[:, :1] if self.mvgformer else offsets
            self.sampling_offsets.bias.copy_(offsets.flatten())

    def _initial_offsets(self) -> Tensor:
        """[heads, levels, points, 2] cells. One head: the centre and a cross; several: rays."""
        h, p = self.n_heads, self.n_points
        if h == 1:
            angle = torch.arange(p - 1) * (2 * math.pi / max(p - 1, 1))
            ring = 2.5 * torch.stack([angle.cos(), angle.sin()], -1)
            pattern = torch.cat([torch.zeros(1, 2), ring])[None, :, :]  # [1, P, 2]
        else:
            angle = torch.arange(h) * (2 * math.pi / h)
            ray = torch.stack([angle.cos(), angle.sin()], -1)
            ray = ray / ray.abs().amax(-1, keepdim=True)
            pattern = ray[:, None, :] * torch.arange(1, p + 1)[None, :, None]  # [h, P, 2]
        return pattern[:, None].expand(h, self.n_levels, p, 2)

    def forward(
        self, query: Tensor, anchors_px: Tensor, pyramid: FeaturePyramid, keep_points: bool = True
    ) -> Tensor:
        """query [B, T, M, J, D], anchors [B, T, M, J, 2] network px -> grid [B, T, M, J, P, D].

        keep_points=False sums over the points early (P = 1), where nobody will scan the grid.
        mvgformer: query [B, T, M, J, levels, D]. What the linear maps say level by level is viewed,
        not permuted, as heads x levels x points, because its checkpoints were trained that way.
        """
        b, t, m, j = query.shape[:4]
        h, levels, p = self.n_heads, self.n_levels, self.n_points
        offsets = self.sampling_offsets(query).view(b, t, m, j, h, levels, p, 2)  # cells
        weights = self.attention_weights(query).view(b, t, m, j, h, levels * p)
        weights = weights.softmax(-1).view(b, t, m, j, h, levels, p)
        if self.per_joint:
            return self._sample_per_joint(anchors_px, offsets, weights, pyramid, keep_points)
        grid = self._sample_shared(anchors_px, offsets, weights, pyramid)
        return grid if keep_points else grid.sum(-2, keepdim=True)

    def reduce(self, grid: Tensor) -> Tensor:
        """[B, T, M, J, P, D] -> the attention's output [B, T, M, J, D]."""
        return self.output_proj(grid.sum(-2))

    def _sample_shared(
        self, anchors_px: Tensor, offsets: Tensor, weights: Tensor, pyramid: FeaturePyramid
    ) -> Tensor:
        b, t, m, j, h, _, p, _ = offsets.shape
        grid = None
        for level, (maps, stride) in enumerate(zip(pyramid.levels, pyramid.strides, strict=True)):
            height, width = maps.shape[-2:]
            value = self.value_proj(maps.permute(0, 1, 3, 4, 2))  # [B, T, H, W, D]
            value = value.permute(0, 1, 4, 2, 3).reshape(b * t * h, -1, height, width)
            cell = cell_px(maps, stride, self.mvgformer)
            places = anchors_px[..., None, None, :] + offsets[..., level, :, :] * cell
            places = places.permute(0, 1, 4, 2, 3, 5, 6).reshape(b * t * h, m * j, p, 2)
            s = sample(value, places, stride, self.mvgformer)  # [B T h, D/h, M J, P]
            w = weights[..., level, :].permute(0, 1, 4, 2, 3, 5).reshape(b * t * h, 1, m * j, p)
            grid = s * w if grid is None else grid + s * w
        assert grid is not None
        out = grid.view(b, t, h, -1, m, j, p).permute(
            0, 1, 4, 5, 6, 2, 3
        )  # [B, T, M, J, P, h, D/h]
        return out.flatten(-2)

    def _sample_per_joint(
        self,
        anchors_px: Tensor,
        offsets: Tensor,
        weights: Tensor,
        pyramid: FeaturePyramid,
        keep_points: bool,
    ) -> Tensor:
        per_level = []
        for level in range(self.n_levels):
            places = (
                anchors_px.unsqueeze(-2) + offsets[..., 0, level, :, :] * pyramid.strides[level]
            )
            s = sample_per_joint(pyramid, level, places)  # [B, T, M, J, P, C]
            s = s * weights[..., 0, level, :, None]
            per_level.append(s if keep_points else s.sum(-2, keepdim=True))
        return self.value_proj(torch.cat(per_level, -1))


def sample_per_joint(pyramid: FeaturePyramid, level: int, places_px: Tensor) -> Tensor:
    """Samples of a joint's own maps, then of its mirror's: places [B, T, M, J, P, 2] network px ->
    [B, T, M, J, P, 2 C]."""
    assert pyramid.mirror is not None
    maps, stride = pyramid.levels[level], pyramid.strides[level]
    b, t, m, j, p, _ = places_px.shape
    own = places_px.transpose(2, 3)  # [B, T, J, M, P, 2]
    # map j serves the tokens of joint j and those of mirror[j]
    both = torch.cat([own, own[:, :, pyramid.mirror]], 3).reshape(b * t * j, 2 * m, p, 2)
    s = sample(maps.flatten(0, 2), both, stride)  # [B T J, C, 2 M, P]
    s = s.view(b, t, j, -1, 2, m, p)
    s = torch.stack([s[:, :, :, :, 0], s[:, :, pyramid.mirror, :, 1]], 3)  # [B, T, J, 2, C, M, P]
    return s.flatten(3, 4).permute(0, 1, 4, 2, 5, 3)


def anchor_features(anchors_px: Tensor, pyramid: FeaturePyramid, stretched: bool = False) -> Tensor:
    """What each level shows at the anchors [B, T, M, J, 2] themselves: [B, T, M, J, levels, C]
    (2 C with maps per joint: own, then mirror)."""
    b, t, m, j, _ = anchors_px.shape
    out = []
    for level, (maps, stride) in enumerate(zip(pyramid.levels, pyramid.strides, strict=True)):
        if pyramid.per_joint:
            out.append(sample_per_joint(pyramid, level, anchors_px.unsqueeze(-2)).squeeze(-2))
        else:
            places = anchors_px.reshape(b * t, m * j, 1, 2)
            s = sample(maps.flatten(0, 1), places, stride, stretched)  # [B T, C, M J, 1]
            out.append(s.view(b, t, -1, m, j).permute(0, 1, 3, 4, 2))  # [B, T, M, J, C]
    return torch.stack(out, -2)
