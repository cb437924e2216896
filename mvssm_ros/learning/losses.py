"""The training loss: every layer pays for its 3D joints, its 2D estimates and its scores."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mvssm_ros.geometry.cameras import Cameras, in_view, project
from mvssm_ros.network.pss import LayerOutput

from .matching import known_joints, match_nearest


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms, and their scales.

    joints_3d, keypoints_2d, score   weights
    heatmaps            weight of the backbone's 2D heatmaps (images; 0: they are not trained)
    decoder             1, or 0: the heatmaps alone are trained
    clamp_m, clamp_px                an error beyond this pulls no harder
    quality_m                        a joint's score should be exp(-(error / quality)^2), by layer
    """

    joints_3d: float = 10.0
    keypoints_2d: float = 1.0
    score: float = 2.0
    clamp_m: float = 1.0
    clamp_px: float = 100.0
    quality_m: tuple[float, ...] = (0.4, 0.2, 0.1, 0.1)
    heatmaps: float = 0.0
    decoder: float = 1.0


def layer_loss(
    out: LayerOutput,
    poses_in_m: Tensor,
    cameras: Cameras,
    truth_m: Tensor,
    valid: Tensor,
    quality_m: float,
    weights: LossWeights,
) -> dict[str, Tensor]:
    """Terms of one layer, weighted. poses_in [B, M, J, 3]: what the layer started from.

    truth [B, G, J, 3] m (NaN: a joint that is not known costs nothing) with valid [B, G]; cameras in
    network pixels.
    """
    b, m, j, _ = poses_in_m.shape
    match = match_nearest(poses_in_m, truth_m, valid)
    scene = torch.arange(b, device=truth_m.device)[:, None]
    positive = match.positive.to(out.poses_m.dtype)  # [B, M]
    count = positive.sum().clamp(min=1.0)

    known = known_joints(truth_m)[scene, match.person]  # [B, M, J]
    target = truth_m.nan_to_num()[scene, match.person]  # [B, M, J, 3]
    error = (out.poses_m - target).norm(dim=-1)  # [B, M, J]
    mean = (error.clamp(max=weights.clamp_m) * known).sum(-1) / known.sum(-1).clamp(min=1)
    loss_3d = (mean * positive).sum() / count

    pixels, depth = project(cameras, target.flatten(1, 2))  # [B, T, M J, 2]
    seen = in_view(cameras, pixels, depth).view(b, -1, m, j) & (out.confidence > 0)
    gap = (out.keypoints_px - pixels.view(b, -1, m, j, 2)).abs().sum(-1)  # L1, px
    gap = gap.clamp(max=weights.clamp_px) / weights.clamp_px
    mask = seen * (positive.unsqueeze(-1) * known).unsqueeze(1)
    loss_2d = (gap * mask).sum() / mask.sum().clamp(min=1.0)

    # quality of the answer against the person it is nearest to, whoever it was to become
    after = match_nearest(out.poses_m.detach(), truth_m, valid)
    known = known_joints(truth_m)[scene, after.person]
    joint_error = (out.poses_m.detach() - truth_m.nan_to_num()[scene, after.person]).norm(dim=-1)
    quality = torch.exp(-((joint_error / quality_m) ** 2))
    quality = quality * (after.distance_m < 1.0).unsqueeze(-1)
    judged = (known | (after.distance_m >= 1.0).unsqueeze(-1)).to(quality.dtype)
    bce = F.binary_cross_entropy_with_logits(out.joint_logits, quality, judged, reduction="sum")
    return {
        "joints_3d": weights.joints_3d * loss_3d,
        "keypoints_2d": weights.keypoints_2d * loss_2d,
        "score": weights.score * bce / (j * count),
    }


def decoder_loss(
    outputs: list[LayerOutput],
    inputs_m: list[Tensor],
    cameras: Cameras,
    truth_m: Tensor,
    valid: Tensor,
    weights: LossWeights,
) -> tuple[Tensor, dict[str, float]]:
    """Sum over the layers, and each term of each layer for the log (keys like `joints_3d/2`)."""
    total, log = truth_m.new_zeros(()), {}
    for i, (out, poses_in) in enumerate(zip(outputs, inputs_m, strict=True)):
        quality = weights.quality_m[min(i, len(weights.quality_m) - 1)]
        terms = layer_loss(out, poses_in, cameras, truth_m, valid, quality, weights)
        for name, value in terms.items():
            total = total + value
            log[f"{name}/{i}"] = float(value.detach())
    return total, log
