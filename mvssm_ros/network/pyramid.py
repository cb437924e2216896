"""The feature pyramid: all that the network sees of the images."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
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

    def scene(self, b: int) -> FeaturePyramid:
        """Scene b alone (B = 1)."""
        return replace(self, levels=tuple(level[b : b + 1] for level in self.levels))


def cell_px(maps: Tensor, stride: int, stretched: bool = False) -> Tensor:
    """Network pixels from one cell of [..., H, W] to the next in x and in y, [2].

    Stretched, as MvP and MVGFormer lay a map over the image: (w - 1) / w of the stride.
    """
    size = torch.tensor([maps.shape[-1], maps.shape[-2]], dtype=maps.dtype, device=maps.device)
    return stride * (size - 1) / size if stretched else torch.full_like(size, stride)


def sample(maps: Tensor, pixels_px: Tensor, stride: int, stretched: bool = False) -> Tensor:
    """Bilinear samples, zeros outside: maps [G, C, H, W], pixels [G, N, P, 2] px -> [G, C, N, P].

    Stretched: cell i is centred on pixel ``(i + 0.5) cell_px``.
    """
    size = pixels_px.new_tensor([maps.shape[-1], maps.shape[-2]])
    first_edge_px = 0.0 if stretched else -0.5  # where cell 0 begins
    extent_px = cell_px(maps, stride, stretched) * size
    normalised = (pixels_px - first_edge_px) * (2.0 / extent_px) - 1.0
    return F.grid_sample(
        maps, normalised, mode="bilinear", padding_mode="zeros", align_corners=False
    )
