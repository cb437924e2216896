"""The feature pyramid: all that the network sees of the images."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class FeaturePyramid:
    """Feature maps of T views on several levels.

    levels   one tensor a level: [B, T, C, H, W], shared by all joints (RGB front-end), or
             [B, T, J, C, H, W], where a token of joint j sees the maps of joint j (keypoints)
    strides  network pixels a cell, one a level
    mirror   [J], with maps per joint: a token of joint j also sees the maps of joint mirror[j]

    Cell i of a level is centred on network pixel ``(i + 0.5) stride - 0.5``.
    """

    levels: tuple[Tensor, ...]
    strides: tuple[int, ...]
    mirror: Tensor | None = None

    @property
    def per_joint(self) -> bool:
        return self.levels[0].dim() == 6


def sample(maps: Tensor, pixels_px: Tensor, stride: int) -> Tensor:
    """Bilinear samples, zeros outside: maps [G, C, H, W], pixels [G, N, P, 2] px -> [G, C, N, P]."""
    size = pixels_px.new_tensor([maps.shape[-1], maps.shape[-2]])
    normalised = (pixels_px + 0.5) * (2.0 / (stride * size)) - 1.0
    return F.grid_sample(
        maps, normalised, mode="bilinear", padding_mode="zeros", align_corners=False
    )
