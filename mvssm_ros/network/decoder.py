"""Progressive regression with hierarchical tokens (MV-SSM sections 3.1 and 3.4).

Every layer makes each candidate's pose better; between layers the candidates that score below
epsilon are dropped and the tensors made compact, so that later layers pay for survivors only.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mvssm_ros.geometry.cameras import Cameras

from .config import MVSSMConfig
from .pss import LayerOutput, PSSLayer
from .pyramid import FeaturePyramid

# Given a layer's number and output, the candidates [B, M'] that live on.
Selection = Callable[[int, LayerOutput], Tensor]


class Decoder(nn.Module):
    """N start poses -> the outputs of all layers, each with fewer candidates than the last."""

    def __init__(self, config: MVSSMConfig):
        super().__init__()
        self.config = config
        d = config.d_model
        self.joint_embedding = nn.Parameter(torch.randn(config.n_joints, d) * 0.02)
        self.joint_position = nn.Parameter(torch.randn(config.n_joints, d) * 0.02)
        self.instance_embedding = (
            nn.Parameter(torch.randn(config.n_candidates, d) * 0.02)
            if config.n_candidates
            else None
        )
        self.instance_position = (
            nn.Parameter(torch.randn(config.n_candidates, d) * 0.02) if config.mvgformer else None
        )
        self.layers = nn.ModuleList(
            PSSLayer(config, scan_grid=i >= config.grid_from_layer) for i in range(config.n_layers)
        )

    def forward(
        self,
        start_m: Tensor,
        cameras: Cameras,
        pyramid: FeaturePyramid,
        select: Selection | None = None,
    ) -> list[LayerOutput]:
        """start_m [B, N, J, 3] m; cameras in network pixels, [B, T].

        `select` decides who lives on; by default the best-scored, see `hierarchical_selection`.
        """
        b, n, j, _ = start_m.shape
        tokens = self.joint_embedding.expand(b, n, j, -1)
        if self.instance_embedding is not None:
            if n != len(self.instance_embedding):
                raise ValueError(
                    f"these weights have {len(self.instance_embedding)} candidates, got {n} start poses"
                )
            tokens = tokens + self.instance_embedding[:, None]
        position = self.joint_position.expand(b, n, j, -1)
        if self.instance_position is not None:
            position = position + self.instance_position[:, None]
        select = select or self.hierarchical_selection
        poses, outputs = start_m, []
        for i, layer in enumerate(self.layers):
            out = layer(tokens, poses, cameras, pyramid, position)
            outputs.append(out)
            if i + 1 < len(self.layers):
                index = select(i, out)  # [B, M']
                kept = out.pick(index)
                tokens, poses = kept.tokens, kept.poses_m
                position = position[torch.arange(b, device=index.device)[:, None], index]
        return outputs

    def hierarchical_selection(self, layer: int, out: LayerOutput) -> Tensor:
        """The candidates that score at least epsilon, at most `survivors[layer]`, at least one.

        First the best of every neighbourhood, then every second best, and so on: else the many
        candidates that have come to one person would crowd out the few that have come to another.
        """
        scores = out.scores
        alive = int((scores >= self.config.score_epsilon).sum(1).amax())
        count = max(1, min(alive, self.config.survivors[layer], scores.shape[1]))
        rank = scores - crowding(out.poses_m, scores, self.config.neighbourhood_m)
        rank = rank - 1e3 * (scores < self.config.score_epsilon)
        return rank.topk(count, dim=1).indices


def crowding(poses_m: Tensor, scores: Tensor, distance_m: float) -> Tensor:
    """How many better-scored poses are within `distance_m` (mean over joints) of each: [B, M]."""
    if distance_m <= 0:
        return torch.zeros_like(scores)
    flat = poses_m.flatten(2)  # [B, M, 3 J]: the RMS over joints bounds their mean distance
    rms = torch.cdist(flat, flat) / poses_m.shape[2] ** 0.5
    better = scores.unsqueeze(1) > scores.unsqueeze(2)  # [B, M, M']: M' scores better than M
    return ((rms < distance_m) & better).sum(-1).to(scores.dtype)


def suppress_duplicates(poses_m: Tensor, scores: Tensor, relative_distance: float = 0.15) -> Tensor:
    """Non-maximum suppression of poses [M, J, 3] by scores [M]: indices kept, best first.

    Which two poses are one person, the better one tells: `same_person`.
    """
    order = scores.argsort(descending=True, stable=True)
    poses = poses_m[order]
    same = same_person(poses, poses, relative_distance)
    kept = torch.ones(len(order), dtype=torch.bool, device=order.device)
    for i in range(len(order)):
        if kept[i]:
            kept[i + 1 :] &= ~same[i, i + 1 :]
    return order[kept]


def same_person(poses_m: Tensor, others_m: Tensor, relative_distance: float = 0.15) -> Tensor:
    """Which poses [M, J, 3] and others [N, J, 3] are one person, [M, N] bool: their mean joint distance
    is under `relative_distance` of the pose's size (largest extent of its joints)."""
    distance = (poses_m[:, None] - others_m[None]).norm(dim=-1).mean(-1)  # [M, N]
    size = (poses_m.amax(1) - poses_m.amin(1)).amax(-1).clamp(0.5, 2.5)  # [M]
    return distance < relative_distance * size[:, None]


def distinct(out: LayerOutput, score_threshold: float) -> Tensor:
    """The candidates of one scene (B = 1) that score enough and are nobody's duplicates, best first."""
    poses, scores = out.poses_m[0], out.scores[0]
    alive = (scores >= score_threshold).nonzero().squeeze(1)
    return alive[suppress_duplicates(poses[alive], scores[alive])]
