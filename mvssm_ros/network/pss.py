"""One Projective State Space layer (PSS block, MV-SSM section 3.2), steps 1 to 9 of a decoder layer.

project -> projective attention -> feature-level GTBS -> fuse the views -> keypoint-level GTBS ->
feed forward -> heads (2D offset, confidence, class) -> differentiable algebraic triangulation.

Shapes: B scenes, T views, M candidates, J joints, P points, D channels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mvssm_ros.geometry.cameras import Cameras, in_view, project
from mvssm_ros.geometry.triangulation import MIN_ROW_DEPTH_M, triangulate

from .config import MVSSMConfig
from .gtbs import FeatureLevelGTBS, KeypointLevelGTBS
from .projective_attention import ProjectiveAttention, anchor_features
from .pyramid import FeaturePyramid

_FAR_PX = 1e4  # anchors of points beside or behind a camera are clamped here
OFFSET_PX = 20.0  # scale of the 2D offset head
_STEP_M = 0.1  # scale of the structural prior's 3D step


class LayerOutput(NamedTuple):
    tokens: Tensor  # [B, M, J, D]
    poses_m: Tensor  # [B, M, J, 3]
    covariance_m2: Tensor  # [B, M, J, 3, 3]
    joint_logits: Tensor  # [B, M, J] class logits; the score is the mean of their sigmoids
    keypoints_px: Tensor  # [B, T, M, J, 2] 2D estimates, network px
    confidence: Tensor  # [B, T, M, J] weights of the triangulation, 0 where not in view
    solved: Tensor  # [B, M, J] bool: at least two views in view

    @property
    def scores(self) -> Tensor:
        """[B, M] in 0..1"""
        return self.joint_logits.sigmoid().mean(-1)

    def pick(self, index: Tensor) -> LayerOutput:
        """Keep the candidates index [B, M'] of each scene."""
        b = torch.arange(index.shape[0], device=index.device)[:, None]
        return LayerOutput(
            *(
                x.transpose(1, 2)[b, index].transpose(1, 2) if name in _BY_VIEW else x[b, index]
                for name, x in self._asdict().items()
            )
        )

    def joined(self, more: LayerOutput) -> LayerOutput:
        """These candidates and more of the same scenes."""
        return LayerOutput(
            *(
                torch.cat([x, y], 2 if name in _BY_VIEW else 1)
                for (name, x), y in zip(self._asdict().items(), more, strict=True)
            )
        )

    def scene(self, b: int) -> LayerOutput:
        """Scene b alone (B = 1)."""
        return LayerOutput(*(x[b : b + 1] for x in self))


_BY_VIEW = {"keypoints_px", "confidence"}  # [B, T, M, ...]


class PSSLayer(nn.Module):
    """One layer of progressive regression: a better pose for every candidate.

    scan_grid=False leaves out the feature-level scan (first layer, where it does not pay).
    """

    def __init__(self, config: MVSSMConfig, *, scan_grid: bool):
        super().__init__()
        c, d, j = config, config.d_model, config.n_joints
        self.config = c
        ss2d = {"d_state": c.d_state, "gated": c.gated, "directions": c.scan_directions}
        points = 1 if c.ablation == "no_gtbs_mamba" else c.n_points
        scans = c.ablation == "full"
        raw = c.n_levels * c.feature_channels
        self.attention = (
            ProjectiveAttention(
                d,
                c.feature_channels,
                n_heads=c.n_heads,
                n_levels=c.n_levels,
                n_points=points,
                per_joint=c.per_joint_maps,
                mvgformer=c.mvgformer,
            )
            if c.ablation != "mean"
            else None
        )
        self.anchor_proj = nn.Linear(raw, d) if c.anchor_projection else None
        self.feature_gtbs = (
            FeatureLevelGTBS(
                d,
                j,
                points,
                serial=c.view_scan == "serial",
                tree_order=c.tree_order,
                expansion=c.feature_expansion,
                **ss2d,
            )
            if scans and scan_grid
            else None
        )
        self.fuse = nn.Linear(2 * d if c.fuse == "mean_max" else d, d)
        self.cross_attention = (
            nn.MultiheadAttention(d, max(c.n_heads, 4), batch_first=True)
            if c.ablation == "cross_attention"
            else None
        )
        self.norm1 = nn.LayerNorm(d)
        self.keypoint_gtbs = (
            KeypointLevelGTBS(d, j, tree_order=c.tree_order, expansion=c.keypoint_expansion, **ss2d)
            if scans
            else None
        )
        self.feed_forward = nn.Sequential(
            nn.Linear(d, c.ffn_ratio * d), nn.ReLU(), nn.Linear(c.ffn_ratio * d, d)
        )
        self.norm2 = nn.LayerNorm(d)
        self.query_proj = nn.Linear(d, d)  # W_q of the per-view heads
        nn.init.zeros_(self.query_proj.weight)
        nn.init.zeros_(self.query_proj.bias)
        self.n_pointers = 1 + 2 * c.n_levels if c.per_joint_maps else 0
        last = nn.Linear(d, 3 + self.n_pointers)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        hidden: list[nn.Module] = [nn.Linear(d, d), nn.ReLU()]
        if c.mvgformer:
            hidden += [nn.Linear(d, d), nn.ReLU()]
        self.view_head = nn.Sequential(*hidden, last)
        self.class_head = nn.Linear(d, 1)
        self.prior_head = nn.Linear(d, 4) if c.structural_prior else None
        if self.prior_head is not None:
            nn.init.zeros_(self.prior_head.weight)
            self.prior_head.bias.data = torch.tensor([0.0, 0.0, 0.0, 4.0])

    def forward(
        self,
        tokens: Tensor,
        poses_m: Tensor,
        cameras: Cameras,
        pyramid: FeaturePyramid,
        position: Tensor,
    ) -> LayerOutput:
        """tokens and position (the query's embedding) [B, M, J, D], poses [B, M, J, 3] m."""
        poses_m = poses_m.detach()
        b, m, j, _ = poses_m.shape
        anchors, depth = project(cameras, poses_m.flatten(1, 2))  # [B, T, M J, 2], [B, T, M J]
        seen = in_view(cameras, anchors, depth, self.config.view_margin_px)
        t = anchors.shape[1]
        anchors = anchors.clamp(-_FAR_PX, _FAR_PX).view(b, t, m, j, 2)
        seen = seen.view(b, t, m, j)

        raw = anchor_features(anchors, pyramid, self.config.mvgformer)  # [B, T, M, J, levels, C]
        features = self._gather(tokens, position, anchors, raw, seen, pyramid)  # [B, T, M, J, D]
        tokens = self.norm1(tokens + self._fuse(tokens, features, seen))
        frames = body_frames(poses_m)  # [B, M, 3, 3]
        if self.keypoint_gtbs is not None:
            geometry = (poses_m - poses_m[:, :, 2:3]) @ frames  # root-relative, body frame
            tokens = tokens + self.keypoint_gtbs(tokens, geometry)
        tokens = self.norm2(tokens + self.feed_forward(tokens))

        keypoints, logits = self._view_heads(tokens, features, anchors, raw)
        depth = depth.view(b, t, m, j)
        return self._triangulate(tokens, poses_m, frames, cameras, keypoints, logits, seen, depth)

    def _gather(
        self,
        tokens: Tensor,
        position: Tensor,
        anchors: Tensor,
        raw: Tensor,
        seen: Tensor,
        pyramid: FeaturePyramid,
    ) -> Tensor:
        """g_t: what each token sees in each view, [B, T, M, J, D]; zero where not in view."""
        if self.anchor_proj is not None:
            at_anchor = self.anchor_proj(raw.flatten(-2))
        else:  # shared maps with as many channels as tokens: the finest level, as it is
            at_anchor = raw[..., 0, :]
        mask = seen.unsqueeze(-1).to(at_anchor.dtype)
        if self.attention is None:
            return at_anchor * mask
        query = (tokens + position).unsqueeze(1)  # [B, 1, M, J, D]
        query = query.unsqueeze(-2) + raw if self.config.mvgformer else query + at_anchor
        scan = self.feature_gtbs is not None
        grid = self.attention(query, anchors, pyramid, keep_points=scan)  # [B, T, M, J, P, D]
        if self.feature_gtbs is not None:
            grid = grid + self.feature_gtbs(grid * mask.unsqueeze(-1))
        features = self.attention.reduce(grid)
        if self.anchor_proj is not None:
            features = features + at_anchor
        return features * mask

    def _fuse(self, tokens: Tensor, features: Tensor, seen: Tensor) -> Tensor:
        """One feature a token from those of the views, [B, M, J, D]."""
        mask = seen.unsqueeze(-1).to(features.dtype)
        if self.cross_attention is not None:
            return self.fuse(self._attend_views(tokens, features, seen))
        count = (
            float(features.shape[1]) if self.config.fuse == "mean_all" else mask.sum(1).clamp(min=1)
        )
        mean = features.sum(1) / count
        if self.config.fuse != "mean_max":
            return self.fuse(mean)
        largest = features.masked_fill(~seen.unsqueeze(-1), -1e4).amax(1)
        largest = torch.where(seen.any(1).unsqueeze(-1), largest, torch.zeros_like(largest))
        return self.fuse(torch.cat([mean, largest], -1))

    def _attend_views(self, tokens: Tensor, features: Tensor, seen: Tensor) -> Tensor:
        """Ablation `cross_attention`: the token asks the views, [B, M, J, D] (twice: mean_max)."""
        assert self.cross_attention is not None
        b, t, m, j, d = features.shape
        keys = features.permute(0, 2, 3, 1, 4).reshape(b * m * j, t, d)
        blind = ~seen.permute(0, 2, 3, 1).reshape(b * m * j, t)
        blind = blind & ~blind.all(1, keepdim=True)  # a token that no view sees attends to zeros
        query = tokens.reshape(b * m * j, 1, d)
        out, _ = self.cross_attention(query, keys, keys, key_padding_mask=blind, need_weights=False)
        out = out.view(b, m, j, d)
        return torch.cat([out, out], -1) if self.config.fuse == "mean_max" else out

    def _view_heads(
        self, tokens: Tensor, features: Tensor, anchors: Tensor, raw: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Per view: the 2D estimate [B, T, M, J, 2] network px, and the confidence logit."""
        if self.config.ablation == "mean":
            features = torch.zeros_like(features)  # views are known by their mean alone
        out = self.view_head(features + self.query_proj(tokens).unsqueeze(1))
        estimate = anchors + OFFSET_PX * out[..., :2]
        if self.n_pointers:
            # a joint's maps point at keypoints nearby: go to one of them, or to its mirror's
            strides = raw.new_tensor(self.config.strides)[:, None]
            own, mirror = raw[..., 1:3] * strides, raw[..., 4:6] * strides  # [..., levels, 2] px
            pointers = torch.cat([torch.zeros_like(own[..., :1, :]), own, mirror], -2)
            choice = out[..., 3:].softmax(-1)
            estimate = estimate + (choice.unsqueeze(-1) * pointers).sum(-2)
        return estimate, out[..., 2]

    def _triangulate(
        self,
        tokens: Tensor,
        poses_m: Tensor,
        frames: Tensor,
        cameras: Cameras,
        keypoints: Tensor,
        logits: Tensor,
        seen: Tensor,
        depth: Tensor,
    ) -> LayerOutput:
        b, _, m, j, _ = keypoints.shape
        prior, information = poses_m, None
        if self.prior_head is None:
            confidence = logits.masked_fill(~seen, -1e4).softmax(1) * seen
            weights = confidence
            if self.config.mvgformer:  # weights rows, not their squares, and does not scale them
                weights = (confidence * depth.clamp(min=MIN_ROW_DEPTH_M)) ** 2
        else:
            weights = confidence = logits.sigmoid() * seen
            step = self.prior_head(tokens)  # [B, M, J, 4]
            prior = poses_m + _STEP_M * step[..., :3] @ frames.transpose(-1, -2)
            information = step[..., 3].clamp(-4.0, 14.0).exp().flatten(1, 2)
        out = triangulate(
            cameras,
            keypoints.flatten(2, 3),
            weights.flatten(2, 3),
            prior.flatten(1, 2),
            prior_information=information,
        )
        return LayerOutput(
            tokens=tokens,
            poses_m=out.points_m.view(b, m, j, 3),
            covariance_m2=out.covariance_m2.view(b, m, j, 3, 3),
            joint_logits=self.class_head(tokens).squeeze(-1),
            keypoints_px=keypoints,
            confidence=confidence,
            solved=out.solved.view(b, m, j),
        )


def body_frames(poses_m: Tensor) -> Tensor:
    """Rotation body -> world [B, M, 3, 3] (columns: left, forward, up) of panoptic15 poses.

    up = from mid_hip to neck; left = from the right to the left shoulder and hip. A frame that moves
    with the pose makes the network equivariant to any rigid motion of the world (our choice; the
    paper feeds world coordinates).
    """
    up = F.normalize(poses_m[..., 0, :] - poses_m[..., 2, :] + 1e-6, dim=-1)
    left = poses_m[..., 3, :] - poses_m[..., 9, :] + poses_m[..., 6, :] - poses_m[..., 12, :]
    left = left - (left * up).sum(-1, keepdim=True) * up
    left = F.normalize(left + 1e-6, dim=-1)
    forward = torch.linalg.cross(left, up)
    forward = F.normalize(forward, dim=-1)
    return torch.stack([left, forward, up], -1)
